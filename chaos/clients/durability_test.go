package clients

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// walModes are the modes in which a node keeps a log: all of them where the bar is
// measured, one elsewhere.
func walModes(one string) []string {
	if os.Getenv("AEGIS_TEST_DURABLE") == "" {
		return []string{one}
	}
	return []string{"write", "fsync"}
}

// underWrites are three nodes with a log under asynchronous and majority writes.
type underWrites struct {
	nodes    []*restartable
	addrs    []string
	async    *asyncWrites
	majority *majorityWrites
	saves    atomic.Int64 // images that were begun under the load
	stop     func()
}

// keepWriting launches nodes in a mode and writes to them until stop. The lease outlives
// what a busy machine does to a node: a failover that nobody asked for may lose
// asynchronous writes.
func keepWriting(t *testing.T, mode, more string) *underWrites {
	t.Helper()
	u := &underWrites{nodes: launch(t, 3, fmt.Sprintf("%d --lease-profile noisy --wal %s %s", rigMemory, mode, more))}
	u.addrs = addresses(u.nodes)
	u.ready(t)
	u.write(t)
	return u
}

func (u *underWrites) ready(t *testing.T) {
	t.Helper()
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(u.addrs) })
}

func (u *underWrites) write(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	u.stop = func() { cancel(); wg.Wait() }
	wg.Go(func() { u.save(ctx) })
	t.Cleanup(u.stop)
	async := u.async
	u.majority, u.async = majorityLoad(ctx, t, &wg, u.addrs), asyncLoad(ctx, &wg, u.addrs)
	if async != nil {
		u.async.acked = async.acked
	}
}

// saveEvery is how often a node is told to make its image under the load.
const saveEvery = 300 * time.Millisecond

// save has the nodes make their images, one after the other and again and again.
func (u *underWrites) save(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if strings.HasPrefix(ask(u.nodes[i%len(u.nodes)].addr, "bgsave"), "Background saving") {
			u.saves.Add(1)
		}
	}
}

// killAll kills all nodes -9 at once, under the load, which then ends.
func (u *underWrites) killAll() {
	for _, n := range u.nodes {
		n.signal(syscall.SIGKILL)
	}
	u.stop()
	for _, n := range u.nodes {
		_ = n.cmd.Wait()
	}
}

// written waits until so many asynchronous writes were acknowledged since the last judgement.
func (u *underWrites) written(t *testing.T, n int) {
	t.Helper()
	until(t, time.Minute, "writes are acknowledged", func() bool {
		u.async.mu.Lock()
		defer u.async.mu.Unlock()
		return len(u.async.acked) >= n
	})
}

// TestDurabilityWhenAllAreKilled kills a whole cluster -9 under load and starts it again: what
// was acknowledged at any level is there. AEGIS_TEST_DURABLE says how often, and has it done
// in both modes; the bar's own number is 20.
func TestDurabilityWhenAllAreKilled(t *testing.T) {
	for _, mode := range walModes("fsync") {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			u := keepWriting(t, mode, "")
			judged := 0
			for range times(t, "AEGIS_TEST_DURABLE", 1) {
				u.written(t, 300)
				u.killAll()
				for _, n := range u.nodes {
					n.start(t)
				}
				u.ready(t)
				c := newClient(t, u.addrs)
				n, lost := u.async.judge(t, c)
				if judged += n; lost > 0 {
					t.Errorf("%d of %d acknowledged writes are gone", lost, n)
				}
				u.majority.verify(t, c, 10)
				u.write(t)
			}
			t.Logf("%d asynchronous writes judged, %d images begun meanwhile", judged, u.saves.Load())
			if u.saves.Load() == 0 {
				t.Error("no image was made under the load")
			}
		})
	}
}

// TestDurabilityWhenOneIsKilled kills one node -9 under load, again and again: a majority write
// is never lost, an asynchronous one that is gone is reported, and what was taken back
// does not come out of the returning node's log. AEGIS_TEST_DURABLE says how often.
func TestDurabilityWhenOneIsKilled(t *testing.T) {
	for _, mode := range walModes("write") {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			u := keepWriting(t, mode, "")
			c := newClient(t, u.addrs)
			judged, lost := 0, 0
			for range times(t, "AEGIS_TEST_DURABLE", 1) {
				u.written(t, 300)
				victim, leads := busiest(u.nodes)
				if leads == 0 {
					t.Fatal("the node that is killed leads nothing")
				}
				victim.kill()
				victim.start(t)
				u.ready(t)
				n, l := u.async.judge(t, c)
				judged, lost = judged+n, lost+l
			}
			u.stop()
			n, l := u.async.judge(t, c)
			t.Logf("%d asynchronous writes judged, %d lost, every one reported; %d images begun meanwhile", judged+n, lost+l, u.saves.Load())
			if u.saves.Load() == 0 {
				t.Error("no image was made under the load")
			}
			u.majority.verify(t, c, 10)
		})
	}
}

