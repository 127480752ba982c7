package node

import (
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	refusalEvery = 10 * time.Second // between two lines about one peer and reason
	refusalsMax  = 256              // peers and reasons that are told apart
)

// refusal is why whom: strangers, who have no number, are told apart by their host.
type refusal struct {
	peer   shardmap.NodeID
	host   string
	reason string
}

// refusals thins out the lines about refused connections: a peer tries each of its
// five connections again every second.
type refusals struct {
	mu   sync.Mutex // guards the rest
	seen map[refusal]*refusedSince
}

// refusedSince is what came since the last line.
type refusedSince struct {
	told  time.Time
	times int
}

// count takes note of one refusal, and says whether it is time for a line and for how
// many refusals that line stands.
func (r *refusals) count(of refusal, now time.Time) (times int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.seen[of]; !known && len(r.seen) >= refusalsMax {
		of = refusal{} // anybody can invent peers; all further ones share a line
	}
	if r.seen == nil {
		r.seen = make(map[refusal]*refusedSince)
	}
	s := r.seen[of]
	if s == nil {
		s = &refusedSince{}
		r.seen[of] = s
	}
	s.times++
	if !s.told.IsZero() && now.Sub(s.told) < refusalEvery {
		return 0, false
	}
	times = s.times
	s.told, s.times = now, 0
	return times, true
}

// refused says who was refused, or refuses this node, and why.
func (n *Node) refused(peer shardmap.NodeID, addr string, err error) {
	of := refusal{peer: peer, reason: err.Error()}
	if peer == 0 {
		of.host, _, _ = net.SplitHostPort(addr)
	}
	times, tell := n.refusals.count(of, time.Now())
	if !tell {
		return
	}
	n.log.Warn("peer refused", zap.Uint32("node", uint32(peer)), zap.String("addr", addr), zap.Error(err), zap.Int("times", times))
}
