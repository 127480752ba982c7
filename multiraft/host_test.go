package multiraft

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// liveNode is a Core on a Host with real clocks and a real raft.db; its network
// is a function call into the other hosts.
type liveNode struct {
	id    shardmap.NodeID
	host  *Host
	core  *Core
	mesh  *mesh
	store Storage
	stop  context.CancelFunc
	ended chan error

	mu    sync.Mutex
	lease *Lease
}

type mesh struct {
	mu    sync.Mutex
	nodes map[shardmap.NodeID]*liveNode
}

func (m *mesh) post(from, to shardmap.NodeID, f func(*Core, Instant)) {
	m.mu.Lock()
	src, dst := m.nodes[from], m.nodes[to]
	m.mu.Unlock()
	if src != nil && dst != nil {
		dst.host.Post(func(now Instant) { f(dst.core, now) })
	}
}

func (n *liveNode) Control(to shardmap.NodeID, frame []byte) {
	body := slices.Clone(frame)
	n.mesh.post(n.id, to, func(c *Core, now Instant) { c.Receive(n.id, body, now) })
}

func (n *liveNode) Datagram(to shardmap.NodeID, p []byte, tcp bool) {
	n.mesh.post(n.id, to, func(c *Core, now Instant) { c.Datagram(n.id, p, tcp, now) })
}

func (n *liveNode) Append(b *Batch)                                                  { n.host.Append(b) }
func (n *liveNode) Event(Event)                                                      {}
func (n *liveNode) Seal(shardmap.GroupID, Ballot, Member, Instant) []byte            { return nil }
func (n *liveNode) Sealed(shardmap.GroupID, Ballot, Member, Role, []byte, Instant)   {}
func (n *liveNode) LeaderChanged(shardmap.GroupID, shardmap.NodeID, uint64, Instant) {}
func (n *liveNode) ConfigApplied(shardmap.GroupID, GroupConfig, Instant)             {}
func (n *liveNode) LeaseClosed(shardmap.GroupID, Ballot, string, Instant)            {}
func (n *liveNode) StateSnapshot(shardmap.GroupID) []byte                            { return nil }
func (n *liveNode) StateRestore(shardmap.GroupID, []byte, Instant)                   {}
func (n *liveNode) Healthy(shardmap.GroupID) bool                                    { return true }
func (n *liveNode) Ceiling() int64                                                   { return 0 }
func (n *liveNode) CeilingAcked(shardmap.GroupID, int64)                             {}
func (n *liveNode) CeilingHeard(shardmap.NodeID, int64)                              {}
func (n *liveNode) Behind(shardmap.GroupID) bool                                     { return false }

func (n *liveNode) GateOpen(g shardmap.GroupID, b Ballot, _ Instant) {
	n.core.Propose(g, b, []byte(b.String()))
}

func (n *liveNode) Applied(g shardmap.GroupID, _ uint64, data []byte, now Instant) {
	l := n.core.Lease(g)
	if l != nil && l.Ballot().String() == string(data) && n.core.OpenLease(g, l.Ballot(), now) {
		n.mu.Lock()
		n.lease = l
		n.mu.Unlock()
	}
}

func (n *liveNode) serves() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lease.Check(CheckClock())
}

func (n *liveNode) start(t *testing.T, replicas []ReplicaDesc) {
	r, err := n.store.Load()
	if err != nil {
		t.Fatal(err)
	}
	n.host = NewHost(n.store)
	cfg := DefaultConfig()
	cfg.Self, cfg.Groups = Member{n.id, r.Identity.Inc}, 1
	if n.core, err = NewCore(cfg, r, n, n, Now()); err != nil {
		t.Fatal(err)
	}
	if len(r.Groups) == 0 {
		if err := n.core.Create(0, replicas, replicas[n.id-1].ID, Now()); err != nil {
			t.Fatal(err)
		}
	}
	n.mesh.mu.Lock()
	n.mesh.nodes[n.id] = n
	n.mesh.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.ended = cancel, make(chan error, 1)
	go func() { n.ended <- n.host.Run(ctx, n.core) }()
}

// kill stops the node without a word to anybody.
func (n *liveNode) kill(t *testing.T) {
	n.mesh.mu.Lock()
	delete(n.mesh.nodes, n.id)
	n.mesh.mu.Unlock()
	n.stop()
	if err := <-n.ended; err != nil {
		t.Error(err)
	}
	if err := n.store.Close(); err != nil {
		t.Error(err)
	}
}

