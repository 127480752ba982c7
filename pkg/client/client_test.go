package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestMain fails the package when a goroutine of the client outlives its Close.
func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.After(3 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	for leaked := ""; ; {
		buf := make([]byte, 1<<20)
		leaked = ""
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "pkg/client.(*") && !strings.Contains(g, "TestMain") {
				leaked += g + "\n\n"
			}
		}
		if leaked == "" {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-deadline:
		}
		fmt.Println("goroutines outlive the tests:\n" + leaked)
		code = 1
		break
	}
	os.Exit(code)
}

var ctx = context.Background()

func TestPublishedAPI(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()[:1]))
	for i := range 50 {
		key := fmt.Sprint("key", i)
		if v, err := c.Get(ctx, key); v != nil || err != ErrNotFound {
			t.Fatalf("missing key: %q %v", v, err)
		}
		if err := c.Set(ctx, key, []byte("v"+key)); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Get(ctx, key); string(v) != "v"+key || err != nil {
			t.Fatalf("%q %v", v, err)
		}
		if err := c.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx, key); err != nil {
			t.Fatal("deleting an absent key:", err)
		}
	}
	if err := c.Set(ctx, "empty", nil); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Get(ctx, "empty"); v == nil || len(v) != 0 || err != nil {
		t.Fatalf("an empty value is not a missing one: %v %v", v, err)
	}
	var ttl atomic.Value
	for _, n := range w.nodes {
		n.on(isWord("SET", func(_ *peer, args []string) bool { ttl.Store(strings.Join(args[3:], " ")); return false }))
	}
	if err := c.SetWithTTL(ctx, "k", []byte("v"), 5000); err != nil || ttl.Load() != "PX 5000" {
		t.Fatal(err, ttl.Load())
	}
	if err := c.SetWithTTL(ctx, "k", []byte("v"), 0); err == nil {
		t.Fatal("a time to live of 0 was taken")
	}
}

func TestRefusedConfigGivesClientThatAnswersItsError(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no seeds":   DefaultConfig(nil),
		"no port":    DefaultConfig([]string{"localhost"}),
		"negative":   {Seeds: []string{"a:1"}, Timeout: -1},
		"durability": {Seeds: []string{"a:1"}, Durability: "some"},
		"name":       {Seeds: []string{"a:1"}, Name: "a b"},
		"on lost":    {Seeds: []string{"a:1"}, OnLost: func(*LostWritesError) {}},
	} {
		c, err := New(cfg)
		if c == nil || !errors.Is(err, ErrConfig) {
			t.Fatalf("%s: %v %v", name, c, err)
		}
		v, err1 := c.Get(ctx, "k")
		for _, e := range []error{err1, c.Set(ctx, "k", nil), c.SetWithTTL(ctx, "k", nil, -1), c.Delete(ctx, "k"), c.Close()} {
			if e != err || v != nil {
				t.Errorf("%s: call answered %v, New said %v", name, e, err)
			}
		}
	}
}

func TestRedirectIsNeverAMiss(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	w.set(func() { w.data[key] = "here" })
	if v, err := c.Get(ctx, key); string(v) != "here" {
		t.Fatal(v, err)
	}
	w.set(func() { w.owner = func(shardmap.Slot) int { return 2 } })
	var moved atomic.Int32
	w.nodes[0].on(isWord("GET", func(*peer, []string) bool { moved.Add(1); return false }))
	for range 20 {
		if v, err := c.Get(ctx, key); string(v) != "here" {
			t.Fatal(v, err)
		}
	}
	if n := moved.Load(); n != 1 {
		t.Errorf("the old node was asked %d times: a MOVED moves the slot at once", n)
	}
	until(t, "the refresh brings the other slots", func() bool {
		v := c.view.Load()
		return len(v.table.nodes) == 1 && v.table.nodes[0] == w.nodes[2].addr
	})
}

// The whole cluster changes hands again and again under load.
func TestMovedStorm(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprintf("g%d-%d", g, i%20)
				if g == 0 && i%10 == 0 {
					w.set(func() {
						shift := i / 10
						w.epoch++
						w.owner = func(s shardmap.Slot) int { return (int(s)/64 + shift) % 3 }
					})
				}
				want := fmt.Sprint(i)
				if err := c.Set(ctx, key, []byte(want)); err != nil {
					t.Error(err)
					return
				}
				if v, err := c.Get(ctx, key); string(v) != want || err != nil {
					t.Errorf("%s is %q, want %s: %v", key, v, want, err)
					return
				}
			}
		})
	}
	wg.Wait()
	w.set(func() {
		for key, n := range w.applied {
			if n != 10 {
				t.Errorf("%s was set %d times", key, n)
			}
		}
	})
}

