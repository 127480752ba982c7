package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Founding is what a node keeps of the cluster it belongs to: how it was founded
// (a joiner keeps the settings and an empty node list).
type Founding = meta.Founding

// CoreConfig fixes what a Core is.
type CoreConfig struct {
	Name      string
	Addresses meta.Addresses
	Zone      string    // what the node shares its fate with, "" = nothing known
	DataBytes int64     // memory for stores
	Pool      *lru.Pool // where it is taken from; nil = the Go heap
	RingBytes int64     // memory for replication rings
	// BlockBytes is the unit in which ring memory is lent, 0: 64 KiB.
	BlockBytes int
	FillRate   int64 // bytes a second that are sent of fills, 0: as many as they take
	// FillPercent is how much of a core fills may take, 0: any; Spent is what tells, nil: nobody.
	FillPercent int
	Spent       func(do func()) time.Duration
	// CompareBytes is from how many bytes on a shard's copy is compared before it is
	// filled, 0: 64 KiB.
	CompareBytes int
	Heartbeat    time.Duration
	Promise      time.Duration
	Recovery     shardgroup.Recovery
	Solo         shardgroup.Solo
	ReplaceAfter time.Duration // how long a node is missed before it is replaced, 0: never
	LogWait      time.Duration // for nodes that read their logs after a restart of all, 0: 30 s
	// Founding says which cluster; Founder that this node is among its founders and
	// has never run before.
	Founding Founding
	Founder  bool
	// Written says that this node took a write in an earlier start.
	Written bool
	// UnderWay notes the client commands that were run and whose replies were not checked
	// yet; the function tells whether all of them were since. nil: there are never any.
	UnderWay func() (over func() bool)
}

// CoreOut takes the effects of a Core. Control frames are the callee's to keep.
type CoreOut interface {
	Control(to shardmap.NodeID, frame []byte)
	Bulk(to shardmap.NodeID, frame []byte)
	Datagram(to shardmap.NodeID, packet []byte, overTCP bool)
	Append(b *multiraft.Batch)
	WakeData(peer shardmap.NodeID)
	WakeAck(peer shardmap.NodeID, urgent bool)
	// PeersChanged says which nodes there are, and the cluster address of each.
	PeersChanged(addrs map[shardmap.NodeID]string)
	// PeerHint names a second address where a peer may be, "" none: who answers
	// there must be checked like everywhere.
	PeerHint(peer shardmap.NodeID, addr string)
	// MapChanged brings a newer routing map.
	MapChanged(m *shardmap.Map)
	Due(t shardgroup.Ticket, o shardgroup.Outcome)
	Wake(g shardmap.GroupID)
	RaftEvent(e multiraft.Event)
	DataEvent(e shardgroup.Event)
	RolledBack(r shardgroup.Rollback)
	// Answered brings the answer to a question this node asked.
	Answered(id uint64, a Answer)
}

