package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestMovesAreAFewAtATimeAndBudgetsFollow takes four nodes to five and back, step by
// step, with holders that bring one group after the other to what is wanted.
func TestMovesAreAFewAtATimeAndBudgetsFollow(t *testing.T) {
	const memory, groups = 64 << 20, 64
	s := founding(4, groups, memory)
	share := func() (budget int64) { return s.Groups[1].BudgetBytes }
	if share() != memory/48 {
		t.Fatalf("the first budget is %d, want %d", share(), memory/48)
	}
	progress := settledGroups(s)
	s.Apply(meta.Entry{Register: &meta.Register{Node: meta.Node{UUID: meta.UUID{5}, DataBytes: memory, Generation: 1}}})
	moveAll(t, s, progress, memory)
	if copies := copiesOn(s, 5); copies != 38 && copies != 39 {
		t.Errorf("the newcomer has %d copies", copies)
	}
	if share() != memory/39 {
		t.Errorf("the budget has grown to %d, want %d", share(), memory/39)
	}
	s.Apply(meta.Entry{Intend: &meta.Intend{Node: 5, Intent: meta.Leaving}})
	moveAll(t, s, progress, memory)
	if copies := copiesOn(s, 5); copies != 0 || share() != memory/48 {
		t.Errorf("the node that left has %d copies, the budget is %d, want %d", copies, share(), memory/48)
	}
}

func founding(nodes, groups int, memory int64) *meta.State {
	return foundingOf(nodes, groups, memory, 3)
}

func foundingOf(nodes, groups int, memory int64, copies int) *meta.State {
	f := Founding{Settings: meta.Settings{Shards: groups, Groups: groups, VirtualNodes: 100, ReplicationFactor: copies}}
	for i := 1; i <= nodes; i++ {
		f.Nodes = append(f.Nodes, meta.Node{ID: shardmap.NodeID(i), UUID: meta.UUID{byte(i)}, DataBytes: memory, Generation: 1})
	}
	plan, _, _ := steps(placements(f.Nodes, f.Settings, nil, nil, 0, nil, false), f.Nodes, make([]meta.Group, groups+1), make([]groupProgress, groups+1), nil, false)
	return meta.New(f, plan)
}

func settledGroups(s *meta.State) []groupProgress {
	progress := make([]groupProgress, len(s.Groups))
	for g := 1; g < len(s.Groups); g++ {
		progress[g] = arrivedAt(shardmap.GroupID(g), s.Groups[g])
	}
	return progress
}

func arrivedAt(id shardmap.GroupID, g meta.Group) groupProgress {
	return groupProgress{Group: id, Version: g.Version, Copies: copiesOf(g.Replicas), Seats: copiesOf(g.Replicas)}
}

func copiesOn(s *meta.State, n shardmap.NodeID) (copies int) {
	for _, g := range s.Groups[1:] {
		if slices.Contains(copiesOf(g.Replicas), n) {
			copies++
		}
	}
	return copies
}

// moveAll takes steps until nothing is left to do. In between no node may have budgets
// beyond its memory, and few groups are on their way to one.
func moveAll(t *testing.T, s *meta.State, progress []groupProgress, memory int64) {
	t.Helper()
	for step := range 1000 {
		plan, pending, _ := steps(placements(s.Nodes, s.Settings, s.Groups, progress, 0, nil, s.Halted), s.Nodes, s.Groups, progress, nil, s.Halted)
		changed := s.Apply(meta.Entry{Place: plan})
		came := false
		for g := 1; g < len(s.Groups); g++ {
			want := s.Groups[g]
			if same := slices.Equal(copiesOf(want.Replicas), progress[g].Seats); same {
				progress[g] = arrivedAt(shardmap.GroupID(g), want)
				continue
			}
			for _, n := range copiesOf(want.Replicas) {
				if !slices.Contains(progress[g].Copies, n) {
					progress[g].Copies = append(progress[g].Copies, n) // it learns
				}
			}
			if progress[g].moving(want) && !came && step%2 == 0 { // one group gets there now and then
				came = true
				progress[g] = arrivedAt(shardmap.GroupID(g), want)
			}
		}
		if why := tooMuch(s, progress, memory); why != "" {
			t.Fatalf("step %d: %s", step, why)
		}
		if !changed && !pending {
			return
		}
	}
	t.Fatal("the steps do not end")
}

