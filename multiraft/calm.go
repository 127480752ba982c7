package multiraft

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// electionTicks is how many ticks without a word from its leader raft bears at least.
const electionTicks = 20

// calm is a follower of which nothing is new to raft: since raft itself heard this leader,
// all that came were heartbeats of it that commit nothing more. What raft makes of one is
// known, so it is not asked: its clock begins anew, and an answer leaves. Ticks that nothing
// can follow from are not given to it either, but owed. Two of three replicas of an idle
// cluster are calm, and for raft each heartbeat is twenty allocations.
type calm struct {
	leader uint64 // 0: raft is asked and told everything
	term   uint64
	commit uint64 // what raft knows to be committed, at least
	owed   int    // ticks since the leader was heard
}

// raft is the group's state machine, about to be told or asked for more than its state.
func (g *group) raft() *raft.RawNode {
	for ; g.calm.owed > 0; g.calm.owed-- {
		g.rn.Tick()
	}
	g.calm = calm{}
	return g.rn
}

// tick gives raft a tick, or owes it: from fewer than electionTicks since a follower heard
// its leader nothing follows. It reports whether raft had it.
func (g *group) tick() bool {
	if g.calm.leader != 0 && g.calm.owed < electionTicks-1 {
		g.calm.owed++
		return false
	}
	g.raft().Tick()
	return true
}

// becalm notes that raft has just heard a heartbeat, when it took it for its leader's: its
// clock stands at 0.
func (g *group) becalm(m *pb.Message) {
	st := g.rn.BasicStatus()
	if st.RaftState == raft.StateFollower && st.Lead == m.GetFrom() && st.GetTerm() == m.GetTerm() {
		g.calm = calm{leader: st.Lead, term: st.GetTerm(), commit: st.GetCommit()}
	}
}

// answerCalm answers a heartbeat in raft's place, where it says nothing new.
func (c *Core) answerCalm(g *group, p *peer, k *pulse, from shardmap.NodeID) bool {
	if k.kind != pb.MsgHeartbeat || g.calm.leader == 0 || k.from != g.calm.leader || k.term != g.calm.term ||
		k.commit > g.calm.commit || k.to != g.self || NodeOf(k.from) != from || c.buried(g.id, k.from) {
		return false
	}
	g.calm.owed = 0
	start := c.item(p, itemPulse, g.id)
	p.outbox = appendPulse(p.outbox, pulse{kind: pb.MsgHeartbeatResp, to: k.from, from: g.self, term: k.term})
	p.endItem(start)
	return true
}