// Core is one node without its sockets, disk and clocks: multiraft's Core, the
// data plane, group 0's state, and the decisions that tie them together. One
// thread drives it; the data plane's own concurrent methods are reached by Data.
type Core struct {
	cfg  CoreConfig
	self multiraft.Member
	uuid meta.UUID
	out  CoreOut

	raft *multiraft.Core
	data *shardgroup.Node
	meta *meta.State // nil until a joiner has been filled
	rest atomic.Bool // what meta says of rebalancing, for whoever runs beside this

	now       multiraft.Instant
	routes    *shardmap.Map
	metaGate  multiraft.Ballot // group 0's lease is to be opened
	metaOpen  multiraft.Ballot // group 0's lease is open under this ballot
	dirty     bool             // group 0's state changed since the last reconcile
	looked    time.Duration    // Mono of the last reconcile
	told      time.Duration    // Mono of the last routes frame
	tell      bool
	announced time.Duration // Mono of the last register question
	revision  uint32        // of this node's row, within this start
	draining  bool
	leavers   map[shardmap.NodeID]time.Duration // Mono at which each last said that it leaves
	moves     map[shardmap.GroupID]*move
	over      *failover     // nil when nobody asked for it
	placed    time.Duration // Mono of the last placement proposal
	inPlace   uint64        // Version of group 0's state that wanted no other placement
	ring      lastRing
	arrived   []arrival // by group

	reported    []progressTold     // by group: what was last told of it
	reportedAll time.Duration      // Mono of the last report of everything
	progress    []groupProgress    // by group, where group 0 is led
	metaSince   time.Duration      // Mono since when it is led here
	missed      []shardmap.NodeID  // that get nothing new, where it is led
	heldUp      []shardmap.GroupID // that wait for one of those
	placePause  time.Duration      // until the next placement may be proposed
	steady      map[shardmap.GroupID]time.Duration
	paced       time.Duration // Mono: when the last lease left that was in no hurry
	lastPaced   shardmap.GroupID
	stoodDown   time.Duration // Mono: when leases were last given up because the log's disk stands
	comebacks   map[shardmap.NodeID]comeback
	tookBack    time.Duration                      // Mono at which nodes that are heard again were last looked for
	deaths      map[shardmap.NodeID]*death         // of nodes that are missed, while group 0 is held here
	kept        map[shardmap.GroupID]time.Duration // Mono until which a lease that was moved here by hand stays
	retiring    map[shardmap.GroupID]time.Duration // Mono at which the holder was last asked about a replica here
	knocked     time.Duration                      // Mono at which holders were last told of replicas that nobody speaks to
	succeeded   map[shardmap.GroupID]uint64        // the member whose node says that it has the wanted replica instead

	gossip map[shardmap.NodeID]membership.Member // the last word of gossip about each other node
	hinted map[shardmap.NodeID]string            // the second addresses that were named
	newer  map[shardmap.NodeID]string            // addresses of nodes that joined after the last that meta knows
	wrote  bool                                  // a write was taken here once
	notes  []string                              // what an operator should know, one sentence each

	asked  map[uint64]asking
	nextID uint64
	waits  []registration

	recovery *recovery                         // that an operator asked this node for
	forsaken map[shardmap.NodeID]time.Duration // Mono until which nodes are not heard that were declared gone
	sworn    oath
	noted    []noting

	intents  []intending
	halts    []halting
	departed time.Duration // Mono at which this node last said that it has left
}

const (
	moveTick      = time.Millisecond // while leases are being handed over
	reconcileTick = 100 * time.Millisecond
	tickSlack     = time.Millisecond // what is due within it is done at once
	routesEvery   = time.Second
)

