package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

func voter(n shardmap.NodeID) uint64 {
	return multiraft.MakeReplica(1, n, multiraft.RoleVoter).ID
}

func witness(n shardmap.NodeID) uint64 {
	return multiraft.MakeReplica(1, n, multiraft.RoleWitness).ID
}

// havingOf is what a survivor says of groups.
func havingOf(gs ...survivingGroup) survivorWord { return survivorWord{Groups: gs} }

// of is a replica of a group with a log of so many entries of a term.
func of(g shardmap.GroupID, own uint64, term, index uint64, voters ...uint64) survivingGroup {
	return survivingGroup{Group: g, Replica: own, Log: multiraft.LogEnd{Term: term, Index: index}, Conf: 1, Voters: voters}
}

func TestWhoGoesOn(t *testing.T) {
	three := []uint64{voter(1), voter(2), voter(3)}
	five := []uint64{voter(1), voter(2), voter(3), voter(4), voter(5)}
	served := of(1, voter(4), 3, 9, three...)
	served.Served = true
	newer := of(1, voter(5), 3, 9, voter(3), voter(4), voter(5))
	newer.Conf = 7
	joint := of(1, voter(3), 3, 9, voter(3), voter(4), voter(5))
	joint.Outgoing = three
	whole := of(1, voter(4), 3, 9, three...)
	whole.Copy = shardgroup.Survey{Whole: 2}
	late := of(1, voter(4), 3, 9, five...)
	late.Log.Generation = 4
	cases := map[string]struct {
		gone  []shardmap.NodeID
		words map[shardmap.NodeID]survivorWord
		on    uint64 // who goes on, 0 nobody has to
		learn []uint64
		empty shardmap.NodeID
		gen   uint64
	}{
		"one of three":           {[]shardmap.NodeID{1}, map[shardmap.NodeID]survivorWord{2: havingOf(of(1, voter(2), 3, 9, three...)), 3: havingOf(of(1, voter(3), 3, 9, three...))}, 0, nil, 0, 1},
		"two of three":           {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, voter(3), 3, 9, three...))}, voter(3), nil, 0, 1},
		"the freshest log":       {[]shardmap.NodeID{1, 2, 3}, map[shardmap.NodeID]survivorWord{4: havingOf(of(1, voter(4), 3, 9, five...)), 5: havingOf(of(1, voter(5), 4, 2, five...))}, voter(5), []uint64{voter(4)}, 0, 1},
		"the longer log":         {[]shardmap.NodeID{1, 2, 3}, map[shardmap.NodeID]survivorWord{4: havingOf(of(1, voter(4), 3, 9, five...)), 5: havingOf(of(1, voter(5), 3, 8, five...))}, voter(4), []uint64{voter(5)}, 0, 1},
		"rather a copy":          {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, witness(3), 3, 9, voter(1), voter(2), witness(3))), 4: havingOf(of(1, voter(4), 3, 9, voter(1), voter(2), witness(3)))}, voter(4), []uint64{witness(3)}, 0, 1},
		"rather a whole one":     {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, voter(3), 3, 9, three...)), 4: havingOf(whole)}, voter(4), []uint64{voter(3)}, 0, 1},
		"a lease holds":          {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, voter(3), 3, 9, three...)), 4: havingOf(served)}, 0, nil, 0, 1},
		"a newer configuration":  {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, voter(3), 3, 9, three...)), 4: havingOf(of(1, voter(4), 3, 9, three...)), 5: havingOf(newer)}, 0, nil, 0, 1},
		"the old half of a pair": {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(joint), 4: havingOf(of(1, voter(4), 3, 8, three...)), 5: havingOf(of(1, voter(5), 3, 8, three...))}, voter(3), []uint64{voter(4), voter(5)}, 0, 1},
		"nobody has it":          {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(), 4: havingOf()}, 0, nil, 3, 1},
		"down, and not gone":     {nil, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, voter(3), 3, 9, three...))}, 0, nil, 0, 1},
		"an old replica only":    {[]shardmap.NodeID{1, 2}, map[shardmap.NodeID]survivorWord{3: havingOf(of(1, voter(3), 3, 9, voter(3), voter(4), voter(8))), 4: havingOf()}, voter(3), nil, 0, 1},
		"half recovered before":  {[]shardmap.NodeID{1, 2, 3}, map[shardmap.NodeID]survivorWord{4: havingOf(late)}, voter(4), nil, 0, 5},
	}
	for name, c := range cases {
		var survivors []meta.Node
		for n := shardmap.NodeID(1); n <= 5; n++ {
			if w, ok := c.words[n]; ok {
				w.Groups = append([]survivingGroup{of(0, voter(n), 1, 1, voter(n))}, w.Groups...)
				c.words[n] = w
				survivors = append(survivors, meta.Node{ID: n})
			}
		}
		p := planRecovery(1, survivors, c.words, func(n shardmap.NodeID) bool { return slices.Contains(c.gone, n) })
		var on uint64
		var learn []uint64
		for _, g := range p.Groups {
			if g.Group == 1 {
				on, learn = g.Replica, g.Learners
			}
		}
		empty := shardmap.NodeID(0)
		if len(p.Empty) > 0 {
			empty = p.Empty[0].Node
		}
		if on != c.on || !slices.Equal(learn, c.learn) || empty != c.empty || p.Generation != c.gen {
			t.Errorf("%s: %x goes on with %x, %d anew, generation %d; want %x, %x, %d, %d", name, on, learn, empty, p.Generation, c.on, c.learn, c.empty, c.gen)
		}
		if c.on == 0 && c.empty == 0 && (!p.nothing() || p.Kept != 1) {
			t.Errorf("%s: there is something to do: %+v", name, p)
		}
	}
}

