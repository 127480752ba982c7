package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// whole is one node of its own that serves.
type whole struct {
	*Node
	port string
	stop context.CancelFunc
	done chan error // what Run returned
}

// startWhole runs a node that founds a cluster alone and listens on every address.
func startWhole(t *testing.T, dir string, change func(*Config)) *whole {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	ports := []string{portOf(l.Addr().String())}
	for range 2 {
		other, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, portOf(other.Addr().String()))
		other.Close()
	}
	l.Close()
	cfg := DefaultConfig()
	cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes = "alone", dir, 64<<20
	cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = ":"+ports[0], ":"+ports[1], ":"+ports[2]
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	w := &whole{Node: n, port: ports[0], done: make(chan error, 1)}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	t.Cleanup(w.stop)
	go func() { w.done <- n.Run(ctx) }()
	r := dialRaw(t, "127.0.0.1:"+ports[0])
	r.pipeline(1, "", "GET", "nothing")
	r.until(t, "$-1\r\n")
	return w
}

// await waits for a condition of the node's own report.
func (w *whole) await(t *testing.T, what string, ok func(NodeReport) bool) {
	t.Helper()
	var last NodeReport
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(10 * time.Millisecond) {
		r, err := w.Status(time.Second)
		if err != nil || len(r.Nodes) != 1 {
			continue
		}
		if last = r.Nodes[0]; ok(last) {
			return
		}
	}
	t.Fatalf("waited in vain for: %s; the last report is %+v", what, last)
}

func TestALoopbackNodeAnnouncesWhereItWasReached(t *testing.T) {
	w := startWhole(t, t.TempDir(), nil)
	ask := func(ip string) {
		w.answer(membership.Question{Word: membership.AskWho}, &net.TCPAddr{IP: net.ParseIP(ip), Port: 1})
	}
	at := func(host string) func(NodeReport) bool {
		return func(r NodeReport) bool { return r.Addresses.Client == net.JoinHostPort(host, w.port) }
	}
	ask("127.0.0.1")
	ask("::1")
	w.await(t, "loopback", at("127.0.0.1"))
	ask("10.9.8.7")
	w.await(t, "the address at which it was reached", at("10.9.8.7"))
	registered := func() (addr string) {
		_ = w.host.Do(context.Background(), func(multiraft.Instant) {
			row, _ := w.core.Meta().Node(w.self)
			addr = row.Addresses.Client
		})
		return addr
	}
	w.await(t, "the registry", func(NodeReport) bool { return registered() == net.JoinHostPort("10.9.8.7", w.port) })
	ask("10.1.1.1") // it is somewhere now, and stays there
	select {
	case host := <-w.reached:
		t.Errorf("it moves on to %s", host)
	default:
	}
}

func TestASaidAddressStays(t *testing.T) {
	w := startWhole(t, t.TempDir(), func(c *Config) { c.Advertise = "127.0.0.1" })
	w.answer(membership.Question{Word: membership.AskWho}, &net.TCPAddr{IP: net.ParseIP("10.9.8.7")})
	if len(w.reached) != 0 {
		t.Error("--advertise does not count")
	}
}

// claim is what a member of another cluster asks, which has this node's address.
func claim() membership.Question {
	return membership.Question{Word: membership.AskWho, Cluster: [16]byte{0xab, 0xcd}, Name: "stranger", Seeds: []string{"10.0.0.9:7002"}, Held: "node1"}
}

func TestANewClusterWithoutWritesGivesWay(t *testing.T) {
	w := startWhole(t, t.TempDir(), nil)
	nowhere := &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}
	harmless := []func(*membership.Question){
		func(q *membership.Question) { q.Held = "" },                // a seed of theirs
		func(q *membership.Question) { q.Cluster = [16]byte{} },     // a blank node
		func(q *membership.Question) { q.Cluster = w.Node.cluster }, // one of our own
	}
	for _, change := range harmless {
		q := claim()
		change(&q)
		w.answer(q, nowhere)
	}
	w.await(t, "no notice", func(r NodeReport) bool { return len(r.Notices) == 0 && !r.Written })
	w.answer(claim(), nowhere)
	select {
	case err := <-w.done:
		for _, part := range []string{"abcd0000", `"node1"`, "stranger at 10.0.0.9:7002", w.dir.path, "--seeds"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("it ended with %v, which lacks %q", err, part)
			}
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("it goes on")
	}
}

