package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// kept is a value for an hour.
func kept(data string, source uint64) nearValue {
	return nearValue{data: []byte(data), ends: endsUnknown, source: source, until: time.Hour}
}

// nearConfig keeps everything, with a bound that a busy machine does not reach.
func nearConfig(seeds []string) Config {
	cfg := quick(seeds)
	cfg.Near = NearConfig{MaxBytes: 1 << 20, MaxStale: 4 * time.Second}
	return cfg
}

// tell pushes that keys have changed, on every connection of the node; none = all keys.
func (n *fakeNode) tell(keys ...string) {
	b := resp.AppendBulk(resp.AppendPush(nil, 2), "invalidate")
	if len(keys) == 0 {
		b = append(b, "_\r\n"...)
	} else {
		b = resp.AppendArray(b, len(keys))
		for _, k := range keys {
			b = resp.AppendBulk(b, k)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		p.say(b)
	}
}

// gets counts the GETs that the nodes of a world see.
func gets(w *world) *atomic.Int32 {
	var n atomic.Int32
	for _, node := range w.nodes {
		node.on(isWord("GET", func(*peer, []string) bool { n.Add(1); return false }))
	}
	return &n
}

func wantGet(t *testing.T, c *Client, key, want string) {
	t.Helper()
	if v, err := c.Get(ctx, key); string(v) != want || err != nil || v == nil {
		t.Errorf("Get %s: %q %v, want %q", key, v, err, want)
	}
}

// alive waits until every connection has given a sign of life.
func alive(t *testing.T, c *Client, key string) {
	t.Helper()
	until(t, "the key is answered from here", func() bool {
		before := c.NearStats().Hits
		_, err := c.Get(ctx, key)
		return err == nil && c.NearStats().Hits > before
	})
}

func TestNearAnswersFromHereUntilTold(t *testing.T) {
	w := newWorld(t, 2)
	n := gets(w)
	c := open1(t, nearConfig(w.seeds()))
	for key, value := range map[string]string{"a": "1", "b": "", "c": "3"} {
		if err := c.Set(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
		wantGet(t, c, key, value)
		alive(t, c, key)
	}
	before := n.Load()
	for range 10 {
		wantGet(t, c, "a", "1")
		wantGet(t, c, "b", "")
		if v, err := c.GetInto(ctx, "c", []byte("x")); string(v) != "x3" || err != nil {
			t.Error(v, err)
		}
	}
	if n.Load() != before {
		t.Errorf("%d GETs were sent", n.Load()-before)
	}
	w.set(func() { w.data["a"], w.data["c"] = "4", "5" })
	for _, node := range w.nodes {
		node.tell("a")
	}
	until(t, "the new value of a is seen", func() bool { v, err := c.Get(ctx, "a"); return string(v) == "4" && err == nil })
	wantGet(t, c, "c", "3")
	for _, node := range w.nodes {
		node.tell()
	}
	s := c.NearStats()
	until(t, "the new value of c is seen and kept, after the flush of every connection", func() bool {
		v, err := c.Get(ctx, "c")
		s = c.NearStats()
		return string(v) == "5" && err == nil && s.Entries > 0
	})
	if s.Hits < 30 || s.Misses == 0 || s.Invalidations == 0 || s.Flushes == 0 || s.Entries == 0 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
}

func TestNearAnswersGetOrLoad(t *testing.T) {
	w := newWorld(t, 1)
	versions(w)
	c := open1(t, nearConfig(w.seeds()))
	loads := 0
	load := func(context.Context) ([]byte, error) { loads++; return []byte("v"), nil }
	until(t, "the value is answered from here", func() bool {
		v, err := c.GetOrLoad(ctx, "k", time.Minute, load)
		return string(v) == "v" && err == nil && c.NearStats().Hits > 0
	})
	if err := c.Forget(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if v, err := c.GetOrLoad(ctx, "k", time.Minute, load); string(v) != "v" || err != nil || loads != 2 {
		t.Errorf("after Forget: %q %v, loaded %d times", v, err, loads)
	}
}

func TestNearMissesAreNotKept(t *testing.T) {
	w := newWorld(t, 1)
	n := gets(w)
	c := open1(t, nearConfig(w.seeds()))
	for range 3 {
		if v, err := c.Get(ctx, "none"); v != nil || err != ErrNotFound {
			t.Fatal(v, err)
		}
	}
	if n.Load() != 3 {
		t.Errorf("%d GETs", n.Load())
	}
}

func TestNearKeepsPrefixesOnly(t *testing.T) {
	w := newWorld(t, 1)
	n := gets(w)
	cfg := nearConfig(w.seeds())
	cfg.Near.Prefixes = []string{"user:", "item:"}
	c := open1(t, cfg)
	for _, key := range []string{"user:1", "item:1", "other"} {
		if err := c.Set(ctx, key, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	alive(t, c, "user:1")
	wantGet(t, c, "item:1", "v")
	before := n.Load()
	for range 5 {
		wantGet(t, c, "user:1", "v")
		wantGet(t, c, "item:1", "v")
		wantGet(t, c, "other", "v")
	}
	if got := n.Load() - before; got != 5 {
		t.Errorf("%d GETs were sent, 5 of them for a key that is not kept", got)
	}
}

// TestNearReadsItsOwnWrites: whoever has the answer to a write sees it, before any push.
func TestNearReadsItsOwnWrites(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, nearConfig(w.seeds()))
	if err := c.Set(ctx, "k", []byte("0")); err != nil {
		t.Fatal(err)
	}
	alive(t, c, "k")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { // others keep the key in the store
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = c.Get(ctx, "k")
			}
		}
	})
	for i := range 500 {
		value := fmt.Sprint(i)
		var err error
		if i%2 == 0 {
			err = c.Set(ctx, "k", []byte(value))
		} else {
			err = c.MSet(ctx, []KV{{Key: "k", Value: []byte(value)}})
		}
		if err != nil {
			t.Fatal(err)
		}
		wantGet(t, c, "k", value)
	}
	if err := c.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "k"); err != ErrNotFound {
		t.Error("after Delete:", err)
	}
	close(stop)
	wg.Wait()
}

