package shardgroup

import (
	"math"
	"sync"
	"time"
)

// pace bounds what this node sends of fills, all peers together, in bytes of messages: a
// bucket that time fills, up to a tenth of a second's worth, and that a message may
// overdraw, however long it is. Records are not held back by it, and not counted: they
// are what clients write, and a copy that lacks them would only fall off the ring.
type pace struct {
	rate int64 // bytes a second; 0 = no bound. Never changes
	most int64 // that the bucket holds

	mu   sync.Mutex // guards the rest; a last lock
	left int64      // bytes, below zero what was overdrawn
	at   time.Duration
}

// paceSlack is the time for which a pace that nobody used may be exceeded afterwards: ticks
// come late where the machine is busy.
const paceSlack = 100 * time.Millisecond

func newPace(rate int64) pace {
	return pace{rate: rate, most: max(rate/int64(time.Second/paceSlack), 1)}
}

// may says whether more may be sent now.
func (p *pace) may(now time.Duration) bool {
	if p.rate == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if passed := now - p.at; passed > 0 {
		p.left, p.at = int64(math.Min(float64(p.left)+float64(p.rate)*passed.Seconds(), float64(p.most))), now
	}
	return p.left > 0
}

// take counts what was sent.
func (p *pace) take(bytes int) {
	if p.rate == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left -= int64(bytes)
}

// meter says how fast bytes pass: what passed lately counts more, by e in meterSpan. It
// tells the truth from its first moment on, and begins anew after a long silence.
type meter struct {
	mu    sync.Mutex // guards the rest; a last lock
	total int64
	sum   float64 // bytes, each less the longer ago it passed
	begun time.Duration
	at    time.Duration
}

const (
	meterSpan = 3 * time.Second
	// meterSilence ends what was measured; what passes then passes for the first time.
	meterSilence = 3 * meterSpan
	// meterLeast is for how long bytes must have passed before their rate means something.
	meterLeast = 100 * time.Millisecond
)

// add counts bytes that passed now.
func (m *meter) add(bytes int, now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += int64(bytes)
	if m.sum == 0 || now-m.at > meterSilence {
		m.sum, m.begun, m.at = 0, now, now
	}
	m.decay(now)
	m.sum += float64(bytes)
}

// decay lets what passed count less. Threads read their clocks apart: one that is behind
// changes nothing.
func (m *meter) decay(now time.Duration) {
	if passed := now - m.at; passed > 0 {
		m.sum *= math.Exp(-passed.Seconds() / meterSpan.Seconds())
		m.at = now
	}
}

// read is the bytes that ever passed, and how many a second pass now.
func (m *meter) read(now time.Duration) (total, rate int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sum == 0 || now-m.at > meterSilence {
		return m.total, 0
	}
	m.decay(now)
	lived := max(now-m.begun, meterLeast)
	weight := meterSpan.Seconds() * (1 - math.Exp(-lived.Seconds()/meterSpan.Seconds()))
	return m.total, int64(m.sum / weight)
}

// paced lets fills go on that wait for the pace, as soon as it has room. It reports whether
// any does.
func (n *Node) paced(now time.Duration) (busy bool) {
	for _, l := range *n.lanes.Load() {
		if !l.paced.any() {
			continue
		}
		busy = true
		if n.pace.may(now) {
			l.paced.drain(func(id int) bool { l.dirty.set(id); return true })
			l.wakeData()
		}
	}
	return busy
}
