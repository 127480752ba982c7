package node

import (
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// How many groups may be on their way to one node, or from one holder, at a time. Of each,
// shardgroup fills a few shards at a time; what waits for its turn costs nothing, and the
// fewer there are the less is undone when operators change their minds.
const (
	// movesAtOnce while every group has all its copies: nobody is in a hurry, and each
	// change of members is work for all its nodes beside that of the clients. Eight at a
	// time took two seconds for 38 groups, in which clients' p99 was eight times as high.
	movesAtOnce = 2
	// replacesAtOnce of groups that have fewer copies than they are to have: their cluster
	// is young, or a node is gone.
	replacesAtOnce = 8
)

// steps is a placement cut down to what may be done now: shrink budgets for what is to
// come, then add a few copies, then, when everything is in place, let budgets grow.
// pending says that more is to be done later, held which groups wait for a node that is
// missed. Those are left as they are, with every copy that they have. While rebalancing is
// halted moves for load's sake are given up, at once and all of them.
func steps(want []meta.Placement, nodes []meta.Node, groups []meta.Group, progress []groupProgress, missed []shardmap.NodeID, halted bool) (now []meta.Placement, pending bool, held []shardmap.GroupID) {
	t := traffic{nodes: nodes, missed: missed, in: make(map[shardmap.NodeID]int), out: make(map[shardmap.NodeID]int)}
	for g := 1; g < len(groups); g++ {
		if progress[g].moving(groups[g]) {
			pending = true
			t.count(progress[g].onTheWay(groups[g]), groups[g], 1)
		}
	}
	now = slices.Clone(want)
	for i, p := range now {
		if p.Group == shardmap.MetaGroup {
			continue
		}
		has := groups[p.Group]
		comes := progress[p.Group].onTheWay(has)
		if halted && turnsBack(p, has, progress[p.Group]) {
			continue
		}
		waits := t.waits(p, has, comes)
		if waits {
			held = append(held, p.Group)
		}
		if progress[p.Group].moving(has) && stand(has, nodes) && !slices.ContainsFunc(comes, t.misses) || waits || !t.starts(p, has, progress[p.Group]) {
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
	return now, pending || shrinks, held
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

// traffic is how many groups are on their way to each node and from each holder.
type traffic struct {
	nodes   []meta.Node
	missed  []shardmap.NodeID
	in, out map[shardmap.NodeID]int
}

// misses reports whether a node is not heard, though it is not known to be dead.
func (t traffic) misses(n shardmap.NodeID) bool { return slices.Contains(t.missed, n) }

// idle reports whether nothing comes from a node or to it now: what was on its way holds
// up nobody else.
func (t traffic) idle(n shardmap.NodeID) bool { return t.misses(n) || t.away(n) }

// waits reports whether all that a change would bring goes to nodes that are missed: its
// group would only be under way for as long as they are, and no nearer to what is wanted.
// One that is under way to such a node already waits for it too.
func (t traffic) waits(p meta.Placement, has meta.Group, comes []shardmap.NodeID) (waits bool) {
	if len(has.Replicas) == 0 {
		return false
	}
	for _, w := range p.Replicas {
		if r, ok := has.On(w.Node); ok && r.HoldsData() == (w.Role != meta.Witness) && !slices.Contains(comes, w.Node) {
			continue
		}
		if !t.misses(w.Node) {
			return false
		}
		waits = true
	}
	return waits
}

// away reports whether a node is gone or on its way there because it is dead: copies
// there are none any more.
func (t traffic) away(n shardmap.NodeID) bool {
	return !slices.ContainsFunc(t.nodes, func(o meta.Node) bool { return o.ID == n && o.Intent != meta.Gone && !o.Absent })
}

// atOnce is how many moves a group may be one of.
func (t traffic) atOnce(p meta.Placement, has meta.Group) int {
	if len(slices.DeleteFunc(copiesOf(has.Replicas), t.away)) < len(wantedCopies(p.Replicas)) {
		return replacesAtOnce
	}
	return movesAtOnce
}

// starts reports whether a group may be changed now, and counts it as moving if it is. A
// change that brings no copy anywhere costs nothing, and waits for nothing.
func (t traffic) starts(p meta.Placement, has meta.Group, pr groupProgress) bool {
	come := slices.DeleteFunc(wantedCopies(p.Replicas), func(n shardmap.NodeID) bool {
		r, ok := has.On(n)
		return ok && r.HoldsData()
	})
	if len(come) == 0 || len(has.Replicas) == 0 {
		return true
	}
	was := pr.onTheWay(has)
	t.count(was, has, -1) // a group that is to go elsewhere does not stand in its own way
	most := t.atOnce(p, has)
	if t.out[has.Replicas[0].Node] >= most || slices.ContainsFunc(come, func(n shardmap.NodeID) bool { return t.in[n] >= most }) {
		t.count(was, has, 1)
		return false
	}
	t.count(come, has, 1)
	return true
}

// count adds by for copies that come to nodes, from the one that should hold the group.
func (t traffic) count(come []shardmap.NodeID, g meta.Group, by int) {
	for _, n := range come {
		if !t.idle(n) {
			t.in[n] += by
		}
	}
	if from := g.Replicas[0].Node; len(come) > 0 && !t.idle(from) {
		t.out[from] += by
	}
}

// onTheWay are the nodes to which copies of a group are on their way, as far as is known:
// none of one without a holder, which gets nowhere.
func (p groupProgress) onTheWay(g meta.Group) []shardmap.NodeID {
	if !p.moving(g) || p.holderless {
		return nil
	}
	return slices.DeleteFunc(copiesOf(g.Replicas), func(n shardmap.NodeID) bool { return slices.Contains(p.Seats, n) })
}

// budgets sets the budget of every group so that no node has more than its memory with
// all copies that it has, is to get now or later. While something is under way none
// grows, nor while nothing was heard of a group: where its copies are nobody knows, and
// they may take memory on nodes that it is to leave. It reports whether one has to shrink.
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
		all := slices.Concat(copiesOf(groups[g].Replicas), progress[g].Copies, wantedCopies(p.Replicas))
		all = slices.DeleteFunc(all, func(n shardmap.NodeID) bool { _, known := bytes[n]; return !known }) // declared gone
		slices.Sort(all)
		held[g] = slices.Compact(all)
		for _, n := range held[g] {
			on[n]++
		}
	}
	unheard := slices.ContainsFunc(now, func(p meta.Placement) bool {
		return p.Group != shardmap.MetaGroup && progress[p.Group].Group == 0
	})
	for i, p := range now {
		if p.Group == shardmap.MetaGroup {
			continue
		}
		budget, has := groupBudget(held[p.Group], bytes, on), groups[p.Group].BudgetBytes
		if (pending || unheard) && has > 0 {
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

// wantedCopies are the nodes that are to have a copy.
func wantedCopies(ws []meta.Wanted) (nodes []shardmap.NodeID) {
	for _, w := range ws {
		if w.Role != meta.Witness {
			nodes = append(nodes, w.Node)
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
