package client

import (
	"context"
	"sync"
	"time"
)

// patience is how long one call may wait: until the deadline of its context, or
// for Config.Timeout where that has none. A context.WithTimeout per call was the simpler
// way and costs four allocations.
type patience struct {
	ctx   context.Context
	begun time.Time
	until time.Time
	own   bool        // the deadline is ours, not the context's
	timer *time.Timer // running when not nil
}

var timers = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}}

func (w *patience) begin(ctx context.Context, timeout time.Duration) {
	w.ctx, w.begun = ctx, time.Now()
	if until, ok := ctx.Deadline(); ok {
		w.until = until
	} else {
		w.until, w.own = w.begun.Add(timeout), true
	}
}

// fork is the same patience for another goroutine.
func (w *patience) fork() patience {
	return patience{ctx: w.ctx, begun: w.begun, until: w.until, own: w.own}
}

// end gives the timer back.
func (w *patience) end() {
	if w.timer != nil {
		w.timer.Stop()
		timers.Put(w.timer)
		w.timer = nil
	}
}

// waitFor says whether ch has something within d, and leaves it there.
func (w *patience) waitFor(ch chan struct{}, d time.Duration) bool {
	t := timers.Get().(*time.Timer)
	t.Reset(d)
	defer func() {
		t.Stop()
		timers.Put(t)
	}()
	select {
	case got := <-ch:
		ch <- got // its place is free: nobody else sends to it
		return true
	case <-t.C:
	case <-w.ctx.Done():
	}
	return false
}

// either is which of two channels has something first, 1 or 2, or why the call's time is over.
func (w *patience) either(a, b <-chan struct{}) (int, error) {
	if w.timer == nil {
		w.timer = timers.Get().(*time.Timer)
		w.timer.Reset(time.Until(w.until))
	}
	select {
	case <-a:
		return 1, nil
	case <-b:
		return 2, nil
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	case <-w.timer.C:
		w.timer.Reset(0) // whoever waits next is told at once
		return 0, errTimeout
	}
}

// wait returns nil when ch has something, else why the call's time is over.
func (w *patience) wait(ch <-chan struct{}) error {
	if !w.own {
		select {
		case <-ch:
			return nil
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
	if w.timer == nil {
		w.timer = timers.Get().(*time.Timer)
		w.timer.Reset(time.Until(w.until))
	}
	select {
	case <-ch:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	case <-w.timer.C:
		w.timer.Reset(0) // whoever waits next is told at once
		return errTimeout
	}
}

// pause waits for d, less when the call's time is over or closing closes.
func (w *patience) pause(d time.Duration, closing <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return w.over()
	case <-w.ctx.Done():
		return w.ctx.Err()
	case <-closing:
		return ErrClosed
	}
}

// over says why the call's time is over, nil while it is not.
func (w *patience) over() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.own && !time.Now().Before(w.until) {
		return errTimeout
	}
	return nil
}

func (w *patience) left() time.Duration { return time.Until(w.until) }

func (w *patience) elapsed() time.Duration { return time.Since(w.begun) }
