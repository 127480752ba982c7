package multiraft

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Config fixes how a Core behaves. See DefaultConfig for the values in use.
type Config struct {
	Self Member
	// Groups is the number of groups of the cluster, group 0 included; bitmaps
	// have one bit for each.
	Groups int
	// Heartbeat is h: how often promises are asked for. Smaller finds deaths
	// sooner and costs 2 packets per peer and h.
	Heartbeat time.Duration
	// Promise is L: how long a promise lasts. A failover takes about L; a pause
	// longer than L - 2h loses leases. At most 10 s.
	Promise time.Duration
	// RaftTick is the length of one raft tick; elections by raft itself are only a backstop.
	RaftTick time.Duration
	// Cap is the longest promise this data directory ever gave (from Restored).
	Cap time.Duration
}

// Constants of the lease protocol (section 8).
const (
	driftPerMille = 5                    // rho: rate error of one clock
	roundingSlack = 2 * time.Millisecond // d
	promiseMax    = 10 * time.Second
	rankStep      = 30 * time.Millisecond
	// heartbeatTicks is how many ticks lie between two heartbeats of raft, which are
	// not those of leases.
	heartbeatTicks = 4
	// campaignRetry spaces campaigns while a group has no leader.
	campaignRetry = 150 * time.Millisecond
	// campaignSpread keeps two nodes of equal rank from splitting the vote for ever.
	campaignSpread = 100 * time.Millisecond
	// ledMissesMax is how many heartbeats in a row may leave a led group out before
	// its leader is suspected: one more than a slow commit of its first entry takes.
	ledMissesMax = 3
	// transferAbort is how long a handover may take before the leader fences anew.
	transferAbort = 100 * time.Millisecond
	// jointMax is how long a group may stay between two voter sets unremarked (G5).
	jointMax = 10 * time.Second
	// pathSilence is how long a peer's raft stream may be silent before a holder
	// counts it as cut (U3).
	pathSilence = time.Second
	// oneVoterLease is the length of a lease that needs nobody else's promise.
	oneVoterLease = time.Second
)

// DefaultConfig is the default lease profile: h 100 ms, L 600 ms.
func DefaultConfig() Config {
	return Config{Heartbeat: 100 * time.Millisecond, Promise: 600 * time.Millisecond, RaftTick: 50 * time.Millisecond}
}

// Core holds every raft group of one node and the leases made of them. It is
// single-threaded: the host, or the simulator, calls it with one event at a time
// and the clock readings taken after that event was in hand.
type Core struct {
	cfg  Config
	out  Out
	data Data

	groups  []*group // by id, nil where this node has no replica
	order   []*group // by id: effects must not depend on map order
	tombs   map[Tombstone]bool
	pledges map[shardmap.GroupID]*pledge // for the life of the process
	peers   []*peer                      // by node id
	touched []*group
	spare   []*group // what touched was before
	held    []*group // whose first entry is held back, by the order of their elections
	quiet   bool     // some peer's raft stream is silent

	cap        time.Duration // durable
	capWanted  time.Duration // being made durable
	blindUntil time.Duration // on Wait; what an earlier life may still owe
	nextTick   time.Duration // on Wait
	disk       time.Duration // what a write took lately, rather too long, at most writeMax
	ticks      int           // of raft so far
	lastTick   time.Duration // on Wait
	nextBeat   time.Duration // on Age
	batch      *Batch
	bits       []byte // see noBits
	stopped    bool   // storage failed or the node is leaving: no claim is made again
}

