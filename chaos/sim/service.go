package sim

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

const (
	// promise is the L of simulated nodes, and by that the longest that any of them
	// ever promised.
	promise = 600 * time.Millisecond
	// serviceLimit is invariant 12: when faults have ended and a quorum is connected
	// every group is served within a promise and a second, also where voters have
	// just restarted.
	serviceLimit = promise + time.Second
	// copiesLimit is for a group that lacks whole copies: it waits ten seconds for those
	// that may be down. A leader that waits has no lease and is suspected after a little
	// more than a second, so another one may lead when the ten seconds of the first are
	// over, and has a term of its own to come through.
	copiesLimit = 14 * time.Second
)

// awaitService lets time pass until every group is served again, and looks how long
// that takes each.
func (w *World) awaitService() {
	due := make([]time.Duration, w.cfg.Groups+1)
	for g := range due {
		due[g] = w.healedAt + copiesLimit
		if w.provided(shardmap.GroupID(g)) {
			due[g] = w.healedAt + serviceLimit
		}
		if len(w.cfg.Log) > 0 && slices.ContainsFunc(w.nodes, func(p *process) bool { return w.absent(p.id) }) {
			due[g] += slowLogs // for the log of one that will not come
		}
	}
	for left := 1; left > 0; w.run(w.now + 20*time.Millisecond) {
		left = 0
		for g := range due {
			switch id := shardmap.GroupID(g); {
			case due[g] == 0:
			case w.served(id):
				if due[g] = 0; w.now > w.healedAt {
					w.acted["awaited"]++
				}
			case w.now > due[g] && w.inExchange(id):
				w.acted["stands in an exchange"]++
				due[g] = 0
			case w.now > due[g]:
				w.describe()
				w.broke("P12", "group %d is not served %v after the faults ended", id, w.now-w.healedAt)
				due[g] = 0
			default:
				left++
			}
		}
	}
}

// provided reports whether a takeover of a group need not wait for copies: a read
// quorum of its seats is whole, and one of them is exactly on the lineage; and whether it
// need not wait for a leader that hears nobody to be deposed, and for its promise. Copies
// that a leader cannot hear, which is half cut off, are for it as those that are down.
func (w *World) provided(g shardmap.GroupID) bool {
	if g == shardmap.MetaGroup {
		return true // it has no data
	}
	var best *shardgroup.Replica
	epoch := uint32(0)
	var half []*process // that lead it
	for _, p := range w.nodes {
		if !p.up {
			continue
		}
		if r := p.core.Data().Replica(g); r != nil {
			if st, _ := p.core.Raft().Group(g); st.Leads && p.hurt {
				if !p.reached {
					return false // elected as it went deaf: others hear it, and what it opens may be on its own copy
				}
				half = append(half, p)
			}
			if e, _ := r.LastRow(); e >= epoch {
				best, epoch = r, e
			}
		}
	}
	if best == nil {
		return false
	}
	seats, whole, exact := best.Seats(), 0, false
	first := w.layout().FirstShard(g)
	for _, m := range seats {
		p := w.node(m.Node)
		r := p.holds(g)
		if r == nil || p.core.Data().Member() != m || slices.ContainsFunc(half, func(l *process) bool { return l != p && w.link(p.id, l.id).cut }) {
			continue
		}
		all := true
		for s := first; s < first+shardmap.ShardID(w.layout().ShardsPerGroup()); s++ {
			_, _, _, ok := r.CopyDigest(s)
			all = all && ok
		}
		if all {
			whole++
		}
		e, _ := r.LastRow()
		exact = exact || e == epoch && r.Whole()
	}
	return exact && whole >= len(seats)-(len(seats)/2+1)+1
}

// served reports whether somebody would serve a group now.
func (w *World) served(g shardmap.GroupID) bool {
	for _, p := range w.nodes {
		if !p.runs() || p.hurt && !p.reached {
			continue
		}
		if now := p.clock(); p.core.Raft().Lease(g).Check(now.Mono, now.SuspendOffset) {
			return true
		}
	}
	return false
}
