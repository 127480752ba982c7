package node

import (
	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Clients keep what they read until it is taken back (CLIENT TRACKING). The next
// holder of a group does not know who read what at this one, so this one takes
// everything back when it serves the group no more: when its lease is closed, and
// also while it has only lapsed. A lapsed lease may be good again later, but nobody
// knows meanwhile what is written elsewhere.

// TakesBack says whether an event means that what clients read of its group does not
// hold any more.
func TakesBack(e shardgroup.Event) bool {
	return e.Kind == shardgroup.EventClosed && !mutant.Is("untold-loss")
}

// Lapsed visits each group that is led here under a lease that has lapsed. now needs
// Mono and SuspendOffset only. To visit each lapse once would be wrong: a late answer
// can revive a lease for less than the time between two looks, and what is read then
// must be taken back as well.
func Lapsed(data *shardgroup.Node, groups int, now multiraft.Instant, visit func(shardmap.GroupID)) {
	if mutant.Is("untold-loss") {
		return
	}
	for g := shardmap.GroupID(1); int(g) <= groups; g++ {
		r := data.Replica(g)
		if r == nil {
			continue
		}
		if lease := r.Lease(); lease != nil && !lease.Check(now.Mono, now.SuspendOffset) {
			probeLapsed.Hit()
			visit(g)
		}
	}
}
