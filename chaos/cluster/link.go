package cluster

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Rule is what one direction between two nodes does to what it carries. The zero Rule
// lets everything pass.
type Rule struct {
	Cut    bool          // nothing passes; streams stand still and stay open
	Delay  time.Duration // of everything
	Jitter time.Duration // up to so much more
	Flip   float64       // of the pieces of a stream, with a bit turned over
	Loss   float64       // of the packets
	Twice  float64       // of the packets, carried two times
	Linger bool          // a stream that its dialler has given up stands on at the other end
}

// link is one direction between two nodes.
type link struct {
	now atomic.Pointer[ruling]

	mu     sync.Mutex
	random *rand.Rand

	kept    atomic.Int64 // pieces and packets that were held back or lost
	damaged atomic.Int64
	delayed atomic.Int64
	reset   atomic.Int64
}

// ruling is a Rule while it is in force.
type ruling struct {
	Rule
	over chan struct{} // closed when another one is
}

func newLink(seed uint64) *link {
	l := &link{random: rand.New(rand.NewPCG(seed, 1))}
	l.now.Store(&ruling{over: make(chan struct{})})
	return l
}

func (l *link) set(r Rule) { close(l.now.Swap(&ruling{Rule: r, over: make(chan struct{})}).over) }

func (l *link) chance(p float64) bool {
	if p == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random.Float64() < p
}

// due is when something that comes now is to be carried on.
func (l *link) due(r *ruling) time.Time {
	at := time.Now()
	if r.Delay+r.Jitter == 0 {
		return at
	}
	l.delayed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	return at.Add(r.Delay + time.Duration(l.random.Int64N(int64(r.Jitter)+1)))
}

// damage turns over a bit of some pieces.
func (l *link) damage(b []byte) {
	if !l.chance(l.now.Load().Flip) {
		return
	}
	l.mu.Lock()
	b[l.random.IntN(len(b))] ^= 1 << l.random.IntN(8)
	l.mu.Unlock()
	l.damaged.Add(1)
}

// pass waits until nothing is cut; false when done ends first.
func (l *link) pass(done <-chan struct{}) bool {
	for first := true; ; first = false {
		r := l.now.Load()
		if !r.Cut {
			return true
		}
		if first {
			l.kept.Add(1)
		}
		select {
		case <-r.over:
		case <-done:
			return false
		}
	}
}

// stay waits while a stream is to stand on although one of its ends has gone.
func (l *link) stay(done <-chan struct{}) {
	for first := true; ; first = false {
		r := l.now.Load()
		if !r.Linger {
			return
		}
		if first {
			l.kept.Add(1)
		}
		select {
		case <-r.over:
		case <-done:
			return
		}
	}
}

// Carried is what was seen to happen to what a direction carries, since it stands.
type Carried struct {
	Kept    int64 // pieces and packets that were held back or lost
	Damaged int64
	Delayed int64
	Reset   int64 // streams that were broken off
}

func (l *link) carried() Carried {
	return Carried{l.kept.Load(), l.damaged.Load(), l.delayed.Load(), l.reset.Load()}
}