// tooMuch says which node has budgets beyond its memory or too many groups on their way.
func tooMuch(s *meta.State, progress []groupProgress, memory int64) string {
	held, in := map[shardmap.NodeID]int64{}, map[shardmap.NodeID]int{}
	for g := 1; g < len(s.Groups); g++ {
		all := slices.Concat(copiesOf(s.Groups[g].Replicas), progress[g].Copies)
		slices.Sort(all)
		for _, n := range slices.Compact(all) {
			held[n] += s.Groups[g].BudgetBytes
			if !slices.Contains(progress[g].Seats, n) {
				in[n]++
			}
		}
	}
	for n, b := range held {
		if b > memory {
			return fmt.Sprintf("node %d has budgets of %d bytes, %d more than it has", n, b, b-memory)
		}
		if in[n] > movesAtOnce {
			return fmt.Sprintf("%d groups are on their way to node %d", in[n], n)
		}
	}
	return ""
}

// TestReportsThatSayNothingNewCauseNoPlan: everything is told again every few seconds, and
// a plan of many groups takes long.
func TestReportsThatSayNothingNewCauseNoPlan(t *testing.T) {
	a := groupProgress{Group: 1, Version: 2, Copies: []shardmap.NodeID{1, 2}, Seats: []shardmap.NodeID{1}}
	same, other := a, a
	same.Copies = slices.Clone(a.Copies)
	other.Seats = []shardmap.NodeID{1, 2}
	if !a.equal(same) || a.equal(other) || a.equal(groupProgress{Group: 1, Version: 3, Copies: a.Copies, Seats: a.Seats}) {
		t.Error("reports are not told from each other")
	}
}

// TestWhatIsOnADeadNodeHoldsUpNobody: groups whose only copy went with a node are on
// their way for as long as nobody holds them. They must not keep the places of those that
// can be helped (simulator seeds 40 and 564 of 300 s, when two could move at once).
func TestWhatIsOnADeadNodeHoldsUpNobody(t *testing.T) {
	for _, dead := range []bool{false, true} {
		tr := traffic{
			nodes: []meta.Node{{ID: 1}, {ID: 2, Intent: meta.Leaving, Absent: dead}},
			in:    map[shardmap.NodeID]int{}, out: map[shardmap.NodeID]int{},
		}
		on2 := meta.Group{Replicas: []meta.Replica{{ID: 1, Node: 2, Role: meta.Voter}}}
		for range movesAtOnce + replacesAtOnce {
			tr.count([]shardmap.NodeID{2}, on2, 1)
		}
		to1 := meta.Placement{Group: 1, Replicas: []meta.Wanted{{Node: 1, Role: meta.Voter}}}
		if got := tr.starts(to1, on2, groupProgress{}); got != dead {
			t.Errorf("away %v: a group that leaves it starts: %v", dead, got)
		}
	}
}

// TestGroupsOnTheirWayToALeavingNodeTurnRound: as many as may move at a time are on their
// way to a node that is to leave, and dead. Each counted itself among those that it had
// to wait for (simulator seed 632).
func TestGroupsOnTheirWayToALeavingNodeTurnRound(t *testing.T) {
	nodes := []meta.Node{{ID: 1}, {ID: 2, Intent: meta.Leaving}, {ID: 3}}
	groups, progress, want := make([]meta.Group, movesAtOnce+1), make([]groupProgress, movesAtOnce+1), []meta.Placement{}
	for g := 1; g < len(groups); g++ {
		groups[g] = meta.Group{Version: 2, Replicas: []meta.Replica{{ID: 1, Node: 1, Role: meta.Voter}, {ID: 2, Node: 2, Role: meta.Voter}}}
		progress[g] = groupProgress{Group: shardmap.GroupID(g), Copies: []shardmap.NodeID{1, 2}, Seats: []shardmap.NodeID{1}}
		want = append(want, meta.Placement{Group: shardmap.GroupID(g), Replicas: []meta.Wanted{{Node: 1, Role: meta.Voter}, {Node: 3, Role: meta.Voter}}})
	}
	now, _, _ := steps(want, nodes, groups, progress, nil, false)
	for _, p := range now {
		if slices.ContainsFunc(p.Replicas, func(w meta.Wanted) bool { return w.Node == 2 }) {
			t.Errorf("group %d still goes to the node that leaves: %v", p.Group, p.Replicas)
		}
	}
}

