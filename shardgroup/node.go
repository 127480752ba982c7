package shardgroup

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// Node is all replicas of one node and the lanes to and from its peers. It
// implements multiraft.Data for the shard groups.
//
// Upcalls of multiraft, Tick, Pump, OnControl and the calls that make or drop
// replicas come from one thread; everything else may come from any goroutine.
type Node struct {
	cfg    Config
	ctl    Control
	out    Out
	pool   *pool
	seqMax uint64
	log    *wal.Log // nil = none; set before anything is written
	ahead  bitset   // shards of which not all is logged
	forced bitset   // shards that somebody waits for to be on the disk
	fsync  func()   // asks for that

	encoded sync.Pool // of *[]byte: records on their way into the log alone

	readMu  sync.Mutex // guards readers; the last lock but the pool's
	readers map[shardmap.NodeID]reading

	groups []atomic.Pointer[Replica] // by GroupID
	list   atomic.Pointer[[]*Replica]
	lanes  atomic.Pointer[[]*lane] // by peer
	lanesM sync.Mutex              // makes lanes

	tailBytes atomic.Int64
	waiting   atomic.Int64 // tickets
	awaits    atomic.Bool  // a takeover waits for the log
	clogged   atomic.Bool  // writes were delayed because the log is behind
	stalls    atomic.Bool  // its disk does not answer
	catchUp   atomic.Int64 // bytes sent to copies that were not on the stream
	pace      pace         // of fills
	filled    meter        // what was sent of them
	telling   telling      // of them, to Out
	expireAt  atomic.Int64 // no ticket's deadline passes before, a reading of Mono; 0 = none has one
	nextSess  atomic.Uint32
	nextXfer  atomic.Uint64
	wall      atomic.Int64 // wall time without leaps
	timeMax   atomic.Int64 // highest shard time a takeover started from
	lastTick  time.Duration
	busy      bool          // some replica waits for time to pass
	lastLaps  time.Duration // of TICK frames
	kicked    []*Replica    // have something for Pump
	watching  watching
}

// newEpochAt is the sequence number at which a holder opens a new epoch for itself.
const newEpochAt = 1<<shardmap.SeqBits - 1<<24

// NewNode makes a node without replicas.
func NewNode(cfg Config, ctl Control, out Out) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, ctl: ctl, out: out, seqMax: newEpochAt}
	n.pace = newPace(cfg.FillRate, int64(cfg.FillPercent))
	n.pool = &pool{blockBytes: cfg.BlockBytes, limit: cfg.RingBytes}
	n.ahead, n.forced = newBitset(cfg.Layout.Shards), newBitset(cfg.Layout.Shards)
	n.encoded.New = func() any { return new([]byte) }
	n.groups = make([]atomic.Pointer[Replica], cfg.Layout.Groups+1)
	n.list.Store(&[]*Replica{})
	n.lanes.Store(&[]*lane{})
	return n, nil
}

// Create makes the replica of a group that is founded now, together with
// multiraft's Core.Create: its shards are empty and whole.
// id is its raft id.
func (n *Node) Create(g shardmap.GroupID, id uint64, role multiraft.Role) *Replica {
	return n.add(g, id, role, true)
}

// Join makes the replica of a group that exists elsewhere, or that this node had
// before it restarted: nothing in it is whole until it is filled or opens.
func (n *Node) Join(g shardmap.GroupID, id uint64, role multiraft.Role) *Replica {
	return n.add(g, id, role, false)
}

func (n *Node) add(g shardmap.GroupID, id uint64, role multiraft.Role, whole bool) *Replica {
	if int(g) >= len(n.groups) || g == shardmap.MetaGroup {
		return nil
	}
	r := newReplica(n, g, id, role, whole)
	n.groups[g].Store(r)
	n.relist()
	r.writeCopies(id)
	r.watch() // once it is listed: a Watch that comes meanwhile finds it there
	for _, l := range *n.lanes.Load() {
		if l.conn.Load() != 0 {
			r.laneUp(l)
		}
	}
	return r
}

// Drop forgets a replica and its data; a lease it holds must have been released.
func (n *Node) Drop(g shardmap.GroupID) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	r.endTake()
	r.close("replica dropped")
	for _, s := range r.shards {
		s.mu.Lock()
		s.in = inSession{}
		s.ring.reset(s, 0)
		s.m.Close()
		s.whole = false
		s.mu.Unlock()
	}
	r.mu.Unlock()
	r.writeCopies(0)
	n.groups[g].Store(nil)
	n.relist()
}

func (n *Node) relist() {
	var list []*Replica
	for g := range n.groups {
		if r := n.groups[g].Load(); r != nil {
			list = append(list, r)
		}
	}
	n.list.Store(&list)
}

// all is every replica, by group.
func (n *Node) all() []*Replica { return *n.list.Load() }

