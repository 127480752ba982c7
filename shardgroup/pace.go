package shardgroup

import (
	"math"
	"sync"
	"time"
)

// pace bounds what this node spends on fills, all peers together: bytes of messages that
// it sends, and time of its processor. Each is a bucket that time fills, up to a tenth of a
// second's worth, and that a message may overdraw, however long it is. Records are not held
// back by it, and not counted: they are what clients write, and a copy that lacks them would
// only fall off the ring. What this node takes in counts as work too, but who sends it
// cannot be told to wait: only what this node sends itself does.
type pace struct {
	mu          sync.Mutex // guards the rest; a last lock
	bytes, work bucket     // work in ns
}

// bucket is filled by time.
type bucket struct {
	rate int64 // a second; 0 = no bound. Never changes
	left int64 // below zero what was overdrawn
	at   time.Duration
}

// paceSlack is the time for which a pace that nobody used may be exceeded afterwards: ticks
// come late where the machine is busy.
const paceSlack = 100 * time.Millisecond

// corePercent is a hundredth of a core, in ns a second.
const corePercent = int64(time.Second / 100)

// newPace bounds fills to so many bytes a second and so many hundredths of a core, 0 = any.
func newPace(bytes, percent int64) pace {
	return pace{bytes: bucket{rate: bytes}, work: bucket{rate: percent * corePercent}}
}

// may says whether more may be sent now.
func (p *pace) may(now time.Duration) bool {
	if p.bytes.rate == 0 && p.work.rate == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes, work := p.bytes.may(now), p.work.may(now)
	return bytes && work
}

// take counts what was sent.
func (p *pace) take(bytes int) {
	if p.bytes.rate == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes.left -= int64(bytes)
}

// worked counts what a piece of a fill cost. It leaves no more than a second to wait for:
// what a node took in for minutes is no reason to send nothing for minutes.
func (p *pace) worked(spent time.Duration) {
	if p.work.rate == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.work.left = max(p.work.left-int64(spent), -p.work.rate)
}

// may lets the time that passed fill the bucket, and says whether there is anything in it.
func (b *bucket) may(now time.Duration) bool {
	if passed := now - b.at; passed > 0 {
		most := max(b.rate/int64(time.Second/paceSlack), 1)
		b.left, b.at = int64(math.Min(float64(b.left)+float64(b.rate)*passed.Seconds(), float64(most))), now
	}
	return b.rate == 0 || b.left > 0
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

// work does a piece of a fill, and counts what it costs the processor, where that is bounded.
func (n *Node) work(do func()) {
	if n.cfg.Spent == nil || n.pace.work.rate == 0 {
		do()
		return
	}
	n.pace.worked(n.cfg.Spent(do))
}
