package clients

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

const (
	stayingKeys = 3000
	scanPace    = 10 // keys for each millisecond, so that what happens meets a walk
)

// walks is a goroutine that walks over all keys again and again.
type walks struct {
	client *client.Client
	at     atomic.Int32 // keys that the present walk has given
	over   atomic.Int32 // walks that are over
	twice  atomic.Int32 // keys that came more than once
}

// run walks until the context ends, and then to the end of its walk. Every key that is there
// all the time must come.
func (w *walks) run(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		seen := map[string]bool{}
		w.at.Store(0)
		for key, err := range w.client.Scan(context.Background(), client.ScanMatch("stays:*"), client.ScanCount(50)) {
			if err != nil {
				t.Errorf("walk %d ended after %d keys: %v", w.over.Load(), len(seen), err)
				break
			}
			if seen[key] {
				w.twice.Add(1)
			}
			seen[key] = true
			if w.at.Add(1)%scanPace == 0 {
				wait(context.Background(), time.Millisecond)
			}
		}
		missing := 0
		for i := range stayingKeys {
			if !seen[stayingKey(i)] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("walk %d missed %d of %d keys", w.over.Load(), missing, stayingKeys)
		}
		w.over.Add(1)
	}
}

// midway waits until a walk is well under way.
func (w *walks) midway(t *testing.T) {
	t.Helper()
	until(t, time.Minute, "a walk is under way", func() bool { n := w.at.Load(); return n > stayingKeys/10 && n < stayingKeys/2 })
}

// another waits until a walk that begins now is over.
func (w *walks) another(t *testing.T) {
	t.Helper()
	from := w.over.Load()
	until(t, time.Minute, "the next walk is over", func() bool { return w.over.Load() > from+1 || t.Failed() })
}

func stayingKey(i int) string { return fmt.Sprint("stays:", i) }

// TestScanMissesNothingWhileLeasesMove: a walk with our client over three nodes gives every
// key that is there all the time, while the node that leads most leaves and comes back, and
// while another one is killed.
func TestScanMissesNothingWhileLeasesMove(t *testing.T) {
	t.Parallel()
	nodes := phaseCluster(t)
	addrs := addresses(nodes)
	cfg := client.DefaultConfig(addrs)
	cfg.Durability, cfg.Timeout = "majority", 20*time.Second
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	pairs := make([]client.KV, stayingKeys)
	for i := range pairs {
		pairs[i] = client.KV{Key: stayingKey(i), Value: []byte("v")}
	}
	if err := c.MSet(t.Context(), pairs); err != nil {
		t.Fatal(err)
	}
	w := &walks{client: c}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx, t) }()
	t.Cleanup(func() { cancel(); <-done })
	end := func(how syscall.Signal) *restartable {
		victim, leads := busiest(nodes)
		w.midway(t)
		victim.signal(how)
		_ = victim.cmd.Wait()
		w.another(t)
		if leads == 0 {
			t.Errorf("%v: the node led nothing", how)
		}
		return victim
	}
	end(syscall.SIGTERM).start(t)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })
	end(syscall.SIGKILL)
	t.Logf("%d walks, %d keys came more than once; %+v", w.over.Load(), w.twice.Load(), c.Stats())
}
