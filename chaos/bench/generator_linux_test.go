package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// answer serves GET and SET with fixed replies, the connection's first after a while.
func answer(t *testing.T, first time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				late := first
				for r := resp.NewReader(nc, 1<<20); r.Fill() == nil; {
					var out []byte
					for args, ok, _ := r.Next(); ok; args, ok, _ = r.Next() {
						if string(args[0]) == "SET" {
							out = append(out, "+OK\r\n"...)
						} else {
							out = resp.AppendBulk(out, "value")
						}
					}
					<-time.After(late)
					late = 0
					_, _ = nc.Write(out)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func offer(t *testing.T, addr string, c Cell, rate int) *turn {
	t.Helper()
	g, err := newGenerator([]string{addr}, 4, func(int) [][]int { return [][]int{{1, 2}, {3}} })
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	spent := time.Duration(0)
	u := &turn{g: g, latency: load.NewHistogram(), cpu: func() (time.Duration, error) { spent += time.Second; return spent, nil }}
	if err := u.run(c, rate, 0, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTheGeneratorOffersWhatWasAsked(t *testing.T) {
	addr := answer(t, 0)
	for _, c := range []Cell{{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, {Nodes: 1, Op: "SET", Depth: 16, Value: 1024}} {
		u := offer(t, addr, c, 2000)
		if u.sample.ops < 400 || u.sample.ops > 620 || u.sample.cpu != time.Second || u.sample.errors != 0 {
			t.Errorf("%s: %d operations in %v, %v CPU, %d errors", c.Name(), u.sample.ops, u.sample.took, u.sample.cpu, u.sample.errors)
		}
		if n := u.latency.TotalCount(); n != int64(u.sample.ops) {
			t.Errorf("%d latencies of %d operations", n, u.sample.ops)
		}
	}
	if u := offer(t, addr, Cell{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, 0); u.sample.ops < 2000 {
		t.Errorf("as many as are answered: %d", u.sample.ops)
	}
}

func TestAStallIsChargedToAllWhoWouldHaveMetIt(t *testing.T) {
	u := offer(t, answer(t, 200*time.Millisecond), Cell{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, 1000)
	// 200 of 300 requests were due within the stall, half of them 100 ms before its
	// end: a generator that waits before it sends would have met it four times.
	if p50 := time.Duration(u.latency.ValueAtQuantile(50)); p50 < 20*time.Millisecond {
		t.Fatalf("a stall of 200 ms in 300 left a median of %v", p50)
	}
}

// TestAWindowWithoutAnAnswerStaysOpen: on a machine that does something else 100 ms may bring
// none, and none is no measurement.
func TestAWindowWithoutAnAnswerStaysOpen(t *testing.T) {
	u := offer(t, answer(t, 500*time.Millisecond), Cell{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, 1000)
	if u.sample.ops == 0 || u.sample.took < 500*time.Millisecond {
		t.Errorf("%d answers in %v", u.sample.ops, u.sample.took)
	}
}

func TestErrorsAndMissesAreCounted(t *testing.T) {
	l := link{in: []byte("-ERR no\r\n$-1\r\n$3\r\nabc\r\n+OK\r\n:5\r\n$10\r\nabc"), left: 6}
	l.end = len(l.in)
	u := turn{open: true, latency: load.NewHistogram(), g: &generator{work: newWork()}}
	if err := u.take(&l, 1); err != nil {
		t.Fatal(err)
	}
	if u.sample.ops != 5 || u.sample.errors != 2 || u.sample.first != "-ERR no" || l.left != 1 {
		t.Fatalf("%+v, %d left", u.sample, l.left)
	}
}

func TestStatIsReadBehindAnyName(t *testing.T) {
	d, err := parseStat([]byte("12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9"))
	if err != nil || d != 2*time.Second {
		t.Fatal(d, err)
	}
	if _, err := parseStat([]byte("12 (a) S")); err == nil {
		t.Fatal("a short line was taken")
	}
}

// TestAWholeRun measures for a moment: the figures mean nothing, but every cell
// has some, without errors.
func TestAWholeRun(t *testing.T) {
	if testing.Short() {
		return
	}
	o := DefaultOptions()
	o.Aegis = filepath.Join(t.TempDir(), "aegis")
	if out, err := exec.Command("go", "build", "-o", o.Aegis, "../../cmd/aegis").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o.Rounds, o.Window, o.Warm, o.Keys, o.Rate = 1, 100*time.Millisecond, 10*time.Millisecond, 1000, 2000
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2*len(loads) {
		t.Fatalf("%d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		figures := []Figure{row.Aegis}
		if row.Redis != nil {
			figures = append(figures, *row.Redis)
		}
		if row.timed() != (row.Echo != nil) {
			t.Errorf("%s: echo server: %v", row.Name(), row.Echo)
		} else if row.Echo != nil {
			figures = append(figures, *row.Echo)
		}
		for _, f := range figures {
			if f.Rate == 0 || f.P50 == 0 || f.Errors != 0 {
				t.Errorf("%s: %+v", row.Name(), f)
			}
		}
	}
}

// TestPortsAreNotTheKernels: a server's port is none that an outgoing connection may take
// before the server has started, nor one where somebody listens.
func TestPortsAreNotTheKernels(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	var low, high int
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		t.Fatal(err)
	}
	taken, err := net.ListenPacket("udp", local(nextPort+2))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	seen := map[int]bool{nextPort + 2: true}
	for range 3 {
		ports, err := freePorts(9)
		if err != nil || len(ports) != 9 {
			t.Fatal(ports, err)
		}
		for _, p := range ports {
			if p >= low && p <= high || seen[p] {
				t.Errorf("%d is the kernel's, taken, or given out before", p)
			}
			seen[p] = true
		}
	}
}

// TestANodeThatOwnsNothingIsLeftOut: load goes to those that own keys, and the log says so.
func TestANodeThatOwnsNothingIsLeftOut(t *testing.T) {
	var log strings.Builder
	s := &system{name: "aegis", addrs: []string{"a", "b", "c"}}
	addrs, keys := s.owning(Options{Log: &log}, [][][]int{{{1}, {}}, {{}, {}}, {{2, 3}, {4}}})
	if !slices.Equal(addrs, []string{"a", "c"}) || len(keys) != 2 || keys[1][0][1] != 3 || !strings.Contains(log.String(), "b owns nothing") {
		t.Error(addrs, keys, log.String())
	}
}
