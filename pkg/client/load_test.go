package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestAMissingKeyIsLoadedOnce(t *testing.T) {
	w := newWorld(t, 2)
	versions(w)
	var loads atomic.Int32
	load := func(context.Context) ([]byte, error) {
		loads.Add(1)
		<-time.After(50 * time.Millisecond) // long enough for all others to come
		return []byte("v"), nil
	}
	var wg sync.WaitGroup
	for range 4 {
		c := open1(t, quick(w.seeds()))
		for range 100 {
			wg.Go(func() {
				if v, err := c.GetOrLoad(ctx, "k", time.Minute, load); string(v) != "v" || err != nil {
					t.Errorf("%q %v", v, err)
				}
			})
		}
	}
	wg.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("loaded %d times", n)
	}
}

func TestALoadLeavesNoLease(t *testing.T) {
	for what, load := range map[string]Loader{
		"value": func(context.Context) ([]byte, error) { return []byte("v"), nil },
		"error": func(context.Context) ([]byte, error) { return nil, errors.New("database down") },
		"panic": func(context.Context) ([]byte, error) { panic("loader bug") },
		"exit":  func(context.Context) ([]byte, error) { runtime.Goexit(); return nil, nil },
	} {
		w := newWorld(t, 1)
		v := versions(w)
		c := open1(t, quick(w.seeds()))
		value, err := c.GetOrLoad(ctx, "k", time.Minute, load)
		v.set(func() {
			if _, left := v.keys[leaseKey("k")]; left {
				t.Errorf("%s: the lease is left", what)
			}
			if k, kept := v.keys["k"]; kept != (what == "value") || kept && time.Until(k.ends) > time.Minute {
				t.Errorf("%s: kept %v %v", what, kept, k)
			}
		})
		var p *PanicError
		switch what {
		case "value":
			if string(value) != "v" || err != nil {
				t.Error(value, err)
			}
		case "error":
			if err == nil || err.Error() != "database down" {
				t.Error(err)
			}
		case "exit":
			if !errors.As(err, &p) || p.Value != nil {
				t.Error(err)
			}
		case "panic":
			if !errors.As(err, &p) || p.Value != "loader bug" || !strings.Contains(string(p.Stack), "load_test.go") {
				t.Error(err)
			}
		}
		if _, err := c.GetOrLoad(ctx, "k", time.Minute, func(context.Context) ([]byte, error) { return []byte("w"), nil }); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
	}
}

func TestCallersWaitAsLongAsTheyLike(t *testing.T) {
	w := newWorld(t, 1)
	versions(w)
	c := open1(t, quick(w.seeds()))
	begun, ended := make(chan struct{}), make(chan error, 1)
	load := func(ctx context.Context) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	first, leave := context.WithCancel(context.WithValue(ctx, ctxKey{}, "kept"))
	other, leaveToo := context.WithCancel(ctx)
	defer leaveToo()
	errs := make(chan error, 2)
	go func() { errs <- second(c.GetOrLoad(first, "k", time.Minute, load)) }()
	<-begun
	go func() { errs <- second(c.GetOrLoad(other, "k", time.Minute, load)) }()
	until(t, "the second caller waits too", func() bool {
		c.flights.mu.Lock()
		defer c.flights.mu.Unlock()
		return c.flights.by[flightKey{"k", true}].waiters == 2
	})
	leave()
	wantIs(t, <-errs, context.Canceled)
	if len(ended) != 0 {
		t.Error("the loader ended with the first caller, another waits")
	}
	leaveToo()
	wantIs(t, <-errs, context.Canceled)
	wantIs(t, <-ended, context.Canceled)
	v, err := c.GetOrLoad(ctx, "k", time.Minute, func(context.Context) ([]byte, error) { return []byte("v"), nil })
	if string(v) != "v" || err != nil {
		t.Errorf("after an abandoned load: %q %v", v, err)
	}
}

type ctxKey struct{}