// NewCore puts a node together from what its disk held. A founder's groups are
// made here; a joiner has only group 0, blank, until its leader fills it.
func NewCore(cfg CoreConfig, r multiraft.Restored, out CoreOut, now multiraft.Instant) (*Core, error) {
	settings := cfg.Founding.Settings
	layout := settings.Layout()
	if err := layout.Validate(); err != nil {
		return nil, err
	}
	c := &Core{
		cfg: cfg, out: out, now: now, uuid: r.Identity.UUID,
		self:   multiraft.Member{Node: r.Identity.Node, Inc: r.Identity.Inc},
		routes: shardmap.NewMap(layout),
		moves:  make(map[shardmap.GroupID]*move),
		steady: make(map[shardmap.GroupID]time.Duration),

		kept: make(map[shardmap.GroupID]time.Duration),

		comebacks: make(map[shardmap.NodeID]comeback),
		retiring:  make(map[shardmap.GroupID]time.Duration),
		succeeded: make(map[shardmap.GroupID]uint64),
		gossip:    make(map[shardmap.NodeID]membership.Member),
		arrived:   make([]arrival, layout.Groups+1),
		reported:  make([]progressTold, layout.Groups+1),
		progress:  make([]groupProgress, layout.Groups+1),
		hinted:    make(map[shardmap.NodeID]string),
		newer:     make(map[shardmap.NodeID]string),
		asked:     make(map[uint64]asking),
		wrote:     cfg.Written,
		notes:     []string{},

		leavers: make(map[shardmap.NodeID]time.Duration),
	}
	var err error
	c.data, err = shardgroup.NewNode(shardgroup.Config{
		Self: c.self, Layout: layout, Secret: settings.HashKey,
		BudgetBytes: cfg.DataBytes / int64(layout.Shards), Pool: cfg.Pool, RingBytes: cfg.RingBytes, BlockBytes: cfg.BlockBytes, FillRate: cfg.FillRate, FillPercent: cfg.FillPercent, Spent: cfg.Spent, CompareBytes: cfg.CompareBytes, Lease: cfg.Promise,
		Recovery: cfg.Recovery, Solo: cfg.Solo, LogWait: cfg.LogWait, Factor: settings.ReplicationFactor,
	}, control{c}, coreOut{c})
	if err != nil {
		return nil, err
	}
	c.data.Start(now)
	for _, g := range r.Groups {
		if g.Group != shardmap.MetaGroup {
			c.data.Join(g.Group, g.ReplicaID, roleOf(g.ReplicaID))
		}
	}
	rc := multiraft.DefaultConfig()
	rc.Self, rc.Groups = c.self, layout.Groups+1
	if cfg.Heartbeat > 0 {
		rc.Heartbeat, rc.Promise = cfg.Heartbeat, cfg.Promise
	}
	if c.raft, err = multiraft.NewCore(rc, r, rOut{coreOut{c}}, upcalls{c}, now); err != nil {
		return nil, err
	}
	if err := c.begin(now); err != nil {
		return nil, err
	}
	c.dirty = true
	return c, nil
}

func roleOf(replica uint64) multiraft.Role {
	if multiraft.MakeReplica(0, 0, multiraft.RoleWitness).ID&replica != 0 {
		return multiraft.RoleWitness
	}
	return multiraft.RoleLearner
}

// begin makes what a first start needs.
func (c *Core) begin(now multiraft.Instant) error {
	if c.cfg.Founder {
		return c.found(now)
	}
	if c.meta != nil {
		return nil
	}
	// A joiner that group 0's leader has not filled yet, in this life or a former one:
	// it can only answer whom it was told of when it was taken in.
	c.tellPeers()
	if _, have := c.raft.Group(shardmap.MetaGroup); have || c.cfg.Founding.MetaReplica == 0 {
		probeUnfilled.Hit()
		return nil
	}
	return c.raft.Join(shardmap.MetaGroup, multiraft.MakeReplica(c.cfg.Founding.MetaReplica, c.self.Node, multiraft.RoleLearner).ID, now)
}

// found makes group 0 and every shard group, the same at each founder.
func (c *Core) found(now multiraft.Instant) error {
	f := c.cfg.Founding
	plan, _, _ := steps(placements(f.Nodes, f.Settings, nil, nil, 0, nil, false), f.Nodes, make([]meta.Group, f.Settings.Groups+1), c.progress, nil, false)
	c.meta = meta.New(f, plan)
	c.metaChanged()
	for g, want := range c.meta.Groups {
		id := shardmap.GroupID(g)
		mine, ok := want.On(c.self.Node)
		if !ok {
			continue
		}
		if id != shardmap.MetaGroup {
			c.data.Create(id, describe(mine).ID, raftRole(mine.Role))
		}
		if err := c.raft.Create(id, describeAll(want), describe(mine).ID, now); err != nil {
			return err
		}
	}
	return nil
}

func raftRole(r meta.Role) multiraft.Role { return multiraft.Role(r) }

func describe(r meta.Replica) multiraft.ReplicaDesc {
	return multiraft.MakeReplica(r.ID, r.Node, raftRole(r.Role))
}

func describeAll(g meta.Group) []multiraft.ReplicaDesc {
	ds := make([]multiraft.ReplicaDesc, len(g.Replicas))
	for i, r := range g.Replicas {
		ds[i] = describe(r)
	}
	return ds
}

