package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// TestThreeNodes runs all clients, one after the other, against one cluster. It is about
// replies: with leases for a noisy machine the tests beside it move none.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	nodes := addresses(launch(t, 3, "256MiB --lease-profile noisy"))
	for _, client := range []struct {
		name string
		test func(t *testing.T, nodes []string)
	}{
		{"go-redis", testGoRedis},
		{"gateway", testGateway},
		{"pkg-client", testGoClient},
		{"example", func(t *testing.T, nodes []string) {
			for _, addr := range nodes {
				runExample(t, addr)
			}
		}},
	} {
		for _, addr := range nodes {
			if got := ask(addr, "flushall"); got != "OK" {
				t.Fatalf("FLUSHALL before %s: %s", client.name, got)
			}
		}
		t.Run(client.name, func(t *testing.T) { client.test(t, nodes) })
	}
}

// openTools makes clients of the programs that come with Redis, those of them that are
// installed. A step of their load is a process, of which one at a time is enough; between
// two the machine is left to the others, which have a cluster to keep alive on it.
func openTools(t *testing.T, addrs []string) map[string]*goClient {
	t.Helper()
	tools := map[string]*goClient{}
	if !needs(t, "redis-server", "redis-server") || !needs(t, "redis-cli", "redis-tools") || !needs(t, "redis-benchmark", "redis-tools") {
		return tools
	}
	runs := func(name string, test func(t *testing.T, nodes []string)) func(context.Context) error {
		return func(context.Context) error {
			if !t.Run(name, func(t *testing.T) { test(t, addrs) }) {
				return errors.New("see the test of this name")
			}
			return nil
		}
	}
	turns := atomic.Int64{}
	next := func() string { return addrs[int(turns.Add(1))%len(addrs)] } // each has to send what is not its own on
	follow := func(words ...string) string { return cli(next(), append([]string{"-c"}, words...)...) }
	tools["redis-cli -c"] = &goClient{
		name: "redis-cli", number: toolVersion("redis-cli"), mapless: true, workers: 1,
		set: func(_ context.Context, k, v string) error {
			if got := follow("set", k, v); got != "OK" {
				return errors.New(got)
			}
			return nil
		},
		get: func(ctx context.Context, k string) (string, error) {
			got := follow("get", k)
			wait(ctx, 5*time.Millisecond)
			return got, nil
		},
		commands: runs("redis-cli", testRedisCLI),
	}
	tools["redis-benchmark --cluster"] = &goClient{
		name: "redis-benchmark", number: toolVersion("redis-benchmark"), workers: 1,
		turn: func(ctx context.Context, _, _ string) (int, error) {
			addr, words := next(), []string{"-t", "set,get", "-n", strconv.Itoa(afterwards), "-c", "6"}
			text, err := benchmarked(ctx, addr, true, words...)
			if strings.Contains(text, "Invalid cluster: 1 node") {
				// It takes no cluster in which one node serves all, as this does for half a
				// minute after two nodes were away, and has sent nothing: there it is told so.
				_, err = benchmarked(ctx, soleHolder(addrs), false, words...)
			}
			wait(ctx, 50*time.Millisecond)
			return 2 * afterwards, err
		},
		routes: func(ctx context.Context) error {
			_, err := benchmarked(ctx, addrs[0], true, "-t", "set,get", "-n", "512", "-c", "6")
			return err
		},
		commands: runs("redis-benchmark", testRedisBenchmark),
	}
	return tools
}

// toolVersion is the number in what a program says of itself.
func toolVersion(program string) string {
	out, _ := exec.Command(program, "--version").Output()
	if f := strings.Fields(string(out)); len(f) > 1 {
		return f[1]
	}
	return "unknown"
}

func testRedisCLI(t *testing.T, nodes []string) {
	judge := startRedis(t)
	everyPromised(t, nodes, func() { compareThroughCLI(t, nodes, judge) })
	if out := cli(nodes[0], "--cluster", "check", nodes[0]); !strings.Contains(out, "All 16384 slots covered") ||
		!strings.Contains(out, "All nodes agree about slots configuration") {
		t.Errorf("redis-cli --cluster check:\n%s", out)
	}
}

