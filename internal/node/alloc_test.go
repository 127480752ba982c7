package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Ports lie below the range from which the kernel takes outgoing ones, and each is given
// out once: what asked the kernel for one met connections of tests beside it.
const firstPort, lastPort = 8200, 11990

// portStep leaves room for the gateway and the admin port behind a client port.
const portStep = 5

var nextPort = struct {
	sync.Mutex
	at int
}{at: firstPort + os.Getpid()%230*16}

// freePorts finds loopback addresses that nobody listens on, with TCP or UDP.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	nextPort.Lock()
	defer nextPort.Unlock()
	var ports []string
	for tried := firstPort; len(ports) < n; tried++ {
		if tried > 2*lastPort {
			t.Fatal("no free ports")
		}
		if nextPort.at += portStep; nextPort.at > lastPort {
			nextPort.at = firstPort
		}
		if addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(nextPort.at)); isFree(addr) {
			ports = append(ports, addr)
		}
	}
	return ports
}

func isFree(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	return u.Close() == nil
}

// startNodes runs n whole nodes on loopback ports until the test ends.
func startNodes(t testing.TB, n int, memory int64) []*Node {
	t.Helper()
	ports := freePorts(t, 3*n)
	dir := t.TempDir()
	nodes := make([]*Node, n)
	for i := range nodes {
		cfg := DefaultConfig()
		cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes = fmt.Sprintf("n%d", i+1), dir, memory
		cfg.LeaseProfile = "noisy" // the machine may be busy with other tests
		cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = ports[3*i], ports[3*i+1], ports[3*i+2]
		for j := 0; n > 1 && j < n; j++ {
			cfg.Seeds = append(cfg.Seeds, ports[3*j+2])
		}
		var err error
		if nodes[i], err = New(cfg, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- node.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return nodes
}

// raw is a client that allocates nothing: the bytes it sends and the bytes it
// must receive are made beforehand.
type raw struct {
	nc              net.Conn
	ask, want, room []byte
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(5 * time.Minute))
	return &raw{nc: nc}
}

// pipeline prepares a command, repeated.
func (r *raw) pipeline(depth int, reply string, words ...string) {
	var cmd strings.Builder
	fmt.Fprintf(&cmd, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&cmd, "$%d\r\n%s\r\n", len(w), w)
	}
	r.ask = bytes.Repeat([]byte(cmd.String()), depth)
	r.want = bytes.Repeat([]byte(reply), depth)
	r.room = make([]byte, len(r.want))
}

// turn sends what was prepared and compares what comes back.
func (r *raw) turn() error {
	if _, err := r.nc.Write(r.ask); err != nil {
		return err
	}
	if _, err := io.ReadFull(r.nc, r.room); err != nil {
		return err
	}
	if !bytes.Equal(r.room, r.want) {
		return fmt.Errorf("got %.200q", r.room)
	}
	return nil
}

// answer sends what was prepared and gives what comes back, a short line.
func (r *raw) answer(t testing.TB) string {
	t.Helper()
	if _, err := r.nc.Write(r.ask); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r.nc).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// until asks until that is the answer: the server itself holds back what it
// cannot serve yet.
func (r *raw) until(t testing.TB, want string) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; {
		if r.answer(t) == want {
			return
		}
	}
	t.Fatalf("no %q within two minutes", want)
}

