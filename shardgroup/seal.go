package shardgroup

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Seal implements multiraft.Data (F4): the group listens to nobody below the
// ballot from here on, and says what it holds. A Seal below what was promised
// already is answered with nothing.
func (n *Node) Seal(g shardmap.GroupID, b multiraft.Ballot, sealer multiraft.Member, now multiraft.Instant) []byte {
	r := n.Replica(g)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.Less(r.promised) {
		return nil
	}
	if r.promised.Less(b) {
		r.promise(b, sealer, now)
	}
	r.noteTakeover(now)
	w := writer{b: make([]byte, 0, 64+copyBytes*len(r.shards))}
	w.u8(replyFormat)
	w.u8(byte(r.role))
	w.u64(uint64(r.heard))
	w.inc(n.cfg.Self.Inc)
	w.u32(r.served)
	w.flag(r.lived || n.log == nil) // whoever keeps no log is not waited for
	cs := make([]copyState, len(r.shards))
	for i, s := range r.shards {
		s.mu.Lock()
		cs[i] = s.state()
		s.mu.Unlock()
	}
	w.copyStates(cs)
	return w.b
}

// noteTakeover remembers since when the group has been without a holder, as far as this
// replica heard: the wait for copies that may be down is one for the whole group, however
// many leaders share it. What it heard longer ago than such a wait says nothing: it may
// have been cut off since. The caller holds mu.
func (r *Replica) noteTakeover(now multiraft.Instant) {
	if r.idle == 0 || now.Mono-r.sealed > r.n.cfg.EmptyWait {
		r.idle = now.Mono
	}
	r.sealed = now.Mono
}

const replyFormat = 2

// reply is one replica's answer to our Seal.
type reply struct {
	from   multiraft.Member      // with the incarnation of its data
	proc   multiraft.Incarnation // of the process that answered
	served uint32                // the last epoch that this very process served, 0 none
	lived  bool                  // it served, or followed somebody who did
	role   multiraft.Role
	heard  int64
	shards []copyState
	gone   bool // it did not answer a pull: no source any more
}

// told says whether it is the word of the holder of a row itself, which had all that was
// ever written in that epoch. One that has read its log since has what was logged.
func (p *reply) told(last *row) bool { return p.from == last.holder && p.served == last.epoch }

// decodeReply reads the answer of a node whose process is from.
func decodeReply(from multiraft.Member, b []byte) (*reply, error) {
	r := reader{b: b}
	if r.u8() != replyFormat {
		return nil, ErrFrame
	}
	p := &reply{proc: from.Inc, role: multiraft.Role(r.u8()), heard: int64(r.u64())}
	p.from = multiraft.Member{Node: from.Node, Inc: r.inc()}
	p.served, p.lived, p.shards = r.u32(), r.flag(), r.copyStates()
	if r.bad || len(r.b) != 0 {
		return nil, ErrFrame
	}
	return p, nil
}

// Sealed implements multiraft.Data: one more answer for the leader of b. Before
// the Open it goes into the takeover; afterwards it says that a late replica
// listens now.
func (n *Node) Sealed(g shardmap.GroupID, b multiraft.Ballot, from multiraft.Member, role multiraft.Role, state []byte, now multiraft.Instant) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := decodeReply(from, state)
	if err != nil || len(p.shards) != len(r.shards) {
		return
	}
	if r.lead != nil && r.lead.ballot == b {
		r.greetLate(p.from)
		return
	}
	if b.Less(r.promised) {
		return
	}
	if r.take == nil || r.take.ballot != b {
		if r.idle == 0 {
			r.idle = now.Mono
		}
		r.take = &takeover{ballot: b, start: now.Mono}
		r.taking.Store(true)
		n.busy = true // its grace is shorter than what an idle node sleeps
		n.out.Event(Event{Kind: EventTakeover, Group: g, Node: n.cfg.Self.Node})
	}
	r.take.insert(p)
	r.kick()
}

// greetLate opens a session with a replica that was sealed after the Open,
// unless there is one with this very incarnation.
func (r *Replica) greetLate(from multiraft.Member) {
	if from.Node == r.n.cfg.Self.Node || !r.streamsTo(from.Node) {
		return
	}
	l := r.n.laneTo(from.Node)
	s := r.shards[0]
	s.mu.Lock()
	f := s.follower(from.Node)
	known := f != nil && f.inc == from.Inc
	s.mu.Unlock()
	if !known && l.conn.Load() != 0 {
		l.greetGroup(r.g)
	}
}