// TestWhoKnowsMoreIsToBeAsked: a survivor knows of a node that the one that is asked has not
// heard of, and which may have everything. One that was removed is no such node.
func TestWhoKnowsMoreIsToBeAsked(t *testing.T) {
	for name, uuid := range map[string]meta.UUID{"": {9}, "removed": {8}} {
		c, _ := founder(t)
		c.meta.Removed = append(c.meta.Removed, meta.UUID{8})
		var got Answer
		r := &recovery{waits: 2, words: map[shardmap.NodeID]survivorWord{}, done: func(a Answer) { got = a }}
		c.recovery = r
		c.tookWord(r, meta.Node{ID: 2, Name: "n2"}, survivorWord{Nodes: []nodeKnown{{ID: 77, Name: "n77", UUID: uuid}}})
		if refused := strings.Contains(got.Err, "ask n2"); refused != (name == "") || refused == (c.recovery == r) {
			t.Errorf("%q: the answer is %q", name, got.Err)
		}
	}
}

// TestCopiesAreMadeAgainAfterARecovery: two of five nodes are declared gone. Groups that kept
// their majority want copies on them until the placement has others, which must neither
// hold up the steps nor count as memory that is not there.
func TestCopiesAreMadeAgainAfterARecovery(t *testing.T) {
	const memory, groups = 64 << 20, 64
	s := founding(5, groups, memory)
	word := meta.Recovery{Generation: 1, Nodes: []meta.Forsaken{{ID: 1}, {ID: 2}}}
	for g := 1; g <= groups; g++ {
		var left []meta.Replica
		for _, r := range s.Groups[g].Replicas {
			if r.Node > 2 {
				left = append(left, r)
			}
		}
		if len(left) == 1 {
			word.Groups = append(word.Groups, meta.Continued{Group: shardmap.GroupID(g), Node: left[0].Node, Replica: left[0].ID, Role: meta.Voter})
		}
	}
	if len(word.Groups) == 0 || len(word.Groups) == groups || !s.Apply(meta.Entry{Recover: &word}) {
		t.Fatalf("%d groups lost their majority", len(word.Groups))
	}
	progress := settledGroups(s)
	for range 1000 {
		plan, pending, _ := steps(placements(s.Nodes, s.Settings, s.Groups, progress, 0, nil, false), s.Nodes, s.Groups, progress, nil, false)
		for _, p := range plan {
			if p.Group != shardmap.MetaGroup && p.BudgetBytes < memory/64 {
				t.Fatalf("group %d gets a budget of %d bytes, %d are there for each", p.Group, p.BudgetBytes, memory/64)
			}
		}
		changed := s.Apply(meta.Entry{Place: plan})
		progress = settledGroups(s)
		if !changed && !pending {
			for g := 1; g <= groups; g++ {
				if on := copiesOf(s.Groups[g].Replicas); len(on) != 3 || slices.Min(on) < 3 {
					t.Errorf("group %d is wanted on %v", g, on)
				}
			}
			return
		}
	}
	t.Fatal("the steps do not end")
}
