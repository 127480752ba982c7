package wal

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Committer runs a Log. In mode write the first of those who wait writes for all of them,
// and nobody waits for the fsyncs that go on behind. In mode fsync one goroutine writes and
// makes durable what has gathered, and while it does the next batch grows.
type Committer struct {
	log    *Log
	told   func()
	failed func(error)

	write, sync chan struct{} // one token: there is work
	stop        chan struct{}
	done        sync.WaitGroup
	once        sync.Once // for failed
	base        time.Time
	busy        [2]atomic.Int64 // when the write, and the fsync, under way began, ns since base; 0 = none is

	mu      sync.Mutex // guards writing, and is moved's
	moved   *sync.Cond // Acked, Synced, Err or writing has changed
	writing bool       // somebody is in Commit for all
}

// syncEvery is how much of a log in mode write a power cut may lose at most, and how
// long a log may be idle before it states what is durable.
const syncEvery = time.Second

// Run begins to commit a log. told is called, from any goroutine, when more is logged
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
func (c *Committer) Wake() {
	if c.log.cfg.Mode == Fsync {
		poke(c.sync)
	} else {
		poke(c.write)
	}
}

func poke(work chan struct{}) {
	select {
	case work <- struct{}{}:
	default:
	}
}

// Force asks for one fsync of what is appended: a +fsync ack in mode write. It never blocks.
func (c *Committer) Force() { poke(c.sync) }

// Wait waits until the log is logged up to an LSN in the sense of the mode, or durable
// whatever the mode. An error says that it never will be.
func (c *Committer) Wait(upto LSN, durable bool) error {
	reached, lead := c.log.Acked, c.log.cfg.Mode == Write && !durable
	if durable {
		reached = c.log.Synced
	}
	if reached() >= upto {
		return nil
	}
	if !lead {
		poke(c.sync)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for reached() < upto {
		if err := c.log.Err(); err != nil {
			return err
		}
		if lead && !c.writing {
			c.commit()
		} else {
			c.moved.Wait()
		}
	}
	return nil
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

// writes writes for those who do not wait.
func (c *Committer) writes() {
	defer c.done.Done()
	for {
		select {
		case <-c.stop:
			return
		case <-c.write:
			c.gather()
		}
	}
}

// gather writes what was appended so far.
func (c *Committer) gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing {
		c.moved.Wait()
	}
	if c.log.Backlog() > 0 {
		c.commit()
	}
}

// commit writes for all who wait. The caller holds mu, and nobody is writing.
func (c *Committer) commit() {
	c.writing = true
	c.mu.Unlock()
	runtime.Gosched() // whoever can run appends first, and is written for
	err := c.timed(0, func() error { _, err := c.log.Commit(); return err })
	c.mu.Lock()
	c.writing = false
	c.moved.Broadcast()
	c.mu.Unlock()
	if err != nil || c.log.cfg.Mode == Write { // what is only written is not logged in mode fsync
		c.tell(err)
	}
	c.mu.Lock()
}

func (c *Committer) syncs() {
	defer c.done.Done()
	idle := time.NewTicker(syncEvery)
	defer idle.Stop()
	for {
		var state bool
		select {
		case <-c.stop:
			return
		case <-c.sync:
			c.gather()
		case <-idle.C:
			state = true
		}
		if c.log.Synced() < c.log.Written() {
			c.sound(c.log.Sync)
		} else if state {
			c.sound(c.log.State)
		}
	}
}

// sound makes durable, or states it, and tells.
func (c *Committer) sound(io func() error) {
	err := c.timed(1, io)
	c.mu.Lock() // whoever looked before is waiting by now
	c.moved.Broadcast()
	c.mu.Unlock()
	c.tell(err)
}

// timed notes that some I/O is under way.
func (c *Committer) timed(which int, io func() error) error {
	c.busy[which].Store(int64(time.Since(c.base))) // not by the wall, which is set
	defer c.busy[which].Store(0)
	return io()
}

func (c *Committer) tell(err error) {
	if err == nil {
		c.told()
	} else if !errors.Is(err, ErrClosed) {
		c.once.Do(func() { c.failed(err) })
	}
}
