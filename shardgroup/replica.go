package shardgroup

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Replica is this node's copy of one group.
type Replica struct {
	n      *Node
	g      shardmap.GroupID
	id     uint64 // raft id, by which this copy differs from one that the node had before
	first  shardmap.ShardID
	shards []*shard // immutable

	wakeSeq   atomic.Uint64
	holder    atomic.Uint32 // node that serves, as far as is known here
	leads     atomic.Bool
	vouched   atomic.Bool  // the lease was good when the last lap of Ticks began
	taking    atomic.Bool  // a takeover is under way
	loading   atomic.Bool  // a takeover is past its deadline
	renew     atomic.Bool  // sequence numbers run out: a new epoch is due
	delayed   atomic.Bool  // some shard may be delayed
	ceiling   atomic.Int64 // shard time that the lease quorum knows of
	tailBytes atomic.Int64
	oldFill   atomic.Uint32 // seat whose old copy is being overwritten (L9)
	fills     meter         // what was sent of fills of this group

	mu       sync.Mutex // guards the rest
	role     multiraft.Role
	line     lineage
	cfg      multiraft.GroupConfig
	promised multiraft.Ballot
	sealer   multiraft.Member // whom promised was promised to
	heard    int64            // highest ceiling of former holders
	gate     multiraft.Ballot // the last one whose holds are waited out
	take     *takeover
	lead     *leading
	served   uint32            // the last epoch this process served
	lived    bool              // somebody was followed or served since it started
	target   []shardmap.NodeID // wanted seats
	passTo   shardmap.NodeID   // leadership goes there when mu is free
	passes   int               // how often it was offered since somebody served
	idle     time.Duration     // Mono of the first takeover heard of since the last Open, 0 none
	sealed   time.Duration     // Mono of the last one
	kicked   bool
}

// leading is what a leaseholder keeps per group.
type leading struct {
	ballot multiraft.Ballot
	epoch  uint32
	lease  Lease
	parked bool

	joint    []multiraft.Member // seats proposed and not decided
	proposed *entry             // the one control entry under way
	at       time.Duration      // when
	mark     uint64             // of the last control entry
	offering mask               // solo off was proposed: the bound is in force
}

func newReplica(n *Node, g shardmap.GroupID, id uint64, role multiraft.Role, whole bool) *Replica {
	per := n.cfg.Layout.ShardsPerGroup()
	r := &Replica{n: n, g: g, id: id, role: role, first: n.cfg.Layout.FirstShard(g)}
	whole = whole && role != multiraft.RoleWitness
	r.line.shards = per
	for i := range per {
		r.shards = append(r.shards, &shard{
			r: r, n: n, pool: n.pool, id: r.first + shardmap.ShardID(i), idx: i, whole: whole, lost: n.log == nil,
			m: statemachine.New(statemachine.Config{
				HashKey: n.cfg.Secret, BudgetBytes: n.cfg.BudgetBytes, ValueBytesMax: n.cfg.ValueBytesMax, Pool: n.cfg.Pool,
			}),
		})
	}
	return r
}

// Group is the group that this is a copy of.
func (r *Replica) Group() shardmap.GroupID { return r.g }

// shard finds a shard of the group; nil when it is of another.
func (r *Replica) shard(id shardmap.ShardID) *shard {
	if r == nil || id < r.first || int(id-r.first) >= len(r.shards) {
		return nil
	}
	return r.shards[id-r.first]
}

// isWitness says that the replica holds no data by right. The caller holds mu.
func (r *Replica) isWitness() bool { return r.role == multiraft.RoleWitness }

// away says where the group is served instead.
func (r *Replica) away() (Admission, error) {
	a := Admission{Wake: r.wakeSeq.Load(), Holder: shardmap.NodeID(r.holder.Load())}
	switch {
	case a.Holder != 0 && a.Holder != r.n.cfg.Self.Node:
		return a, ErrMoved
	case r.loading.Load():
		return a, ErrLoading
	}
	return a, ErrParked
}

// wake lets parked and delayed operations try again.
func (r *Replica) wake() {
	r.wakeSeq.Add(1)
	r.n.out.Wake(r.g)
}

// WakeSeq rises whenever parked or delayed operations should be tried again.
func (r *Replica) WakeSeq() uint64 { return r.wakeSeq.Load() }

// Lease is the lease this replica serves under, nil when it does not.
func (r *Replica) Lease() Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil {
		return nil
	}
	return r.lead.lease
}

// Holder is the node that serves the group as far as this replica knows, 0 unknown.
func (r *Replica) Holder() shardmap.NodeID { return shardmap.NodeID(r.holder.Load()) }

