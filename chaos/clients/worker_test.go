package clients

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The bars of a worker's death beside its parent, which proves it.
const (
	provenP50 = 50 * time.Millisecond
	provenP99 = 150 * time.Millisecond
	// provenOrdinary is for a machine that others compute on: shorter than half a lease, which
	// no failover without the parent's word is.
	provenOrdinary = leaseLength / 2
	// workerLife is longer than what a parent takes for a start that came to nothing.
	workerLife = 11 * time.Second
)

// TestKillsOfAWorker kills a node's worker -9 again and again under load while its parent
// lives: the others know at once, and every group is served again long before the
// lease is over. The parent starts the next worker. AEGIS_TEST_KILLS says how often; then
// the bars are those of a quiet machine.
func TestKillsOfAWorker(t *testing.T) {
	kills := times(t, "AEGIS_TEST_KILLS", 2)
	p50, p99 := provenOrdinary, time.Minute
	if os.Getenv("AEGIS_TEST_KILLS") != "" {
		p50, p99 = provenP50, provenP99
	}
	r := newRigOf(t, launchAs(t, true, 3, fmt.Sprint(rigMemory)))
	r.disk = startWitnessOf(t, "disk")
	var gaps []time.Duration
	born := map[string]time.Time{}
	for done, disturbances := 0, 0; done < kills; {
		r.ready(t, r.addrs[0])
		victim, other := r.busiest(t)
		by := r.groupsOf(t, victim, other)
		// A parent gives a worker up that dies again and again just after its start.
		until(t, time.Minute, victim.name+"'s worker has lived for a while", func() bool { return time.Since(born[victim.name]) > workerLife })
		from := time.Now()
		old := victim.killWorker()
		r.servedSince(t, from.Add(provenOrdinary))
		to := time.Now()
		until(t, time.Minute, victim.name+" has another worker", func() bool { p := victim.worker(); return p != 0 && p != old })
		born[victim.name] = time.Now()
		var these []time.Duration
		for _, i := range by {
			these = append(these, time.Duration(r.probes[i].gap.Load()))
		}
		busy, slowDisk := r.witness.disturbed(from, to, provenP50), r.disk.wasLate(from, to, provenP50/5)
		t.Logf("%s: %d groups unavailable p50 %v p99 %v; disturbed: by the machine %v, by its disk %v",
			victim.name, len(by), quantile(these, .5), quantile(these, .99), busy, slowDisk)
		if busy || slowDisk {
			if disturbances++; disturbances > 4*kills {
				t.Fatal("inconclusive: this machine is too noisy to judge, run again")
			}
			if p99 == provenP99 {
				continue
			}
		}
		gaps, done = append(gaps, these...), done+1
	}
	t.Logf("%d groups unavailable p50 %v p99 %v", len(gaps), quantile(gaps, .5), quantile(gaps, .99))
	if quantile(gaps, .5) > p50 || quantile(gaps, .99) > p99 {
		t.Errorf("over the bars: p50 %v, p99 %v", p50, p99)
	}
	r.stop()
	r.majority.verify(t, r.client, 10)
	for _, n := range r.nodes {
		if log, _ := os.ReadFile(n.logPath()); strings.Contains(string(log), "panic") {
			t.Errorf("%s died by itself:\n%s", n.name, n.logTail())
		}
	}
}
