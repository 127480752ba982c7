package clients

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A node is made slow by letting it run for a moment of every second: its start and the
// reading of its log take so much longer, as on a machine that is slow or busy. The log has
// so many keys more for each second that it is to take longer.
const (
	slowTurn = time.Second
	slowRuns = 5 * time.Millisecond
	slowKeys = 10_000
)

// slowly lets a process run for moments only, until the returned function is called.
func (n *restartable) slowly(t *testing.T) (letGo func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(slowTurn)
		defer tick.Stop()
		for ctx.Err() == nil {
			n.signal(syscall.SIGSTOP)
			select {
			case <-ctx.Done():
			case <-tick.C:
				n.signal(syscall.SIGCONT)
				time.Sleep(slowRuns)
			}
		}
		n.signal(syscall.SIGCONT)
	})
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// logsRead is how often a node has read its log to the end, by what it says itself.
func (n *restartable) logsRead() int {
	b, _ := os.ReadFile(n.logPath())
	return bytes.Count(b, []byte("the write-ahead log was read"))
}

// TestDurabilityWhenOneIsSlow kills a whole cluster -9 under load, and the node that led most
// needs longer for its log than the others, which must wait for it: what it acknowledged by
// itself may be nowhere else. AEGIS_TEST_SLOW says how much longer; the bar's own time is 20 s.
func TestDurabilityWhenOneIsSlow(t *testing.T) {
	longer := duration(t, "AEGIS_TEST_SLOW", 2*time.Second)
	for _, mode := range walModes("write") {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			u := keepWriting(t, mode, "")
			set(t, u.nodes[0], indexes(slowKeys*int(longer/time.Second)), strings.Repeat("v", 60))
			u.written(t, 300)
			slow, leads := busiest(u.nodes)
			if leads == 0 {
				t.Fatal("the node that is to be slow leads nothing")
			}
			u.killAll()
			read := map[*restartable]int{}
			for _, n := range u.nodes {
				read[n] = n.logsRead()
				n.start(t)
			}
			letGo := slow.slowly(t)
			defer letGo()
			for _, n := range u.nodes {
				if n != slow {
					until(t, time.Minute, n.name+" has read its log", func() bool { return n.logsRead() > read[n] })
				}
			}
			from := time.Now()
			time.Sleep(longer) // what is judged is what the others did for so long
			if slow.logsRead() > read[slow] {
				t.Fatalf("the slow node did not need %v longer than the others", longer)
			}
			served := 0
			for _, n := range u.nodes {
				if n != slow {
					served = max(served, statusOf(n.addr).Served)
				}
			}
			letGo()
			u.ready(t)
			c := newClient(t, u.addrs)
			judged, lost := u.async.judge(t, c)
			if lost > 0 {
				t.Errorf("%d of %d acknowledged writes are gone", lost, judged)
			}
			u.majority.verify(t, c, 10)
			t.Logf("the slow node led %d groups; %d were served without it, all %v after the others were ready; %d asynchronous writes judged, %d lost",
				leads, served, time.Since(from).Round(time.Millisecond), judged, lost)
		})
	}
}
