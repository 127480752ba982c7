package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// haltable is group 0's state with what its holder knows of the groups.
type haltable struct {
	*meta.State
	progress []groupProgress
	missed   []shardmap.NodeID
}

func (h *haltable) halt(on bool) {
	h.Apply(meta.Entry{Halt: &meta.Halt{From: h.HaltVersion, On: on}})
}

func (h *haltable) join() {
	h.Apply(meta.Entry{Register: &meta.Register{Node: meta.Node{UUID: meta.UUID{byte(h.NextNode)}, DataBytes: 64 << 20, Generation: 1}}})
}

func (h *haltable) intend(n shardmap.NodeID, i meta.Intent, absent bool) {
	row, _ := h.Node(n)
	h.Apply(meta.Entry{Intend: &meta.Intend{Node: n, From: row.IntentVersion, Intent: i, Absent: absent}})
}

// plan applies what is to be done now, and reports whether that was anything.
func (h *haltable) plan() bool {
	now, _, _ := steps(placements(h.Nodes, h.Settings, h.Groups, h.progress, 0, h.missed, h.Halted), h.Nodes, h.Groups, h.progress, h.missed, h.Halted)
	return h.Apply(meta.Entry{Place: now})
}

// learn lets what was placed begin: learners are taken in, nothing has a seat yet.
func (h *haltable) learn() {
	for g := 1; g < len(h.Groups); g++ {
		for _, n := range copiesOf(h.Groups[g].Replicas) {
			if !slices.Contains(h.progress[g].Copies, n) {
				h.progress[g].Copies = append(slices.Clone(h.progress[g].Copies), n)
			}
		}
	}
}

func (h *haltable) arrive(g int) { h.progress[g] = arrivedAt(shardmap.GroupID(g), h.Groups[g]) }

// back brings groups to what is wanted of them for which nothing has to be filled.
func (h *haltable) back() {
	for g := 1; g < len(h.Groups); g++ {
		if len(h.progress[g].onTheWay(h.Groups[g])) == 0 {
			h.arrive(g)
		}
	}
}

// end takes steps until there are none.
func (h *haltable) end(t interface{ Fatal(...any) }) {
	for range 2000 {
		changed, came := h.plan(), false
		h.learn()
		h.back()
		for g := 1; g < len(h.Groups) && !came; g++ {
			if came = h.progress[g].moving(h.Groups[g]); came {
				h.arrive(g)
			}
		}
		if !changed && !came {
			return
		}
	}
	t.Fatal("the steps do not end")
}

// joining is four nodes with 64 groups, of which a fifth is to get some: the first ones are
// on their way.
func joining(t *testing.T) *haltable {
	t.Helper()
	s := founding(4, 64, 64<<20)
	h := &haltable{State: s, progress: settledGroups(s)}
	h.join()
	for range 10 {
		h.plan()
		if copiesOn(s, 5) > 0 {
			break
		}
		h.back() // budgets shrink first
	}
	h.learn()
	if copiesOn(s, 5) != movesAtOnce {
		t.Fatalf("%d moves have begun", copiesOn(s, 5))
	}
	return h
}

// TestAHaltGivesUpWhatIsOnItsWay for load's sake, all of it at once, and nothing begins
// until it is taken back. Every group goes back to the copies that count.
func TestAHaltGivesUpWhatIsOnItsWay(t *testing.T) {
	h := joining(t)
	h.halt(true)
	h.plan()
	for g := 1; g < len(h.Groups); g++ {
		have, seats := copiesOf(h.Groups[g].Replicas), slices.Clone(h.progress[g].Seats)
		slices.Sort(have)
		slices.Sort(seats)
		if !slices.Equal(have, seats) {
			t.Fatalf("group %d is to be on %v, and counts on %v", g, have, seats)
		}
	}
	h.end(t)
	if n := copiesOn(h.State, 5); n != 0 {
		t.Fatalf("the newcomer gets %d copies while rebalancing is halted", n)
	}
	h.halt(false)
	h.end(t)
	if n := copiesOn(h.State, 5); n != 38 && n != 39 {
		t.Errorf("the newcomer has %d copies in the end", n)
	}
}

// TestAMoveWhoseCopyCountsEnds: to go back from there would be a move itself.
func TestAMoveWhoseCopyCountsEnds(t *testing.T) {
	h := joining(t)
	var g int
	for g = 1; !slices.Contains(copiesOf(h.Groups[g].Replicas), 5); g++ {
	}
	h.progress[g].Seats = append(slices.Clone(h.progress[g].Seats), 5)
	h.halt(true)
	h.end(t)
	if n := copiesOn(h.State, 5); n != 1 || !slices.Contains(copiesOf(h.Groups[g].Replicas), 5) {
		t.Errorf("the newcomer has %d copies, not that of group %d", n, g)
	}
}

