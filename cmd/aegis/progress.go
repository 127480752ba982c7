package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// progress tells how far a long command is: a line that is written over on a terminal, a
// line every few seconds elsewhere. Any goroutine may add to it.
type progress struct {
	what  string
	total int64 // bytes, about
	line  *liveLine
	begun time.Time
	stop  chan struct{}
	ended chan struct{}

	mu   sync.Mutex // guards the rest
	done int64      // bytes
	note string
}

const (
	progressEvery = 200 * time.Millisecond // on a terminal
	progressLines = 2 * time.Second        // elsewhere
	progressWidth = 24
)

// newProgress begins to tell.
func newProgress(w io.Writer, what string, total int64) *progress {
	p := &progress{what: what, total: total, line: newLiveLine(w), begun: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.ended)
	every := progressLines
	if p.line.onTTY {
		every = progressEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		if p.line.onTTY {
			fmt.Fprintf(p.line.w, "\r\x1b[K%s", p.String())
		} else {
			fmt.Fprintln(p.line.w, p.String())
		}
	}
}

// add counts bytes that are done.
func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
}

// say puts a few words behind the figures.
func (p *progress) say(note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note = note
}

// String is the line.
func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := max(p.total, p.done)
	part := float64(p.done) / float64(max(total, 1))
	full := int(part * progressWidth)
	rate := float64(p.done) / max(time.Since(p.begun).Seconds(), 1e-3)
	left := "?"
	if rate > 0 {
		left = time.Duration(float64(total-p.done) / rate * float64(time.Second)).Round(time.Second).String()
	}
	return strings.TrimSpace(fmt.Sprintf("%s [%s%s] %3.0f %%  %s of %s, %s/s, %s left  %s", p.what, strings.Repeat("#", full), strings.Repeat(".", progressWidth-full),
		100*part, node.About(p.done), node.About(total), node.About(int64(rate)), left, p.note))
}

// end stops telling and takes the line away from a terminal.
func (p *progress) end() {
	close(p.stop)
	<-p.ended
	p.line.clear()
}
