package shardgroup

import (
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// world is a cluster of real Nodes around one group, on queues instead of
// sockets, a raft log that is copied instead of sent, and leases that are exact:
// opening one ends all others. It is the model of the protocol with the real code
// in the place of the model's rules.
type world struct {
	t     testing.TB
	r     *rand.Rand
	cfg   Config
	now   multiraft.Instant
	nodes []*member          // node id = index+1
	heard func(*member)      // nil, or told of every data frame that a member took
	loses func(*member) bool // nil, or asked whether an ack frame of a member is lost
	link  [][]bool
	term  uint64
	trace bool
	fail  string

	oracle
	images
	conn uint64
	mute map[[2]shardmap.NodeID]bool // pairs whose data and acks stand still
	lazy bool                        // logs are written at random
}

const worldGroup = shardmap.GroupID(1)

// member is one node of the world, across its restarts.
type member struct {
	w       *world
	id      shardmap.NodeID
	inc     multiraft.Incarnation // of its data
	proc    multiraft.Incarnation // of the process
	role    multiraft.Role
	up      bool
	n       *Node
	term    uint64 // raft, durable
	log     []logEntry
	commit  int
	applied int
	snap    []byte // raft state as of applied, durable
	lead    *raftLead
	lease   *worldLease
	data    map[shardmap.NodeID]*[][]byte // to peer
	acks    map[shardmap.NodeID]*[][]byte
	ctl     map[shardmap.NodeID]*[][]byte
	conns   map[shardmap.NodeID]uint64 // of our data connections
	due     map[uint64]Outcome
	rolled  []Rollback
	events  []Event
	wakes   int
	refuses bool // leases are closed as soon as they would open
	buried  bool // its process is known to be dead
	disk    *wal.Memory
	after   *wal.Memory // what a crash left of the disk, nil = it is a new one
	boots   byte
	wal     *wal.Log
	mode    wal.Mode
	stalls  bool         // the disk: what is appended stays in memory
	image   *image.Image // made by the first checkpoint of a process
	saving  bool
	turned  bool // a copy was overwritten or given up since the log was looked at
}

// raftLead is what a raft leader keeps.
type raftLead struct {
	ballot multiraft.Ballot
	noop   int
	sealed map[shardmap.NodeID]multiraft.Incarnation
	gate   bool
}

type logEntry struct {
	term uint64
	id   int
	data []byte
}

type worldLease struct {
	b      multiraft.Ballot
	valid  bool
	closed bool
	until  time.Duration // on Mono, when a test says so
	slept  time.Duration // the suspend offset that belongs to it
}

func (l *worldLease) Ballot() multiraft.Ballot { return l.b }
func (l *worldLease) Check(mono, offset time.Duration) bool {
	return l.valid && !l.closed && (l.until == 0 || mono < l.until && offset == l.slept)
}
func (l *worldLease) Closed() bool { return l.closed }

// worldConfig is small on purpose: rings of a few records, stores of a few keys.
func worldConfig() Config {
	return Config{
		Layout: shardmap.Layout{Shards: 2, Groups: 1}, Secret: 7,
		BudgetBytes: 3000, RingBytes: 2400, BlockBytes: 200, TailBytes: 300, FillBytes: 120, ImageBlockBytes: 60, CompareBytes: 1,
		TailAge: 250 * time.Millisecond,
	}
}

// newWorld founds the group on the first seats of n nodes; the others are learners.
func newWorld(t testing.TB, seed int64, cfg Config, n, seats int) *world {
	if cfg.LogWait == 0 {
		cfg.LogWait = time.Millisecond // tests that are not about it want the rules of mode off
	}
	w := &world{t: t, r: rand.New(rand.NewSource(seed)), cfg: cfg}
	w.now = multiraft.Instant{Mono: time.Second, Wall: 1_000_000_000}
	w.oracle = newOracle(cfg.Layout.Shards)
	w.link = make([][]bool, n)
	for i := range n {
		w.link[i] = make([]bool, n)
		m := &member{w: w, id: shardmap.NodeID(i + 1), role: multiraft.RoleVoter, mode: wal.Write}
		w.nodes = append(w.nodes, m)
	}
	w.spares = n - seats
	for i, m := range w.nodes {
		m.start(i < seats)
		m.n.ConfigApplied(worldGroup, w.config(seats), w.now)
	}
	for i := range n {
		for j := range n {
			w.cut(i, j, true)
		}
	}
	if w.lazy = strings.HasPrefix(t.Name(), "TestRandom"); !w.lazy { // that looks on its way, and has many worlds
		t.Cleanup(w.checkLogs)
	}
	return w
}

// config makes the first seats nodes voters and the rest learners.
func (w *world) config(seats int) multiraft.GroupConfig {
	c := multiraft.GroupConfig{Index: 1}
	for i, m := range w.nodes {
		d := multiraft.ReplicaDesc{ID: uint64(i + 1), Node: m.id, Role: multiraft.RoleVoter}
		if i >= seats {
			d.Role = multiraft.RoleLearner
			c.Learners = append(c.Learners, d)
			continue
		}
		c.Voters = append(c.Voters, d)
	}
	return c
}

// start brings a process up: a new incarnation, empty memory, the raft state from disk.
func (m *member) start(founding bool) {
	w := m.w
	m.proc = multiraft.Incarnation{Counter: m.proc.Counter + 1, Nonce: uint64(w.r.Int63())}
	m.up, m.lead, m.lease = true, nil, nil
	m.data, m.acks, m.ctl = map[shardmap.NodeID]*[][]byte{}, map[shardmap.NodeID]*[][]byte{}, map[shardmap.NodeID]*[][]byte{}
	m.conns = map[shardmap.NodeID]uint64{}
	m.due = map[uint64]Outcome{}
	cfg := w.cfg
	cfg.Self = multiraft.Member{Node: m.id, Inc: m.proc}
	n, err := NewNode(cfg, m, m)
	if err != nil {
		w.t.Fatal(err)
	}
	m.n = n
	if founding {
		n.Create(worldGroup, uint64(m.id), m.role)
	} else {
		n.Join(worldGroup, uint64(m.id), m.role)
	}
	m.keepLog()
	if m.snap != nil {
		n.StateRestore(worldGroup, m.snap, w.now)
	}
	n.Tick(w.now)
}

func queue(qs map[shardmap.NodeID]*[][]byte, to shardmap.NodeID) *[][]byte {
	if qs[to] == nil {
		qs[to] = new([][]byte)
	}
	return qs[to]
}

func (w *world) node(id shardmap.NodeID) *member { return w.nodes[id-1] }
func (m *member) rep() *Replica                  { return m.n.Replica(worldGroup) }

func (w *world) reach(a, b *member) bool {
	return a.up && b.up && (a == b || w.link[a.id-1][b.id-1])
}

func (w *world) cut(a, b int, up bool) {
	if a == b || w.link[a][b] == up {
		return
	}
	w.link[a][b], w.link[b][a] = up, up
	for _, p := range [][2]*member{{w.nodes[a], w.nodes[b]}, {w.nodes[b], w.nodes[a]}} {
		p[0].reconnect(p[1])
	}
}

// reconnect ends our data connection to a peer and opens a new one if there is a way.
func (m *member) reconnect(p *member) {
	*queue(m.data, p.id), *queue(p.acks, m.id), *queue(m.ctl, p.id) = nil, nil, nil
	if c := m.conns[p.id]; c != 0 && m.up {
		m.n.LaneDown(p.id, c, m.w.now)
	}
	m.conns[p.id] = 0
	if m.w.reach(m, p) {
		m.w.conn++
		m.conns[p.id] = m.w.conn
		m.n.LaneUp(p.id, m.w.conn, m.w.now)
	}
}

func (w *world) crash(m *member) {
	if !m.up {
		return
	}
	m.up = false
	m.lead = nil
	if m.lease != nil {
		m.lease.closed = true
	}
	m.n = nil
	for _, p := range w.nodes {
		if p != m {
			p.reconnect(m)
			*queue(m.data, p.id), *queue(m.acks, p.id), *queue(m.ctl, p.id) = nil, nil, nil
		}
	}
	w.tracef("crash %d", m.id)
}

func (w *world) restart(m *member) {
	if m.up {
		return
	}
	m.start(false)
	m.n.ConfigApplied(worldGroup, w.config(w.voters()), w.now)
	for _, p := range w.nodes {
		if p != m && w.link[m.id-1][p.id-1] {
			m.reconnect(p)
			p.reconnect(m)
		}
	}
	w.tracef("restart %d inc %d", m.id, m.inc.Counter)
}

func (w *world) voters() int { return len(w.nodes) - w.spares }

// --- Out and Control --------------------------------------------------------

func (m *member) WakeData(shardmap.NodeID)      {}
func (m *member) WakeAck(shardmap.NodeID, bool) {}
func (m *member) Control(to shardmap.NodeID, frame []byte) {
	if p := m.w.node(to); p == m || m.w.reach(m, p) {
		q := queue(m.ctl, to)
		*q = append(*q, frame)
	}
}
func (m *member) Due(t Ticket, o Outcome) { m.due[t.ID] = o; m.w.ticketDue(t, o) }
func (m *member) Wake(shardmap.GroupID)   { m.wakes++ }
func (m *member) Event(e Event) {
	m.events = append(m.events, e)
	if e.Kind == EventShrunk {
		m.w.learn(m, &e)
	}
	m.turned = m.turned || e.Kind == EventOverwritten || e.Kind == EventNotWhole
	m.w.tracef("node %d: event %d shard %d epoch %d %s", m.id, e.Kind, e.Shard, e.Epoch, e.Detail)
}
func (m *member) RolledBack(r Rollback) { m.rolled = append(m.rolled, r) }

func (m *member) Propose(g shardmap.GroupID, b multiraft.Ballot, data []byte) bool {
	if m.lead == nil || m.lead.ballot != b {
		return false
	}
	m.w.lastID++
	m.log = append(m.log, logEntry{term: b.Term, id: m.w.lastID, data: data})
	if e, err := decodeEntry(data); err == nil {
		m.w.tracef("node %d proposes %d: base %v clean %b hole %b solo %b seats %v member %v", m.id, e.kind, e.base, e.clean, e.hole, e.solo, e.seats, e.member)
	}
	return true
}

func (m *member) OpenLease(g shardmap.GroupID, b multiraft.Ballot) Lease {
	if m.lead == nil || m.lead.ballot != b || m.refuses {
		return nil
	}
	for _, p := range m.w.nodes {
		if p.lease != nil {
			p.lease.valid = false
		}
	}
	m.lease = &worldLease{b: b, valid: true}
	m.n.CeilingAcked(g, math.MaxInt64) // unless a test says what its quorum knows
	return m.lease
}

func (m *member) Buried(n shardmap.NodeID) bool { return m.w.node(n).buried }

func (m *member) Transfer(g shardmap.GroupID, to shardmap.NodeID) bool {
	if m.lead == nil {
		return false
	}
	m.w.transfers = append(m.w.transfers, to)
	b := m.lead.ballot
	m.lead = nil
	m.n.LeaseClosed(g, b, "handed over", m.w.now)
	return true
}

// --- wires --------------------------------------------------------------------

// send lets a node put its next data and ack frames to a peer on the wire.
func (w *world) send(a, b *member) {
	if a == b || !w.reach(a, b) || w.mute[[2]shardmap.NodeID{a.id, b.id}] {
		return
	}
	w.promptly(a)
	if q := queue(a.data, b.id); len(*q) < 8 {
		if f := a.n.NextData(b.id, nil, w.now); len(f) > 0 {
			*q = append(*q, f)
		}
	}
	if q := queue(a.acks, b.id); len(*q) < 8 {
		if f := a.n.NextAck(b.id, nil, w.now); len(f) > 0 {
			*q = append(*q, f)
		}
	}
}

// deliver takes one frame of each kind off the wire.
func (w *world) deliver(a, b *member) bool {
	if a == b || !w.reach(a, b) {
		return false
	}
	did := false
	pop := func(qs map[shardmap.NodeID]*[][]byte, take func(f []byte) error) {
		q := queue(qs, b.id)
		if len(*q) == 0 {
			return
		}
		f := (*q)[0]
		*q = (*q)[1:]
		did = true
		if err := take(f); err != nil {
			w.bad("node %d cannot read a frame of %d: %v", b.id, a.id, err)
		}
	}
	if w.mute[[2]shardmap.NodeID{a.id, b.id}] {
		return false
	}
	pop(a.data, func(f []byte) error {
		err := b.n.OnData(a.id, a.conns[b.id], f, w.now)
		if w.heard != nil {
			w.heard(b)
		}
		return err
	})
	pop(a.acks, func(f []byte) error {
		if w.loses != nil && w.loses(a) {
			return nil
		}
		return b.n.OnAck(a.id, f, w.now)
	})
	pop(a.ctl, func(f []byte) error {
		err := b.n.OnControl(a.id, f, w.now)
		b.n.Pump(w.now)
		return err
	})
	w.promptly(b)
	return did
}

func (w *world) pass(d time.Duration) {
	w.now.Mono += d
	w.now.Age += d
	w.now.Wait += d
	w.now.Wall += d.Milliseconds()
}
