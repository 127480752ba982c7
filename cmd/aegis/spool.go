package main

import (
	"io"
	"sync"
	"time"
)

const (
	// spoolMax bounds the bytes of lines that wait for whoever reads the log.
	spoolMax = 1 << 20
	// spoolWait is how long Sync waits for them to leave.
	spoolWait = time.Second
)

// spool takes log lines and writes them by a goroutine of its own. Lines are written with
// locks of the data plane held, and by the thread that keeps all leases: a reader
// that stands still (a full pipe, a terminal after ctrl-S) would cost the node every lease
// it has. When too much waits, lines are left out, and counted where they would stand.
type spool struct {
	out  io.Writer
	left func(lines int) []byte // says that so many were left out

	mu      sync.Mutex // guards the rest
	pending []byte
	missing int
	done    chan struct{} // closed when the goroutine ends; nil = there is none
}

// Write implements zapcore.WriteSyncer. It does not wait.
func (s *spool) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending)+len(line) > spoolMax {
		s.missing++
		return len(line), nil
	}
	s.closeGap()
	s.pending = append(s.pending, line...)
	if s.done == nil {
		s.done = make(chan struct{})
		go s.drain()
	}
	return len(line), nil
}

// closeGap says how many lines were left out since the last one that was not.
func (s *spool) closeGap() {
	if s.missing > 0 {
		s.pending = append(s.pending, s.left(s.missing)...)
		s.missing = 0
	}
}

// drain writes until nothing waits.
func (s *spool) drain() {
	for b := s.take(); len(b) > 0; b = s.take() {
		_, _ = s.out.Write(b) // where would it be said?
	}
}

func (s *spool) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeGap()
	b := s.pending
	s.pending = nil
	if len(b) == 0 {
		close(s.done)
		s.done = nil
	}
	return b
}

// Sync implements zapcore.WriteSyncer: it waits for what waits, but not for ever.
func (s *spool) Sync() error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
	case <-time.After(spoolWait):
	}
	return nil
}
