package node

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// upcalls is what multiraft calls: group 0 is answered here, shard groups by the
// data plane.
type upcalls struct{ c *Core }

var _ multiraft.Data = upcalls{}

func (u upcalls) Seal(g shardmap.GroupID, b multiraft.Ballot, sealer multiraft.Member, now multiraft.Instant) []byte {
	if g == shardmap.MetaGroup {
		return nil
	}
	return u.c.data.Seal(g, b, sealer, now)
}

func (u upcalls) Sealed(g shardmap.GroupID, b multiraft.Ballot, from multiraft.Member, role multiraft.Role, state []byte, now multiraft.Instant) {
	if g != shardmap.MetaGroup {
		u.c.data.Sealed(g, b, from, role, state, now)
	}
}

func (u upcalls) GateOpen(g shardmap.GroupID, b multiraft.Ballot, now multiraft.Instant) {
	if g == shardmap.MetaGroup {
		u.c.metaGate = b
		return
	}
	u.c.data.GateOpen(g, b, now)
}

func (u upcalls) LeaseClosed(g shardmap.GroupID, b multiraft.Ballot, reason string, now multiraft.Instant) {
	if g == shardmap.MetaGroup {
		u.c.metaOpen, u.c.metaGate = multiraft.Ballot{}, multiraft.Ballot{}
		return
	}
	u.c.data.LeaseClosed(g, b, reason, now)
}

func (u upcalls) LeaderChanged(g shardmap.GroupID, leader shardmap.NodeID, term uint64, now multiraft.Instant) {
	if g != shardmap.MetaGroup {
		u.c.data.LeaderChanged(g, leader, term, now)
	}
}

func (u upcalls) Applied(g shardmap.GroupID, index uint64, data []byte, now multiraft.Instant) {
	if g != shardmap.MetaGroup {
		u.c.data.Applied(g, index, data, now)
		u.c.noteRoute(g)
		return
	}
	e, err := meta.DecodeEntry(data)
	if err != nil || u.c.meta == nil {
		return
	}
	if u.c.meta.Apply(e) {
		u.c.metaChanged()
	}
	u.c.registered()
	u.c.intended()
	u.c.halted()
}

func (u upcalls) ConfigApplied(g shardmap.GroupID, conf multiraft.GroupConfig, now multiraft.Instant) {
	u.c.dirty = true
	if g != shardmap.MetaGroup {
		u.c.data.ConfigApplied(g, conf, now)
	}
}

func (u upcalls) StateSnapshot(g shardmap.GroupID) []byte {
	if g != shardmap.MetaGroup {
		return u.c.data.StateSnapshot(g)
	}
	if u.c.meta == nil {
		return nil
	}
	return u.c.meta.Snapshot()
}

func (u upcalls) StateRestore(g shardmap.GroupID, state []byte, now multiraft.Instant) {
	if g != shardmap.MetaGroup {
		u.c.data.StateRestore(g, state, now)
		u.c.noteRoute(g)
		return
	}
	s, err := meta.Restore(state)
	if err != nil || (u.c.meta != nil && s.Version < u.c.meta.Version) {
		return
	}
	u.c.meta = s
	u.c.metaChanged()
}

func (u upcalls) Healthy(g shardmap.GroupID) bool {
	return g == shardmap.MetaGroup || u.c.data.Healthy(g)
}

// Behind also keeps a node with a wrong clock from being the first to lead: it would
// set deadlines that others do not share.
func (u upcalls) Behind(g shardmap.GroupID) bool {
	return u.c.astray(u.c.self.Node) || g != shardmap.MetaGroup && u.c.data.Behind(g)
}

func (u upcalls) Ceiling() int64                             { return u.c.data.Ceiling() }
func (u upcalls) CeilingAcked(g shardmap.GroupID, h int64)   { u.c.data.CeilingAcked(g, h) }
func (u upcalls) CeilingHeard(peer shardmap.NodeID, h int64) { u.c.data.CeilingHeard(peer, h) }

// control is what the data plane asks of multiraft.
type control struct{ c *Core }

var _ shardgroup.Control = control{}

func (k control) Propose(g shardmap.GroupID, b multiraft.Ballot, data []byte) bool {
	return k.c.raft.Propose(g, b, data)
}

func (k control) OpenLease(g shardmap.GroupID, b multiraft.Ballot) shardgroup.Lease {
	if !k.c.raft.OpenLease(g, b, k.c.now) {
		return nil
	}
	return k.c.raft.Lease(g)
}

func (k control) Buried(n shardmap.NodeID) bool { return k.c.raft.Buried(n) }

func (k control) Transfer(g shardmap.GroupID, to shardmap.NodeID) bool {
	return k.c.raft.Handover(g, to, k.c.now)
}

// coreOut passes the effects of both planes on, each frame marked with its room.
type coreOut struct{ c *Core }

var (
	_ multiraft.Out  = rOut{}
	_ shardgroup.Out = coreOut{}
)

// rOut is coreOut as multiraft sees it: the two rooms name their events alike.
type rOut struct{ coreOut }

func (o rOut) Control(to shardmap.NodeID, frame []byte) {
	o.c.out.Control(to, marked(frameRaft, frame))
}

func (o rOut) Datagram(to shardmap.NodeID, packet []byte, overTCP bool) {
	o.c.out.Datagram(to, packet, overTCP)
}
func (o rOut) Append(b *multiraft.Batch) { o.c.out.Append(b) }
func (o rOut) Event(e multiraft.Event)   { o.c.out.RaftEvent(e) }

// marked is a copy of a frame behind the mark of its room.
func marked(k frameKind, frame []byte) []byte {
	return append(append(make([]byte, 0, 1+len(frame)), byte(k)), frame...)
}

func (o coreOut) Control(to shardmap.NodeID, frame []byte) {
	o.c.out.Bulk(to, marked(frameData, frame))
}
func (o coreOut) WakeData(peer shardmap.NodeID)                 { o.c.out.WakeData(peer) }
func (o coreOut) WakeAck(peer shardmap.NodeID, urgent bool)     { o.c.out.WakeAck(peer, urgent) }
func (o coreOut) Due(t shardgroup.Ticket, r shardgroup.Outcome) { o.c.out.Due(t, r) }
func (o coreOut) Wake(g shardmap.GroupID)                       { o.c.out.Wake(g) }
func (o coreOut) Event(e shardgroup.Event)                      { o.c.out.DataEvent(e) }
func (o coreOut) RolledBack(r shardgroup.Rollback)              { o.c.out.RolledBack(r) }
