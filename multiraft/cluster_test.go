package multiraft

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// testNode is one Core with its clock, disk and data plane. The data plane opens
// as soon as the gate does, which allows more than the real one.
type testNode struct {
	behind bool          // its copy lacks something
	stuck  int           // how often it complained of a joint configuration
	fences int           // that it began
	wall   time.Duration // error of its wall clock
	t      *testCluster
	id     shardmap.NodeID
	core   *Core
	disk   *MemoryStorage
	start  time.Duration // of this life, in cluster time
	life   int
	down   bool
	saved  time.Duration // when the last batch is on disk
	conf   map[shardmap.GroupID]GroupConfig
	log    map[shardmap.GroupID][]string

	rate     float64       // of every clock
	skew     time.Duration // added to every clock
	monoSkew time.Duration
	monoRate float64       // of Mono on top, as a time daemon slews it
	paused   bool          // nothing runs
	asleep   bool          // paused, and Mono and Wait stand still
	sleptAt  time.Duration // since when
	slept    time.Duration // in all
	inbox    []testMessage // arrived while paused
	leases   []*Lease      // every claim of this life that was opened: a request may hold any
}

type testMessage struct {
	at       time.Duration
	from, to shardmap.NodeID
	life     int
	kind     string // beat ack release noderelease raft fence fenceack nack
	raft     pb.MessageType
	seq      uint64 // of beat and ack
	body     []byte
	datagram bool
	tcp      bool
	saved    *Batch
}

// verdict is what a script does with a message when it is sent.
type verdict int

const (
	pass verdict = iota
	drop
	keep // set aside until the script delivers it
	both // pass, and keep a copy
)

// testCluster delivers everything in one goroutine and checks after every event
// that nobody serves beside another.
type testCluster struct {
	tb       testing.TB
	rng      *rand.Rand
	now      time.Duration
	nodes    []*testNode
	wires    []testMessage
	cut      map[[2]shardmap.NodeID]bool
	loss     float64
	delayMax time.Duration
	top      map[shardmap.GroupID]Ballot
	served   map[shardmap.GroupID]int
	opened   map[shardmap.GroupID]int // leases opened
	owner    map[string]Member        // of every ballot that was opened
	events   uint64                   // running hash of all that was delivered
	write    time.Duration            // how long a disk takes for a batch, beside a delay
	overlaps []string
	groups   int
	cfg      func(*Config)
	rule     func(*testMessage) verdict
	kept     []testMessage
	lastAck  time.Duration // when node 1 was last sent an ACK
}

func newTestCluster(tb testing.TB, nodes, groups int, seed uint64) *testCluster {
	c := &testCluster{
		tb: tb, rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]shardmap.NodeID]bool{},
		delayMax: 2 * time.Millisecond, top: map[shardmap.GroupID]Ballot{}, served: map[shardmap.GroupID]int{},
		opened: map[shardmap.GroupID]int{}, owner: map[string]Member{}, groups: groups,
	}
	for i := 1; i <= nodes; i++ {
		n := c.addNode(shardmap.NodeID(i))
		for g := range groups {
			var rs []ReplicaDesc
			for j := 1; j <= nodes; j++ {
				rs = append(rs, MakeReplica(uint64(j), shardmap.NodeID(j), RoleVoter))
			}
			if err := n.core.Create(shardmap.GroupID(g), rs, rs[i-1].ID, n.clock()); err != nil {
				tb.Fatal(err)
			}
			n.core.SetRank(shardmap.GroupID(g), (i+g)%nodes)
		}
		n.core.Flush(n.clock())
	}
	return c
}

func (c *testCluster) addNode(id shardmap.NodeID) *testNode {
	n := &testNode{t: c, id: id, disk: NewMemoryStorage([16]byte{byte(id)}), rate: 1, monoRate: 1}
	c.nodes = append(c.nodes, n)
	n.boot(c.groups)
	return n
}

func (n *testNode) boot(groups int) {
	r, err := n.disk.Load()
	if err != nil {
		n.t.tb.Fatal(err)
	}
	n.start, n.down = n.t.now, false
	n.life++
	n.leases, n.inbox = nil, nil
	n.conf, n.log = map[shardmap.GroupID]GroupConfig{}, map[shardmap.GroupID][]string{}
	cfg := DefaultConfig()
	if n.t.cfg != nil {
		n.t.cfg(&cfg)
	}
	cfg.Self, cfg.Groups = Member{n.id, r.Identity.Inc}, groups
	if n.core, err = NewCore(cfg, r, n, n, n.clock()); err != nil {
		n.t.tb.Fatal(err)
	}
}

func (n *testNode) clock() Instant {
	slept := n.slept
	if n.asleep {
		slept += n.t.now - n.sleptAt
	}
	awake := float64(n.t.now-slept)*n.rate + float64(n.skew)
	return Instant{
		Mono: time.Duration(awake*n.monoRate) + n.monoSkew, SuspendOffset: slept,
		Age: time.Duration(awake) + slept, Wait: time.Duration(awake),
		Wall: (n.t.now + n.wall).Milliseconds(),
	}
}

