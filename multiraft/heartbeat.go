package multiraft

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// beatSlack is how much too early a heartbeat may go out with a tick that comes for
// something else.
const beatSlack = time.Millisecond

// beat asks every peer for a promise when h has passed (H1).
func (c *Core) beat(now Instant) {
	if now.Age < c.nextBeat-beatSlack {
		return
	}
	if c.nextBeat += c.cfg.Heartbeat; c.nextBeat <= now.Age {
		c.nextBeat = now.Age + c.cfg.Heartbeat
	}
	bits := c.ledBits(now)
	for _, p := range c.peers {
		if p.shared {
			c.beatTo(p, bits, now)
		}
	}
}

func (c *Core) beatTo(p *peer, bits []byte, now Instant) {
	if c.stopped {
		return
	}
	p.beatDue = false
	p.seq++
	d := datagram{
		kind: kindBeat, inc: c.cfg.Self.Inc, seq: p.seq, promise: c.cfg.Promise,
		ceiling: c.data.Ceiling(), wall: now.Wall, bits: bits,
	}
	p.stamp(sentBeat{p.seq, now.Age, c.cfg.Promise, d.ceiling})
	packet := d.packet()
	c.out.Datagram(p.node, packet, false)
	if now.Wait-p.acked > 3*c.cfg.Heartbeat {
		c.out.Datagram(p.node, packet, true) // U4: UDP may be blocked
	}
}

// ledBits says which groups this node leads with a lease that is open, or that
// it began to fence a short while ago (H6). A hint: no safety rule reads it.
func (c *Core) ledBits(now Instant) []byte {
	bits := c.noBits()
	for _, g := range c.order {
		cl := g.claim
		if cl == nil || !c.data.Healthy(g.id) && !seeded("M24") {
			continue
		}
		// Only the term's first fence counts as young: a leader that fences again and
		// again must not keep others from campaigning, and neither must one that hears too few
		// to get its lease.
		young := cl.lease.ballot.Sub == 1 && now.Age-g.fenced < c.cfg.Promise+4*c.cfg.Heartbeat && c.hears(g)
		if young || cl.lease.Check(now.Mono, now.SuspendOffset) {
			setBit(bits, g.id)
		}
	}
	return bits
}

// hears says whether a majority of the group's voters is heard, of both sets while it
// changes.
func (c *Core) hears(g *group) bool {
	for _, set := range [2][]ReplicaDesc{g.conf.Voters, g.conf.Outgoing} {
		heard := 0
		for _, d := range set {
			if p := c.peer(d.Node); p == nil || !p.silent { // nil: this node
				heard++
			}
		}
		if 2*heard <= len(set) && len(set) > 0 {
			return false
		}
	}
	return true
}

// noBits is an empty bitmap of all groups. There is one: it goes into a packet
// before the next is asked for.
func (c *Core) noBits() []byte {
	clear(c.bits)
	return c.bits
}

// Datagram takes one lease packet of a peer whose authenticator was right.
func (c *Core) Datagram(from shardmap.NodeID, packet []byte, overTCP bool, now Instant) {
	d, err := decodeDatagram(packet)
	if err != nil || c.stopped {
		return
	}
	if d.kind == kindNodeRelease {
		c.nodeRelease(d.dead, now)
		return
	}
	p := c.peer(from)
	if p == nil || !c.admit(p, d.inc, now) {
		return
	}
	switch d.kind {
	case kindBeat:
		c.heardBeat(p, &d, overTCP, now)
	case kindBeatAck:
		c.heardAck(p, &d, overTCP, now)
	case kindRelease:
		if g := c.group(d.group); g != nil {
			c.heardRelease(g, Member{from, d.inc}, d.ballot, d.heir, now)
		}
	}
}