// Two nodes that point at each other for ever cost pauses, not a hot loop.
func TestRedirectLoopEndsUnavailable(t *testing.T) {
	w := newWorld(t, 2)
	cfg := quick(w.seeds())
	c := open1(t, cfg)
	var asked atomic.Int32
	for i, n := range w.nodes {
		n.on(isWord("GET", func(p *peer, args []string) bool {
			asked.Add(1)
			p.say(resp.AppendError(nil, fmt.Sprintf("MOVED %d %s", shardmap.SlotOfString(args[1]), w.nodes[1-i].addr)))
			return true
		}))
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	within(t, 600*time.Millisecond, func() {
		_, err := c.Get(short, "k")
		wantIs(t, err, ErrUnavailable)
		wantNot(t, err, ErrNotFound, ErrAmbiguous)
	})
	if n := asked.Load(); n < 4 || n > 200 {
		t.Errorf("%d requests in 300 ms", n)
	}
}

func TestOldServersAreSpokenToInRESP2(t *testing.T) {
	w := newWorld(t, 1)
	w.nodes[0].resp = 2
	cfg := quick(w.seeds())
	cfg.Password = "secret"
	var words []string
	var mu sync.Mutex
	w.nodes[0].on(func(p *peer, args []string) bool {
		mu.Lock()
		defer mu.Unlock()
		words = append(words, strings.Join(args, " "))
		if args[0] == "AUTH" {
			p.say([]byte("+OK\r\n"))
			return true
		}
		return false
	})
	c := open1(t, cfg)
	if v, err := c.Get(ctx, "k"); v != nil || err != ErrNotFound {
		t.Fatal(v, err)
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(words, "|")
	for _, want := range []string{"AUTH secret", "CLIENT SETNAME aegiskv-go"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %s", want, all)
		}
	}
}

func TestAskIsFollowedForOneCommand(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	var asking atomic.Int32
	w.nodes[0].on(isWord("GET", func(p *peer, args []string) bool {
		p.say(resp.AppendError(nil, fmt.Sprintf("ASK %d %s", shardmap.SlotOfString(args[1]), w.nodes[1].addr)))
		return true
	}))
	w.nodes[1].on(func(p *peer, args []string) bool {
		switch args[0] {
		case "ASKING":
			asking.Add(1)
		case "GET":
			p.say([]byte("$5\r\nthere\r\n"))
			return true
		}
		return false
	})
	for range 2 {
		if v, err := c.Get(ctx, key); string(v) != "there" {
			t.Fatal(v, err)
		}
	}
	if asking.Load() != 2 {
		t.Errorf("ASKING was said %d times", asking.Load())
	}
}

// leastAllocs is the smallest of several counts: the runtime counts the whole
// process, so what other goroutines allocate meanwhile is in some of them.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(200, f)
	for range 20 {
		if least == 0 {
			break
		}
		least = min(least, testing.AllocsPerRun(200, f))
	}
	return least
}

// One call costs one allocation: the value.
func TestAllocations(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.StallTimeout = time.Minute
	c := open1(t, cfg)
	echoOf(w.nodes[0], []byte("+OK\r\n"), []byte("$5\r\nvalue\r\n"))
	value := []byte("value")
	if err := c.Set(ctx, "k", value); err != nil {
		t.Fatal(err)
	}
	if n := leastAllocs(func() { _, _ = c.Get(ctx, "k") }); n > 1 && !raceBuild {
		t.Errorf("Get allocates %v times", n)
	}
	if n := leastAllocs(func() { _ = c.Set(ctx, "k", value) }); n > 0 && !raceBuild {
		t.Errorf("Set allocates %v times", n)
	}
	deadline, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if n := leastAllocs(func() { _, _ = c.Get(deadline, "k") }); n > 1 && !raceBuild {
		t.Errorf("Get with a deadline allocates %v times", n)
	}
}