func (n *testNode) serves(l *Lease) bool {
	now := n.clock()
	return !n.down && !n.paused && l.Check(now.Mono, now.SuspendOffset)
}

func (n *testNode) Control(to shardmap.NodeID, frame []byte) {
	if n.t.rule == nil {
		n.t.send(testMessage{at: n.t.now + n.t.delay(), from: n.id, to: to, body: slices.Clone(frame), life: n.life})
		return
	}
	// Every item travels as a frame of its own, so that scripts can tell them apart.
	names := map[byte]string{itemRaft: "raft", itemFence: "fence", itemFenceAck: "fenceack", itemFenceNack: "nack", itemRelease: "release", itemPulse: "raft"}
	at := n.t.now + n.t.delay()
	for b := frame[frameHead:]; len(b) > 0; {
		size := itemHead + int(binary.BigEndian.Uint32(b[3:]))
		m := testMessage{at: at, from: n.id, to: to, body: append(slices.Clone(frame[:frameHead]), b[:size]...), life: n.life, kind: names[b[0]]}
		if m.kind == "raft" && b[0] == itemRaft {
			var rm pb.Message
			if err := proto.Unmarshal(b[itemHead:size], &rm); err != nil {
				panic(err)
			}
			m.raft = rm.GetType()
		}
		n.t.send(m)
		b = b[size:]
	}
}

func (n *testNode) Datagram(to shardmap.NodeID, p []byte, tcp bool) {
	d, err := decodeDatagram(p)
	if err != nil {
		panic(err)
	}
	kind := [...]string{kindBeat: "beat", kindBeatAck: "ack", kindRelease: "release", kindNodeRelease: "noderelease"}[d.kind]
	n.t.send(testMessage{at: n.t.now + n.t.delay(), from: n.id, to: to, body: p, datagram: true, tcp: tcp, life: n.life, kind: kind, seq: d.seq})
}

func (n *testNode) Append(b *Batch) {
	n.saved = max(n.saved, n.t.now+n.t.delay()+n.t.write) // one disk: batches finish in order
	n.t.wires = append(n.t.wires, testMessage{at: n.saved, from: n.id, to: n.id, saved: b, life: n.life})
}

// Event checks F1: the positions that a fence collects mean what they mean under all
// that was ever committed before it.
func (n *testNode) Event(e Event) {
	if e.Kind == EventStuck {
		n.stuck++
	}
	if e.Kind != EventFencing {
		return
	}
	n.fences++
	g := n.core.group(e.Group)
	if own := g.logTerm == e.Ballot.Term && g.lastEntry == g.termFirst; g.lastEntry > g.log.applied+1 || g.lastEntry > g.log.applied && !own {
		n.t.overlaps = append(n.t.overlaps, fmt.Sprintf("%v: group %d: %v fences before its log is applied: %d of %d", n.t.now, e.Group, e.Ballot, g.log.applied, g.lastEntry))
	}
}

func (n *testNode) Seal(g shardmap.GroupID, b Ballot, m Member, _ Instant) []byte {
	return fmt.Appendf(nil, "%d", n.id)
}
func (n *testNode) Sealed(shardmap.GroupID, Ballot, Member, Role, []byte, Instant) {}
func (n *testNode) GateOpen(g shardmap.GroupID, b Ballot, now Instant) {
	n.core.Propose(g, b, []byte(b.String()))
}
func (n *testNode) LeaseClosed(shardmap.GroupID, Ballot, string, Instant)            {}
func (n *testNode) LeaderChanged(shardmap.GroupID, shardmap.NodeID, uint64, Instant) {}
func (n *testNode) ConfigApplied(g shardmap.GroupID, c GroupConfig, _ Instant)       { n.conf[g] = c }

func (n *testNode) StateSnapshot(g shardmap.GroupID) []byte        { return fmt.Appendf(nil, "%v", n.log[g]) }
func (n *testNode) StateRestore(shardmap.GroupID, []byte, Instant) {}
func (n *testNode) Healthy(shardmap.GroupID) bool                  { return true }
func (n *testNode) Ceiling() int64                                 { return 0 }
func (n *testNode) CeilingAcked(shardmap.GroupID, int64)           {}
func (n *testNode) CeilingHeard(shardmap.NodeID, int64)            {}
func (n *testNode) Behind(shardmap.GroupID) bool                   { return n.behind }
func (n *testNode) Applied(g shardmap.GroupID, _ uint64, data []byte, now Instant) {
	n.log[g] = append(n.log[g], string(data))
	if l := n.core.Lease(g); l != nil && l.Ballot().String() == string(data) {
		if n.core.OpenLease(g, l.Ballot(), now) {
			n.t.owns(g, l.Ballot(), n.core.Self())
			n.leases = append(n.leases, l)
			n.t.opened[g]++
		}
	}
}