func TestAClusterWithWritesStays(t *testing.T) {
	dir := t.TempDir()
	w := startWhole(t, dir, nil)
	r := dialRaw(t, "127.0.0.1:"+w.port)
	r.pipeline(1, "", "SET", "key", "value")
	r.until(t, "+OK\r\n")
	nowhere := &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}
	stays := func(w *whole) {
		t.Helper()
		w.answer(claim(), nowhere)
		w.await(t, "the notice", func(r NodeReport) bool {
			return len(r.Notices) == 1 && strings.Contains(r.Notices[0], "has taken writes") && r.Written
		})
	}
	stays(w)
	r.pipeline(1, "", "SET", "key", "again")
	r.until(t, "+OK\r\n") // what was held back is let in again
	for begun := time.Now(); !w.dir.marked(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("the write is not remembered")
		}
	}
	w.stop()
	if err := <-w.done; err != nil {
		t.Fatal(err)
	}
	again := startWhole(t, dir, nil)
	stays(again)
	again.stop()
	if err := <-again.done; err != nil {
		t.Fatal(err)
	}
	if m, _ := filepath.Glob(filepath.Join(dir, "alone", markName)); len(m) != 1 {
		t.Errorf("the mark is at %q", m)
	}
}

// TestStrangersMakeNobodyRemember: without a secret anybody can claim this node's address for
// a cluster and a node that he made up, each time another one, with names as long as a
// question may be, and tell of nodes that never were.
func TestStrangersMakeNobodyRemember(t *testing.T) {
	w := startWhole(t, t.TempDir(), nil)
	r := dialRaw(t, "127.0.0.1:"+w.port)
	r.pipeline(1, "", "SET", "key", "value")
	r.until(t, "+OK\r\n")
	c := &chat{n: w.Node, notices: make(map[string]string), states: make(map[shardmap.NodeID]membership.State)}
	for i := range 2 * noticesMax {
		q := claim()
		q.Held = fmt.Sprint(i, strings.Repeat("x", 100<<10))
		q.Name, q.Seeds = q.Held, []string{q.Held}
		c.judge(context.Background(), q)
	}
	bytes := 0
	for key, sentence := range c.notices {
		bytes += len(key) + len(sentence)
	}
	if len(c.notices) > noticesMax || bytes > noticesMax*8*wordsMax {
		t.Errorf("%d sentences of %d bytes are kept", len(c.notices), bytes)
	}
	for id := range shardmap.NodeID(2 * saidMax) {
		for !c.told(told(id+100, 1, "10.0.0.1:7001", membership.Alive)) {
			runtime.Gosched() // the node's loop has no room
		}
	}
	if len(c.states) > saidMax {
		t.Errorf("the states of %d nodes are kept", len(c.states))
	}
}

// TestThreeNodesGossip: what each node says of itself arrives at the others' cores.
func TestThreeNodesGossip(t *testing.T) {
	nodes := startNodes(t, 3, 64<<20)
	replicated(t, nodes)
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var heard []string
		leases := 0
		for _, n := range nodes {
			_ = n.host.Do(context.Background(), func(now multiraft.Instant) {
				for _, g := range n.core.NodeStatus(now).Gossip {
					if g.State == membership.Alive && g.Incarnation == 1 && g.Version == Version && g.MemoryMax == divide(n.cfg.MaxMemoryBytes).stores {
						heard = append(heard, fmt.Sprint(n.self, " of ", g.Node))
						leases += g.Leases
					}
				}
			})
		}
		if len(heard) == 6 && leases > 0 {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("heard only %q, with %d leases", heard, leases)
		}
	}
}