// TestBudgetsDoNotGrowBesideAGroupOfWhichNothingIsHeard: its copies may be anywhere. They
// shrink all the same.
func TestBudgetsDoNotGrowBesideAGroupOfWhichNothingIsHeard(t *testing.T) {
	const memory, groups = 64 << 20, 16
	s := founding(4, groups, memory)
	progress := settledGroups(s)
	was := s.Groups[1].BudgetBytes
	plan := func(bytes int64) (budget int64) {
		for i := range s.Nodes {
			s.Nodes[i].DataBytes = bytes
		}
		ps, _, _ := steps(placements(s.Nodes, s.Settings, s.Groups, progress, 0, nil, s.Halted), s.Nodes, s.Groups, progress, nil, s.Halted)
		return ps[1].BudgetBytes
	}
	if b := plan(2 * memory); b != 2*was {
		t.Fatalf("with twice the memory the budget is %d, was %d", b, was)
	}
	progress[7] = groupProgress{}
	if b := plan(2 * memory); b != was {
		t.Errorf("the budget goes from %d to %d while nothing was heard of a group", was, b)
	}
	if b := plan(memory / 2); b != was/2 {
		t.Errorf("with half the memory the budget is %d, was %d", b, was)
	}
	progress[7] = arrivedAt(7, s.Groups[7])
	if b := plan(2 * memory); b != 2*was {
		t.Errorf("when it was heard of, the budget is %d, was %d", b, was)
	}
}

// TestAGroupWithoutAHolderHoldsUpNobody: a newcomer is to have copies of many groups, and
// the first ones lose their holders on the way. When nothing has been heard of them for
// long enough the others go on; when they are heard of again they count again.
func TestAGroupWithoutAHolderHoldsUpNobody(t *testing.T) {
	const memory, groups = 64 << 20, 64
	s := founding(4, groups, memory)
	c, _ := founder(t)
	c.progress = settledGroups(s)
	s.Apply(meta.Entry{Register: &meta.Register{Node: meta.Node{UUID: meta.UUID{5}, DataBytes: memory, Generation: 1}}})
	plan := func() (start int) {
		ps, _, _ := steps(placements(s.Nodes, s.Settings, s.Groups, c.progress, 0, nil, false), s.Nodes, s.Groups, c.progress, nil, false)
		was := copiesOn(s, 5)
		s.Apply(meta.Entry{Place: ps})
		return copiesOn(s, 5) - was
	}
	for plan() == 0 { // budgets shrink first, and every group is there
		for g := 1; g < len(s.Groups); g++ {
			c.progress[g] = arrivedAt(shardmap.GroupID(g), s.Groups[g])
		}
	}
	on := copiesOn(s, 5)
	if n := plan(); n != 0 || on != movesAtOnce {
		t.Fatalf("%d moves have begun, and then %d", on, n)
	}
	now := c.now
	for g := range c.progress {
		c.progress[g].heard = now.Mono
	}
	now.Mono += progressLost + 1
	for g := 1; g < len(s.Groups); g++ {
		if !c.progress[g].moving(s.Groups[g]) {
			c.progress[g].heard = now.Mono
		}
	}
	c.inPlace = 1
	c.missProgress(now)
	if n := plan(); n != movesAtOnce || c.inPlace != 0 {
		t.Errorf("beside %d groups without a holder %d moves begin; is a plan wanted: %v", on, n, c.inPlace == 0)
	}
}

