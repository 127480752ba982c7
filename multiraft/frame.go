package multiraft

import (
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A control frame: everything one pass has for one peer (big endian).
//
//	format u8 | sender incarnation: counter u64, nonce u64 | items
//	item: kind u8 | group u16 | length u32 | body
//	raft:      raftpb.Message
//	pulse:     raft heartbeat or answer in short form, see pulse.go
//	fence:     from replica u64 | to replica u64 | term u64 | sub u32
//	fence ack: from u64 | to u64 | requester counter u64, nonce u64 | term u64 | sub u32 | hold ns u64 | state
//	nack:      from u64 | to u64 | term u64 | sub u32 (of what was refused) | higher term u64, sub u32 | reason u8
//	release:   term u64 | sub u32 | heir node u32
//	death:     node u32 | counter u64, nonce u64 (an incarnation that is over for certain)
const (
	frameFormat = 1
	frameHead   = 1 + 16
	itemHead    = 1 + 2 + 4
	// frameFull ends a frame early: a pass with more than this for one peer sends several.
	frameFull = 1 << 20
)

const (
	itemRaft = iota + 1
	itemFence
	itemFenceAck
	itemFenceNack
	itemRelease
	itemPulse
	itemDeath
)

// Reasons of a FENCE_NACK.
const (
	nackHigher = iota + 1
	nackReleased
	nackLoading
	nackUnknown
)

var errControl = errors.New("multiraft: a control frame that cannot be read")

// fenceFrame is any of the three fence items; each uses some of the fields.
type fenceFrame struct {
	from, to uint64
	req      Incarnation
	ballot   Ballot
	higher   Ballot
	hold     time.Duration
	reason   byte
	state    []byte
}

func (c *Core) item(p *peer, kind byte, g shardmap.GroupID) (start int) {
	if len(p.outbox) > frameFull { // snapshots of many groups for one joiner
		c.sendFrame(p)
	}
	if len(p.outbox) == 0 {
		p.outbox = appendInc(append(p.outbox, frameFormat), c.cfg.Self.Inc)
	}
	start = len(p.outbox)
	p.outbox = append(p.outbox, kind)
	p.outbox = binary.BigEndian.AppendUint16(p.outbox, uint16(g))
	p.outbox = append(p.outbox, 0, 0, 0, 0)
	return start
}

// outboxKept is how much room for a frame is kept for the next one.
const outboxKept = 16 << 10

// sendFrame hands the frame of a pass over.
func (c *Core) sendFrame(p *peer) {
	c.out.Control(p.node, p.outbox)
	if p.outbox = p.outbox[:0]; cap(p.outbox) > outboxKept {
		p.outbox = nil
	}
}

func (p *peer) endItem(start int) {
	binary.BigEndian.PutUint32(p.outbox[start+3:], uint32(len(p.outbox)-start-itemHead))
}

// sendRaft queues a raft message for the node its target lives on.
func (c *Core) sendRaft(g *group, m *pb.Message) {
	to := NodeOf(m.GetTo())
	p := c.peer(to)
	if p == nil {
		return
	}
	if isPulse(m) {
		start := c.item(p, itemPulse, g.id)
		p.outbox = appendPulse(p.outbox, pulseOf(m))
		p.endItem(start)
		return
	}
	start := c.item(p, itemRaft, g.id)
	b, err := proto.MarshalOptions{}.MarshalAppend(p.outbox, m)
	if err != nil {
		panic("multiraft: a raft message cannot be encoded: " + err.Error())
	}
	p.outbox = b
	p.endItem(start)
	if m.GetType() == pb.MsgSnap {
		// Whether it arrived is found out by the next probe. Without a report raft
		// would wait for one for ever after a lost frame.
		g.raft().ReportSnapshot(m.GetTo(), raft.SnapshotFinish)
		c.touch(g)
	}
}

// foreign reports whether another node may send such a message: proposals,
// transfers and raft's local messages come from this node only.
func foreign(t pb.MessageType) bool {
	switch t {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp,
		pb.MsgSnap, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
		return true
	}
	return false
}

func appendBallot(b []byte, x Ballot) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, x.Term), x.Sub)
}

func readBallot(b []byte) Ballot {
	return Ballot{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}
}

// sendFenceItem queues a fence, its ack or its refusal.
func (c *Core) sendFenceItem(p *peer, kind byte, g *group, f *fenceFrame) {
	start := c.item(p, kind, g.id)
	b := binary.BigEndian.AppendUint64(p.outbox, f.from)
	b = binary.BigEndian.AppendUint64(b, f.to)
	switch kind {
	case itemFence:
		b = appendBallot(b, f.ballot)
	case itemFenceAck:
		b = appendBallot(appendInc(b, f.req), f.ballot)
		b = binary.BigEndian.AppendUint64(b, uint64(f.hold))
		b = append(b, f.state...)
	case itemFenceNack:
		b = append(appendBallot(appendBallot(b, f.ballot), f.higher), f.reason)
	}
	p.outbox = b
	p.endItem(start)
}

