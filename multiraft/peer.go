package multiraft

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// sentBeat is the stamp of one heartbeat to one peer.
type sentBeat struct {
	seq     uint64
	age     time.Duration
	promise time.Duration
	ceiling int64
}

// peer is another node that shares groups with this one.
type peer struct {
	node   shardmap.NodeID
	outbox []byte // control frame of this pass
	shared bool   // a configuration here names it: promises are asked of it

	inc  Incarnation // highest seen
	dead uint64      // incarnation counters up to here are known dead
	told Member      // whose death this node passed on to the peer last

	// as voter: until when this node promised the peer, on Wait
	promiseInc   Incarnation
	promiseUntil time.Duration
	heard        time.Duration // Wait of its last heartbeat, 0 never
	silent       bool          // for so long that a leader is suspected; as of the last tick
	doubted      bool          // gossip said since then that it is gone
	ahead        time.Duration // how far its wall clock was ahead of ours then

	// as requester
	seq     uint64
	sent    []sentBeat    // ring
	beatDue bool          // a heartbeat goes out at the end of the pass
	acked   time.Duration // Wait of the last ACK that came by UDP
	control time.Duration // Wait of the last control frame
}

// share marks the peers that some group's configuration names. The others are
// kept, because what was promised to them must not be forgotten.
func (c *Core) share() {
	for _, p := range c.peers {
		p.shared = false
	}
	for _, g := range c.order {
		g.conf.each(func(d ReplicaDesc) {
			if p := c.peer(d.Node); p != nil {
				p.shared = true
			}
		})
	}
}

// meet makes peers of the nodes of a configuration.
func (c *Core) meet(conf GroupConfig) {
	conf.each(func(d ReplicaDesc) {
		if d.Node != c.cfg.Self.Node && c.peer(d.Node) == nil {
			c.peers = append(c.peers, &peer{node: d.Node})
			slices.SortFunc(c.peers, func(a, b *peer) int { return int(a.node) - int(b.node) })
		}
	})
}

func (c *Core) peer(n shardmap.NodeID) *peer {
	for _, p := range c.peers {
		if p.node == n {
			return p
		}
	}
	return nil
}

// Peers lists the nodes that share groups with this one.
func (c *Core) Peers() []shardmap.NodeID {
	ns := make([]shardmap.NodeID, len(c.peers))
	for i, p := range c.peers {
		ns[i] = p.node
	}
	return ns
}

// Silence is how long ago the peer's last heartbeat came; ok is false when none did.
func (c *Core) Silence(n shardmap.NodeID, now Instant) (d time.Duration, ok bool) {
	p := c.peer(n)
	if p == nil || p.heard == 0 {
		return 0, false
	}
	return now.Wait - p.heard, true
}

// admit takes note of a sender's incarnation; false means that it is over (H2).
func (c *Core) admit(p *peer, inc Incarnation, now Instant) bool {
	if inc.Counter <= p.dead || inc.Counter < p.inc.Counter {
		probeBeatFormer.Hit()
		return false
	}
	if p.inc.Counter < inc.Counter {
		known := p.inc.Counter != 0
		p.inc = inc
		p.promiseInc, p.promiseUntil = Incarnation{}, 0
		for _, g := range c.order {
			if g.forgive(p.node, inc.Counter-1) {
				c.holdShrank(g, now)
			}
			if known && NodeOf(g.leader) == p.node {
				c.suspect(g, now) // it led in its former life
			}
		}
		for _, pl := range c.pledges { // of groups that are not here now; order has no effect
			pl.forgive(p.node, inc.Counter-1)
		}
	}
	return inc == p.inc
}

// sentRoom holds the stamps of the longest promise at the shortest heartbeat.
const sentRoom = 512

func (p *peer) stamp(b sentBeat) {
	if p.sent == nil {
		p.sent = make([]sentBeat, sentRoom)
	}
	p.sent[b.seq%sentRoom] = b
}

func (p *peer) stampOf(seq uint64) (sentBeat, bool) {
	if len(p.sent) == 0 {
		return sentBeat{}, false
	}
	b := p.sent[seq%sentRoom]
	return b, b.seq == seq && seq != 0
}