// Member is this node with the incarnation of its data, which seats name.
func (n *Node) Member() multiraft.Member { return n.cfg.Self }

// Replica is this node's replica of a group, nil when there is none.
func (n *Node) Replica(g shardmap.GroupID) *Replica {
	if int(g) >= len(n.groups) {
		return nil
	}
	return n.groups[g].Load()
}

// ReplicaOf is this node's replica of the group that a shard belongs to.
func (n *Node) ReplicaOf(s shardmap.ShardID) *Replica {
	if int(s) >= n.cfg.Layout.Shards {
		return nil
	}
	return n.groups[n.cfg.Layout.GroupOf(s)].Load()
}

// laneTo is the lane to a peer; it is made when it is first asked for.
func (n *Node) laneTo(peer shardmap.NodeID) *lane {
	if l := findLane(*n.lanes.Load(), peer); l != nil {
		return l
	}
	n.lanesM.Lock()
	defer n.lanesM.Unlock()
	old := *n.lanes.Load()
	if l := findLane(old, peer); l != nil {
		return l
	}
	l := newLane(n, peer)
	lanes := append(append([]*lane(nil), old...), l)
	sort.Slice(lanes, func(i, j int) bool { return lanes[i].peer < lanes[j].peer })
	n.lanes.Store(&lanes)
	return l
}

func findLane(lanes []*lane, peer shardmap.NodeID) *lane {
	i := sort.Search(len(lanes), func(i int) bool { return lanes[i].peer >= peer })
	if i < len(lanes) && lanes[i].peer == peer {
		return lanes[i]
	}
	return nil
}

// How often Tick has work: while somebody waits for what only time brings, and
// otherwise. A tick that comes by the way does it when tickSpare has passed, so that
// an idle node wakes up for raft's ticks only. What is due within tickSlack is done
// at once.
const (
	tickBusy  = 10 * time.Millisecond
	tickIdle  = 100 * time.Millisecond
	tickSpare = 50 * time.Millisecond
	tickSlack = time.Millisecond
)

// TickIn is how long Tick may still wait. What turns up before is seen to then. A
// machine that slept is late.
func (n *Node) TickIn(now multiraft.Instant) time.Duration {
	passed := now.Mono + now.SuspendOffset - n.lastTick
	if n.busy {
		return max(0, tickBusy-passed)
	}
	in := tickIdle - passed
	if at := time.Duration(n.expireAt.Load()); at != 0 {
		in = min(in, at-now.Mono)
	}
	return max(0, in)
}

// TickDue reports whether Tick has anything to do.
func (n *Node) TickDue(now multiraft.Instant) bool {
	return now.Mono+now.SuspendOffset-n.lastTick >= tickSpare-tickSlack || n.TickIn(now) <= tickSlack
}

// Tick lets time pass: tail bounds, ticket deadlines, takeovers, Admit, Seats and
// Exposure proposals, TICK frames. Call it when TickDue says so, or more often; it
// ends with a Pump.
func (n *Node) Tick(now multiraft.Instant) {
	n.keepTime(now)
	n.expire(now.Mono)
	n.busy = false
	for _, r := range n.all() {
		if r.taking.Load() || r.leads.Load() {
			n.busy = r.tick(now) || n.busy
		}
	}
	n.busy = n.paced(now.Mono) || n.busy
	n.tellFills(now)
	if now.Mono-n.lastLaps >= n.cfg.TickEvery-tickSlack && n.leadsAny() {
		n.lastLaps = now.Mono
		for _, r := range n.all() {
			if r.leads.Load() {
				r.sweep(now)
				lease := r.Lease()
				r.vouched.Store(lease != nil && lease.Check(now.Mono, now.SuspendOffset))
			}
		}
		for _, l := range *n.lanes.Load() {
			l.beginLap(now)
		}
	}
	n.Pump(now)
}

func (n *Node) leadsAny() bool {
	for _, r := range n.all() {
		if r.leads.Load() {
			return true
		}
	}
	return false
}

// Pump carries out what the upcalls since the last Pump decided (proposals, lease
// openings, transfers). Call it after every call into multiraft's Core that may
// have made upcalls, and after OnControl; it costs nothing when there is nothing.
func (n *Node) Pump(now multiraft.Instant) {
	if n.awaits.Load() && n.awaits.Swap(false) {
		for _, r := range n.all() {
			if r.taking.Load() {
				r.kick()
			}
		}
	}
	for len(n.kicked) > 0 {
		list := n.kicked
		n.kicked = nil
		for _, r := range list {
			r.kicked = false
			r.pump(now)
		}
	}
}

// kick says that a replica has something for Pump.
func (r *Replica) kick() {
	if !r.kicked {
		r.kicked = true
		r.n.kicked = append(r.n.kicked, r)
	}
}

func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}
