package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// storyWindow is how long a line about a group waits for the same line about other
// groups. A failover moves dozens of groups within milliseconds; one line for all
// of them is what an operator can read. A crash may take the last window with it.
const storyWindow = 100 * time.Millisecond

// story is a zapcore.Core that merges lines which differ only in their group, and
// in what belongs to a group (ballot, epoch, clock readings). Everything else passes at once,
// behind the lines that came before it.
type story struct {
	zapcore.Core
	*chapter
}

// chapter is what a story and its descendants by With share.
type chapter struct {
	mu    sync.Mutex // guards the rest
	lines []*storyLine
	timer *time.Timer
}

// storyLine is one merged line.
type storyLine struct {
	core   zapcore.Core
	entry  zapcore.Entry
	key    string
	fields []zapcore.Field // of the first line, without those that differ by group
	own    []zapcore.Field // what differs by group, kept while there is one group only
	groups []int
}

func newStory(c zapcore.Core) *story { return &story{Core: c, chapter: new(chapter)} }

// With implements zapcore.Core.
func (s *story) With(f []zapcore.Field) zapcore.Core { return &story{s.Core.With(f), s.chapter} }

// Check implements zapcore.Core.
func (s *story) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if s.Enabled(e.Level) {
		return c.AddCore(e, s)
	}
	return c
}

// Write implements zapcore.Core.
func (s *story) Write(e zapcore.Entry, fields []zapcore.Field) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, ok := lineOf(e, fields)
	if !ok {
		if err := s.tellLocked(); err != nil {
			return err
		}
		return s.Core.Write(e, fields)
	}
	line.core = s.Core
	for _, l := range s.lines {
		if l.key == line.key {
			l.groups = append(l.groups, line.groups...)
			return nil
		}
	}
	if len(s.lines) == 0 {
		s.timer = time.AfterFunc(storyWindow, func() { _ = s.tell() })
	}
	s.lines = append(s.lines, line)
	return nil
}

// Sync implements zapcore.Core.
func (s *story) Sync() error {
	if err := s.tell(); err != nil {
		return err
	}
	return s.Core.Sync()
}

func (c *chapter) tell() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tellLocked()
}

// tellLocked writes what waits, in the order of first lines.
func (c *chapter) tellLocked() (err error) {
	if c.timer != nil {
		c.timer.Stop()
	}
	for _, l := range c.lines {
		fields := append([]zapcore.Field{zap.String("groups", ranges(l.groups))}, l.fields...)
		if len(l.groups) == 1 {
			fields = append(fields, l.own...)
		}
		if e := l.core.Write(l.entry, fields); e != nil {
			err = e
		}
	}
	c.lines = nil
	return err
}

// lineOf says whether a line may be merged: it is about one group and no shard.
func lineOf(e zapcore.Entry, fields []zapcore.Field) (*storyLine, bool) {
	l := &storyLine{entry: e}
	key := strings.Builder{}
	fmt.Fprint(&key, e.Level, e.LoggerName, e.Message)
	for _, f := range fields {
		switch f.Key {
		case "group":
			l.groups = append(l.groups, int(f.Integer))
		case "shard":
			return nil, false
		case "ballot", "epoch", "mono", "until", "bases":
			l.own = append(l.own, f)
		default:
			l.fields = append(l.fields, f)
			fmt.Fprint(&key, "|", f.Key, f.Integer, f.String, f.Interface)
		}
	}
	l.key = key.String()
	return l, len(l.groups) == 1
}

// ranges writes numbers as "1-4,7", sorted and without repetitions.
func ranges(ns []int) string {
	slices.Sort(ns)
	ns = slices.Compact(ns)
	var b strings.Builder
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, ns[i])
		if j > i {
			fmt.Fprint(&b, "-", ns[j])
		}
		i = j + 1
	}
	return b.String()
}