// TestAChangeDuringAReadIsNotOverwritten: the answer to a GET is on its way to the store
// when the change is told.
func TestAChangeDuringAReadIsNotOverwritten(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, nearConfig(w.seeds()))
	if err := c.Set(ctx, "k", []byte("old")); err != nil {
		t.Fatal(err)
	}
	alive(t, c, "k")
	s := c.near.store
	f := s.begin("k")
	s.forget("k")
	later := s.begin("k")
	s.finish(f, "k", kept("old", c.near.last), true)
	if v, ok := s.get(nil, "k", 0, false, func(uint64) bool { return true }); ok {
		t.Errorf("%q was kept although a change was told during its read", v.data)
	}
	s.finish(later, "k", kept("new", c.near.last), true)
	if v, ok := s.get(nil, "k", 0, false, func(uint64) bool { return true }); !ok || string(v.data) != "new" {
		t.Errorf("%q %v: a read that began after the change was not kept", v.data, ok)
	}
	f = s.begin("k")
	s.clear()
	s.finish(f, "k", kept("old", c.near.last), true)
	if _, ok := s.get(nil, "k", 0, false, func(uint64) bool { return true }); ok {
		t.Error("kept although all was dropped during its read")
	}
	for i := range s.stripes {
		if n := len(s.stripes[i].fills); n != 0 {
			t.Errorf("%d reads are remembered", n)
		}
	}
}

// TestNearDropsWhatASilentNodeTold: a node that gives no sign of life, and one whose
// connection ends, are asked again.
func TestNearDropsWhatASilentNodeTold(t *testing.T) {
	w := newWorld(t, 1)
	cfg := nearConfig(w.seeds())
	cfg.Near.MaxStale = 400 * time.Millisecond
	var mute atomic.Bool
	release := make(chan struct{})
	w.nodes[0].on(func(_ *peer, args []string) bool {
		if mute.Load() && (args[0] == "PING" || args[0] == "GET") {
			<-release
		}
		return false
	})
	c := open1(t, cfg)
	if err := c.Set(ctx, "k", []byte("old")); err != nil {
		t.Fatal(err)
	}
	alive(t, c, "k")
	w.set(func() { w.data["k"] = "new" })
	mute.Store(true)
	from := time.Now()
	until(t, "the near cache stops to answer", func() bool {
		_, ok := c.near.get(nil, "k", false)
		return !ok
	})
	if took := time.Since(from); took > cfg.Near.MaxStale && took > 3*cfg.Near.MaxStale {
		t.Errorf("an answer was used for %v after the last sign of life", took)
	}
	until(t, "the gap is noticed", func() bool { return c.NearStats().Flushes > 0 })
	mute.Store(false)
	close(release)
	wantGet(t, c, "k", "new")
	alive(t, c, "k")
	w.set(func() { w.data["k"] = "newer" })
	w.nodes[0].hangUp()
	until(t, "what came by the ended connection is gone", func() bool { v, err := c.Get(ctx, "k"); return string(v) == "newer" && err == nil })
}