func TestTheLoaderSeesTheCallersValues(t *testing.T) {
	w := newWorld(t, 1)
	versions(w)
	c := open1(t, quick(w.seeds()))
	with, cancel := context.WithTimeout(context.WithValue(ctx, ctxKey{}, "kept"), time.Minute)
	defer cancel()
	_, err := c.GetOrLoad(with, "k", time.Minute, func(ctx context.Context) ([]byte, error) {
		if _, bounded := ctx.Deadline(); bounded || ctx.Value(ctxKey{}) != "kept" {
			t.Error("deadline:", bounded, "value:", ctx.Value(ctxKey{}))
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWhoeverChangesAKeyDuringItsLoadWins covers every way to change it.
func TestWhoeverChangesAKeyDuringItsLoadWins(t *testing.T) {
	for what, x := range map[string]struct {
		change func(c *Client) error
		want   string
	}{
		"set":    {func(c *Client) error { return c.Set(ctx, "k", []byte("new")) }, "new"},
		"forget": {func(c *Client) error { return c.Forget(ctx, "k") }, ""},
	} {
		w := newWorld(t, 1)
		v := versions(w)
		c, other := open1(t, quick(w.seeds())), open1(t, quick(w.seeds()))
		got, err := c.GetOrLoad(ctx, "k", time.Minute, func(context.Context) ([]byte, error) {
			return []byte("old"), x.change(other)
		})
		if string(got) != "old" || err != nil { // it was read before the change
			t.Errorf("%s: %q %v", what, got, err)
		}
		v.set(func() {
			if at := v.keys["k"].value; at != x.want {
				t.Errorf("%s: the key holds %q", what, at)
			}
		})
	}
}

// TestForgetBetweenStoreAndRelease is the narrowest place: the loaded value is stored
// already when the key is forgotten by deletes that come in any order around it.
func TestForgetBetweenStoreAndRelease(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	v.meet = func(args []string) string {
		if args[0] == "SET" && args[1] == "k" { // the lease goes first, the value's delete is on its way
			delete(v.keys, leaseKey("k"))
		}
		return ""
	}
	c := open1(t, quick(w.seeds()))
	if _, err := c.GetOrLoad(ctx, "k", time.Minute, func(context.Context) ([]byte, error) { return []byte("old"), nil }); err != nil {
		t.Fatal(err)
	}
	v.set(func() {
		if k, there := v.keys["k"]; there {
			t.Errorf("what was read before Forget is back: %v", k)
		}
	})
}

func TestAStaleValueIsUsedAndLoadedAnew(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	var loads atomic.Int32
	load := func(context.Context) ([]byte, error) { return fmt.Appendf(nil, "v%d", loads.Add(1)), nil }
	get := func() string {
		t.Helper()
		b, err := c.GetOrLoad(ctx, "k", time.Minute, load, StaleFor(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if a, b := get(), get(); a != "v1" || b != "v1" {
		t.Fatal(a, b)
	}
	v.set(func() { // the minute is over, the hour is not
		k := v.keys["k"]
		if left := time.Until(k.ends); left < 60*time.Minute || left > 61*time.Minute {
			t.Errorf("stored for %v", left)
		}
		k.ends = k.ends.Add(-2 * time.Minute)
		v.keys["k"] = k
	})
	if a := get(); a != "v1" {
		t.Errorf("a stale value was waited for: %q", a)
	}
	until(t, "the value is loaded anew", func() bool { return get() == "v2" })
	if n := loads.Load(); n != 2 {
		t.Errorf("loaded %d times", n)
	}
}

// TestAFillerThatDiedIsReplaced: its lease ends, and one of those who wait loads.
func TestAFillerThatDiedIsReplaced(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	v.next++
	v.keys[leaseKey("k")] = versionedKey{value: "dead", version: v.next, ends: time.Now().Add(300 * time.Millisecond)}
	c := open1(t, quick(w.seeds()))
	from := time.Now()
	got, err := c.GetOrLoad(ctx, "k", time.Minute, func(context.Context) ([]byte, error) { return []byte("v"), nil })
	if took := time.Since(from); string(got) != "v" || err != nil || took < 200*time.Millisecond {
		t.Errorf("%q %v after %v", got, err, took)
	}
}

// TestALongLoadKeepsItsLease: longer than the lease's time to live, and nobody else loads.
func TestALongLoadKeepsItsLease(t *testing.T) {
	w := newWorld(t, 1)
	versions(w)
	a, b := open1(t, quick(w.seeds())), open1(t, quick(w.seeds()))
	var loads atomic.Int32
	load := func(context.Context) ([]byte, error) {
		if loads.Add(1) == 1 {
			<-time.After(leaseTTL + leaseTTL/4) // both live through its first end
		}
		return []byte("v"), nil
	}
	var wg sync.WaitGroup
	for _, c := range []*Client{a, b} {
		wg.Go(func() {
			if v, err := c.GetOrLoad(ctx, "k", time.Minute, load); string(v) != "v" || err != nil {
				t.Errorf("%q %v", v, err)
			}
		})
	}
	wg.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("loaded %d times", n)
	}
}

func TestALeaseIsInItsKeysSlot(t *testing.T) {
	for key, same := range map[string]bool{
		"k": true, "user:1": true, "{tag}x": true, "x{tag}": true, "x{}y": false, "{": true, "": false, "a}b": false, "{a": true, "a{b}c{d}": true,
	} {
		if got := shardmap.SlotOfString(key) == shardmap.SlotOfString(leaseKey(key)); got != same {
			t.Errorf("%q and %q share a slot: %v", key, leaseKey(key), got)
		}
	}
}

func TestBadTimesToLive(t *testing.T) {
	c := open1(t, quick([]string{"127.0.0.1:1"}))
	if _, err := c.GetOrLoad(ctx, "k", 0, nil); err == nil {
		t.Error("no time to live was taken")
	}
	if _, err := c.GetOrLoad(ctx, "k", time.Second, nil, StaleFor(-1)); err == nil {
		t.Error("a negative StaleFor was taken")
	}
}