// GateOpen implements multiraft.Data.
func (n *Node) GateOpen(g shardmap.GroupID, b multiraft.Ballot, now multiraft.Instant) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = b
	r.kick()
}

// LeaseClosed implements multiraft.Data.
func (n *Node) LeaseClosed(g shardmap.GroupID, b multiraft.Ballot, reason string, now multiraft.Instant) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead != nil && r.lead.ballot == b {
		r.close(reason)
	}
	if r.take != nil && r.take.ballot == b {
		r.endTake()
	}
}

// LeaderChanged implements multiraft.Data. Who leads raft is a hint only: fences
// and closed leases end what this node does.
func (n *Node) LeaderChanged(g shardmap.GroupID, leader shardmap.NodeID, term uint64, now multiraft.Instant) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.take != nil && r.take.ballot.Term < term {
		r.endTake()
	}
}

// Applied implements multiraft.Data: one committed entry.
func (n *Node) Applied(g shardmap.GroupID, index uint64, data []byte, now multiraft.Instant) {
	r := n.Replica(g)
	e, err := decodeEntry(data)
	if r == nil || err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.line.apply(e)
	if e.kind == entryOpen && done {
		r.idle = 0
	}
	if t := r.take; e.kind == entryOpen && t != nil && t.ballot == e.ballot && e.member == n.cfg.Self {
		t.opened, t.proposed = t.opened || done, t.proposed && done
		r.kick()
	}
	if l := r.lead; l != nil {
		if e.kind == entryOpen && done && e.ballot == l.ballot {
			r.renewed()
		}
		r.decided(e, done)
		r.setQuorum()
	}
}

// ConfigApplied implements multiraft.Data.
func (n *Node) ConfigApplied(g shardmap.GroupID, c multiraft.GroupConfig, now multiraft.Instant) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.cfg
	r.cfg = c
	for _, ds := range [...][]multiraft.ReplicaDesc{c.Voters, c.Learners} {
		for _, d := range ds {
			if d.ID == r.id {
				r.role = d.Role
			}
		}
	}
	r.setSole()
	if r.lead == nil {
		return
	}
	for _, l := range *n.lanes.Load() {
		if l.conn.Load() == 0 {
			continue
		}
		if l.peer == n.cfg.Self.Node {
			continue
		}
		was := copyOn(old, l.peer)
		switch is := copyOn(c, l.peer); {
		case is != 0 && is != was: // another copy than before: nothing that one said counts
			l.greetGroup(g)
		case was != 0 && is == 0:
			for _, s := range r.shards {
				s.mu.Lock()
				s.dismiss(l)
				s.mu.Unlock()
			}
		}
	}
}

// StateSnapshot implements multiraft.Data.
func (n *Node) StateSnapshot(g shardmap.GroupID) []byte {
	r := n.Replica(g)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.line.encode()
}

// StateRestore implements multiraft.Data.
func (n *Node) StateRestore(g shardmap.GroupID, state []byte, now multiraft.Instant) {
	r := n.Replica(g)
	l, err := decodeLineage(state)
	if r == nil || err != nil || l.shards != len(r.shards) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.epoch() > r.line.epoch() {
		r.idle = 0
	}
	r.line = *l
	if r.lead != nil {
		r.setQuorum()
	}
}

// Behind implements multiraft.Data.
func (n *Node) Behind(g shardmap.GroupID) bool {
	r := n.Replica(g)
	if r == nil {
		return false
	}
	epoch, _ := r.LastRow()
	return epoch > 0 && (!r.Whole() || r.lags())
}

// lags says whether this copy has heard of records that it does not have.
func (r *Replica) lags() bool {
	for _, s := range r.shards {
		s.mu.Lock()
		behind := s.headSeen > s.m.Position()
		s.mu.Unlock()
		if behind {
			return true
		}
	}
	return false
}

// Healthy implements multiraft.Data (H6).
func (n *Node) Healthy(g shardmap.GroupID) bool { return !n.stalls.Load() }
