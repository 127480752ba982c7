package multiraft

import (
	"slices"
	"testing"
	"testing/cryptotest"
	"time"
)

// migration moves one group between five nodes, under faults. Replicas that left
// are destroyed and come back under new numbers.
type migration struct {
	*script
	next   uint64
	have   map[*testNode]ReplicaDesc // the replica of each node that has one
	target []*testNode
	moves  int
}

func newMigration(tb testing.TB, seed uint64) *migration {
	c := newTestCluster(tb, 5, 0, seed)
	c.groups = 1
	m := &migration{script: &script{testCluster: c}, next: 1, have: map[*testNode]ReplicaDesc{}}
	var rs []ReplicaDesc
	for i, n := range c.nodes {
		n.boot(1)
		if i < 3 {
			m.have[n] = m.mint(n)
			rs = append(rs, m.have[n])
			m.target = append(m.target, n)
		}
	}
	for i, n := range m.target {
		if err := n.core.Create(0, rs, rs[i].ID, n.clock()); err != nil {
			tb.Fatal(err)
		}
		n.core.Flush(n.clock())
	}
	return m
}

func (m *migration) mint(n *testNode) ReplicaDesc {
	m.next++
	return MakeReplica(m.next, n.id, RoleVoter)
}

func (n *testNode) runs() bool { return !n.down && !n.paused }

// retarget chooses three nodes and gives the new ones a replica.
func (m *migration) retarget() {
	nodes := slices.Clone(m.nodes)
	m.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	m.target = nodes[:3]
}

// ready reports whether a node's replica has the group's state.
func (m *migration) ready(n *testNode) bool {
	d, ok := m.have[n]
	if !ok || !n.runs() || n.core.groups[0] == nil {
		return false
	}
	_, member := n.core.groups[0].conf.Find(d.ID)
	return member
}

// drive does what placement does: learners first, then one change of voters.
func (m *migration) drive() {
	for _, n := range m.target {
		d, ok := m.have[n]
		if n.runs() && (!ok || n.core.groups[0] == nil) { // a crash may lose the joining
			if !ok {
				d = m.mint(n)
				n.core.Destroy(0, n.clock()) // or the removal
			}
			if err := n.core.Join(0, d.ID, n.clock()); err != nil {
				m.tb.Fatal(err)
			}
			m.have[n] = d
		}
	}
	h := m.holder(0)
	if h == nil {
		return
	}
	st, _ := h.core.Group(0)
	all := true
	want := make([]ReplicaDesc, 0, 8)
	for _, n := range m.target {
		d, ok := m.have[n]
		if !ok {
			return
		}
		isVoter := slices.ContainsFunc(st.Config.Voters, func(v ReplicaDesc) bool { return v.ID == d.ID })
		if !isVoter && !m.ready(n) {
			d.Role, all = RoleLearner, false
		}
		want = append(want, d)
	}
	if !all {
		want = slices.DeleteFunc(want, func(d ReplicaDesc) bool { return d.Role == RoleVoter })
		want = append(want, st.Config.Voters...)
	}
	if h.core.Reconfigure(st, want, h.clock()) && all {
		m.drop(st.Config)
	}
}

// drop destroys the replicas that the configuration has left behind.
func (m *migration) drop(conf GroupConfig) {
	for _, n := range m.nodes {
		d, ok := m.have[n]
		if _, member := conf.Find(d.ID); !ok || member || slices.Contains(m.target, n) || !n.runs() {
			continue
		}
		if n.core.groups[0] != nil {
			n.core.Destroy(0, n.clock())
			n.core.Flush(n.clock())
		}
		delete(m.have, n)
		m.moves++
	}
}

func (m *migration) fault() {
	n := m.nodes[m.rng.IntN(5)]
	away := 0
	for _, o := range m.nodes {
		if !o.runs() {
			away++
		}
	}
	switch m.rng.IntN(10) {
	case 0:
		if n.runs() && away < 1 {
			m.crash(n)
		}
	case 1:
		if n.runs() && away < 1 {
			m.pause(n)
		}
	case 2:
		m.isolate(n, true)
	case 3:
		m.loss = m.rng.Float64() * 0.2
	case 4, 5:
		clear(m.cut)
		m.loss = 0
	case 6, 7:
		for _, o := range m.nodes {
			if o.down {
				o.boot(1)
			} else if o.paused {
				m.resume(o)
			}
		}
	case 8:
		if h := m.holder(0); h != nil {
			h.core.Handover(0, m.target[m.rng.IntN(3)].id, h.clock())
		}
	}
}

func (m *migration) heal() {
	clear(m.cut)
	m.loss = 0
	for _, n := range m.nodes {
		if n.down {
			n.boot(1)
		} else if n.paused {
			m.resume(n)
		}
	}
}

func TestAGroupThatMovesHasOneHolder(t *testing.T) {
	seeds, moves := uint64(60), 0
	if testing.Short() || raceBuild {
		seeds = 15
	}
	for seed := range seeds {
		cryptotest.SetGlobalRandom(t, seed)
		m := newMigration(t, seed)
		for i := range 60 {
			if i%8 == 7 {
				m.retarget()
			}
			m.fault()
			for end := m.now + time.Duration(m.rng.IntN(600))*ms; m.now < end; {
				m.run(20*ms, nil)
				m.drive()
			}
		}
		m.heal()
		settled := false
		for end := m.now + 15*time.Second; m.now < end && !settled; {
			m.run(20*ms, nil)
			m.drive()
			h := m.holder(0)
			settled = h != nil && len(m.have) == 3 && !h.core.groups[0].conf.Joint()
		}
		if len(m.overlaps) > 0 {
			t.Fatalf("seed %d: %s", seed, m.overlaps[0])
		}
		if !settled {
			t.Fatalf("seed %d: the group does not come to rest: target %v, have %v", seed, m.target, m.have)
		}
		moves += m.moves
	}
	if moves < int(seeds) {
		t.Errorf("only %d replicas moved in %d runs", moves, seeds)
	}
	t.Logf("%d replicas moved", moves)
}
