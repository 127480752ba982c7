package node

import (
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// movesAtOnce is how many groups may be on their way to one node, or from one holder, at a
// time. Of each, shardgroup fills a few shards at a time; what waits for its turn costs
// nothing, but the fewer there are the less is undone when operators change their minds.
const movesAtOnce = 8

// steps is a placement cut down to what may be done now: shrink budgets for what is to
// come, then add a few copies, then, when everything is in place, let budgets grow.
// pending says that more is to be done later.
func steps(want []meta.Placement, nodes []meta.Node, groups []meta.Group, progress []groupProgress) (now []meta.Placement, pending bool) {
	in, out := make(map[shardmap.NodeID]int), make(map[shardmap.NodeID]int)
	for g := 1; g < len(groups); g++ {
		if progress[g].moving(groups[g]) {
			pending = true
			come := slices.DeleteFunc(copiesOf(groups[g].Replicas), func(n shardmap.NodeID) bool { return slices.Contains(progress[g].Seats, n) })
			count(come, groups[g], in, out)
		}
	}
	now = slices.Clone(want)
	for i, p := range now {
		if p.Group == shardmap.MetaGroup {
			continue
		}
		has := groups[p.Group]
		if progress[p.Group].moving(has) && stand(has, nodes) || !starts(p, has, in, out) {
			now[i].Replicas, pending = asWanted(groups[p.Group].Replicas), true
		}
	}
	shrinks := budgets(now, want, nodes, groups, progress, pending)
	if shrinks {
		for i, p := range now {
			if p.Group != shardmap.MetaGroup {
				now[i].Replicas = asWanted(groups[p.Group].Replicas)
			}
		}
	}
	return now, pending || shrinks
}

// stand reports whether all replicas of a group are where they may be. Then a move that
// has begun ends before the next one: a group whose wish changes on the way can come to
// where it goes neither on nor back (a learner that is to be a copy and not the witness).
func stand(g meta.Group, nodes []meta.Node) bool {
	for _, r := range g.Replicas {
		if !slices.ContainsFunc(nodes, func(n meta.Node) bool { return n.ID == r.Node && n.Intent.Places() }) {
			return false
		}
	}
	return true
}

// starts reports whether a group may be changed now, and counts it as moving if it is. A
// change that brings no copy anywhere costs nothing, and waits for nothing.
func starts(p meta.Placement, has meta.Group, in, out map[shardmap.NodeID]int) bool {
	var come []shardmap.NodeID
	for _, w := range p.Replicas {
		if r, ok := has.On(w.Node); w.Role != meta.Witness && (!ok || !r.HoldsData()) {
			come = append(come, w.Node)
		}
	}
	if len(come) == 0 || len(has.Replicas) == 0 {
		return true
	}
	from := has.Replicas[0].Node
	if out[from] >= movesAtOnce || slices.ContainsFunc(come, func(n shardmap.NodeID) bool { return in[n] >= movesAtOnce }) {
		return false
	}
	count(come, has, in, out)
	return true
}

// count takes note of copies that come to nodes, from the one that should hold the group.
func count(come []shardmap.NodeID, g meta.Group, in, out map[shardmap.NodeID]int) {
	for _, n := range come {
		in[n]++
	}
	if len(come) > 0 {
		out[g.Replicas[0].Node]++
	}
}

// budgets sets the budget of every group so that no node has more than its memory with
// all copies that it has, is to get now or later. While something is under way none
// grows. It reports whether one has to shrink.
func budgets(now, want []meta.Placement, nodes []meta.Node, groups []meta.Group, progress []groupProgress, pending bool) (shrinks bool) {
	bytes, on := make(map[shardmap.NodeID]int64), make(map[shardmap.NodeID]int64)
	for _, n := range nodes {
		bytes[n.ID] = n.DataBytes
	}
	held := make([][]shardmap.NodeID, len(groups))
	for _, p := range want {
		if p.Group == shardmap.MetaGroup {
			continue
		}
		g := int(p.Group)
		all := slices.Concat(copiesOf(groups[g].Replicas), progress[g].Copies)
		for _, w := range p.Replicas {
			if w.Role != meta.Witness {
				all = append(all, w.Node)
			}
		}
		slices.Sort(all)
		held[g] = slices.Compact(all)
		for _, n := range held[g] {
			on[n]++
		}
	}
	for i, p := range now {
		if p.Group == shardmap.MetaGroup {
			continue
		}
		budget, has := groupBudget(held[p.Group], bytes, on), groups[p.Group].BudgetBytes
		if pending && has > 0 {
			budget = min(budget, has)
		}
		now[i].BudgetBytes = budget
		shrinks = shrinks || budget < has
	}
	return shrinks
}

func copiesOf(rs []meta.Replica) (nodes []shardmap.NodeID) {
	for _, r := range rs {
		if r.HoldsData() {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes
}

func asWanted(rs []meta.Replica) []meta.Wanted {
	ws := make([]meta.Wanted, len(rs))
	for i, r := range rs {
		ws[i] = meta.Wanted{Node: r.Node, Role: r.Role}
	}
	return ws
}
