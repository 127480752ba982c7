package multiraft

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// snapshotEvery is how many applied entries lie between two snapshots of a
// group; logs hold configuration only, so they grow by a few entries an epoch.
const snapshotEvery = 64

// group is one raft replica of this node, its promises as voter, and its claim
// when it leads. Only the Core touches it.
type group struct {
	id        shardmap.GroupID
	self      uint64
	rn        *raft.RawNode // its state is read here; for all else see raft
	calm      calm
	log       *groupStore // what is durable, in memory
	touched   bool
	destroyed bool
	inBatch   *Batch // that slot is a place in
	slot      int

	// raft
	conf        GroupConfig
	lastConf    uint64 // index of the last configuration entry in the log
	lastEntry   uint64 // index of the last entry in the log, durable or not
	termFirst   uint64 // index of the first entry of logTerm
	logTerm     uint64 // term of the last entry in the log
	snapIndex   uint64
	durableTerm uint64
	leader      uint64 // raft id, 0 unknown
	term        uint64
	generation  uint64        // of term, see recover.go
	termApplied uint64        // the newest term of which an entry was applied
	waitTicks   int           // ticks that a new leader lets pass, so that its heartbeats go with the others'
	confAsked   time.Duration // Wait: when a change may be proposed again
	jointAlarm  time.Duration // Wait: when to complain of a joint configuration, 0 never
	first       firstEntry    // of this node's term, while it is held back
	asked       *pb.Message   // to campaign at once, until all is applied that is known to be committed

	// as voter
	*pledge
	waiting  *fenceFrame // the newest FENCE whose term is not durable here yet
	waitFrom Member      // who sent it

	// as leader
	claim     *claim
	lastClaim Ballot
	fenced    time.Duration // Age of its term's first fence
	refused   uint64        // the term in which a voter refused a fence for a newer term
	fenceAt   time.Duration // on Wait: when it may fence again in that term
	handover  time.Duration // on Wait: until when a handover may still succeed, 0 none

	// suspicion
	rank       int // how early to campaign
	ahead      []shardmap.NodeID
	ranked     bool          // by SetRank, not by hash
	campaignAt time.Duration // on Wait, 0 = none planned
	tries      uint64        // campaigns so far
	ledMisses  int
}

func (g *group) leads() bool { return g.rn.BasicStatus().RaftState == raft.StateLeader }

func (g *group) lease() *Lease {
	if g.claim == nil {
		return nil
	}
	return g.claim.lease
}

// Create makes this node a founder's replica of a group that has never existed:
// every founder starts from the same snapshot at index 1. An index of 0 was
// refused, because raft cannot send such a snapshot to a blank joiner.
func (c *Core) Create(id shardmap.GroupID, replicas []ReplicaDesc, self uint64, now Instant) error {
	cs := &pb.ConfState{}
	for _, r := range replicas {
		if r.Role == RoleLearner {
			cs.Learners = append(cs.Learners, r.ID)
		} else {
			cs.Voters = append(cs.Voters, r.ID)
		}
	}
	one := uint64(1)
	snap := &pb.Snapshot{
		Data:     c.data.StateSnapshot(id),
		Metadata: &pb.SnapshotMetadata{ConfState: cs, Index: &one, Term: &one},
	}
	rg := RestoredGroup{Group: id, ReplicaID: self, Snapshot: snap, HardState: &pb.HardState{Term: &one, Commit: &one}}
	return c.plant(rg, now)
}

// plant adds a group that begins here with a snapshot of its own, and has it written.
func (c *Core) plant(rg RestoredGroup, now Instant) error {
	g, err := c.add(rg, false, now)
	if err != nil {
		return err
	}
	w := c.write(g)
	w.Snapshot, w.HardState = rg.Snapshot, rg.HardState
	c.batch.MustSync = true
	c.touch(g)
	return nil
}

// Join makes this node a blank replica that the group's leader will fill.
func (c *Core) Join(id shardmap.GroupID, self uint64, now Instant) error {
	g, err := c.add(RestoredGroup{Group: id, ReplicaID: self}, false, now)
	if err != nil {
		return err
	}
	c.write(g)
	c.batch.MustSync = true
	return nil
}

// Destroy removes this node's replica of a group for good.
func (c *Core) Destroy(id shardmap.GroupID, now Instant) {
	g := c.group(id)
	if g == nil {
		return
	}
	c.close(g, "replica removed", now)
	g.destroyed = true
	c.unhold(g, nil)
	c.groups[id] = nil
	c.order = slices.DeleteFunc(c.order, func(o *group) bool { return o == g })
	c.tombs[Tombstone{id, g.self}] = true
	c.share()
	w := c.write(g)
	*w = GroupWrite{Group: id, ReplicaID: g.self, Destroyed: true}
	c.batch.MustSync = true
}