// heardBeat promises the sender what it asks for and names the groups that are
// its own here: both in one critical section, which this single thread is (H4).
func (c *Core) heardBeat(p *peer, d *datagram, overTCP bool, now Instant) {
	p.heard, p.doubted = now.Wait, false
	p.ahead = time.Duration(d.wall-now.Wall) * time.Millisecond // less the way here
	c.data.CeilingHeard(p.node, d.ceiling)
	c.ledHints(p, d.bits, now)
	if d.promise <= 0 || d.promise > promiseMax {
		return
	}
	if d.promise > c.cap {
		probeCapRaised.Hit()
		c.raise(d.promise)
		return
	}
	if seeded("runtimel") {
		d.promise = c.cfg.Promise
	}
	until := now.Wait + d.promise
	if seeded("cachednow") {
		until -= d.promise / 2
	}
	if p.promiseInc != d.inc {
		p.promiseUntil = 0
	}
	p.promiseInc = d.inc
	if !seeded("ackfirst") {
		p.promiseUntil = max(p.promiseUntil, until)
	}
	ack := datagram{kind: kindBeatAck, inc: c.cfg.Self.Inc, req: d.inc, seq: d.seq, bits: c.noBits()}
	for _, g := range c.order {
		if g.grantee == (Member{p.node, d.inc}) || (seeded("keepbits") && g.owes(p.node, d.inc)) {
			setBit(ack.bits, g.id)
		}
	}
	c.out.Datagram(p.node, ack.packet(), overTCP)
}

// heardAck counts a promise for every claim that it may count for (H5).
func (c *Core) heardAck(p *peer, d *datagram, overTCP bool, now Instant) {
	sent, known := p.stampOf(d.seq)
	if (d.req != c.cfg.Self.Inc && !seeded("noechoinc")) || !known {
		if d.req != c.cfg.Self.Inc {
			probeAckFormer.Hit()
		}
		return
	}
	if !overTCP {
		p.acked = now.Wait
	}
	from := sent.age
	if seeded("M03") || seeded("receipt") {
		from = now.Age
	}
	until := from + claimed(sent.promise) - roundingSlack
	for _, g := range c.order {
		granted := bit(d.bits, g.id)
		cl := g.claim
		if cl == nil {
			if granted && !g.lastClaim.IsZero() {
				probeAckStray.Hit()
				c.sendRelease(g, g.lastClaim, p.node, 0) // H7
			}
			continue
		}
		rose := false
		for i := range cl.voters { // a replica made anew has an entry of its own (G7)
			v := &cl.voters[i]
			switch {
			case NodeOf(v.id) != p.node:
			case seeded("nominseq") && granted && until > v.support:
				v.support, rose = until, true
			case !v.acked || d.inc.Counter < v.inc.Counter:
			case v.inc != d.inc: // it restarted and knows of no grantee
				c.sendFence(g, v.id, now)
			case d.seq < v.minSeq:
				probeAckBefore.Hit()
			case !granted:
				probeAckClear.Hit()
				c.sendFence(g, v.id, now) // H7
			case until > v.support:
				v.support, v.ceiling, rose = until, max(v.ceiling, sent.ceiling), true
			}
		}
		if rose {
			c.publish(g, now)
		}
	}
}

// claimed is how much of a promise the holder counts: shortened for the drift of
// both clocks.
func claimed(promise time.Duration) time.Duration {
	if seeded("M04") || seeded("drift-lease") {
		return promise
	}
	return promise - promise*2*driftPerMille/1000
}

// waited is how long a hold is waited for: lengthened for this clock's drift.
func waited(hold time.Duration) time.Duration {
	if seeded("M04") || seeded("drift-wait") {
		return hold
	}
	return hold + (hold*driftPerMille+999)/1000
}

// ledHints suspects a leader that twice in a row did not claim a group (U1).
func (c *Core) ledHints(p *peer, bits []byte, now Instant) {
	for _, g := range c.order {
		if NodeOf(g.leader) != p.node {
			continue
		}
		if bit(bits, g.id) {
			g.ledMisses = 0
		} else if g.ledMisses++; g.ledMisses >= ledMissesMax {
			g.ledMisses = 0
			c.suspect(g, now)
		}
	}
}