// promise takes a higher ballot: what was served or followed before ends here
// (F4). The caller holds mu.
func (r *Replica) promise(b multiraft.Ballot, sealer multiraft.Member, now multiraft.Instant) {
	if !mutant.Is("M19") || sealer.Node == r.n.cfg.Self.Node {
		r.close("sealed by a higher ballot")
	}
	if r.take != nil && r.take.ballot.Less(b) {
		r.endTake()
	}
	if r.sealer.Node != 0 && r.sealer.Node != r.n.cfg.Self.Node {
		r.heard = max(r.heard, r.n.laneTo(r.sealer.Node).ceilingHeard.Load())
	}
	r.promised, r.sealer = b, sealer
	r.holder.Store(0)
	for _, s := range r.shards {
		s.mu.Lock()
		if !mutant.Is("no-seal") && !mutant.Is("stale-chunk-accepted") {
			s.in, s.xfer, s.fresh = inSession{}, 0, 0
		}
		s.mu.Unlock()
	}
}

// close ends the leaseholder's part (L10): waiters hear that the outcome is
// unknown, sessions stop. The caller holds mu.
func (r *Replica) close(why string) {
	if r.lead == nil {
		return
	}
	e := Event{Kind: EventClosed, Group: r.g, Epoch: r.lead.epoch, Node: r.n.cfg.Self.Node, Detail: why}
	r.lead = nil
	r.leads.Store(false)
	r.renew.Store(false)
	r.oldFill.Store(0)
	if r.Holder() == r.n.cfg.Self.Node {
		r.holder.Store(0)
	}
	for _, s := range r.shards {
		s.mu.Lock()
		s.close()
		s.mu.Unlock()
	}
	r.n.out.Event(e)
	r.wake()
}

func (s *shard) close() {
	s.lease, s.parked, s.delayed, s.soloOn, s.urgent, s.forcing, s.forcedTo = nil, false, false, false, false, false, 0
	s.setHeld(s.ring.end)
	for _, f := range s.followers {
		f.endFill()
	}
	s.followers = nil
	for _, t := range s.tickets {
		probeUnknown.Hit()
		s.done(t, Unknown)
	}
	s.tickets = nil
}

// streamsTo says whether a node has a data replica of the group. The caller holds mu.
func (r *Replica) streamsTo(node shardmap.NodeID) bool {
	return node != r.n.cfg.Self.Node && streams(r.cfg, node)
}

func streams(c multiraft.GroupConfig, node shardmap.NodeID) bool { return copyOn(c, node) != 0 }

// copyOn is the raft id of the copy that a node has by a configuration, 0 none.
func copyOn(c multiraft.GroupConfig, node shardmap.NodeID) uint64 {
	for _, ds := range [...][]multiraft.ReplicaDesc{c.Voters, c.Outgoing, c.Learners} {
		for _, d := range ds {
			if d.Node == node && d.Role != multiraft.RoleWitness {
				return d.ID
			}
		}
	}
	return 0
}

// setSole tells the shards whether any other node has a copy. The caller holds mu.
func (r *Replica) setSole() {
	sole := true
	for _, ds := range [...][]multiraft.ReplicaDesc{r.cfg.Voters, r.cfg.Outgoing, r.cfg.Learners} {
		for _, d := range ds {
			sole = sole && (d.Node == r.n.cfg.Self.Node || d.Role == multiraft.RoleWitness)
		}
	}
	for _, s := range r.shards {
		s.mu.Lock()
		s.sole = sole
		s.mu.Unlock()
	}
}

// laneUp greets a peer that can be reached again.
func (r *Replica) laneUp(l *lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead != nil && r.streamsTo(l.peer) {
		l.greetGroup(r.g)
	}
}

// laneDown ends the sessions with a peer; what it acked counts no more.
func (r *Replica) laneDown(l *lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.shards {
		s.mu.Lock()
		s.dismiss(l)
		s.mu.Unlock()
	}
}

// greetAll begins a session with every follower that can be reached. The caller holds mu.
func (r *Replica) greetAll() {
	for _, l := range *r.n.lanes.Load() {
		if l.conn.Load() != 0 && r.streamsTo(l.peer) {
			l.greetGroup(r.g)
		}
	}
}

// setQuorum tells the shards what the seats are now. The caller holds mu.
func (r *Replica) setQuorum() {
	q := &quorum{self: r.n.cfg.Self.Node, seats: slices.Clone(r.line.seats)}
	q.short = len(q.seats) < writeQuorum(r.n.cfg.Factor)
	if r.lead != nil {
		q.joint = r.lead.joint
	}
	for _, s := range r.shards {
		s.mu.Lock()
		s.q = q
		s.advance()
		s.mu.Unlock()
	}
}