func TestNearIsBounded(t *testing.T) {
	w := newWorld(t, 1)
	cfg := nearConfig(w.seeds())
	cfg.Near.MaxBytes = 64 << 10
	c := open1(t, cfg)
	value := make([]byte, 1000)
	for i := range 500 {
		key := fmt.Sprint("k", i)
		if err := c.Set(ctx, key, value); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.NearStats(); s.Bytes > cfg.Near.MaxBytes || s.Entries < 20 {
		t.Errorf("%+v", s)
	}
}

func TestNearMaxTTL(t *testing.T) {
	w := newWorld(t, 1)
	cfg := nearConfig(w.seeds())
	cfg.Near.MaxTTL = 50 * time.Millisecond
	c := open1(t, cfg)
	if err := c.Set(ctx, "k", []byte("old")); err != nil {
		t.Fatal(err)
	}
	wantGet(t, c, "k", "old")
	w.set(func() { w.data["k"] = "new" }) // nobody is told
	until(t, "the value is asked for again", func() bool { v, _ := c.Get(ctx, "k"); return string(v) == "new" })
}

func TestNearNeedsAServerThatTells(t *testing.T) {
	for name, prepare := range map[string]func(n *fakeNode){
		"RESP2": func(n *fakeNode) { n.resp = 2 },
		"no tracking": func(n *fakeNode) {
			n.on(func(p *peer, args []string) bool {
				if len(args) > 1 && strings.EqualFold(args[1], "TRACKING") {
					p.say([]byte("-ERR unknown subcommand 'TRACKING'\r\n"))
					return true
				}
				return false
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			prepare(w.nodes[0])
			c := open1(t, nearConfig(w.seeds()))
			if err := c.Set(ctx, "k", []byte("v")); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				wantGet(t, c, "k", "v")
			}
			if s := c.NearStats(); s.Hits != 0 || s.Entries != 0 || s.Misses != 3 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestNearConfigIsChecked(t *testing.T) {
	for _, n := range []NearConfig{{MaxBytes: -1}, {MaxBytes: 1, MaxTTL: -1}, {MaxBytes: 1, MaxStale: -1}} {
		cfg := DefaultConfig([]string{"localhost:7000"})
		cfg.Near = n
		if c, err := New(cfg); !errors.Is(err, ErrConfig) {
			_ = c.Close()
			t.Errorf("%+v was taken", n)
		}
	}
}

// TestNearStoreAgainstAMap runs random reads, changes and gaps: a value that is given
// is one that no change came behind.
func TestNearStoreAgainstAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := newNearStore(16 << 10)
	truth := map[string]int{}
	good := map[uint64]bool{0: true, 1: true, 2: true, 3: true}
	type reading struct {
		f     *nearFill
		key   string
		value int
	}
	var reads []reading
	for i := range 200_000 {
		key := fmt.Sprint("k", rnd.IntN(50))
		switch rnd.IntN(8) {
		case 0, 1, 2:
			reads = append(reads, reading{s.begin(key), key, truth[key]}) // the node answers at once
		case 3, 4:
			if len(reads) > 0 {
				j := rnd.IntN(len(reads))
				r := reads[j]
				reads[j] = reads[len(reads)-1]
				reads = reads[:len(reads)-1]
				s.finish(r.f, r.key, kept(fmt.Sprint(r.value), uint64(rnd.IntN(4))), rnd.IntN(5) > 0)
			}
		case 5:
			truth[key] = i
			s.forget(key)
		case 6:
			if rnd.IntN(500) == 0 {
				for k := range truth {
					truth[k] = i
				}
				s.clear()
			}
		default:
			if v, ok := s.get(nil, key, 0, false, func(source uint64) bool { return good[source] }); ok && string(v.data) != fmt.Sprint(truth[key]) {
				t.Fatalf("step %d: %s is %q here and %d there", i, key, v.data, truth[key])
			}
		}
	}
}

// BenchmarkNearHit is a Get that is answered from here, by all cores on one key and on many.
func BenchmarkNearHit(b *testing.B) {
	for _, keys := range []int{1, 1000} {
		b.Run(fmt.Sprint(keys, " keys"), func(b *testing.B) {
			n := newNear(&Client{begun: time.Now()}, NearConfig{MaxBytes: 64 << 20, MaxTTL: time.Hour, MaxStale: time.Hour})
			s := n.renew(nil)
			s.proof.Store(1)
			names := make([]string, keys)
			for i := range names {
				names[i] = fmt.Sprint("user:", i)
				n.store.finish(n.store.begin(names[i]), names[i], kept(string(make([]byte, 100)), s.id), true)
			}
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				buf := make([]byte, 0, 128)
				for i := 0; p.Next(); i++ {
					if _, err := n.read(ctx, names[i%keys], buf); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