// compareThroughCLI runs every command, the keyed ones by a redis-cli each that
// starts at any node and follows redirects.
func compareThroughCLI(t *testing.T, nodes []string, judge string) {
	t.Helper()
	compareSessions(t, nodes[0], judge)
	if got := cli(nodes[0], "quit"); got != "OK" { // in a session redis-cli keeps the word for itself
		t.Errorf("QUIT: %q", got)
	}
	for i, s := range dataSteps {
		if strings.ContainsRune(fmt.Sprint(s.args...), 0) {
			continue // a zero byte does not fit an argument of a program
		}
		got, want := cli(nodes[i%len(nodes)], arguments(s.args)...), cli(judge, arguments(s.judged())...)
		switch {
		case s.mode == exact && got != want:
			t.Errorf("%q answers %q, redis %q", s.args, got, want)
		case s.mode == ours && !strings.Contains(got, s.want):
			t.Errorf("%q answers %q", s.args, got)
		case strings.Contains(got, "MOVED"):
			t.Errorf("%q: redis-cli -c does not follow: %q", s.args, got)
		}
	}
	for _, addr := range nodes {
		if got := cli(addr, "flushall"); got != "OK" {
			t.Errorf("FLUSHALL at %s: %q", addr, got)
		}
	}
}

// arguments makes redis-cli follow redirects and run one command.
func arguments(words []any) []string {
	args := []string{"-c"}
	for _, w := range words {
		args = append(args, fmt.Sprint(w))
	}
	return args
}

func testRedisBenchmark(t *testing.T, nodes []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, more := range [][]string{{}, {"-P", "16"}, {"--threads", "2"}, {"-3"}} {
		text, err := benchmarked(ctx, nodes[0], true, append([]string{"-t", "ping_inline,ping_mbulk,set,get,incr,mset", "-n", "8000", "-c", "20"}, more...)...)
		if err != nil {
			t.Errorf("redis-benchmark %v: %v", more, err)
		}
		for _, test := range []string{"PING_INLINE", "SET", "GET", "INCR", "MSET"} {
			if !strings.Contains(text, test) {
				t.Errorf("redis-benchmark %v: no line for %s\n%s", more, test, text)
			}
		}
	}
}

// benchmarked runs redis-benchmark; anything that went wrong is an error.
func benchmarked(ctx context.Context, addr string, cluster bool, more ...string) (text string, err error) {
	host, port, _ := net.SplitHostPort(addr)
	args := append([]string{"-h", host, "-p", port, "-q", "-r", "10000"}, more...)
	if cluster {
		args = append([]string{"--cluster"}, args...)
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", args...).CombinedOutput()
	text = strings.ReplaceAll(string(out), "\r", "\n")
	if err != nil || strings.Contains(text, "rror") || strings.Contains(text, "MOVED") {
		return text, fmt.Errorf("%w: %s", cmp.Or(err, errors.New("it says so")), strings.Join(strings.Fields(text), " ")) // in one line: errors are counted by it
	}
	return text, nil
}

func testGoClient(t *testing.T, nodes []string) {
	cfg := client.DefaultConfig(nodes[:1])
	cfg.Durability, cfg.Losses = "majority", true
	cfg.OnLost = func(e *client.LostWritesError) { t.Error(e) }
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx := context.Background()
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		if err := c.Set(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Get(ctx, key); string(v) != key || err != nil {
			t.Fatalf("%q %v", v, err)
		}
	}
	if err := c.Delete(ctx, "key1"); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Get(ctx, "key1"); v != nil || err != client.ErrNotFound {
		t.Fatalf("%q %v", v, err)
	}
	if err := c.SetWithTTL(ctx, "short", []byte("v"), 50); err != nil {
		t.Fatal(err)
	}
	until(t, time.Minute, "the time to live ends", func() bool {
		_, err := c.Get(ctx, "short")
		return err == client.ErrNotFound
	})
}
