package membership

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Severity is how much a line of gossip matters.
type Severity uint8

// Severities.
const (
	Debug Severity = iota + 1
	Info
	Warn
)

const (
	voiceWindow = 10 * time.Second
	voiceLines  = 10  // above Debug, in one window
	voiceOnce   = 256 // sentences that are remembered as said
)

// voice turns memberlist's log lines into calls. Strangers can make memberlist
// write at will, so what comes above Debug is counted: the rest of a window is told
// as one line.
type voice struct {
	say func(Severity, string)
	now func() time.Time

	mu    sync.Mutex // guards the rest
	since time.Time  // the window
	lines int
	once  map[string]struct{}
}

func newVoice(say func(Severity, string)) *voice {
	return &voice{say: say, now: time.Now, once: make(map[string]struct{})}
}

// ordinary are lines that memberlist warns of and that are daily life here: a start
// of a node is a name of its own (memberName), so the old one is still asked for a
// while, at an address where the new one answers. Refused members are reported once, by the
// one who refuses.
var ordinary = []string{"Got ping for unexpected node", "ignoring alive message"}

// Write takes one line of memberlist's logger. Its errors are warnings here: the
// cluster works without gossip.
func (v *voice) Write(p []byte) (int, error) {
	line := string(bytes.TrimSpace(p))
	level := Warn
	if mark, rest, ok := strings.Cut(line, "] "); ok && strings.HasPrefix(mark, "[") {
		line = strings.TrimPrefix(rest, "memberlist: ")
		switch mark[1:] {
		case "DEBUG":
			level = Debug
		case "INFO":
			level = Info
		}
	}
	for _, o := range ordinary {
		if strings.HasPrefix(line, o) {
			level = Debug
		}
	}
	v.line(level, line)
	return len(p), nil
}

func (v *voice) line(level Severity, text string) {
	if level > Debug {
		v.mu.Lock()
		now := v.now()
		missed := 0
		if now.Sub(v.since) >= voiceWindow {
			missed = max(0, v.lines-voiceLines)
			v.since, v.lines = now, 0
		}
		v.lines++
		quiet := v.lines > voiceLines
		v.mu.Unlock()
		if missed > 0 {
			v.say(Warn, fmt.Sprintf("%d more lines like these were left out", missed))
		}
		if quiet {
			return
		}
	}
	v.say(level, text)
}

// warnOnce says a sentence the first time.
func (v *voice) warnOnce(text string) {
	v.mu.Lock()
	_, said := v.once[text]
	if !said && len(v.once) < voiceOnce {
		v.once[text] = struct{}{}
	}
	full := !said && len(v.once) >= voiceOnce
	v.mu.Unlock()
	if !said && !full {
		v.say(Warn, text)
	}
}
