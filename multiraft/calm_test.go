package multiraft

import (
	"bytes"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// calmFollower is a follower in a cluster at rest, and the heartbeat that it is used to.
func calmFollower(t *testing.T) (*Core, *group, *peer, pulse) {
	t.Helper()
	c := newTestCluster(t, 3, 2, 1)
	c.run(2*time.Second, nil)
	for _, n := range c.nodes {
		if g := n.core.group(1); g.calm.leader != 0 {
			return n.core, g, n.core.peer(NodeOf(g.calm.leader)), pulse{pb.MsgHeartbeat, g.self, g.calm.leader, g.calm.term, g.calm.commit}
		}
	}
	t.Fatal("no follower is calm")
	return nil, nil, nil, pulse{}
}

func TestACalmFollowerAnswersAsRaftWould(t *testing.T) {
	c, g, p, beat := calmFollower(t)
	answer := func() []byte {
		b := bytes.Clone(p.outbox)
		p.outbox = p.outbox[:0]
		return b
	}
	answer()
	if !c.answerCalm(g, p, &beat, p.node) {
		t.Fatal("not answered")
	}
	short := answer()
	c.step(g, beat.message(), Member{Node: p.node})
	for _, m := range g.rn.Ready().Messages {
		c.sendRaft(g, m)
	}
	if long := answer(); !bytes.Equal(short, long) {
		t.Fatalf("%x, and raft %x", short, long)
	}
	if g.calm.leader == 0 {
		t.Fatal("the heartbeat that raft took left no calm")
	}
	for what, f := range map[string]func(*pulse){
		"commits more":         func(k *pulse) { k.commit++ },
		"is of a later term":   func(k *pulse) { k.term++ },
		"is of another leader": func(k *pulse) { k.from = MakeReplica(9, p.node, RoleVoter).ID },
		"is an answer":         func(k *pulse) { k.kind = pb.MsgHeartbeatResp },
		"is to another":        func(k *pulse) { k.to++ },
	} {
		k := beat
		if f(&k); c.answerCalm(g, p, &k, p.node) {
			t.Errorf("one that %s was not shown to raft", what)
		}
	}
	if c.answerCalm(g, p, &beat, p.node+1) {
		t.Error("one from a node that is not its sender's was answered")
	}
}

func TestACalmFollowerHasNoMorePatienceThanRaft(t *testing.T) {
	_, g, _, _ := calmFollower(t)
	g.calm.owed = 0
	for range electionTicks - 1 {
		if g.tick() {
			t.Fatal("a tick that nothing follows from")
		}
	}
	for ticks := electionTicks; g.rn.BasicStatus().RaftState == raft.StateFollower; ticks++ {
		if !g.tick() || ticks >= 2*electionTicks {
			t.Fatalf("%d ticks without a leader, and no campaign", ticks)
		}
	}
}
