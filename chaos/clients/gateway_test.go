package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// gatewayOf is the gateway's address of a node: three above the client port unless
// stated.
func gatewayOf(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return net.JoinHostPort(host, strconv.Itoa(n+3))
}

// plain is an unmodified go-redis client that knows nothing of clusters.
func plain(t *testing.T, addr string, protocol int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startStandalone starts one redis-server that is no cluster.
func startStandalone(t *testing.T) string {
	t.Helper()
	port := strconv.Itoa(freeBlock(t, 1))
	run(t, t.TempDir(), "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	addr := net.JoinHostPort("127.0.0.1", port)
	until(t, time.Minute, "redis-server answers", func() bool { return ask(addr, "ping") == "PONG" })
	return addr
}

// gatewaySteps are what a connection to the gateway says of itself; all keyed commands
// are dataSteps.
var gatewaySteps = []step{
	{args: words("PING")},
	{args: words("SELECT", "0")},
	{args: words("SELECT", "x")},
	{args: words("SELECT", "16")},
	{args: words("HELLO", "2"), mode: shape},
	{args: words("HELLO", "3"), mode: shape},
	{args: words("INFO"), mode: shape},
	{args: words("READONLY")},
	{args: words("READWRITE")},
	{args: words("CLUSTER", "INFO")},
	{args: words("CLUSTER", "SLOTS")},
	{args: words("CLUSTER", "KEYSLOT", "x")},
	{args: words("CLUSTER", "BOGUS"), mode: alone, want: "ERR unknown subcommand"},
	{args: words("WAIT", "0", "1"), mode: shape},
	{args: words("CONFIG", "GET", "cluster-enabled")},
	{args: words("AEGIS.DURABILITY", "majority"), mode: ours, want: "majority"},
	{args: words("SET", "gw:majority", "v")},
	{args: words("GET", "gw:majority")},
	{args: words("RESET")},
}

// frameworkSteps are what the cache stores of Django, Rails and Laravel send.
var frameworkSteps = []step{
	{args: words("SET", ":1:page", "x", "EX", "300")}, // Django
	{args: words("SET", ":1:lock", "x", "EX", "300", "NX")},
	{args: words("SET", ":1:lock", "y", "EX", "300", "NX")},
	{args: words("MSET", ":1:a", "1", ":1:b", "2", ":1:c", "3")},
	{args: words("EXPIRE", ":1:a", "300")},
	{args: words("MGET", ":1:a", ":1:b", ":1:c", ":1:none")},
	{args: words("PERSIST", ":1:a")},
	{args: words("EXISTS", ":1:a")},
	{args: words("INCRBY", ":1:a", "5")},
	{args: words("DEL", ":1:a", ":1:b", ":1:none")},
	{args: words("SET", "views/1", "html", "PX", "60000", "NX")}, // Rails
	{args: words("MGET", "views/1", "views/2")},
	{args: words("TTL", "views/1"), mode: near},
	{args: words("INCRBY", "hits", "1")},
	{args: words("EXPIRE", "hits", "60")},
	{args: words("DECRBY", "hits", "1")},
	{args: words("UNLINK", "views/1", "views/2", "hits")},
	{args: words("INFO"), mode: shape},
	{args: words("SETEX", "laravel:a", "60", "1")}, // Laravel
	{args: words("MULTI")},
	{args: words("SETEX", "laravel:{b}1", "60", "1")},
	{args: words("SETEX", "laravel:{b}2", "60", "2")},
	{args: words("EXEC")},
	{args: words("MULTI")},
	{args: words("SETEX", "laravel:b", "60", "1")},
	{args: words("DISCARD")},
	{args: words("MGET", "laravel:a", "laravel:{b}1", "laravel:{b}2", "laravel:b")},
	{args: words("DBSIZE")},
	{args: words("FLUSHALL")},
	{args: words("DBSIZE")},
	{args: words("MULTI")},
	{args: words("SET", "several", "1")},
	{args: words("SET", "slots", "1")},
	{args: words("EXEC"), mode: alone, want: "CROSSSLOT"},
}

// testGateway takes the gateways of all nodes for standalone servers.
func testGateway(t *testing.T, nodes []string) {
	if !needs(t, "redis-server", "redis-server") || !needs(t, "redis-benchmark", "redis-tools") {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	judgeAddr := startStandalone(t)
	for i, addr := range nodes {
		t.Run(fmt.Sprint("go-redis at node ", i+1), func(t *testing.T) {
			emptyAll(t, nodes, judgeAddr)
			c, judge := plain(t, gatewayOf(addr), 2+i%2), plain(t, judgeAddr, 2+i%2)
			gw, alone := c.Conn(), judge.Conn()
			defer func() { _, _ = gw.Close(), alone.Close() }()
			for _, s := range append(dataSteps, gatewaySteps...) {
				compare(t, s, answer(gw.Do(ctx, s.args...).Result()), answer(alone.Do(ctx, s.judged()...).Result()))
			}
		})
	}
	t.Run("frameworks", func(t *testing.T) {
		emptyAll(t, nodes, judgeAddr)
		gw, alone := plain(t, gatewayOf(nodes[2]), 2).Conn(), plain(t, judgeAddr, 2).Conn()
		defer func() { _, _ = gw.Close(), alone.Close() }()
		for _, s := range frameworkSteps {
			compare(t, s, answer(gw.Do(ctx, s.args...).Result()), answer(alone.Do(ctx, s.judged()...).Result()))
		}
	})
	t.Run("pipelines", func(t *testing.T) {
		emptyAll(t, nodes, judgeAddr)
		comparePipelines(ctx, t, plain(t, gatewayOf(nodes[0]), 3), plain(t, judgeAddr, 3))
	})
	t.Run("redis-cli", func(t *testing.T) {
		emptyAll(t, nodes, judgeAddr)
		for i, s := range dataSteps {
			if s.mode != exact || strings.ContainsRune(fmt.Sprint(s.args...), 0) {
				continue
			}
			got, want := cli(gatewayOf(nodes[i%len(nodes)]), arguments(s.args)[1:]...), cli(judgeAddr, arguments(s.judged())[1:]...)
			if got != want {
				t.Errorf("%q answers %q, redis %q", s.args, got, want)
			}
		}
	})
	t.Run("redis-benchmark", func(t *testing.T) {
		_, port, _ := net.SplitHostPort(gatewayOf(nodes[1]))
		for _, more := range [][]string{{}, {"-P", "64"}, {"-3"}} {
			args := append([]string{"-p", port, "-q", "-t", "ping_inline,set,get,incr,mset", "-n", "8000", "-c", "20", "-r", "10000"}, more...)
			out, err := exec.CommandContext(ctx, "redis-benchmark", args...).CombinedOutput()
			if text := string(out); err != nil || strings.Contains(text, "rror") || !strings.Contains(text, "MSET") {
				t.Errorf("redis-benchmark %v: %v\n%s", more, err, text)
			}
		}
	})
	gatewayWords(ctx, t, nodes)
	if n := figure(nodes[0], "aegis_forwarded_lost"); n != 0 {
		t.Errorf("%d connections were closed for want of an outcome", n)
	}
	if n := figure(nodes[0], "aegis_forwarded_commands"); n < 1000 {
		t.Errorf("only %d commands were forwarded", n)
	}
}

// emptyAll empties every node, and the judge.
func emptyAll(t *testing.T, nodes []string, judge string) {
	t.Helper()
	for _, addr := range append([]string{judge}, nodes...) {
		if got := ask(addr, "flushall"); got != "OK" {
			t.Fatalf("FLUSHALL at %s: %s", addr, got)
		}
	}
}

// figure is a number of a node's INFO, -1 when it is not there.
func figure(addr, name string) int {
	for _, line := range strings.Fields(ask(addr, "info", "all")) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return -1
}

// randomCommand is a command on up to five of forty keys.
func randomCommand(rnd *rand.Rand) []any {
	key := func() any { return fmt.Sprint("r", rnd.IntN(40)) }
	several := func(name string, values bool) []any {
		cmd := []any{name}
		for range 1 + rnd.IntN(5) {
			cmd = append(cmd, key())
			if values {
				cmd = append(cmd, rnd.IntN(100))
			}
		}
		return cmd
	}
	switch rnd.IntN(12) {
	case 0, 1:
		return words("SET", key(), rnd.IntN(1000))
	case 2:
		return words("INCRBY", key(), rnd.IntN(50))
	case 3:
		return words("APPEND", key(), rnd.IntN(9))
	case 4:
		return words("GETDEL", key())
	case 5:
		return words("SET", key(), "x", "NX", "GET")
	case 6:
		return several("MGET", false)
	case 7:
		return several("MSET", true)
	case 8:
		return several("DEL", false)
	case 9:
		return several("EXISTS", false)
	case 10:
		return words("STRLEN", key())
	}
	return words("GET", key())
}

// comparePipelines runs random pipelines against the gateway and the judge: the order
// within a connection is what Redis promises.
func comparePipelines(ctx context.Context, t *testing.T, c, judge *redis.Client) {
	t.Helper()
	const pipelines, length, long = 200, 30, 600 // a long one is forwarded in several parts
	rnd := rand.New(rand.NewPCG(3, 8))
	for n := range pipelines {
		var cmds [][]any
		for i := 0; i < length || n%50 == 0 && i < long; i++ {
			cmds = append(cmds, randomCommand(rnd))
		}
		both := [2][]redis.Cmder{}
		for i, to := range []*redis.Client{c, judge} {
			both[i], _ = to.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, cmd := range cmds {
					p.Do(ctx, cmd...)
				}
				return nil
			})
		}
		for i, cmd := range cmds {
			compare(t, step{args: cmd}, answer(both[0][i].(*redis.Cmd).Result()), answer(both[1][i].(*redis.Cmd).Result()))
		}
		if t.Failed() {
			t.Fatalf("in pipeline %d", n)
		}
	}
}

// gatewayLoad writes ever higher numbers through one gateway, each worker to a key of
// its own, and keeps what was acknowledged by a majority.
type gatewayLoad struct {
	mu     sync.Mutex
	acked  map[string]int
	errs   map[string]int // by their first words
	last   map[string]time.Time
	gap    time.Duration // the longest between two successes of a worker
	cancel func()
	wg     sync.WaitGroup
}

// gatewayWorkers is how many keys the load has.
const gatewayWorkers = 32

func startGatewayLoad(ctx context.Context, t *testing.T, addr string) *gatewayLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	l := &gatewayLoad{acked: map[string]int{}, errs: map[string]int{}, last: map[string]time.Time{}, cancel: cancel}
	c := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, PoolSize: 32, ReadTimeout: 5 * time.Second,
		OnConnect: func(ctx context.Context, n *redis.Conn) error {
			return n.Do(ctx, "AEGIS.DURABILITY", "majority").Err()
		},
	})
	t.Cleanup(func() { l.stop(); _ = c.Close() })
	for i := range gatewayWorkers {
		l.wg.Go(func() {
			key := fmt.Sprint("gateway:", i)
			for n := 1; ctx.Err() == nil; n++ {
				l.note(key, n, c.Set(ctx, key, n, 0).Err(), ctx.Err() != nil)
				if v, err := c.Get(ctx, key).Int(); err == nil && v < l.of(key) {
					t.Errorf("%s is %d after %d was acknowledged", key, v, l.of(key))
				}
				<-time.After(5 * time.Millisecond)
			}
		})
	}
	return l
}