// eventually polls on a ticker until ok or a deadline.
func eventually(t *testing.T, d time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		if ok() {
			return time.Since(start)
		}
		if now.Sub(start) > d {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
	return 0
}

func startThree(t *testing.T) (*mesh, []*liveNode) {
	m := &mesh{nodes: map[shardmap.NodeID]*liveNode{}}
	var replicas []ReplicaDesc
	for i := 1; i <= 3; i++ {
		replicas = append(replicas, MakeReplica(uint64(i), shardmap.NodeID(i), RoleVoter))
	}
	var nodes []*liveNode
	for i := 1; i <= 3; i++ {
		n := &liveNode{id: shardmap.NodeID(i), mesh: m}
		n.open(t, filepath.Join(t.TempDir(), "raft.db"))
		n.start(t, replicas)
		nodes = append(nodes, n)
	}
	return m, nodes
}

func (n *liveNode) open(t *testing.T, path string) {
	s, err := OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	n.store = s
}

func TestHostsServeFailOverAndRestart(t *testing.T) {
	before := runtime.NumGoroutine()
	_, nodes := startThree(t)
	serving := func() (who []*liveNode) {
		for _, n := range nodes {
			if n.serves() {
				who = append(who, n)
			}
		}
		return who
	}
	eventually(t, 10*time.Second, "a holder", func() bool { return len(serving()) == 1 })
	first := serving()[0]
	path := first.store.(*BoltStorage).path
	first.kill(t)
	took := eventually(t, 10*time.Second, "another holder", func() bool { w := serving(); return len(w) == 1 && w[0] != first })
	t.Logf("failover with a real disk took %v", took)
	first.lease = nil
	first.open(t, path)
	first.start(t, nil)
	eventually(t, 10*time.Second, "the old holder follows again", func() bool {
		ok := false
		err := first.host.Do(context.Background(), func(Instant) {
			st, _ := first.core.Group(0)
			ok = st.Grantee.Node != 0 && st.Grantee.Node != first.id
		})
		return err == nil && ok
	})
	if w := serving(); len(w) != 1 {
		t.Errorf("%d nodes serve", len(w))
	}
	for _, n := range nodes {
		n.kill(t)
	}
	eventually(t, 5*time.Second, "every goroutine ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAFailingDiskEndsTheHost(t *testing.T) {
	mem := NewMemoryStorage([16]byte{1})
	n := &liveNode{id: 1, mesh: &mesh{nodes: map[shardmap.NodeID]*liveNode{}}, store: mem}
	n.start(t, []ReplicaDesc{MakeReplica(1, 1, RoleVoter)})
	eventually(t, 5*time.Second, "the single node serves", n.serves)
	if err := n.host.Do(context.Background(), func(Instant) {
		mem.Fail(errors.New("no space"))
		n.core.Propose(0, n.core.Lease(0).Ballot(), []byte("x"))
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-n.ended:
		if err == nil || !strings.Contains(err.Error(), "no space") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the host goes on without a disk")
	}
	if n.serves() {
		t.Error("the lease outlived its disk")
	}
}

func TestClocksGoForward(t *testing.T) {
	last := Now()
	for range 1000 {
		now := Now()
		if now.Mono < last.Mono || now.Age < last.Age-suspendSlack || now.Wait < last.Wait {
			t.Fatalf("%+v after %+v", now, last)
		}
		last = now
	}
	mono, offset := CheckClock()
	if d := mono - last.Mono; d < 0 || d > time.Second {
		t.Errorf("CheckClock is %v from Now", d)
	}
	if d := offset - last.SuspendOffset; d < -suspendSlack || d > suspendSlack {
		t.Errorf("the offset is %v from Now's", d)
	}
}

// A request is admitted by a Glance and answered by a CheckClock: both must read the
// clocks that the Core publishes leases by, or one of them would pass where the
// other fails.
func TestAGlanceReadsTheSameClocks(t *testing.T) {
	for range 1000 {
		before := Now()
		glance := Glance()
		after := Now()
		if glance.Mono < before.Mono || glance.Mono > after.Mono {
			t.Fatalf("Mono %v is not from %v to %v", glance.Mono, before.Mono, after.Mono)
		}
		if glance.Wall < before.Wall-1000 || glance.Wall > after.Wall+1000 {
			t.Fatalf("Wall %v is not from %v to %v", glance.Wall, before.Wall, after.Wall)
		}
		if glance.SuspendOffset != before.SuspendOffset {
			t.Fatalf("the suspend offset is %v, read last was %v", glance.SuspendOffset, before.SuspendOffset)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Glance(); CheckClock() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A file cut short or overwritten is refused with a sentence, never read as less.
func TestADamagedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s, err := OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	for g := range 40 {
		if err := s.Save(&Batch{Groups: []GroupWrite{{Group: shardmap.GroupID(g), ReplicaID: 7, Entries: entries(1, 40, 1)}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, damage := range []func([]byte) []byte{
		func(b []byte) []byte { clear(b[:2*os.Getpagesize()]); return b },
		func(b []byte) []byte { return b[:100] },
		func(b []byte) []byte { return b[:2*os.Getpagesize()] },
		func(b []byte) []byte { return b[:5*os.Getpagesize()] },
	} {
		if err := os.WriteFile(path, damage(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenBolt(path)
		if err == nil {
			_, err = s.Load()
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "start it as a new node") {
			t.Errorf("damage %d: %v", i, err)
		}
	}
}