func (c *testCluster) delay() time.Duration {
	return 50*time.Microsecond + time.Duration(c.rng.Int64N(int64(c.delayMax)))
}

func (c *testCluster) send(m testMessage) {
	if c.cut[[2]shardmap.NodeID{m.from, m.to}] || c.rng.Float64() < c.loss {
		return
	}
	m.body = slices.Clone(m.body)
	if m.kind == "ack" && m.to == 1 {
		c.lastAck = c.now
	}
	if c.rule != nil {
		switch c.rule(&m) {
		case drop:
			return
		case keep:
			c.kept = append(c.kept, m)
			return
		case both:
			c.kept = append(c.kept, m)
		}
	}
	c.wires = append(c.wires, m)
	if m.datagram && c.rule == nil && c.rng.IntN(20) == 0 {
		m.at += 5 * c.delay()
		c.wires = append(c.wires, m)
	}
}

// run advances by steps of half a millisecond until the time is up or done says so.
func (c *testCluster) run(d time.Duration, done func() bool) bool {
	for end := c.now + d; c.now < end; {
		if done != nil && done() {
			return true
		}
		c.now += 500 * time.Microsecond
		due := c.wires[:0:0]
		rest := c.wires[:0:0]
		for _, m := range c.wires {
			if m.at <= c.now {
				due = append(due, m)
			} else {
				rest = append(rest, m)
			}
		}
		c.wires = rest
		slices.SortStableFunc(due, func(a, b testMessage) int { return int(a.at - b.at) })
		for _, m := range due {
			c.deliver(m)
		}
		for _, n := range c.nodes {
			if !n.down && !n.paused && n.core.NextDeadline(n.clock()) <= n.clock().Wait {
				n.core.Tick(n.clock())
				n.core.Flush(n.clock())
			}
		}
		c.check()
	}
	return done != nil && done()
}

func (c *testCluster) deliver(m testMessage) {
	c.events = mix(c.events^uint64(m.at)^uint64(crc32.ChecksumIEEE(m.body)), uint64(m.from)<<40|uint64(m.to)<<20|uint64(m.life))
	n := c.nodes[m.to-1]
	if n.down || (m.saved != nil && m.life != n.life) {
		return
	}
	if n.paused {
		n.inbox = append(n.inbox, m)
		return
	}
	switch now := n.clock(); {
	case m.saved != nil:
		if n.disk.Save(m.saved) == nil {
			n.core.Appended(m.saved, now)
		}
	case m.datagram:
		n.core.Datagram(m.from, m.body, m.tcp, now)
	default:
		n.core.Receive(m.from, m.body, now)
	}
	n.core.Flush(n.clock())
}

func (c *testCluster) holder(g shardmap.GroupID) *testNode {
	for _, n := range c.nodes {
		if n.serves(n.core.Lease(g)) {
			return n
		}
	}
	return nil
}

// owns checks that a ballot has one owner for ever.
func (c *testCluster) owns(g shardmap.GroupID, b Ballot, m Member) {
	key := fmt.Sprint(g, b)
	if o, taken := c.owner[key]; taken {
		c.overlaps = append(c.overlaps, fmt.Sprintf("%v: group %d: %v opened by %v and by %v", c.now, g, b, o, m))
	}
	c.owner[key] = m
}

// check looks at every claim that a request might still hold, current or not.
func (c *testCluster) check() {
	for g := range c.groups {
		g := shardmap.GroupID(g)
		var who []string
		for _, n := range c.nodes {
			for _, l := range n.leases {
				if l.Group() != g || !n.serves(l) {
					continue
				}
				who = append(who, fmt.Sprintf("node %d under %v", n.id, l.Ballot()))
				c.served[g]++
				if l.Ballot().Less(c.top[g]) {
					c.overlaps = append(c.overlaps, fmt.Sprintf("%v: group %d: %s after %v served", c.now, g, who, c.top[g]))
				} else {
					c.top[g] = l.Ballot()
				}
			}
		}
		if len(who) > 1 {
			c.overlaps = append(c.overlaps, fmt.Sprintf("%v: group %d: %v", c.now, g, who))
		}
	}
}

func (c *testCluster) crash(n *testNode) {
	n.down = true
	c.wires = slices.DeleteFunc(c.wires, func(m testMessage) bool { return m.saved != nil && m.to == n.id })
}

func (c *testCluster) isolate(n *testNode, on bool) {
	for _, o := range c.nodes {
		if o != n {
			c.cut[[2]shardmap.NodeID{n.id, o.id}] = on
			c.cut[[2]shardmap.NodeID{o.id, n.id}] = on
		}
	}
}

func (c *testCluster) allHeld() bool {
	for g := range c.groups {
		if c.holder(shardmap.GroupID(g)) == nil {
			return false
		}
	}
	return true
}

func pair(x, y *testNode) [2]shardmap.NodeID { return [2]shardmap.NodeID{x.id, y.id} }