func (l *gatewayLoad) of(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked[key]
}

func (l *gatewayLoad) note(key string, n int, err error, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case over:
	case err != nil:
		l.errs[strings.Join(strings.Fields(err.Error())[:1], " ")]++
	default:
		if at := l.last[key]; !at.IsZero() {
			l.gap = max(l.gap, now.Sub(at))
		}
		l.acked[key], l.last[key] = n, now
	}
}

// reset gives what went wrong since the last reset.
func (l *gatewayLoad) reset() (gap time.Duration, errs map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap, errs = l.gap, l.errs
	l.gap, l.errs = 0, map[string]int{}
	return gap, errs
}

func (l *gatewayLoad) stop() {
	l.cancel()
	l.wg.Wait()
}

// TestGatewayThroughFailures: a client of one node's gateway works on while another
// node leaves, which it must not notice, and while one is killed, which it may notice
// for about a lease. Nothing that a majority acknowledged is lost.
func TestGatewayThroughFailures(t *testing.T) {
	nodes := launch(t, 3, "256MiB")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	l := startGatewayLoad(ctx, t, gatewayOf(nodes[0].addr))
	until(t, time.Minute, "every worker works", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.acked) == gatewayWorkers })
	scan := startScanning(ctx, t, gatewayOf(nodes[0].addr), 500)
	again := func(n *restartable) {
		n.start(t)
		until(t, time.Minute, "three healthy nodes", func() bool { return healthy(nodes[0].addr) })
	}
	l.reset()
	nodes[2].signal(syscall.SIGTERM)
	_ = nodes[2].cmd.Wait()
	gap, errs := l.reset()
	t.Logf("a node left: longest pause of a worker %v, errors %v", gap, errs)
	if len(errs) > 0 {
		t.Errorf("a planned move was noticed: %v", errs)
	}
	if n := scan.failed.Load(); n > 0 {
		t.Errorf("%d scans noticed a planned move", n)
	}
	again(nodes[2])
	scan.again(t)
	l.reset()
	nodes[1].kill()
	killed := time.Now()
	until(t, 10*time.Second, "every worker works on", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, at := range l.last {
			if at.Before(killed.Add(leaseLength)) {
				return false
			}
		}
		return true
	})
	gap, errs = l.reset()
	t.Logf("a node was killed: longest pause of a worker %v, errors %v", gap, errs)
	if gap > gapMax {
		t.Errorf("a worker paused for %v, over %v", gap, gapMax)
	}
	for word := range errs {
		if word != "CLUSTERDOWN" && word != "EOF" && word != "NOREPLICAS" {
			t.Errorf("an error begins with %q", word)
		}
	}
	again(nodes[1])
	scan.again(t)
	t.Logf("%d scans found every key, %d failed", scan.whole.Load(), scan.failed.Load())
	scan.stop()
	l.stop()
	c := plain(t, gatewayOf(nodes[1].addr), 3)
	for key, n := range l.acked {
		if v, err := c.Get(ctx, key).Int(); err != nil || v < n {
			t.Errorf("%s is %d, %v; %d was acknowledged by a majority", key, v, err, n)
		}
	}
}
