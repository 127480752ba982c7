package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const shortLock = LockTTLMin

func TestOneHolderAtATime(t *testing.T) {
	w := newWorld(t, 2)
	versions(w)
	var held, most atomic.Int32
	var last atomic.Uint64
	var wg sync.WaitGroup
	for range 3 {
		c := open1(t, quick(w.seeds()))
		for range 3 {
			wg.Go(func() {
				for range 5 {
					l, err := c.Lock(ctx, "job", 10*time.Second)
					if err != nil {
						t.Error(err)
						return
					}
					if n := held.Add(1); n > most.Load() {
						most.Store(n)
					}
					if token := uint64(l.Token()); token <= last.Swap(token) {
						t.Errorf("token %d is not above the one before", token)
					}
					if !l.Held() {
						t.Error("a lock just taken is not held")
					}
					held.Add(-1)
					if err := l.Unlock(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d holders at a time", most.Load())
	}
}

func TestTryLockDoesNotWait(t *testing.T) {
	w := newWorld(t, 1)
	versions(w)
	a, b := open1(t, quick(w.seeds())), open1(t, quick(w.seeds()))
	l, err := a.TryLock(ctx, "job", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.TryLock(ctx, "job", time.Minute); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	late, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	_, err = b.Lock(late, "job", time.Minute)
	wantIs(t, err, ErrLocked, context.DeadlineExceeded)
	if err := l.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if err := l.Unlock(ctx); err != nil {
		t.Error("the second Unlock:", err)
	}
	if l.Held() {
		t.Error("held after Unlock")
	}
	<-l.Lost()
	if _, err := b.Lock(ctx, "job", time.Minute); err != nil {
		t.Error("after Unlock:", err)
	}
	if _, err := b.TryLock(ctx, "job", time.Second); err == nil {
		t.Error("a time to live shorter than the slack was taken")
	}
}

// TestStepsOfUnknownOutcome hangs up before or behind every step of a lock's life: who
// holds it holds it once, and Unlock leaves nothing.
func TestStepsOfUnknownOutcome(t *testing.T) {
	for _, what := range []string{"drop", "hang up"} {
		for _, step := range []string{"SET", "DELIFVER"} {
			t.Run(fmt.Sprintf("%s at %s", what, step), func(t *testing.T) {
				w := newWorld(t, 1)
				v := versions(w)
				met := 0
				v.meet = func(args []string) string {
					if args[0] == step && met < 2 {
						met++
						return what
					}
					return ""
				}
				c := open1(t, quick(w.seeds()))
				l, err := c.Lock(ctx, "job", time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				var at versionedKey
				v.set(func() { at = v.keys["lock:job"] })
				if at.version != l.Token() {
					t.Errorf("token %v, the key has %v", l.Token(), at.version)
				}
				if err := l.Unlock(ctx); err != nil {
					t.Error(err)
				}
				v.set(func() {
					if len(v.keys) != 0 {
						t.Errorf("%v is left", v.keys)
					}
					if met == 0 {
						t.Error("no failure was met")
					}
				})
			})
		}
	}
}

func TestALockIsRenewedAndKeepsItsToken(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	l, err := c.Lock(ctx, "job", shortLock)
	if err != nil {
		t.Fatal(err)
	}
	token := l.Token()
	until(t, "three renewals", func() bool { return v.count("SET lock:job") == 4 })
	if !l.Held() || l.Token() != token {
		t.Error("held:", l.Held(), "token:", l.Token(), "was", token)
	}
	if err := l.Unlock(ctx); err != nil {
		t.Error(err)
	}
}

func TestALockThatCannotBeRenewedIsLostBeforeTheServerLetsGo(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	l, err := c.Lock(ctx, "job", shortLock)
	if err != nil {
		t.Fatal(err)
	}
	v.set(func() { v.meet = func([]string) string { return "down" } })
	<-l.Lost()
	var left time.Duration
	v.set(func() {
		left = time.Until(v.keys["lock:job"].ends)
		v.meet = nil
	})
	if l.Held() || left <= 0 {
		t.Errorf("held %v; the server keeps the lock for %v", l.Held(), left)
	}
	wantIs(t, l.Unlock(ctx), ErrLockLost)
}

func TestALockTakenAwayIsLost(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	l, err := c.Lock(ctx, "job", shortLock)
	if err != nil {
		t.Fatal(err)
	}
	v.set(func() {
		v.next++
		v.keys["lock:job"] = versionedKey{value: "another", version: v.next}
	})
	<-l.Lost()
	wantIs(t, l.Unlock(ctx), ErrLockLost)
	v.set(func() {
		if v.keys["lock:job"].value != "another" {
			t.Error("another holder's lock was removed")
		}
	})
}

func TestCloseEndsLocks(t *testing.T) {
	w := newWorld(t, 1)
	versions(w)
	c := open1(t, quick(w.seeds()))
	l, err := c.Lock(ctx, "job", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-l.Lost()
	wantIs(t, l.Unlock(ctx), ErrLockLost)
}

// TestWhatIsOnlyReadIsNotHeld: after a step of unknown outcome the holder's name is
// seen in the key, but the write may be one that is not acknowledged yet. It counts
// from a write that was.
func TestWhatIsOnlyReadIsNotHeld(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	first := true
	var seen shardmap.Version
	v.meet = func(args []string) string {
		if first {
			first = false
			seen = v.next + 1
			return "hang up"
		}
		return ""
	}
	c := open1(t, quick(w.seeds()))
	l, err := c.Lock(ctx, "job", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if l.Token() <= seen {
		t.Errorf("token %v is of a write that was not answered (%v)", l.Token(), seen)
	}
}