func decodeFence(kind byte, b []byte) (f fenceFrame, err error) {
	need := map[byte]int{itemFence: 28, itemFenceAck: 52, itemFenceNack: 41}[kind]
	if len(b) < need {
		return f, errControl
	}
	f.from, f.to = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	switch b = b[16:]; kind {
	case itemFence:
		f.ballot = readBallot(b)
	case itemFenceAck:
		f.req, f.ballot = readInc(b), readBallot(b[16:])
		f.hold = time.Duration(binary.BigEndian.Uint64(b[28:]))
		f.state = b[36:]
		if f.hold < 0 || f.hold > 2*promiseMax { // a longer one would overflow the wait
			return f, errControl
		}
	case itemFenceNack:
		f.ballot, f.higher, f.reason = readBallot(b), readBallot(b[12:]), b[24]
	}
	return f, nil
}

// Receive takes one control frame of a peer.
func (c *Core) Receive(from shardmap.NodeID, frame []byte, now Instant) {
	if len(frame) < frameHead || frame[0] != frameFormat || c.stopped {
		return
	}
	sender := Member{from, readInc(frame[1:])}
	p := c.peer(from)
	if p == nil {
		p = c.stranger(from)
	}
	if !c.admit(p, sender.Inc, now) {
		return
	}
	p.control = now.Wait
	for b := frame[frameHead:]; len(b) >= itemHead; {
		n := int(binary.BigEndian.Uint32(b[3:]))
		if n > len(b)-itemHead {
			return
		}
		c.receiveItem(b[0], shardmap.GroupID(binary.BigEndian.Uint16(b[1:])), sender, p, b[itemHead:itemHead+n], now)
		b = b[itemHead+n:]
	}
}

// stranger is a peer that talks before any configuration names it: the leader
// of a group that this node joins blank.
func (c *Core) stranger(n shardmap.NodeID) *peer {
	c.meet(GroupConfig{Learners: []ReplicaDesc{{Node: n}}})
	return c.peer(n)
}

func (c *Core) receiveItem(kind byte, id shardmap.GroupID, sender Member, p *peer, body []byte, now Instant) {
	g := c.group(id)
	switch kind {
	case itemRaft:
		m := &pb.Message{}
		if g != nil && proto.Unmarshal(body, m) == nil {
			c.step(g, m, sender)
		}
	case itemPulse:
		if k, ok := decodePulse(body); ok && g != nil && !c.answerCalm(g, p, &k, sender.Node) {
			c.step(g, k.message(), sender)
		}
	case itemFence, itemFenceAck, itemFenceNack:
		f, err := decodeFence(kind, body)
		if err != nil {
			return
		}
		c.receiveFence(kind, g, id, sender, p, &f, now)
	case itemRelease:
		if g != nil && len(body) == 16 {
			heir := shardmap.NodeID(binary.BigEndian.Uint32(body[12:]))
			c.heardRelease(g, sender, readBallot(body), heir, now)
		}
	case itemDeath:
		if len(body) == 20 {
			c.nodeRelease(Member{shardmap.NodeID(binary.BigEndian.Uint32(body)), readInc(body[4:])}, now)
		}
	}
}

// step gives raft a message, if it came from whom it says to whom it is for.
func (c *Core) step(g *group, m *pb.Message, sender Member) {
	if m.GetTo() != g.self || NodeOf(m.GetFrom()) != sender.Node || !foreign(m.GetType()) || g.older(m.GetTerm()) {
		return
	}
	if c.buried(g.id, m.GetFrom()) {
		return
	}
	if m.GetType() == pb.MsgHeartbeatResp && len(g.first.messages) > 0 {
		return // raft would answer with an append: the one that is held back, too early
	}
	if m.GetType() == pb.MsgTimeoutNow && g.rn.BasicStatus().GetCommit() > g.log.applied {
		g.asked = m
		return
	}
	_ = g.raft().Step(m)
	if m.GetType() == pb.MsgHeartbeat {
		g.becalm(m)
	}
	c.touch(g)
}

// buried reports whether a replica is known to be gone for good.
func (c *Core) buried(id shardmap.GroupID, replica uint64) bool {
	return len(c.tombs) > 0 && c.tombs[Tombstone{id, replica}] // most nodes have none: a lookup per message costs more than the question
}

func (c *Core) receiveFence(kind byte, g *group, id shardmap.GroupID, sender Member, p *peer, f *fenceFrame, now Instant) {
	switch {
	case g == nil:
		if kind == itemFence {
			reason := byte(nackLoading)
			if c.tombs[Tombstone{id, f.to}] {
				probeGoneReplica.Hit()
				reason = nackUnknown
			}
			c.sendFenceItem(p, itemFenceNack, &group{id: id}, &fenceFrame{from: f.to, to: f.from, ballot: f.ballot, reason: reason})
		}
	case f.to != g.self || g.older(f.ballot.Term):
	case kind == itemFence:
		c.heardFence(g, sender, p, f, now)
	case kind == itemFenceAck:
		c.heardFenceAck(g, sender, f, now)
	default:
		c.heardNack(g, f, now)
	}
}