// EncodeFounding is how a node keeps its Founding on disk.
func EncodeFounding(f Founding) ([]byte, error) {
	b, err := json.Marshal(f)
	return append([]byte{1}, b...), err
}

// DecodeFounding reads what EncodeFounding wrote.
func DecodeFounding(b []byte) (f Founding, err error) {
	if len(b) == 0 || b[0] != 1 {
		return f, fmt.Errorf("the founding record has a format that this version of aegis does not read: use the version that wrote it, or a newer one")
	}
	if err := json.Unmarshal(b[1:], &f); err != nil {
		return f, fmt.Errorf("the founding record cannot be read: %w; move the node's data directory away and start it as a new node", err)
	}
	return f, f.Settings.Layout().Validate()
}

// Data is the data plane, whose client calls and lanes many goroutines use.
func (c *Core) Data() *shardgroup.Node { return c.data }

// Raft is the raft and lease plane, for status and tests; only the core's thread.
func (c *Core) Raft() *multiraft.Core { return c.raft }

// Self is this node in its present incarnation.
func (c *Core) Self() multiraft.Member { return c.self }

// Map is the newest routing map; only the core's thread (others get it from MapChanged).
func (c *Core) Map() *shardmap.Map { return c.routes }

// Meta is group 0's state, nil before a joiner has it; only the core's thread.
func (c *Core) Meta() *meta.State { return c.meta }

// Tick implements multiraft.Stepper.
func (c *Core) Tick(now multiraft.Instant) {
	c.now = now
	if c.data.TickDue(now) {
		c.data.Tick(now) // first: the ceiling on raft's heartbeats follows its wall clock
	}
	c.raft.Tick(now)
	if c.data.Stalled() {
		c.standDown(now)
	}
	if c.moving() {
		c.tickMoves(now)
	}
	if now.Mono-c.looked >= reconcileTick-tickSlack {
		c.looked = now.Mono
		c.reconcile(now)
	}
	if c.tell || now.Mono-c.told >= routesEvery {
		c.tellRoutes(now)
	}
}

// Flush implements multiraft.Stepper: what the data plane decided goes into raft,
// what raft committed goes to the data plane, until both are quiet.
func (c *Core) Flush(now multiraft.Instant) {
	c.now = now
	for range 4 {
		c.openMeta(now)
		c.data.Pump(now)
		if !c.raft.Busy() {
			break
		}
		c.raft.Flush(now)
	}
	c.raft.Flush(now)
	c.data.Pump(now)
}

// NextDeadline implements multiraft.Stepper.
func (c *Core) NextDeadline(now multiraft.Instant) time.Duration {
	next := min(c.raft.NextDeadline(now), now.Wait+c.data.TickIn(now))
	if c.moving() {
		next = min(next, now.Wait+moveTick)
	}
	return next
}

// hear takes note of the time of an event. A process that did not run for a while
// looks at its clock before it reads what came meanwhile: an answer could bring a
// lease to life with the shard time of before.
func (c *Core) hear(now multiraft.Instant) {
	c.now = now
	if c.data.TickIn(now) == 0 {
		c.data.Tick(now)
	}
}

// Appended implements multiraft.Stepper.
func (c *Core) Appended(b *multiraft.Batch, now multiraft.Instant) {
	c.hear(now)
	c.raft.Appended(b, now)
}

// StorageFailed implements multiraft.Stepper.
func (c *Core) StorageFailed(err error, now multiraft.Instant) {
	c.now = now
	c.raft.StorageFailed(err, now)
}

