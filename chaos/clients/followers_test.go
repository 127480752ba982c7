package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

const (
	followBound = 500 * time.Millisecond
	followKeys  = 32
	followPhase = 2500 * time.Millisecond
)

// counters are keys that one writer counts up, with the time at which each number was
// answered.
type counters struct {
	mu    sync.Mutex
	wrote [followKeys][]time.Time
}

func counterKey(i int) string { return fmt.Sprint("counter:", i) }

// write counts all keys up until ctx ends.
func (w *counters) write(ctx context.Context, c *client.Client) {
	for n := 0; ctx.Err() == nil; n++ {
		for i := range followKeys {
			for ctx.Err() == nil && c.Set(ctx, counterKey(i), strconv.AppendInt(nil, int64(n), 10)) != nil {
			}
			w.mu.Lock()
			w.wrote[i] = append(w.wrote[i], time.Now())
			w.mu.Unlock()
		}
	}
}

// surely is a client whose writes survive: a counter that a failover sets back would look
// like a read that is too old.
func surely(t *testing.T, addrs []string) *client.Client {
	t.Helper()
	cfg := client.DefaultConfig(addrs)
	cfg.Durability = "majority"
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// tooOld says since when the number read had been replaced, beyond the bound, when the
// read began.
func (w *counters) tooOld(i, n int, begun time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n+1 >= len(w.wrote[i]) {
		return 0, false
	}
	age := begun.Sub(w.wrote[i][n+1])
	return age, age > followBound
}

// followReads is what readers saw: answers by node, those of leaseholders apart.
type followReads struct {
	mu        sync.Mutex
	answers   map[string]int
	elsewhere map[string]int // by nodes that the map did not name for the key
}

// read reads all counters again and again until ctx ends. No read may fail, or be older than
// the bound.
func (r *followReads) read(ctx context.Context, t *testing.T, c *client.Client, w *counters) {
	for i := 0; ctx.Err() == nil; i = (i + 1) % followKeys {
		begun := time.Now()
		item, err := c.GetItem(context.Background(), counterKey(i))
		if errors.Is(err, client.ErrNotFound) {
			t.Error("a counter is gone: ", i)
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		n, _ := strconv.Atoi(string(item.Value))
		if age, bad := w.tooOld(i, n, begun); bad {
			t.Errorf("%s: %d of counter %d was replaced %v before the read began", item.Node, n, i, age)
			return
		}
		m, err := c.ShardMap(ctx)
		r.mu.Lock()
		r.answers[item.Node]++
		if err == nil && m.AddrOf(item.Key) != item.Node {
			r.elsewhere[item.Node]++
		}
		r.mu.Unlock()
	}
}

// everywhere reports whether reads came from followers at each of the nodes.
func (r *followReads) everywhere(addrs []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(addrs, func(a string) bool { return r.elsewhere[a] == 0 })
}

// launchFollowed starts three nodes and a client that reads from followers.
func launchFollowed(t *testing.T) (nodes []*restartable, addrs []string, c *client.Client) {
	t.Helper()
	nodes = launch(t, 3, fmt.Sprint(rigMemory))
	addrs = addresses(nodes)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	cfg := client.DefaultConfig(addrs)
	cfg.Timeout, cfg.MaxStale = time.Minute, followBound
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return nodes, addrs, c
}

// TestFollowersReadWithinTheirBound reads counters from all copies while they are written:
// at rest, while one node stands still, which then answers what had been sent to it,
// and while one is dead. Reads come from followers of every node that lives, none is older
// than the bound, and none fails.
func TestFollowersReadWithinTheirBound(t *testing.T) {
	nodes, addrs, c := launchFollowed(t)
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	defer writer.Wait()
	defer cancel()
	w := &counters{}
	sure := surely(t, addrs)
	writer.Go(func() { w.write(ctx, sure) })
	until(t, time.Minute, "all counters are there", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.wrote[followKeys-1]) > 0
	})
	still := nodes[2]
	for _, phase := range []struct {
		name      string
		from, to  func()
		following []string // must answer for others
	}{
		{"rest", func() {}, func() {}, addrs},
		{"one stands still", func() { still.signal(syscall.SIGSTOP) }, func() { still.signal(syscall.SIGCONT) }, addrs[:2]},
		{"it goes on", func() {}, func() {}, addrs[:2]},
		{"it is dead", still.kill, func() {}, addrs[:2]},
	} {
		phase.from()
		r := &followReads{answers: map[string]int{}, elsewhere: map[string]int{}}
		before := c.Stats()
		part, end := context.WithCancel(ctx)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() { r.read(part, t, c, w) })
		}
		// A follower that refused is left alone for some seconds: the phase lasts until each
		// has been asked.
		wait(ctx, followPhase)
		until(t, 3*followPhase, phase.name+": followers read at each of "+fmt.Sprint(phase.following), func() bool { return r.everywhere(phase.following) })
		end()
		phase.to()
		readers.Wait()
		after := c.Stats()
		t.Logf("%s: answers %v, of them by followers %v; %d refused", phase.name, r.answers, r.elsewhere, after.Refused-before.Refused)
		if t.Failed() {
			return
		}
	}
}

// TestASessionWithFollowersNeverGoesBack: what a session wrote and read it reads again, from
// whichever copy, while another client writes too and a node stands still.
func TestASessionWithFollowersNeverGoesBack(t *testing.T) {
	t.Parallel()
	nodes, addrs, c := launchFollowed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*followPhase)
	defer cancel()
	w := &counters{}
	var all sync.WaitGroup
	sure := surely(t, addrs)
	all.Go(func() { w.write(ctx, sure) })
	for g := range 4 {
		s := c.Session()
		all.Go(func() { sessionGoesOn(ctx, t, s, fmt.Sprint("own:", g)) })
	}
	still := time.AfterFunc(followPhase, func() { nodes[1].signal(syscall.SIGSTOP) })
	goOn := time.AfterFunc(2*followPhase, func() { nodes[1].signal(syscall.SIGCONT) })
	all.Wait()
	still.Stop()
	goOn.Stop()
	if s := c.Stats(); s.Followed < 100 {
		t.Errorf("%d reads came from followers (%d were refused): the test did not do what it is for", s.Followed, s.Refused)
	} else {
		t.Logf("%d reads came from followers, %d were refused", s.Followed, s.Refused)
	}
}

// sessionGoesOn counts a key of its own up and reads it, and the counters of another client,
// until ctx ends. A loss that is told begins all anew.
func sessionGoesOn(ctx context.Context, t *testing.T, s *client.Session, own string) {
	seen := map[string]int{}
	look := func(key string) error {
		v, err := s.Get(context.Background(), key)
		if errors.Is(err, client.ErrNotFound) {
			v, err = []byte("-1"), nil
		}
		n, _ := strconv.Atoi(string(v))
		if was, ok := seen[key]; err == nil && ok && n < was {
			t.Errorf("%s was %d and is %d", key, was, n)
		} else if err == nil {
			seen[key] = n
		}
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		err := s.Set(context.Background(), own, strconv.AppendInt(nil, int64(n), 10))
		if err == nil {
			seen[own] = n
		}
		for i := 0; err == nil && i < 5; i++ {
			if err = look(counterKey((n + i) % followKeys)); err == nil {
				err = look(own)
			}
		}
		switch {
		case errors.Is(err, client.ErrLostWrites), errors.Is(err, client.ErrAmbiguous):
			clear(seen)
		case err != nil:
			t.Error(err)
			return
		}
	}
}
