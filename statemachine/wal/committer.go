package wal

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Committer runs a Log: one goroutine writes, one makes durable. While an fsync is under
// way the next batch grows, and one fsync serves all who wait; in mode write nobody waits
// for the fsyncs that go on behind it.
type Committer struct {
	log    *Log
	told   func()
	failed func(error)

	write, sync chan struct{} // one token: there is work
	stop        chan struct{}
	done        sync.WaitGroup
	once        sync.Once // for failed
	forced      atomic.Bool
	base        time.Time
	busy        [2]atomic.Int64 // when the write, and the fsync, under way began, ns since base; 0 = none is

	mu    sync.Mutex // of moved
	moved *sync.Cond // Acked, Synced or Err has changed
}

// syncEvery is how much of a log in mode write a power cut may lose at most, and how
// long a log may be idle before it states what is durable.
const syncEvery = time.Second

// Run begins to commit a log. told is called, from either goroutine, when more is logged
// or durable; failed once, with the error that ended the log. Neither may block.
func Run(l *Log, told func(), failed func(error)) *Committer {
	c := &Committer{
		log: l, told: told, failed: failed, base: time.Now().Add(-time.Nanosecond),
		write: make(chan struct{}, 1), sync: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	c.moved = sync.NewCond(&c.mu)
	c.done.Add(2)
	go c.writes()
	go c.syncs()
	return c
}

// Wake says that something was appended. It never blocks.
func (c *Committer) Wake() { poke(c.write) }

func poke(work chan struct{}) {
	select {
	case work <- struct{}{}:
	default:
	}
}

// Force asks for one fsync of what is written: a +fsync ack in mode write. It never blocks.
func (c *Committer) Force() {
	c.forced.Store(true)
	poke(c.write)
}

// Wait waits until the log is logged up to an LSN in the sense of the mode, or durable
// whatever the mode. An error says that it never will be.
func (c *Committer) Wait(upto LSN, durable bool) error {
	if durable {
		c.Force()
	} else {
		c.Wake()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		reached := c.log.Acked()
		if durable {
			reached = c.log.Synced()
		}
		if reached >= upto {
			return nil
		}
		if err := c.log.Err(); err != nil {
			return err
		}
		c.moved.Wait()
	}
}

// Stalled is how long the write and the fsync under way have taken by now, 0 when none is.
func (c *Committer) Stalled() (write, sync time.Duration) {
	return c.since(0), c.since(1)
}

func (c *Committer) since(which int) time.Duration {
	began := c.busy[which].Load()
	if began == 0 {
		return 0
	}
	return time.Since(c.base) - time.Duration(began)
}

// Stop closes the log: what was appended is written and durable when it returns.
func (c *Committer) Stop() error {
	close(c.stop)
	c.done.Wait()
	err := c.log.Close()
	c.mu.Lock()
	c.moved.Broadcast()
	c.mu.Unlock()
	return err
}

func (c *Committer) writes() {
	defer c.done.Done()
	commit := func() error { _, err := c.log.Commit(); return err }
	for {
		select {
		case <-c.stop:
			return
		case <-c.write:
		}
		forced := c.forced.Swap(false) // first: who forces has appended before
		if c.log.Backlog() > 0 {
			c.do(0, commit)
		}
		if c.log.cfg.Mode == Fsync || forced {
			poke(c.sync)
		}
	}
}

func (c *Committer) syncs() {
	defer c.done.Done()
	idle := time.NewTicker(syncEvery)
	defer idle.Stop()
	sync, mark := c.log.Sync, c.log.State
	for {
		var state bool
		select {
		case <-c.stop:
			return
		case <-c.sync:
		case <-idle.C:
			state = true
		}
		if c.log.Synced() < c.log.Written() {
			c.do(1, sync)
		} else if state {
			c.do(1, mark)
		}
	}
}

// do does some I/O and tells of it, if anybody could wait for it: what is only written is
// not logged in mode fsync.
func (c *Committer) do(which int, io func() error) {
	c.busy[which].Store(int64(time.Since(c.base))) // not by the wall, which is set
	err := io()
	c.busy[which].Store(0)
	if err == nil && which == 0 && c.log.cfg.Mode == Fsync {
		return
	}
	c.mu.Lock() // whoever looked before is waiting by now
	c.moved.Broadcast()
	c.mu.Unlock()
	if err == nil {
		c.told()
	} else if !errors.Is(err, ErrClosed) {
		c.once.Do(func() { c.failed(err) })
	}
}