// Control takes a control frame of a peer.
func (c *Core) Control(from shardmap.NodeID, frame []byte, now multiraft.Instant) {
	c.hear(now)
	if len(frame) == 0 || c.forsakes(from) {
		return
	}
	switch body := frame[1:]; frameKind(frame[0]) {
	case frameRaft:
		c.data.Recovered(from)
		c.raft.Receive(from, body, now)
	case frameData:
		_ = c.data.OnControl(from, body, now)
	case frameAsk:
		if q, err := decodeQuestion(body); err == nil {
			c.heardQuestion(from, q, now)
		}
	case frameAnswer:
		if a, err := decodeAnswer(body); err == nil {
			c.heardAnswer(from, a)
		}
	case frameRoutes:
		if a, err := decodeRoutes(body); err == nil {
			c.heardRoutes(from, a, now)
		}
	case frameRecovering:
		if done, err := decodeRecovering(body); err == nil {
			c.data.Recovering(from, done, now)
		}
	}
}

// Datagram takes a lease packet of a peer.
func (c *Core) Datagram(from shardmap.NodeID, packet []byte, overTCP bool, now multiraft.Instant) {
	c.hear(now)
	if c.forsakes(from) {
		return
	}
	c.raft.Datagram(from, packet, overTCP, now)
}

// PeerDown takes note of a control connection that broke.
func (c *Core) PeerDown(peer shardmap.NodeID, now multiraft.Instant) {
	c.now = now
	c.raft.PeerDown(peer)
}

// openMeta opens group 0's lease: it has no data to take over.
func (c *Core) openMeta(now multiraft.Instant) {
	if b := c.metaGate; !b.IsZero() {
		c.metaGate = multiraft.Ballot{}
		if c.raft.OpenLease(shardmap.MetaGroup, b, now) {
			c.metaOpen, c.metaSince = b, now.Mono
			clear(c.progress)
			c.dirty = true
		}
	}
}

// leadsMeta reports whether this node holds group 0.
func (c *Core) leadsMeta(now multiraft.Instant) bool {
	return !c.metaOpen.IsZero() && c.raft.Lease(shardmap.MetaGroup).Check(now.Mono, now.SuspendOffset)
}

// metaChanged follows a change of group 0's state.
func (c *Core) metaChanged() {
	c.dirty = true
	c.rest.Store(c.meta.Halted)
	infos := make([]shardmap.NodeInfo, 0, len(c.meta.Nodes))
	for _, n := range c.meta.Nodes {
		host, port, err := net.SplitHostPort(n.Addresses.Client)
		if err != nil {
			continue
		}
		p, _ := strconv.Atoi(port)
		infos = append(infos, shardmap.NodeInfo{ID: n.ID, Name: n.Name, Host: host, Port: p})
	}
	c.tellPeers()
	c.forgetStrangers()
	c.followHints()
	c.setMap(c.routes.WithNodes(c.meta.Version, infos))
}

// forgetStrangers drops what is remembered of nodes without a row: ids are never given
// again, so a cluster whose nodes come and go would remember more and more.
func (c *Core) forgetStrangers() {
	stranger := func(n shardmap.NodeID) bool { _, known := c.meta.Node(n); return !known }
	maps.DeleteFunc(c.comebacks, func(n shardmap.NodeID, _ comeback) bool { return stranger(n) })
	maps.DeleteFunc(c.gossip, func(n shardmap.NodeID, _ membership.Member) bool { return stranger(n) })
	maps.DeleteFunc(c.hinted, func(n shardmap.NodeID, _ string) bool { return stranger(n) })
	maps.DeleteFunc(c.leavers, func(n shardmap.NodeID, _ time.Duration) bool { return stranger(n) })
	maps.DeleteFunc(c.deaths, func(n shardmap.NodeID, _ *death) bool { return stranger(n) })
}

func (c *Core) setMap(m *shardmap.Map) {
	if m != c.routes {
		c.routes = m
		c.out.MapChanged(m)
	}
}

// noteRoute takes a group's last row into the routing map.
func (c *Core) noteRoute(g shardmap.GroupID) {
	r := c.data.Replica(g)
	if r == nil {
		return
	}
	epoch, holder := r.LastRow()
	if epoch == 0 {
		return
	}
	before := c.routes
	c.setMap(c.routes.With(shardmap.Route{Group: g, Epoch: epoch, Leader: holder}))
	if c.routes != before && holder == c.self.Node {
		c.tell = true
	}
}