// TestDurabilityOfAFlippedLog damages the log of a killed node inside records that live:
// every flip is noticed, what the log lost comes from the peers, and no wrong value comes
// back. AEGIS_TEST_FLIPS says how many; the bar's own number is 200.
func TestDurabilityOfAFlippedLog(t *testing.T) {
	t.Parallel()
	flips := times(t, "AEGIS_TEST_FLIPS", 20)
	v := toBeFlipped(t, 2*flips)
	v.nodes[2].kill()
	flipped := flipIn(t, v.nodes[2], flipValue, flips)
	v.recovers(t)
	if found := infoField(v.nodes[2].addr, "persistence", "aegis_wal_read_damages"); found != fmt.Sprint(flipped) {
		t.Errorf("%d flips, %s noticed", flipped, found)
	}
}

// TestDurabilityWithFlipsAnywhere damages log and image of a killed node at random places,
// heads, tables and pages too: the node starts, and no wrong value comes back.
func TestDurabilityWithFlipsAnywhere(t *testing.T) {
	t.Parallel()
	v := toBeFlipped(t, 500)
	n := v.nodes[2]
	if got := ask(n.addr, "bgsave"); !strings.HasPrefix(got, "Background saving") {
		t.Fatal(got)
	}
	until(t, time.Minute, "the image is made", func() bool {
		return infoField(n.addr, "persistence", "rdb_bgsave_in_progress") == "0" && infoField(n.addr, "persistence", "rdb_last_save_time") != "0"
	})
	n.kill()
	names, err := filepath.Glob(filepath.Join(n.dir, "data", n.name, "wal", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, name := range append(names, filepath.Join(n.dir, "data", n.name, "image.db")) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for range times(t, "AEGIS_TEST_FLIPS", 20) / 2 {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v.recovers(t)
}

// flippable are three nodes with a log, and keys whose values are known.
type flippable struct {
	nodes []*restartable
	addrs []string
	keys  int
	c     *client.Client
}

func flipValue(i int) []byte {
	return fmt.Appendf(nil, "value %d of the flips %s", i, strings.Repeat("x", 60))
}

func toBeFlipped(t *testing.T, keys int) *flippable {
	t.Helper()
	v := &flippable{nodes: launch(t, 3, fmt.Sprint(rigMemory, " --lease-profile noisy --wal fsync")), keys: keys}
	v.addrs = addresses(v.nodes)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(v.addrs) })
	v.c = newClient(t, v.addrs)
	for i := range keys {
		if err := v.c.Set(t.Context(), fmt.Sprint("flip:", i), flipValue(i)); err != nil {
			t.Fatal(err)
		}
	}
	sameCopies(t, v.addrs)
	return v
}

// recovers starts the damaged node and wants all copies equal, and every value right.
func (v *flippable) recovers(t *testing.T) {
	t.Helper()
	v.nodes[2].start(t)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(v.addrs) })
	sameCopies(t, v.addrs)
	for i := range v.keys {
		if got, err := v.c.Get(t.Context(), fmt.Sprint("flip:", i)); err != nil || !bytes.Equal(got, flipValue(i)) {
			t.Errorf("key %d: %q, %v", i, got, err)
		}
	}
}

// flipIn flips one bit in each of some values in the log of a node that does not run.
func flipIn(t *testing.T, n *restartable, value func(int) []byte, flips int) (flipped int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(n.dir, "data", n.name, "wal", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(b) // a flip may turn one value into another
		for i := range flips {
			v := value(i)
			if at := bytes.Index(b, v); at >= 0 {
				damaged[at+i%len(v)] ^= 1 << (i % 8)
				flipped++
			}
		}
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if flipped < flips {
		t.Fatalf("%d of %d values are in the log", flipped, flips)
	}
	return flipped
}

// infoField is a line of INFO.
func infoField(addr, section, field string) string {
	for line := range strings.Lines(ask(addr, "info", section)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == field {
			return value
		}
	}
	return ""
}
