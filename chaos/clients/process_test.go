package clients

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// needs says whether a program is installed. Where it is not, the test prints a line
// that names it as not run, and fails when everything must run.
func needs(t *testing.T, program, pkg string) bool {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	line := fmt.Sprintf("NOT RUN: %s (chaos/clients) needs %s: apt-get install %s", t.Name(), program, pkg)
	if os.Getenv("AEGIS_TEST_ALL") == "1" {
		t.Fatal(line)
	}
	fmt.Println(line)
	return false
}

// repository is the root of the parent module.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var aegisBinary struct {
	once sync.Once
	path string
	err  error
}

// buildAegis builds cmd/aegis of the parent, once.
func buildAegis(t *testing.T) string {
	t.Helper()
	b := &aegisBinary
	b.once.Do(func() {
		dir, err := os.MkdirTemp("", "aegis-clients-")
		if err != nil {
			b.err = err
			return
		}
		b.path = filepath.Join(dir, "aegis")
		cmd := exec.Command("go", "build", "-o", b.path, "./cmd/aegis")
		cmd.Dir = repository(t)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("build cmd/aegis: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

type silent struct{}

// Printf implements go-redis's logger.
func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVariable)]; ok {
		role()
		return
	}
	redis.SetLogger(silent{})          // nodes that are down are what these tests are about
	_ = flag.Set("test.parallel", "4") // these mostly wait; who measures time is not among them
	code := m.Run()
	if p := aegisBinary.path; p != "" {
		_ = os.RemoveAll(filepath.Dir(p))
	}
	os.Exit(code)
}

// The ports of these tests lie below the range from which the kernel takes outgoing
// ones, and each is given out once: tests run at the same time, and a node that is
// down still has its own.
const firstPort, lastPort = 20000, 32000

var nextPort = struct {
	sync.Mutex
	at int
}{at: firstPort + os.Getpid()%500*16}

// freeBlock is the first of n ports in a row that nobody listens on.
func freeBlock(t *testing.T, n int) int {
	t.Helper()
	nextPort.Lock()
	defer nextPort.Unlock()
	for range (lastPort - firstPort) / n {
		if nextPort.at+n > lastPort {
			nextPort.at = firstPort
		}
		base := nextPort.at
		nextPort.at += n
		if blockIsFree(base, n) {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func blockIsFree(base, n int) bool {
	for p := base; p < base+n; p++ {
		ln, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(p)))
		if err != nil {
			return false
		}
		_ = ln.Close()
		udp, err := net.ListenPacket("udp", net.JoinHostPort("", strconv.Itoa(p)))
		if err != nil {
			return false
		}
		_ = udp.Close()
	}
	return true
}

// run starts a program that lives as long as the test; its output is shown when the
// test fails.
func run(t *testing.T, dir, program string, args ...string) *exec.Cmd {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text := out.Bytes()
			t.Logf("output of %s %s:\n%s", filepath.Base(program), strings.Join(args, " "), text[max(0, len(text)-2<<10):])
		}
	})
	return cmd
}

// startRedis starts one redis-server in cluster mode that owns all slots.
func startRedis(t *testing.T) string {
	t.Helper()
	port := freeBlock(t, 1)
	for !blockIsFree(port+10000, 1) {
		port = freeBlock(t, 1)
	}
	p := strconv.Itoa(port)
	run(t, t.TempDir(), "redis-server", "--port", p, "--bind", "127.0.0.1", "--save", "",
		"--cluster-enabled", "yes", "--dir", t.TempDir())
	addr := net.JoinHostPort("127.0.0.1", p)
	until(t, time.Minute, "redis-server answers", func() bool { return ask(addr, "ping") == "PONG" })
	ask(addr, "cluster", "addslotsrange", "0", "16383")
	until(t, time.Minute, "redis-server serves all slots", func() bool {
		return strings.Contains(ask(addr, "cluster", "info"), "cluster_state:ok")
	})
	return addr
}

// cli runs redis-cli once and gives its output, trimmed.
func cli(addr string, words ...string) string {
	host, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "redis-cli", append([]string{"-h", host, "-p", port}, words...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// ask puts one command to one node and gives its answer as text.
func ask(addr string, words ...any) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = n.Close() }()
	v, err := n.Do(ctx, words...).Result()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

// awaitMap waits until all nodes give the same CLUSTER SLOTS, know each other and lead some
// slots, for a second without a change: leases that still move would cost redirects.
func awaitMap(t *testing.T, addrs []string) {
	t.Helper()
	var last string
	var since time.Time
	until(t, time.Minute, "all nodes lead slots and agree on the map", func() bool {
		first := ask(addrs[0], "cluster", "slots")
		for _, addr := range addrs {
			info := ask(addr, "cluster", "info")
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprint("cluster_size:", len(addrs))) ||
				ask(addr, "cluster", "slots") != first {
				last = ""
				return false
			}
		}
		if first != last {
			last, since = first, time.Now()
			return false
		}
		return time.Since(since) > time.Second
	})
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	untilEvery(t, limit, 20*time.Millisecond, what, ok)
}

// untilEvery is until with a pace of its own. To ask for the status costs the nodes more than
// a copy that moves does: who measures them asks seldom.
func untilEvery(t *testing.T, limit, pace time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for: %s", limit, what)
		}
	}
}