// TestWhatIsMissingIsMadeInAHalt: copies of a node that is dead, and of one that is sent
// away, come to the newcomer, and only those. A copy that was to leave a node that is missed
// goes on: to go back would be to none.
func TestWhatIsMissingIsMadeInAHalt(t *testing.T) {
	for name, c := range map[string]struct{ absent bool }{"dead": {true}, "decommissioned": {false}} {
		h := joining(t)
		h.halt(true)
		h.end(t)
		had := copiesOn(h.State, 2)
		h.intend(2, meta.Leaving, c.absent)
		h.end(t)
		if copiesOn(h.State, 2) != 0 || copiesOn(h.State, 5) == 0 {
			t.Errorf("%s: node 2 has %d of %d copies, node 5 %d", name, copiesOn(h.State, 2), had, copiesOn(h.State, 5))
		}
	}
	h := joining(t)
	g := 1 + slices.IndexFunc(h.Groups[1:], func(g meta.Group) bool { return slices.Contains(copiesOf(g.Replicas), 5) })
	h.missed = slices.DeleteFunc(slices.Clone(h.progress[g].Seats), func(n shardmap.NodeID) bool { _, wanted := h.Groups[g].On(n); return wanted })
	h.halt(true)
	h.plan()
	if _, on := h.Groups[g].On(5); !on || len(h.missed) != 1 {
		t.Errorf("group %d goes back to %v, which is missed", g, h.missed)
	}
}

// TestHaltsAmidEverything lets nodes join, leave, die and return, moves begin and end, and
// rebalancing rest and go on, in any order. While it rests no group gets a copy that it
// would not have lacked; and in the end every node has its share.
func TestHaltsAmidEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.IntRange(1, 4).Draw(t, "copies")
		s := foundingOf(4, 24, 64<<20, copies)
		h := &haltable{State: s, progress: settledGroups(s)}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				h.halt(true)
			case 1:
				h.halt(false)
			case 2:
				if len(h.Nodes) < 8 {
					h.join()
				}
			case 3, 4:
				n := rapid.SampledFrom(h.Nodes).Draw(t, "node").ID
				i := rapid.SampledFrom([]meta.Intent{meta.Active, meta.Leaving}).Draw(t, "intent")
				h.intend(n, i, i == meta.Leaving && rapid.Bool().Draw(t, "absent"))
			case 5:
				h.arrive(rapid.IntRange(1, len(h.Groups)-1).Draw(t, "arrives"))
			case 6:
				h.learn()
			case 7:
				h.missed = nil
				if rapid.Bool().Draw(t, "misses") {
					h.missed = []shardmap.NodeID{rapid.SampledFrom(h.Nodes).Draw(t, "missed").ID}
				}
			}
			before := slices.Clone(h.Groups)
			if h.plan(); h.Halted {
				for g := 1; g < len(before); g++ {
					if why := h.unneeded(before[g], h.Groups[g], g); why != "" {
						t.Fatal(why)
					}
				}
			}
			h.back()
		}
		h.halt(false)
		h.missed = nil
		h.end(t)
		h.balanced(t)
	})
}

// unneeded says which group is to get more copies, to be filled, than it lacks: those on
// nodes that may have none are lacking, and those that would have come to a missed one.
func (h *haltable) unneeded(before, after meta.Group, g int) string {
	lacks, comes := min(h.Settings.ReplicationFactor, len(hosts(h.Nodes, nil))), 0
	for _, n := range copiesOf(before.Replicas) {
		row, _ := h.Node(n)
		if row.Intent.Places() && !(slices.Contains(h.missed, n) && slices.Contains(h.progress[g].onTheWay(before), n)) {
			lacks--
		}
	}
	for _, n := range copiesOf(after.Replicas) {
		if !slices.Contains(copiesOf(before.Replicas), n) && !slices.Contains(h.progress[g].Seats, n) {
			comes++
		}
	}
	if comes > max(lacks, 0) {
		return fmt.Sprintf("group %d lacks %d copies and is to get %d while rebalancing is halted: it was %v, counts on %v, is to be %v", g, lacks, comes, before.Replicas, h.progress[g].Seats, after.Replicas)
	}
	return ""
}

// balanced wants every node that takes copies to have its share.
func (h *haltable) balanced(t *rapid.T) {
	places := hosts(h.Nodes, nil)
	all := min(h.Settings.ReplicationFactor, len(places)) * (len(h.Groups) - 1)
	for _, p := range places {
		if n, share := copiesOn(h.State, p.Node), all/len(places); n < share || n > share+1 {
			t.Fatalf("node %d has %d copies, its share is %d", p.Node, n, share)
		}
	}
}

// TestAHaltIsAnsweredWhenItIsApplied, or when another one was before it, or too late.
func TestAHaltIsAnsweredWhenItIsApplied(t *testing.T) {
	c, _ := founder(t)
	var said []string
	wait := func(from uint64, on bool, deadline time.Duration) {
		c.halts = append(c.halts, halting{meta.Halt{From: from, On: on}, func(a Answer) { said = append(said, a.Err+string(a.Body)) }, deadline})
	}
	wait(0, true, c.now.Mono+time.Minute)
	if c.halted(); len(said) != 0 {
		t.Fatalf("answered %v before anything was applied", said)
	}
	wait(0, false, c.now.Mono+time.Minute)
	c.meta.Apply(meta.Entry{Halt: &meta.Halt{On: true}})
	c.halted()
	wait(1, false, c.now.Mono-1)
	c.halted()
	for i, want := range []string{`{"changed":true}`, "somebody else", "in time"} {
		if i >= len(said) || !strings.Contains(said[i], want) {
			t.Errorf("answers %q, want %q as number %d", said, want, i+1)
		}
	}
	c.Halt(true, c.now, func(a Answer) { said = append(said, a.Err) })
	if last := said[len(said)-1]; last != errNoMeta.Error() && last != errNotMeta.Error() {
		t.Errorf("without a holder of group 0: %q", last)
	}
}