// restore adds a group that raft.db held.
func (c *Core) restore(rg RestoredGroup, now Instant) error {
	_, err := c.add(rg, true, now)
	return err
}

func (c *Core) add(rg RestoredGroup, restored bool, now Instant) (*group, error) {
	switch {
	case c.group(rg.Group) != nil:
		return nil, fmt.Errorf("group %d is here already", rg.Group)
	case c.tombs[Tombstone{rg.Group, rg.ReplicaID}] && !seeded("tombstones"):
		return nil, fmt.Errorf("group %d: replica %x was removed and never comes back", rg.Group, rg.ReplicaID)
	case int(rg.Group) >= c.cfg.Groups:
		return nil, fmt.Errorf("group %d: the cluster has %d groups", rg.Group, c.cfg.Groups)
	}
	g := &group{id: rg.Group, self: rg.ReplicaID, pledge: c.pledgeOf(rg.Group, restored), log: &groupStore{
		MemoryStorage: raft.NewMemoryStorage(), confState: &pb.ConfState{},
		state: func() []byte { return c.data.StateSnapshot(rg.Group) },
	}}
	if err := g.load(rg); err != nil {
		return nil, err
	}
	if rg.Snapshot != nil && len(rg.Snapshot.GetData()) > 0 {
		c.data.StateRestore(g.id, rg.Snapshot.GetData(), now)
	}
	rn, err := raft.NewRawNode(c.raftConfig(g.self, g.log, g.log.applied))
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", g.id, err)
	}
	g.rn = rn
	g.campaignAt = now.Wait + rankStep
	c.groups[g.id] = g
	c.order = append(c.order, g)
	slices.SortFunc(c.order, func(a, b *group) int { return int(a.id) - int(b.id) })
	c.confChanged(g)
	c.data.ConfigApplied(g.id, g.conf, now)
	return g, nil
}

// load fills the in-memory log from what was on disk.
func (g *group) load(rg RestoredGroup) error {
	if rg.Snapshot != nil && rg.Snapshot.GetMetadata().GetIndex() > 0 {
		if err := g.log.ApplySnapshot(rg.Snapshot); err != nil {
			return fmt.Errorf("group %d: snapshot: %w", g.id, err)
		}
		md := rg.Snapshot.GetMetadata()
		g.log.applied, g.snapIndex, g.lastConf = md.GetIndex(), md.GetIndex(), md.GetIndex()
		g.log.confState = md.GetConfState()
		g.conf = configOf(md.GetIndex(), g.log.confState)
		g.termApplied = md.GetTerm()
	}
	if err := g.log.Append(rg.Entries); err != nil {
		return fmt.Errorf("group %d: log: %w", g.id, err)
	}
	g.lastEntry = g.snapIndex
	g.noteEntries(rg.Entries)
	hs := rg.HardState
	if hs == nil {
		hs = &pb.HardState{}
	}
	last, _ := g.log.LastIndex()
	// Commit may lag what a snapshot covers, because commit alone is never synced.
	commit := min(max(hs.GetCommit(), g.snapIndex), last)
	hs = &pb.HardState{Term: proto.Uint64(hs.GetTerm()), Vote: proto.Uint64(hs.GetVote()), Commit: &commit}
	g.durableTerm, g.term, g.generation = hs.GetTerm(), hs.GetTerm(), generationOf(hs.GetTerm())
	if floor := (Ballot{Term: g.durableTerm}); g.ballot.Less(floor) {
		g.ballot, g.grantee = floor, Member{} // only a start finds a pledge below it
	}
	return g.log.SetHardState(hs)
}

// noteEntries remembers the last entry of the log and its last configuration entry.
func (g *group) noteEntries(entries []*pb.Entry) {
	if len(entries) == 0 {
		return
	}
	g.lastEntry = entries[len(entries)-1].GetIndex()
	if entries[0].GetIndex() <= g.lastConf {
		g.lastConf = g.conf.Index // a suffix was replaced
	}
	for _, e := range entries {
		if e.GetTerm() != g.logTerm {
			g.logTerm, g.termFirst = e.GetTerm(), e.GetIndex()
		}
		if t := e.GetType(); t == pb.EntryConfChange || t == pb.EntryConfChangeV2 {
			g.lastConf = e.GetIndex()
		}
	}
}