// NewCore restores the node's groups. now must have been read after the data
// directory's lock was won: the blind hold of an earlier life counts from it (S1).
func NewCore(cfg Config, r Restored, out Out, data Data, now Instant) (*Core, error) {
	c := &Core{
		cfg: cfg, out: out, data: data,
		groups:     make([]*group, cfg.Groups),
		tombs:      make(map[Tombstone]bool),
		pledges:    make(map[shardmap.GroupID]*pledge),
		cap:        max(cfg.Cap, r.Identity.Cap),
		nextTick:   now.Wait + cfg.RaftTick,
		lastTick:   now.Wait,
		nextBeat:   now.Age,
		blindUntil: now.Wait,
		bits:       make([]byte, (cfg.Groups+7)/8),
	}
	if c.cap > 0 {
		c.blindUntil = now.Wait + c.cap
	}
	for _, t := range r.Tombstones {
		c.tombs[t] = true
	}
	for _, rg := range r.Groups {
		if err := c.restore(rg, now); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// SetProfile changes h and L at run time; promises already given stay as they were.
func (c *Core) SetProfile(heartbeat, promise time.Duration) {
	c.cfg.Heartbeat, c.cfg.Promise = heartbeat, min(promise, promiseMax)
}

// Self is this node in its present incarnation.
func (c *Core) Self() Member { return c.cfg.Self }

// Tick does whatever is due at now. Call it at NextDeadline, or every few
// milliseconds; being late delays promises, never breaks them.
func (c *Core) Tick(now Instant) {
	c.wake(now)
	c.tickRaft(now)
	c.tickHeld(now)
	c.beat(now)
	silent := c.listen(now)
	for _, g := range c.order {
		if g.claim != nil || g.leader == g.self || g.handover != 0 || g.jointAlarm != 0 {
			c.tickClaim(g, now)
		}
		if silent || g.leader == 0 {
			c.tickSuspicion(g, now)
		}
	}
}

// listen looks once for all groups whether some peer is silent, and whether some
// peer's stream is: while none is, a group without anything pending costs nothing.
func (c *Core) listen(now Instant) (silent bool) {
	c.quiet = false
	for _, p := range c.peers {
		p.silent = now.Wait-p.heard > c.silenceMax(p)
		silent = silent || p.silent
		c.quiet = c.quiet || now.Wait-p.control >= pathSilence
	}
	return silent
}

// wake notices that this node did not run for a while: what it did not hear then
// says nothing about its peers. Without it a starved node would suspect every
// leader, and close every lease, before it has read what waits in its sockets.
func (c *Core) wake(now Instant) {
	gap := now.Wait - c.lastTick
	c.lastTick = now.Wait
	if gap <= c.cfg.Heartbeat {
		return
	}
	probeAway.Hit()
	for _, p := range c.peers {
		if p.heard != 0 {
			p.heard = min(p.heard+gap, now.Wait)
		}
		p.control = min(p.control+gap, now.Wait)
	}
}

// tickRaft advances raft's own clocks. After a pause only a few ticks are made
// up for: the others would only start elections that nobody needs.
func (c *Core) tickRaft(now Instant) {
	const catchUp = 3
	if late := now.Wait - c.nextTick; late > catchUp*c.cfg.RaftTick {
		c.nextTick = now.Wait - catchUp*c.cfg.RaftTick
	}
	for c.nextTick <= now.Wait {
		c.nextTick += c.cfg.RaftTick
		c.ticks++
		for _, g := range c.order {
			if g.waitTicks > 0 {
				g.waitTicks--
				continue
			}
			if g.tick() && g.rn.HasReady() {
				c.touch(g)
			}
		}
	}
}

// NextDeadline is the earliest reading of the Wait clock at which Tick has work
// that should not wait for the next tick of raft.
func (c *Core) NextDeadline(now Instant) time.Duration {
	next := min(c.nextTick, now.Wait+max(0, c.nextBeat-now.Age))
	for _, g := range c.held {
		next = min(next, g.first.until)
	}
	for _, p := range c.peers {
		if !p.silent {
			next = min(next, p.heard+c.silenceMax(p)+1)
		}
	}
	for _, g := range c.order {
		switch cl := g.claim; {
		case cl != nil && cl.state == claimFencing:
			next = min(next, cl.gateAt, cl.resend)
		case cl == nil && g.handover != 0:
			next = min(next, g.handover)
		}
		if g.campaignAt != 0 && g.leader == 0 && !c.stopped && g.conf.voter(g.self) {
			next = min(next, g.campaignAt)
		}
	}
	return max(next, now.Wait)
}

// Flush ends a pass: it carries out what the touched groups want, sends at most
// one frame per peer, and hands over at most one batch for the disk.
func (c *Core) Flush(now Instant) {
	for len(c.touched) > 0 {
		slices.SortFunc(c.touched, func(a, b *group) int { return int(a.id) - int(b.id) })
		work := c.touched
		c.touched = c.spare[:0]
		for _, g := range work {
			g.touched = false
			if g.destroyed {
				continue
			}
			for again := true; again && g.rn.HasReady(); again = g.touched { // by what came of it
				c.ready(g, now)
			}
		}
		c.spare = work
	}
	for _, p := range c.peers {
		if p.beatDue {
			c.beatTo(p, c.ledBits(now), now)
		}
		if len(p.outbox) > 0 {
			c.sendFrame(p)
		}
	}
	// What nothing waits for (a commit index, an own snapshot) goes along with the
	// next batch that something does wait for, and costs no sync of its own.
	if b := c.batch; b != nil && b.MustSync {
		c.batch = nil
		b.handed = now.Wait
		c.out.Append(b)
	}
}

// Appended reports that a batch is durable; its answers may leave now.
func (c *Core) Appended(b *Batch, now Instant) {
	if b.Cap > 0 {
		c.cap = max(c.cap, b.Cap)
	}
	c.disk = max(min(now.Wait-b.handed, writeMax), c.disk-c.disk/8)
	for i := range b.Groups {
		w := &b.Groups[i]
		g := c.group(w.Group)
		if g == nil || g.self != w.ReplicaID || w.Destroyed {
			continue
		}
		c.stored(g, w, now)
	}
}

// StorageFailed gives every lease up at once: what raft.db holds is unknown from here on.
func (c *Core) StorageFailed(err error, now Instant) {
	probeDisk.Hit()
	c.CloseAll("storage failed", now)
	c.stopped = true
	c.out.Event(Event{Kind: EventFatal, Detail: err.Error()})
}

// Stop closes every claim and never makes one again: the node is leaving. It
// says so as proof of its own death, so that nobody waits for it (D4); what it
// still has to send as a follower or for a transfer must have left before.
func (c *Core) Stop(now Instant) {
	c.CloseAll("node stops", now)
	c.stopped = true
	packet := NodeReleasePacket(c.cfg.Self)
	for _, p := range c.peers {
		for range 3 {
			c.out.Datagram(p.node, packet, false)
		}
		c.out.Datagram(p.node, packet, true)
	}
}

// PeerDown reports that the control connection to a node broke: what was sent
// may be lost, so raft probes it before it streams again.
func (c *Core) PeerDown(n shardmap.NodeID) {
	for _, g := range c.order {
		if !g.leads() {
			continue
		}
		g.conf.each(func(d ReplicaDesc) {
			if d.Node == n {
				g.raft().ReportUnreachable(d.ID)
				c.touch(g)
			}
		})
	}
}

// CloseAll ends every claim of this node and says so.
func (c *Core) CloseAll(reason string, now Instant) {
	for _, g := range c.order {
		c.close(g, reason, now)
	}
}

func (c *Core) touch(g *group) {
	if !g.touched {
		g.touched = true
		c.touched = append(c.touched, g)
	}
}

// write is the group's place in the batch of this pass.
func (c *Core) write(g *group) *GroupWrite {
	if c.batch == nil {
		c.batch = &Batch{}
	}
	if g.inBatch != c.batch {
		g.inBatch, g.slot = c.batch, len(c.batch.Groups)
		c.batch.Groups = append(c.batch.Groups, GroupWrite{Group: g.id, ReplicaID: g.self})
	}
	return &c.batch.Groups[g.slot]
}

// raise makes a longer cap durable; until then nobody is promised that long (H3).
func (c *Core) raise(length time.Duration) {
	if length <= c.capWanted {
		return
	}
	c.capWanted = length
	if c.batch == nil {
		c.batch = &Batch{}
	}
	c.batch.Cap = length
	c.batch.MustSync = true
}

// raftConfig is what every group's RawNode runs with.
func (c *Core) raftConfig(id uint64, st raft.Storage, applied uint64) *raft.Config {
	return &raft.Config{
		ID: id, Storage: st, Applied: applied,
		ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks,
		AsyncStorageWrites: true, PreVote: !seeded("M20"), CheckQuorum: !seeded("M20"), StepDownOnRemoval: true,
		DisableProposalForwarding: true,
		MaxInflightMsgs:           16, MaxSizePerMsg: 64 << 10, MaxUncommittedEntriesSize: 1 << 20,
		ReadOnlyOption: raft.ReadOnlySafe,
		Logger:         quiet{},
	}
}

// group is this node's replica of a group, nil when it has none.
func (c *Core) group(id shardmap.GroupID) *group {
	if int(id) >= len(c.groups) {
		return nil
	}
	return c.groups[id]
}

// Group finds the state of a group for status, routing and placement.
func (c *Core) Group(id shardmap.GroupID) (GroupStatus, bool) {
	g := c.group(id)
	if g == nil {
		return GroupStatus{}, false
	}
	st := g.rn.BasicStatus()
	return GroupStatus{
		Group: id, ReplicaID: g.self, Term: st.GetTerm(), Leads: st.RaftState == raft.StateLeader,
		Leader: NodeOf(st.Lead), Config: g.conf, Applied: g.log.applied, Grantee: g.grantee, Lease: g.lease(),
		Open: g.claim != nil && g.claim.lease.open.Load(),
	}, true
}

// GroupStatus is what a Core knows of one group.
type GroupStatus struct {
	Group     shardmap.GroupID
	ReplicaID uint64
	Term      uint64
	Leads     bool            // this node leads raft
	Leader    shardmap.NodeID // raft leader, 0 unknown
	Config    GroupConfig
	Applied   uint64
	Grantee   Member // to whom this node, as voter, promises
	Lease     *Lease // this node's own claim, nil when it has none
	Open      bool   // the claim has been opened by the data plane
}

// Groups lists the groups of this node in order.
func (c *Core) Groups() []shardmap.GroupID {
	ids := make([]shardmap.GroupID, len(c.order))
	for i, g := range c.order {
		ids[i] = g.id
	}
	return ids
}

// Own is the raft id of this node's replica of a group, 0 when it has none.
func (c *Core) Own(id shardmap.GroupID) uint64 {
	if g := c.group(id); g != nil {
		return g.self
	}
	return 0
}

// Applied is the index of the newest entry of a group's log that was applied here, 0
// when there is none: its configuration and its data plane's state follow from it.
func (c *Core) Applied(id shardmap.GroupID) uint64 {
	if g := c.group(id); g != nil {
		return g.log.applied
	}
	return 0
}

// Opened reports whether the data plane has opened this node's claim to a group.
func (c *Core) Opened(id shardmap.GroupID) bool {
	g := c.group(id)
	return g != nil && g.claim != nil && g.claim.lease.open.Load()
}

// Lease is this node's claim to a group, nil when it has none.
func (c *Core) Lease(id shardmap.GroupID) *Lease {
	if g := c.group(id); g != nil {
		return g.lease()
	}
	return nil
}

// SetRank says how early this node should campaign for a group without leader:
// rank 0 at once, each next one 30 ms later. ahead are nodes of better ranks: nobody
// waits for one that is known to be dead.
func (c *Core) SetRank(id shardmap.GroupID, rank int, ahead ...shardmap.NodeID) {
	if g := c.group(id); g != nil {
		g.rank, g.ahead, g.ranked = rank, ahead, true
	}
}

// Propose appends data to the group's log. It is dropped, and false returned,
// unless this node leads with the ballot.
func (c *Core) Propose(id shardmap.GroupID, b Ballot, data []byte) bool {
	g := c.group(id)
	if g == nil || g.claim == nil || g.claim.lease.ballot != b || !g.leads() || len(data) == 0 {
		return false
	}
	c.touch(g)
	return g.raft().Propose(data) == nil
}

// Transfer hands raft leadership on; the claim must have been closed, or never
// have been open, for the target to serve without a wait.
func (c *Core) Transfer(id shardmap.GroupID, to shardmap.NodeID) bool {
	g := c.group(id)
	if g == nil || !g.leads() {
		return false
	}
	for _, v := range g.conf.Voters {
		if v.Node == to && v.ID != g.self {
			g.raft().TransferLeader(v.ID)
			c.touch(g)
			return true
		}
	}
	return false
}

// Busy reports whether Flush has anything to do beyond sending frames.
func (c *Core) Busy() bool { return len(c.touched) > 0 || c.batch != nil }
