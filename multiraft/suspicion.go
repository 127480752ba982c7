package multiraft

import (
	"time"

	"go.etcd.io/raft/v3"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// tickSuspicion campaigns when it is this node's turn, and suspects a leader
// whose heartbeats have stopped (U1).
func (c *Core) tickSuspicion(g *group, now Instant) {
	if c.stopped {
		return
	}
	if g.leader != 0 {
		if p := c.peer(NodeOf(g.leader)); p != nil && p.silent {
			c.suspect(g, now)
		}
		return
	}
	if !g.conf.voter(g.self) {
		return
	}
	if g.campaignAt == 0 {
		g.campaignAt = now.Wait + c.turn(g)
	}
	if now.Wait < g.campaignAt {
		return
	}
	g.tries++
	spread := mix(uint64(g.id)<<32|uint64(c.cfg.Self.Node), g.tries) % uint64(campaignSpread)
	g.campaignAt = now.Wait + c.retryIn(g) + time.Duration(spread)
	if g.rn.BasicStatus().RaftState != raft.StateLeader {
		_ = g.raft().Campaign()
		c.touch(g)
	}
}

// writeMax bounds what an election is given for a write: a disk that stands is not waited
// for, and one that stood is soon forgotten.
const writeMax = 300 * time.Millisecond

// retryIn is how long this replica waits before it campaigns once more. A campaign that
// begins before the votes of the last one are on the disks undoes it: its vote for itself is
// one write, those of others, whose disks are taken to be like this one, are another.
func (c *Core) retryIn(g *group) time.Duration {
	return campaignRetry + 2*c.disk + c.turn(g)
}

// turn is how long this replica waits before it campaigns. Freshness comes before
// preference: one that would have to fetch what others have lets them go first.
func (c *Core) turn(g *group) time.Duration {
	rank := g.rank
	for _, n := range g.ahead {
		if c.Buried(n) {
			rank--
		}
	}
	if c.data.Behind(g.id) {
		rank += len(g.conf.Voters)
	}
	return time.Duration(rank) * rankStep
}

// silenceMax is how long a leader may be silent before it is suspected: three lost
// heartbeats, or one when gossip gave it up since it was last heard.
func (c *Core) silenceMax(p *peer) time.Duration {
	if p.doubted {
		return 2 * c.cfg.Heartbeat
	}
	return 3*c.cfg.Heartbeat + c.cfg.Heartbeat/2
}

// PeerHint takes word from elsewhere (gossip) that an incarnation of a node is
// gone, or is not. It is a hint, never a proof of death (D4): promises, pledges and
// claims do not ask it. All it does is to shorten the patience with a leader that
// is silent already, and the next heartbeat of that node refutes it; so a lie that
// is told again and again costs the tolerance of two lost heartbeats, no more.
func (c *Core) PeerHint(n shardmap.NodeID, counter uint64, gone bool) {
	if p := c.peer(n); p != nil && counter >= p.inc.Counter {
		p.doubted = gone
	}
}

// suspect forgets the leader and plans a campaign by rank. Being wrong is cheap:
// promises are not touched, and the deposed leader learns the higher term.
func (c *Core) suspect(g *group, now Instant) bool {
	n := NodeOf(g.leader)
	if g.leader == 0 || n == c.cfg.Self.Node || !g.conf.voter(g.self) {
		return false
	}
	c.out.Event(Event{Kind: EventSuspect, Group: g.id, Node: n})
	_ = g.raft().ForgetLeader()
	g.leader, g.ledMisses = 0, 0
	g.campaignAt = now.Wait + c.turn(g)
	c.data.LeaderChanged(g.id, 0, g.term, now)
	c.touch(g)
	return true
}

// hashAhead are the voters before a node that nobody ranked, by a hash of group and
// node, so that groups spread and rivals do not collide.
func hashAhead(g shardmap.GroupID, self shardmap.NodeID, voters []ReplicaDesc) (ahead []shardmap.NodeID) {
	score := func(n shardmap.NodeID) uint64 { return mix(uint64(g)<<32|uint64(n), 0) }
	for _, v := range voters {
		if v.Node != self && score(v.Node) > score(self) {
			ahead = append(ahead, v.Node)
		}
	}
	return ahead
}

// mix is a hash of two numbers (splitmix64's finish).
func mix(a, b uint64) uint64 {
	x := a + (b+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