// mallocs counts heap objects made by everything in this process per command,
// in the quietest of several windows: the node's timers go on meanwhile.
func (r *raw) mallocs(windows, turns, depth int) (float64, error) {
	least := uint64(1 << 62)
	var before, after runtime.MemStats
	for range windows {
		runtime.ReadMemStats(&before)
		for range turns {
			if err := r.turn(); err != nil {
				return 0, err
			}
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	return float64(least) / float64(turns*depth), nil
}

const allocKey = "{1}key"

// timersShare is what the node's timers may add per command in the quietest
// window: less than one allocation in the deepest pipeline measured.
const timersShare = 0.005

// TestHitsAndEqualSetsAllocateNothingSocketToSocket goes through the real face,
// backend, shard and store of a node that serves under its own lease.
func TestHitsAndEqualSetsAllocateNothingSocketToSocket(t *testing.T) {
	if raceBuild {
		return
	}
	n := startNodes(t, 1, 64<<20)[0]
	value := strings.Repeat("v", 100)
	set, get := []string{"SET", allocKey, value}, []string{"GET", allocKey}
	hit := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "+OK\r\n", set...)
	r.until(t, "+OK\r\n")
	// The ring lends blocks until its share is used, then the oldest go round.
	r.pipeline(100, "+OK\r\n", set...)
	for written := int64(0); written < 2*ringBytes(n.cfg.MaxMemoryBytes); written += int64(len(r.ask)) {
		if err := r.turn(); err != nil {
			t.Fatal(err)
		}
	}
	for _, depth := range []int{1, 16, 200} {
		for _, c := range []struct {
			reply string
			words []string
		}{{"+OK\r\n", set}, {hit, get}} {
			r.pipeline(depth, c.reply, c.words...)
			per, err := r.mallocs(20, max(10, 1000/depth), depth)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, %d at a time: %.4f allocations per command", c.words[0], depth, per)
			if per >= timersShare {
				t.Errorf("%s, %d at a time: %.4f allocations per command", c.words[0], depth, per)
			}
		}
	}
}

// TestAllocationsOfReplicatedSets counts what a SET costs three nodes together:
// frames, acks and the followers' stores included. Those work by the batch, so
// the cost of a command falls with the depth of the pipeline.
func TestAllocationsOfReplicatedSets(t *testing.T) {
	if raceBuild {
		return
	}
	nodes := startNodes(t, 3, 64<<20)
	r := replicated(t, nodes)
	if err := countReplicated(t, r); err != nil {
		t.Fatal(err)
	}
	if m := memoryOf(t, r); m["mem_replication_backlog"] == 0 { // and none on a node that is alone: TestInfoMemoryIsMeasured
		t.Error("the records for followers are not counted in memory")
	}
}

func countReplicated(t testing.TB, r *raw) error {
	t.Helper()
	for _, depth := range []int{1, 16, 200} {
		r.pipeline(depth, "+OK\r\n", "SET", allocKey, strings.Repeat("v", 100))
		per, err := r.mallocs(20, max(10, 1000/depth), depth)
		if err != nil {
			return err
		}
		t.Logf("SET, %d at a time: %.3f allocations per command on three nodes", depth, per)
		if limit := 40.0 / float64(depth); per > limit+1 {
			t.Errorf("SET, %d at a time: %.3f allocations per command on three nodes, over %.1f", depth, per, limit+1)
		}
	}
	return nil
}

// rightful reports whether the ring gives the key's lease to this node: then
// nobody moves it while something is measured.
func (n *Node) rightful(t testing.TB, key string) (yes bool) {
	t.Helper()
	l := n.routes.Load().Layout()
	err := n.host.Do(context.Background(), func(multiraft.Instant) {
		if m := n.core.Meta(); m != nil {
			want := m.Group(l.GroupOf(l.ShardOf(shardmap.SlotOf([]byte(key)))))
			yes = len(want.Replicas) == 3 && want.Replicas[0].Node == n.self
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

// replicated is a connection to the node that serves allocKey, from when three
// nodes hold it and the lease is where it will stay.
func replicated(t testing.TB, nodes []*Node) *raw {
	t.Helper()
	conns := make([]*raw, len(nodes))
	for i, n := range nodes {
		conns[i] = dialRaw(t, n.cfg.ClientAddr)
	}
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(time.Millisecond) {
		for i, n := range nodes {
			r := conns[i]
			r.pipeline(1, "", "SET", allocKey, "value")
			if r.answer(t) != "+OK\r\n" || !n.rightful(t, allocKey) {
				continue
			}
			r.pipeline(1, "", "WAIT", "2", "1000")
			if r.answer(t) == ":2\r\n" {
				return r
			}
		}
	}
	t.Fatal("no write was on three nodes within two minutes")
	return nil
}
