package redis

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/judge"
)

// TestStepsOfAHistogram: each duration is in a step that ends at it or up to a 32nd later,
// and steps do not overlap.
func TestStepsOfAHistogram(t *testing.T) {
	for i := range stepsMax {
		if end := stepEnd(i); stepOf(end) != i || i < stepsMax-1 && stepOf(end+1) != i+1 {
			t.Fatalf("step %d ends at %d, which is in %d; the next is in %d", i, end, stepOf(end), stepOf(end+1))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(r.Uint64() >> (24 + r.IntN(40)))
		if end := stepEnd(stepOf(d)); end < d || end-d > d/32 {
			t.Fatalf("%d is in a step that ends at %d", d, end)
		}
	}
	if stepOf(1<<62) != stepsMax-1 || stepOf(-1) != 0 {
		t.Error("what is beyond the steps is in none")
	}
}

// TestAHistogramIsRead as INFO latencystats and LATENCY HISTOGRAM show it, from durations
// that are known.
func TestAHistogramIsRead(t *testing.T) {
	var h histogram
	for _, x := range []struct {
		took  time.Duration
		calls int64
	}{{500, 40}, {1023, 9}, {1024, 1}, {3000, 48}, {30_000, 1}, {2 * time.Second, 1}} {
		h.add(x.took, x.calls)
	}
	all, total := h.doublings()
	if got, want := fmt.Sprint(all, total), "[{1 49} {2 50} {4 98} {33 99} {2164260 100}] 100"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for i, want := range []time.Duration{1024, 3000, 30_000, 2 * time.Second} {
		if got := h.percentiles(50, 98, 99, 99.9)[i]; got < want || got > want+want/32 {
			t.Errorf("percentile %d: %v, want %v", i, got, want)
		}
	}
	if p := new(histogram).percentiles(50); p[0] != stepEnd(stepsMax-1) && p[0] > stepEnd(stepsMax-1) {
		t.Errorf("nothing took %v", p)
	}
}

// statOf reads a field of a line of INFO.
func statOf(t *testing.T, info, line, field string) float64 {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(line) + `:(?:.*,)?` + regexp.QuoteMeta(field) + `=([0-9.]+)`).FindStringSubmatch(info)
	if m == nil {
		t.Fatalf("no %s in %s of:\n%s", field, line, info)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCommandsAreTimed: alone, in pipelines, in a transaction, which counts with what is
// in it, and those that are refused before they run.
func TestCommandsAreTimed(t *testing.T) {
	const slow = 3 * time.Millisecond
	m := newMemory()
	m.again = func(key []byte) error {
		if string(key) == "slow" {
			time.Sleep(slow)
		}
		return nil
	}
	s, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	info := func() string { return string(p.do("INFO", "commandstats", "latencystats").Text) }
	least := func(line, field string, want float64) {
		t.Helper()
		if got := statOf(t, info(), line, field); got < want {
			t.Errorf("%s %s: %v, want %v at least", line, field, got, want)
		}
	}
	for range 20 {
		p.do("GET", "fast")
	}
	p.do("GET", "slow")
	p.send(strings.Repeat("STRLEN slow\r\n", 2) + "TTL slow\r\nMULTI\r\nTYPE slow\r\nEXEC\r\nGET\r\nNOSUCH\r\n" + strings.Repeat("PING\r\n", 3*timedMax))
	for range 8 + 3*timedMax {
		p.raw()
	}
	least("cmdstat_get", "calls", 21)
	least("cmdstat_get", "usec", 3000)
	least("cmdstat_get", "rejected_calls", 1)
	least("latency_percentiles_usec_get", "p99", 3000)
	least("cmdstat_strlen", "usec_per_call", 3000)
	least("latency_percentiles_usec_strlen", "p50", 3000)
	least("cmdstat_ttl", "usec", 3000)
	least("cmdstat_type", "usec", 3000)
	least("cmdstat_exec", "usec", 3000)
	least("cmdstat_ping", "calls", 3*timedMax)
	if h := p.do("LATENCY", "HISTOGRAM", "strlen"); len(h.Items) != 2 || h.Items[1].Items[1].Int != 2 || h.Items[1].Items[3].Items[0].Int < 4000 {
		t.Errorf("%+v", h)
	}
	if n := s.table.find([]byte("exec")).calls.Load(); n != 1 {
		t.Errorf("%d calls of EXEC", n)
	}
	if e := s.errors.fields(); fmt.Sprint(e) != "[[errorstat_ERR count=2]]" {
		t.Errorf("errors: %v", e)
	}
	p.do("CONFIG", "RESETSTAT")
	if got := info(); strings.Contains(got, "_get:") || strings.Contains(got, "_ping:") {
		t.Errorf("after CONFIG RESETSTAT:\n%s", got)
	}
}

var digits = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// TestFiguresHaveTheFormOfRedis: the same lines and replies, with other numbers.
func TestFiguresHaveTheFormOfRedis(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	real := judge.Start(t)
	_, addr := start(t, testConfig(), newMemory())
	for _, proto := range []string{"2", "3"} {
		us, redis := dial(t, addr), dial(t, real)
		for _, line := range []string{
			"HELLO " + proto, "CONFIG RESETSTAT", "SET a 1", "CLIENT ID", "GET", "INCRBY a x", "NOSUCH", "LATENCY HISTOGRAM set", "LATENCY HISTOGRAM client nosuch",
			"LATENCY HISTOGRAM client|id", "LATENCY HISTOGRAM SET get", "INFO cpu", "INFO errorstats", "INFO commandstats", "INFO latencystats", "INFO nosuch", "INFO commandstats errorstats",
		} {
			us.send(line + "\r\n")
			redis.send(line + "\r\n")
			got, want := us.raw(), redis.raw()
			if strings.HasPrefix(line, "HELLO") {
				continue
			}
			if strings.HasPrefix(line, "INFO") { // some systems tell the main thread's part as well
				want = regexp.MustCompile(`used_cpu_\w+_main_thread:.*\r\n`).ReplaceAllString(want, "")
			}
			if strings.HasPrefix(line, "INFO") { // Redis has them in the order of a hash
				got, want = sorted(got), sorted(want)
			}
			if g, w := digits.ReplaceAllString(got, "#"), digits.ReplaceAllString(want, "#"); g != w {
				t.Errorf("RESP%s %s: %.400q, redis says %.400q", proto, line, g, w)
			}
		}
	}
}

func sorted(info string) string {
	lines := strings.Split(info, "\r\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestInfoHasAllSections, in the order of Redis, and the usual ones only unless all are
// asked for.
func TestInfoHasAllSections(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	heads := func(words ...string) string {
		return strings.Join(regexp.MustCompile(`# (\w+)`).FindAllString(string(p.do(words...).Text), -1), " ")
	}
	usual := "# Server # Clients # Persistence # Stats # CPU # Modules # Errorstats # Cluster"
	every := "# Server # Clients # Persistence # Stats # CPU # Modules # Commandstats # Errorstats # Latencystats # Cluster"
	for words, want := range map[string]string{"INFO": usual, "INFO default": usual, "INFO all": every, "INFO everything": every, "INFO CPU server": "# Server # CPU", "INFO default latencystats": strings.Replace(usual, "# Cluster", "# Latencystats # Cluster", 1), "INFO nosuch": ""} {
		if got := heads(strings.Fields(words)...); got != want {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}
