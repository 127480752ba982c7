package node

import (
	"slices"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Sizes of voter sets. Counts stay odd: with two voters one death would leave
// no quorum, so below three nodes a group has one voter and the rest learn.
const (
	groupVoters = 3
	metaVoters  = 5
)

// wantedReplicas turns the preference order of one shard group into roles:
// min(rf, nodes) copies of the data, three voters as soon as there are three
// nodes, the missing voters being witnesses. A single voter stays where it is,
// because it cannot move without a second voter.
func wantedReplicas(order []shardmap.NodeID, nodes, rf int, present meta.Group) []meta.Wanted {
	if nodes < groupVoters && !mutant.Is("two-voters") {
		return soleVoter(order, min(rf, nodes), present)
	}
	data := min(rf, nodes)
	ws := make([]meta.Wanted, 0, max(data, groupVoters))
	for i, n := range order {
		switch {
		case i < data && i < groupVoters:
			ws = append(ws, meta.Wanted{Node: n, Role: meta.Voter})
		case i < data:
			ws = append(ws, meta.Wanted{Node: n, Role: meta.Learner})
		case i < groupVoters:
			ws = append(ws, meta.Wanted{Node: n, Role: meta.Witness})
		}
	}
	return ws
}

// soleVoter keeps the present voter, if it may have copies, or takes the first in
// order, and lets the other data replicas learn.
func soleVoter(order []shardmap.NodeID, data int, present meta.Group) []meta.Wanted {
	voter := order[0]
	for _, r := range present.Replicas {
		if r.Role == meta.Voter && slices.Contains(order, r.Node) {
			voter = r.Node
			break
		}
	}
	ws := []meta.Wanted{{Node: voter, Role: meta.Voter}}
	for _, n := range order {
		if n != voter && len(ws) < data {
			ws = append(ws, meta.Wanted{Node: n, Role: meta.Learner})
		}
	}
	return ws
}

// hosts are the nodes that may have copies; those that are missed get no more of them.
func hosts(nodes []meta.Node, missed []shardmap.NodeID) (hs []membership.Host) {
	for _, n := range nodes {
		if n.Intent.Places() {
			hs = append(hs, membership.Host{Node: n.ID, Weight: n.DataBytes, Zone: n.Zone, Leases: n.Intent == meta.Active, Away: slices.Contains(missed, n.ID)})
		}
	}
	return hs
}

// standings is where the groups are wanted now, and where they still are. A copy that is on
// its way to a node that is missed does not count: it may go elsewhere. But not the only
// one: a witness may have served in its place meanwhile, and makes room for nobody else.
// While rebalancing is halted a group stands where it is without what only comes for load's
// sake.
func standings(nodes []meta.Node, groups []meta.Group, progress []groupProgress, missed []shardmap.NodeID, halted bool) []membership.Places {
	ps := make([]membership.Places, len(groups))
	for g, want := range groups {
		copies := copiesOf(want.Replicas)
		var comes []shardmap.NodeID
		if g < len(progress) {
			if comes = progress[g].onTheWay(want); halted {
				copies = atRest(want, progress[g], nodes, missed)
			}
			ps[g].Former = progress[g].Copies
		}
		stays := len(comes) < len(copies) // a wanted copy that is there
		for _, n := range copies {
			if !stays || !slices.Contains(missed, n) || !slices.Contains(comes, n) {
				ps[g].Copies = append(ps[g].Copies, n)
			}
		}
		for _, r := range want.Replicas {
			if !r.HoldsData() {
				ps[g].Witnesses = append(ps[g].Witnesses, r.Node)
			}
		}
	}
	return ps
}

// placements is what every group should have on these nodes, given what it has and where
// copies of it still are, which nodes are missed, and whether rebalancing is halted; nothing when no node takes copies. holder is group 0's. Budgets are for steps to say.
func placements(nodes []meta.Node, s meta.Settings, present []meta.Group, progress []groupProgress, holder shardmap.NodeID, missed []shardmap.NodeID, halted bool) []meta.Placement {
	return new(lastRing).placements(nodes, s, present, progress, holder, missed, halted)
}

// lastRing is the ring that was used last: nodes change seldom, and to make one takes as
// long as the plan.
type lastRing struct {
	nodes   []shardmap.NodeID
	virtual int
	ring    *membership.Ring
}

// of is the ring of some nodes.
func (l *lastRing) of(nodes []shardmap.NodeID, virtual int) *membership.Ring {
	if l.ring == nil || l.virtual != virtual || !slices.Equal(l.nodes, nodes) {
		*l = lastRing{nodes, virtual, membership.NewRing(nodes, virtual)}
	}
	return l.ring
}

func (l *lastRing) placements(nodes []meta.Node, s meta.Settings, present []meta.Group, progress []groupProgress, holder shardmap.NodeID, missed []shardmap.NodeID, halted bool) []meta.Placement {
	hs := hosts(nodes, missed)
	if len(hs) == 0 {
		return nil
	}
	ids := make([]shardmap.NodeID, len(hs))
	for i, h := range hs {
		ids[i] = h.Node
	}
	was := func(g int) meta.Group {
		if g < len(present) {
			return present[g]
		}
		return meta.Group{}
	}
	plan := l.of(ids, s.VirtualNodes).Plan(hs,
		membership.Shape{Groups: s.Groups, Copies: s.ReplicationFactor, Voters: groupVoters, Still: halted}, standings(nodes, present, progress, missed, halted))
	ps := []meta.Placement{{Group: shardmap.MetaGroup, From: was(0).Version, Replicas: wantedMeta(ids, leavingOf(nodes), was(0), holder, missed)}}
	for g := 1; g <= s.Groups; g++ {
		order := slices.Concat(plan[g].Copies, plan[g].Witnesses)
		if len(ids) < groupVoters { // the only voter may stay where load would not have it
			order = append(order, slices.DeleteFunc(slices.Clone(ids), func(n shardmap.NodeID) bool { return slices.Contains(order, n) })...)
		}
		ws := wantedReplicas(order, len(ids), s.ReplicationFactor, was(g))
		ps = append(ps, meta.Placement{Group: shardmap.GroupID(g), From: was(g).Version, Replicas: ws})
	}
	return ps
}

// wantedMeta is the replica set of group 0: present voters first, then the
// oldest nodes, up to five voters and an odd number of them; all others learn, those
// too that are leaving, until they have left: they must hear of it. The holder (0 = none)
// keeps its vote if it may, also one that was not to have it while it was away: nobody
// else could take it away, and whoever holds group 0 next asks again. The order stays, or every move of its lease would be a change.
// One that is missed keeps its vote, but not where others have to give theirs up, and
// gets none where another can have it.
func wantedMeta(nodes, leaving []shardmap.NodeID, present meta.Group, holder shardmap.NodeID, missed []shardmap.NodeID) []meta.Wanted {
	voters := 1
	switch {
	case len(nodes) >= metaVoters:
		voters = metaVoters
	case len(nodes) >= groupVoters:
		voters = groupVoters
	}
	chosen := make([]shardmap.NodeID, 0, voters)
	add := func(n shardmap.NodeID) {
		if len(chosen) < voters && !slices.Contains(chosen, n) {
			chosen = append(chosen, n)
		}
	}
	stay := slices.DeleteFunc(nodesVoting(present), func(n shardmap.NodeID) bool { return !slices.Contains(nodes, n) })
	if len(stay) > voters {
		stay = missedLast(stay, missed)
	}
	if slices.Contains(nodes, holder) && !slices.Contains(stay[:min(len(stay), voters)], holder) {
		stay = append(stay[:min(len(stay), voters-1)], holder)
	}
	for _, n := range slices.Concat(stay, missedLast(nodes, missed)) {
		add(n)
	}
	ws := make([]meta.Wanted, 0, len(nodes))
	for _, n := range chosen {
		ws = append(ws, meta.Wanted{Node: n, Role: meta.Voter})
	}
	for _, n := range slices.Concat(nodes, leaving) {
		if !slices.Contains(chosen, n) {
			ws = append(ws, meta.Wanted{Node: n, Role: meta.Learner})
		}
	}
	return ws
}

// missedLast are nodes in their order, those that are missed behind the others.
func missedLast(nodes, missed []shardmap.NodeID) []shardmap.NodeID {
	heard := slices.DeleteFunc(slices.Clone(nodes), func(n shardmap.NodeID) bool { return slices.Contains(missed, n) })
	return append(heard, slices.DeleteFunc(slices.Clone(nodes), func(n shardmap.NodeID) bool { return !slices.Contains(missed, n) })...)
}

// nodesVoting are the nodes that are wanted to vote in a group.
func nodesVoting(g meta.Group) (ids []shardmap.NodeID) {
	for _, r := range g.Replicas {
		if r.Role == meta.Voter {
			ids = append(ids, r.Node)
		}
	}
	return ids
}

// leavingOf are the nodes that are leaving and still have to hear that they have left.
func leavingOf(nodes []meta.Node) (ids []shardmap.NodeID) {
	for _, n := range nodes {
		if n.Intent == meta.Leaving {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// groupBudget is the memory of one group: the smallest, over the nodes that have or get
// a copy, of the node's store memory divided by the groups there.
func groupBudget(nodes []shardmap.NodeID, dataBytes, groupsOn map[shardmap.NodeID]int64) int64 {
	budget := int64(-1)
	for _, n := range nodes {
		if groupsOn[n] == 0 {
			continue
		}
		if share := dataBytes[n] / groupsOn[n]; budget < 0 || share < budget {
			budget = share
		}
	}
	return max(budget, 0)
}