// ready carries out one Ready of a group.
func (c *Core) ready(g *group, now Instant) {
	rd := g.rn.Ready()
	c.unhold(g, rd.Entries)
	g.noteEntries(rd.Entries)
	elected := rd.SoftState != nil && rd.SoftState.RaftState == raft.StateLeader
	for _, m := range rd.Messages {
		switch {
		case m.GetTo() == raft.LocalApplyThread:
			c.apply(g, m, now)
		case elected:
			c.keep(g, m, rd.MustSync, now)
		default:
			c.deliver(g, m, rd.MustSync)
		}
	}
	if rd.SoftState != nil || (rd.HardState != nil && rd.HardState.GetTerm() != g.term) {
		c.roleChanged(g, now)
	}
	if g.claim == nil && g.durableTerm >= g.term {
		c.unhold(g, nil) // no fence whose answers are worth waiting for
	}
}

// deliver carries out one message of a Ready, but for those to apply.
func (c *Core) deliver(g *group, m *pb.Message, sync bool) {
	if m.GetTo() == raft.LocalAppendThread {
		c.append(g, m, sync)
	} else {
		c.sendRaft(g, m)
	}
}

// append puts a MsgStorageAppend into the batch of this pass.
func (c *Core) append(g *group, m *pb.Message, sync bool) {
	w := c.write(g)
	if m.Term != nil {
		w.HardState = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
	if snap := m.GetSnapshot(); snap != nil && snap.GetMetadata().GetIndex() > 0 {
		w.Snapshot, w.CompactTo = snap, 0
		w.Entries = nil
	}
	if es := m.GetEntries(); len(es) > 0 {
		keep := w.Entries
		for len(keep) > 0 && keep[len(keep)-1].GetIndex() >= es[0].GetIndex() {
			keep = keep[:len(keep)-1]
		}
		w.Entries = append(keep[:len(keep):len(keep)], es...)
	}
	w.responses = append(w.responses, m.GetResponses()...)
	if sync || len(m.GetResponses()) > 0 {
		c.batch.MustSync = true
	}
}

// stored takes one group's write as durable: the in-memory log follows the disk,
// and the answers that waited for it leave.
func (c *Core) stored(g *group, w *GroupWrite, now Instant) {
	if snap := w.Snapshot; snap != nil && snap.GetMetadata().GetIndex() > g.snapIndex {
		if err := g.log.ApplySnapshot(snap); err == nil {
			g.installed(c, snap, now)
		}
	}
	if w.HardState != nil {
		_ = g.log.SetHardState(w.HardState)
		g.durableTerm = max(g.durableTerm, w.HardState.GetTerm())
	}
	if err := g.log.Append(w.Entries); err != nil {
		panic("multiraft: durable entries do not follow the log: " + err.Error())
	}
	for _, m := range w.responses {
		if m.GetTo() == g.self {
			_ = g.raft().Step(m)
		} else {
			c.sendRaft(g, m)
		}
	}
	c.campaignAsAsked(g)
	c.touch(g)
	c.fenceIfDurable(g, now)
	c.startFence(g, now) // when others elected this node before its own vote was durable
}

// installed makes a received snapshot the group's state.
func (g *group) installed(c *Core, snap *pb.Snapshot, now Instant) {
	md := snap.GetMetadata()
	g.log.applied, g.snapIndex = md.GetIndex(), md.GetIndex()
	g.lastConf, g.lastEntry = max(g.lastConf, md.GetIndex()), max(g.lastEntry, md.GetIndex())
	g.termApplied = md.GetTerm()
	g.log.confState = md.GetConfState()
	g.conf = configOf(md.GetIndex(), g.log.confState)
	c.confChanged(g)
	c.publish(g, now)
	c.data.StateRestore(g.id, snap.GetData(), now)
	c.data.ConfigApplied(g.id, g.conf, now)
}

// apply hands committed entries to the data plane and answers raft at once:
// nothing that applying does has to be durable.
func (c *Core) apply(g *group, m *pb.Message, now Instant) {
	for _, e := range m.GetEntries() {
		g.log.applied = e.GetIndex()
		g.termApplied = max(g.termApplied, e.GetTerm())
		switch e.GetType() {
		case pb.EntryConfChangeV2:
			c.applyConf(g, e, now)
		case pb.EntryNormal:
			if len(e.GetData()) > 0 {
				c.data.Applied(g.id, e.GetIndex(), e.GetData(), now)
			}
		}
	}
	for _, r := range m.GetResponses() {
		_ = g.raft().Step(r)
	}
	c.campaignAsAsked(g)
	c.snapshot(g)
	c.touch(g)
	c.startFence(g, now)
}

// campaignAsAsked takes the request to campaign that came before all was applied: raft
// forgets one that comes while a change of members is to be applied, and the leader,
// which has closed its lease, would wait for transferAbort.
func (c *Core) campaignAsAsked(g *group) {
	if m := g.asked; m != nil && g.rn.BasicStatus().GetCommit() <= g.log.applied {
		g.asked = nil
		_ = g.raft().Step(m)
	}
}

func (c *Core) applyConf(g *group, e *pb.Entry, now Instant) {
	cc := &pb.ConfChangeV2{}
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		panic("multiraft: a committed configuration cannot be read: " + err.Error())
	}
	g.log.confState = g.raft().ApplyConfChange(cc)
	g.conf = configOf(e.GetIndex(), g.log.confState)
	g.confAsked, g.jointAlarm = 0, 0
	if g.conf.Joint() {
		g.jointAlarm = now.Wait + jointMax
	}
	c.publish(g, now) // before anything else happens on this apply (P1)
	c.confChanged(g)
	if g.claim != nil {
		g.claim.gateAt = c.gateAt(g)
		c.fenceNew(g, now)
	}
	c.out.Event(Event{Kind: EventConfig, Group: g.id, Detail: g.conf.String()})
	c.data.ConfigApplied(g.id, g.conf, now)
	if !g.conf.voter(g.self) {
		if g.claim != nil {
			probeRemoved.Hit()
		}
		c.close(g, "not a voter any more", now)
	}
}

