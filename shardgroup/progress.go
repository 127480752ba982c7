package shardgroup

import (
	"math"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// Progress is how far this node is with what it sends of fills.
type Progress struct {
	Sent  int64         // bytes since it began
	Left  int64         // bytes of the copies that are on their way or wait for their turn, about
	Rate  int64         // bytes a second
	Since time.Duration // for so long
	Ended bool          // nothing is left
}

// TimeLeft is how long the rest takes at this rate; 0 when that is not known.
func (p Progress) TimeLeft() time.Duration {
	if p.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(p.Left) / float64(p.Rate) * float64(time.Second))
}

const (
	// progressEvery is how often it is told while fills go on, progressQuiet after how long
	// without one they are over.
	progressEvery = 10 * time.Second
	progressQuiet = 3 * time.Second
	// progressLeast is how many bytes are worth to be told of in the end.
	progressLeast = 1 << 20
)

// telling is what was told of fills. Only Tick touches it.
type telling struct {
	busy    bool
	total   int64 // bytes ever sent
	before  int64 // that at the beginning
	begun   time.Duration
	changed time.Duration
	told    time.Duration
}

// tellFills says now and then how far fills are, and once that they are over.
func (n *Node) tellFills(now multiraft.Instant) {
	t := &n.telling
	total, rate := n.filled.read(now.Mono)
	if total != t.total {
		if !t.busy {
			t.busy, t.before, t.begun, t.told = true, t.total, now.Mono, now.Mono
		}
		t.total, t.changed = total, now.Mono
	}
	if !t.busy {
		return
	}
	p := Progress{Sent: total - t.before, Since: t.changed - t.begun, Ended: now.Mono-t.changed >= progressQuiet}
	switch {
	case p.Ended:
		t.busy = false
		if p.Sent < progressLeast {
			return
		}
		p.Rate = int64(float64(p.Sent) / max(p.Since, meterLeast).Seconds())
	case now.Mono-t.told >= progressEvery:
		if t.told, p.Left = now.Mono, n.fillsLeft(); p.Left == 0 {
			return // what follows is the end
		}
		p.Rate = rate
	default:
		return
	}
	n.out.Event(Event{Kind: EventFills, Node: n.cfg.Self.Node, Fills: p})
}

// fillsLeft counts the bytes of what is still to be sent of fills.
func (n *Node) fillsLeft() (bytes int64) {
	for _, r := range n.all() {
		if r.leads.Load() {
			bytes += r.fillsLeft()
		}
	}
	return bytes
}

func (r *Replica) fillsLeft() (bytes int64) {
	for _, s := range r.shards {
		s.mu.Lock()
		for _, f := range s.followers {
			switch {
			case f.mode == modeBegin:
				bytes += s.m.HeldBytes()
			case f.mode == modeFill && !f.chunked && f.compare == nil: // hashes are spread evenly
				bytes += int64(float64(s.m.HeldBytes()) * (1 - float64(f.lo)/math.MaxUint64))
			}
		}
		s.mu.Unlock()
	}
	return bytes
}
