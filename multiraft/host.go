package multiraft

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Stepper is what a Host runs: a Core, or what is composed around one.
type Stepper interface {
	Tick(now Instant)
	Flush(now Instant)
	NextDeadline(now Instant) time.Duration
	Appended(b *Batch, now Instant)
	StorageFailed(err error, now Instant)
}

// Host runs a Core with real clocks and a real disk: one goroutine steps it, one
// saves its batches. Everything that touches the Core goes through Post or Do.
//
// The loop never waits for the disk, so a slow fsync delays elections, not
// promises. The inbox is bounded: when it is full, Post drops (raft and leases
// tolerate loss) and Do waits.
type Host struct {
	core    Stepper
	storage Storage

	inbox  chan func(Instant)
	saved  chan *Batch
	failed chan error
	stall  atomic.Int64 // ns, the worst since it was asked for

	mu      sync.Mutex
	pending []*Batch // handed over by the Core, not yet taken by the append goroutine
	wake    chan struct{}
}

// inboxMax bounds the events waiting for the loop.
const inboxMax = 4096

// idleStep is the longest the loop sleeps, a tick of raft: the core says what comes before.
// At 10 ms an idle node with 64 groups took 3.75 % of a busy core, and 2.05 so.
const idleStep = 50 * time.Millisecond

// NewHost prepares a host. The Out that the Core is made with must pass Append on
// to it.
func NewHost(storage Storage) *Host {
	return &Host{
		storage: storage,
		inbox:   make(chan func(Instant), inboxMax),
		saved:   make(chan *Batch, 64),
		failed:  make(chan error, 1),
		wake:    make(chan struct{}, 1),
	}
}

// Append takes a batch of the Core; it never blocks.
func (h *Host) Append(b *Batch) {
	h.mu.Lock()
	h.pending = append(h.pending, b)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run steps the core until ctx ends. The error is a storage failure: leases were
// given up and the process must end.
func (h *Host) Run(ctx context.Context, core Stepper) error {
	h.core = core
	ctx, cancel := context.WithCancel(ctx)
	var appender sync.WaitGroup
	appender.Add(1)
	go func() {
		defer appender.Done()
		h.saveLoop(ctx)
	}()
	defer appender.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := Now().Wait
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-h.failed:
			h.core.StorageFailed(err, Now())
			h.core.Flush(Now())
			return fmt.Errorf("%w; all leases were given up", err)
		case f := <-h.inbox:
			f(Now())
		case b := <-h.saved:
			h.core.Appended(b, Now())
		case <-timer.C:
		}
		h.noteStall(due)
		h.drain() // what has arrived comes before what its absence would mean
		h.pass()
		now := Now()
		sleep := min(idleStep, max(0, h.core.NextDeadline(now)-now.Wait))
		due = now.Wait + sleep
		timer.Reset(sleep)
	}
}

// noteStall remembers how late the loop came to its work: what a lease of L can
// bear is about L - 2h.
func (h *Host) noteStall(due time.Duration) {
	if late := Now().Wait - due; late > time.Duration(h.stall.Load()) {
		h.stall.Store(int64(late))
	}
}

// Stall is how late the loop came to its work at worst since the last call.
func (h *Host) Stall() time.Duration { return time.Duration(h.stall.Swap(0)) }

// drain takes what else is waiting, so that one pass serves a burst.
func (h *Host) drain() {
	for range 256 {
		select {
		case f := <-h.inbox:
			f(Now())
		case b := <-h.saved:
			h.core.Appended(b, Now())
		default:
			return
		}
	}
}

func (h *Host) pass() {
	h.core.Tick(Now())
	h.core.Flush(Now())
}

// manySaver is a Storage that writes several batches with one sync.
type manySaver interface {
	SaveAll(bs []*Batch) error
}

// save writes what has gathered while the last sync ran: under load the passes
// of several milliseconds share one.
func (h *Host) save(work []*Batch) error {
	if s, ok := h.storage.(manySaver); ok {
		return s.SaveAll(work)
	}
	for _, b := range work {
		if err := h.storage.Save(b); err != nil {
			return err
		}
	}
	return nil
}

// saveLoop writes batches in the order they were handed over.
func (h *Host) saveLoop(ctx context.Context) {
	for {
		h.mu.Lock()
		work := h.pending
		h.pending = nil
		h.mu.Unlock()
		if len(work) > 0 {
			if err := h.save(work); err != nil {
				h.Fail(fmt.Errorf("raft.db cannot be written: %w", err))
				return
			}
			for _, b := range work {
				select {
				case h.saved <- b:
				case <-ctx.Done():
					return
				}
			}
			continue
		}
		select {
		case <-h.wake:
		case <-ctx.Done():
			return
		}
	}
}

// Fail ends the host because a disk failed, its own or another of the node's: the leases
// are given up before anything else happens, and Run returns. The first failure counts.
func (h *Host) Fail(err error) {
	select {
	case h.failed <- err:
	default:
	}
}

// Post queues an event for the loop; false means that the inbox was full and the
// event is dropped.
func (h *Host) Post(f func(Instant)) bool {
	select {
	case h.inbox <- f:
		return true
	default:
		return false
	}
}

// Do runs f on the loop and waits for it.
func (h *Host) Do(ctx context.Context, f func(Instant)) error {
	done := make(chan struct{})
	select {
	case h.inbox <- func(now Instant) { f(now); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