// snapshot compacts the log every snapshotEvery entries.
func (c *Core) snapshot(g *group) {
	if g.log.applied < g.snapIndex+snapshotEvery {
		return
	}
	snap, err := g.log.CreateSnapshot(g.log.applied, g.log.confState, c.data.StateSnapshot(g.id))
	if err != nil {
		return
	}
	trailing := max(g.log.applied-snapshotEvery, 1)
	g.snapIndex = g.log.applied
	_ = g.log.Compact(trailing)
	w := c.write(g)
	if w.Snapshot.GetMetadata().GetIndex() > g.snapIndex {
		return // the leader's is on its way to the disk
	}
	w.Snapshot, w.CompactTo = snap, trailing
	if w.HardState == nil {
		st := g.rn.BasicStatus()
		w.HardState = &pb.HardState{Term: proto.Uint64(st.GetTerm()), Vote: proto.Uint64(st.GetVote()), Commit: proto.Uint64(st.GetCommit())}
	}
}

// confChanged makes peers of new members and ranks this node anew.
func (c *Core) confChanged(g *group) {
	c.meet(g.conf)
	c.share()
	if !g.ranked {
		g.ahead = hashAhead(g.id, c.cfg.Self.Node, g.conf.Voters)
		g.rank = len(g.ahead)
	}
}

// roleChanged follows raft's view of who leads.
func (c *Core) roleChanged(g *group, now Instant) {
	st := g.rn.BasicStatus()
	changed := st.Lead != g.leader || st.GetTerm() != g.term
	g.leader, g.term, g.generation = st.Lead, st.GetTerm(), generationOf(st.GetTerm())
	if g.claim != nil && (st.RaftState != raft.StateLeader || g.claim.lease.ballot.Term != st.GetTerm()) && !seeded("selfforever") {
		c.close(g, "raft leadership lost", now)
	}
	if st.Lead != 0 {
		g.campaignAt, g.ledMisses = 0, 0
		if p := c.peer(NodeOf(st.Lead)); p != nil && p.heard == 0 {
			p.heard = now.Wait // silence counts from the moment it leads
		}
	} else if g.campaignAt == 0 {
		g.campaignAt = now.Wait + c.retryIn(g)
	}
	if changed {
		g.waitTicks = 0
		if st.RaftState == raft.StateLeader { // one frame for the heartbeats of all groups, and one for their answers
			g.waitTicks = (heartbeatTicks - c.ticks%heartbeatTicks) % heartbeatTicks
		}
		if st.Lead != 0 {
			c.out.Event(Event{Kind: EventLeader, Group: g.id, Node: NodeOf(st.Lead), Ballot: Ballot{Term: st.GetTerm()}})
		}
		c.data.LeaderChanged(g.id, NodeOf(st.Lead), st.GetTerm(), now)
	}
	c.startFence(g, now)
}
