package clients

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The bars of a node that nobody asks anything, its parent included.
const (
	idleCPU     = 0.02 // of one core
	idleCPUMany = 0.06 // with 1,024 groups
	idleRSS     = 80 << 20
	coldStart   = 3 * time.Second
)

// TestIdle starts three nodes at once, and looks at what they cost when nothing is asked
// of them. AEGIS_TEST_IDLE says for how long; then the bars of time count as well, which
// are those of a quiet machine.
func TestIdle(t *testing.T) {
	window := duration(t, "AEGIS_TEST_IDLE", time.Second)
	judge := os.Getenv("AEGIS_TEST_IDLE") != ""
	for _, c := range []struct {
		flags  string
		groups int
		bar    float64
	}{
		{"", 64, idleCPU},
		{" --num-shards 1024 --num-groups 1024", 1024, idleCPUMany},
	} {
		if c.groups > groups && !judge {
			continue // they take ten seconds to come to rest
		}
		base := freeBlock(t, 3*portsEach)
		var lines []string
		for _, line := range contract {
			lines = append(lines, onPorts(line, base)+c.flags)
		}
		nodes := prepare(t, lines...)
		from := time.Now()
		for _, n := range nodes {
			n.parent = true
			n.start(t)
		}
		until(t, time.Minute, "every group is served", func() bool { return statusOf(nodes[0].addr).Served == c.groups })
		took := time.Since(from)
		until(t, time.Minute, "three healthy nodes", func() bool { return statusOf(nodes[0].addr).Healthy })
		time.Sleep(window) // leases find their places
		before := costs(t, nodes)
		time.Sleep(window)
		for i, after := range costs(t, nodes) {
			share := (after.cpu - before[i].cpu).Seconds() / window.Seconds()
			t.Logf("%d groups, %s: %.2f %% of a core, %d MiB (parent %.1f)", c.groups, nodes[i].name, 100*share, after.rss>>20, float64(after.parent)/(1<<20))
			if after.rss > idleRSS && c.groups == groups {
				t.Errorf("%d bytes of memory, over %d", after.rss, idleRSS)
			}
			if judge && share > c.bar {
				t.Errorf("%.2f %% of a core, over %.0f", 100*share, 100*c.bar)
			}
		}
		t.Logf("%d groups: from nothing to serving all in %v", c.groups, took.Round(time.Millisecond))
		if judge && c.groups == groups && took > coldStart {
			t.Errorf("serving all took %v, over %v", took, coldStart)
		}
		for _, n := range nodes {
			n.kill()
		}
	}
}

// cost is what a parent and its worker took so far.
type cost struct {
	cpu         time.Duration
	rss, parent int64
}

func costs(t *testing.T, nodes []*restartable) (all []cost) {
	t.Helper()
	for _, n := range nodes {
		c := cost{}
		for _, pid := range []int{n.cmd.Process.Pid, n.worker()} {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(stat), ") ")
			f := strings.Fields(rest)
			number := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
			c.cpu += time.Duration(number(11)+number(12)) * 10 * time.Millisecond // ticks of 1/100 s
			c.rss += number(21) * int64(os.Getpagesize())
			if c.parent == 0 {
				c.parent = c.rss
			}
		}
		all = append(all, c)
	}
	return all
}