// TestALeaverIsEmptiedBesideAMissedNode: of five nodes one is missed for a while, and another
// one is to leave. Everything of it goes to the three that are heard, a few groups at a
// time, and nothing of the one that is missed is touched.
func TestALeaverIsEmptiedBesideAMissedNode(t *testing.T) {
	const memory = 64 << 20
	s := founding(5, 64, memory)
	on3 := copiesOn(s, 3)
	s.Apply(meta.Entry{Intend: &meta.Intend{Node: 2, Intent: meta.Leaving}})
	if held := moveBeside(t, s, settledGroups(s), 3); len(held) != 0 || copiesOn(s, 2) != 0 || copiesOn(s, 3) != on3 {
		t.Errorf("held up %v; node 2 has %d copies, node 3 has %d and had %d", held, copiesOn(s, 2), copiesOn(s, 3), on3)
	}
}

// TestWhatNobodyHeardCanTakeStays: of four nodes one is missed and one is to leave. Groups
// that have a copy on the missed one go to the node that is left; the others would have to go
// to the missed one, and stay, all three of their copies.
func TestWhatNobodyHeardCanTakeStays(t *testing.T) {
	const memory = 64 << 20
	s := founding(4, 64, memory)
	stay := 0
	for _, g := range s.Groups[1:] {
		if _, on := g.On(3); !on {
			stay++
		}
	}
	s.Apply(meta.Entry{Intend: &meta.Intend{Node: 2, Intent: meta.Leaving}})
	progress := settledGroups(s)
	held := moveBeside(t, s, progress, 3)
	if stay == 0 || len(held) != stay || copiesOn(s, 2) != stay {
		t.Errorf("%d groups are held up, node 2 has %d copies, want %d", len(held), copiesOn(s, 2), stay)
	}
	moveAll(t, s, progress, memory) // it is heard again
	if copiesOn(s, 2) != 0 {
		t.Errorf("node 2 still has %d copies", copiesOn(s, 2))
	}
}

// TestACopyOnItsWayToAMissedNodeGoesElsewhere: it had begun before the node was missed.
func TestACopyOnItsWayToAMissedNodeGoesElsewhere(t *testing.T) {
	s := founding(5, 64, 64<<20)
	progress := settledGroups(s)
	var moved shardmap.GroupID
	for g := 1; g < len(s.Groups); g++ {
		if _, on := s.Groups[g].On(3); !on {
			moved = shardmap.GroupID(g)
		}
	}
	to := asWanted(s.Groups[moved].Replicas)
	gives := to[2].Node
	to[2].Node = 3
	s.Apply(meta.Entry{Place: []meta.Placement{{Group: moved, From: s.Groups[moved].Version, BudgetBytes: s.Groups[moved].BudgetBytes, Replicas: to}}})
	s.Apply(meta.Entry{Intend: &meta.Intend{Node: gives, Intent: meta.Leaving}})
	if _, on := s.Groups[moved].On(3); !on {
		t.Fatal("the move did not begin")
	}
	if held := moveBeside(t, s, progress, 3); len(held) != 0 || copiesOn(s, gives) != 0 {
		t.Errorf("held up %v; the leaver has %d copies", held, copiesOn(s, gives))
	}
	if _, on := s.Groups[moved].On(3); on {
		t.Error("the group still goes to the missed node")
	}
}

// moveBeside takes steps until there are none, with one node missed, which fills nothing.
func moveBeside(t *testing.T, s *meta.State, progress []groupProgress, missed shardmap.NodeID) (held []shardmap.GroupID) {
	t.Helper()
	away := []shardmap.NodeID{missed}
	for range 1000 {
		plan, _, waits := steps(placements(s.Nodes, s.Settings, s.Groups, progress, 0, away, s.Halted), s.Nodes, s.Groups, progress, away, s.Halted)
		if held = waits; !s.Apply(meta.Entry{Place: plan}) {
			return held
		}
		for g := 1; g < len(s.Groups); g++ {
			want := s.Groups[g]
			if n := len(copiesOf(want.Replicas)); n != 3 {
				t.Fatalf("group %d has %d copies", g, n)
			}
			gets := func(n shardmap.NodeID) bool { return n != missed || slices.Contains(progress[g].Seats, n) }
			if slices.IndexFunc(copiesOf(want.Replicas), func(n shardmap.NodeID) bool { return !gets(n) }) < 0 {
				progress[g] = arrivedAt(shardmap.GroupID(g), want)
			}
		}
	}
	t.Fatal("the steps do not end")
	return nil
}
