package clienttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

var ctx = context.Background()

func TestValuesEndByTheServersClock(t *testing.T) {
	srv := New(t)
	c := srv.Client()
	if err := c.SetWithTTL(ctx, "short", []byte("v"), 1000); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "ever", []byte("w")); err != nil {
		t.Fatal(err)
	}
	e, ok := srv.Entry("short")
	if !ok || string(e.Value) != "v" || !e.Expires.Equal(Epoch.Add(time.Second)) {
		t.Fatal(e, ok)
	}
	srv.Advance(999 * time.Millisecond)
	if v, err := c.Get(ctx, "short"); string(v) != "v" || err != nil {
		t.Fatal("before its time:", v, err)
	}
	srv.Advance(time.Millisecond)
	if _, err := c.Get(ctx, "short"); err != client.ErrNotFound {
		t.Fatal("after its time:", err)
	}
	if _, ok := srv.Entry("short"); ok {
		t.Error("Entry shows a dead key")
	}
	srv.Advance(1000 * time.Hour)
	if e, ok := srv.Entry("ever"); !ok || !e.Expires.IsZero() {
		t.Error(e, ok)
	}
}

func TestFailures(t *testing.T) {
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	for _, x := range []struct {
		name    string
		what    Failure
		set     error // of a Set that meets it
		applied bool
		get     bool // a Get meets it too
	}{
		{"unavailable", Unavailable, client.ErrUnavailable, false, true},
		{"too few replicas", NoReplicas, client.ErrUnavailable, false, false},
		{"out of memory", OutOfMemory, client.ErrUnavailable, false, false},
		{"ambiguous", Ambiguous, client.ErrAmbiguous, true, false},
		{"dropped", Dropped, client.ErrAmbiguous, false, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			srv := New(t)
			c := srv.Client()
			if err := c.Set(ctx, "other", nil); err != nil {
				t.Fatal(err)
			}
			srv.Fail("k", 0, x.what)
			err := c.Set(short(), "k", []byte("v"))
			late := x.what == Unavailable || x.what == NoReplicas // its deadline may fall into an attempt
			if !errors.Is(err, x.set) && !(late && errors.Is(err, client.ErrAmbiguous)) {
				t.Errorf("Set answered %v, want %v", err, x.set)
			}
			if _, ok := srv.Entry("k"); ok != x.applied {
				t.Errorf("applied is %v", ok)
			}
			if err := c.Set(ctx, "other", []byte("v")); err != nil {
				t.Error("another key:", err)
			}
			_, err = c.Get(short(), "k")
			if met := err != nil && err != client.ErrNotFound; met != x.get {
				t.Errorf("Get answered %v", err)
			}
			srv.Heal()
			if err := c.Set(ctx, "k", []byte("w")); err != nil {
				t.Error("after Heal:", err)
			}
		})
	}
}

func TestAFailureEndsAfterItsTimes(t *testing.T) {
	srv := New(t)
	c := srv.Client()
	srv.Fail("", 3, Unavailable)
	if err := c.Set(ctx, "k", []byte("v")); err != nil { // the client waits it out
		t.Fatal(err)
	}
	srv.Fail("k", 2, Ambiguous)
	for range 2 {
		if err := c.Set(ctx, "k", nil); !errors.Is(err, client.ErrAmbiguous) {
			t.Fatal(err)
		}
	}
	if err := c.Set(ctx, "k", nil); err != nil {
		t.Fatal(err)
	}
}

func TestHoldKeepsCallersUntilItsRelease(t *testing.T) {
	srv := New(t)
	c := srv.Client()
	release := srv.Hold("k")
	late, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.Get(late, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("a held Get answered", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Set(ctx, "k", []byte("v")) }()
	release()
	release() // twice is no harm
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFailoverLosesTheNewestWrites(t *testing.T) {
	srv := New(t)
	cfg := srv.Config()
	cfg.Losses = true
	told := make(chan *client.LostWritesError, 10)
	cfg.OnLost = func(e *client.LostWritesError) { told <- e }
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var last uint64
	for i := range 10 {
		if err := c.Set(ctx, fmt.Sprint("k", i), []byte("v")); err != nil {
			t.Fatal(err)
		}
		e, _ := srv.Entry(fmt.Sprint("k", i))
		if e.Version <= last {
			t.Fatalf("version %d after %d", e.Version, last)
		}
		last = e.Version
	}
	if _, err := c.Get(ctx, "k9"); err != nil { // behind the token of the last write
		t.Fatal(err)
	}
	srv.Failover(2)
	for e := range told { // each connection has its own
		if uint64(e.Last) == last {
			break
		}
	}
	for i, want := range []bool{7: true, 8: false, 9: false} {
		if _, ok := srv.Entry(fmt.Sprint("k", i)); i >= 7 && ok != want {
			t.Errorf("k%d survived: %v", i, ok)
		}
	}
	if _, err := c.Get(ctx, "k0"); !errors.Is(err, client.ErrLostWrites) {
		t.Error("the loss was not told:", err)
	}
	if _, err := c.Get(ctx, "k9"); err != client.ErrNotFound && !errors.Is(err, client.ErrLostWrites) {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "k9", []byte("again")); err != nil {
		t.Fatal(err)
	}
	srv.Failover(0)
	if e, ok := srv.Entry("k9"); !ok || e.Version <= last {
		t.Errorf("version %d after the lost %d", e.Version, last)
	}
}

func TestFailoverKeepsWhatWasTouchedDeletedAndTransacted(t *testing.T) {
	srv := New(t)
	c := srv.Client()
	for range 3 {
		for _, key := range []string{"ttl", "gone"} { // a read finds out that the connection ended
			if _, err := c.Get(ctx, key); err != nil && err != client.ErrNotFound {
				t.Fatal(err)
			}
		}
		if err := c.SetWithTTL(ctx, "ttl", []byte("v"), 5000); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(ctx, "gone", []byte("v")); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
		srv.Failover(0)
	}
	if e, ok := srv.Entry("ttl"); !ok || string(e.Value) != "v" || !e.Expires.Equal(Epoch.Add(5*time.Second)) {
		t.Error(e, ok)
	}
	if _, ok := srv.Entry("gone"); ok {
		t.Error("a deleted key came back")
	}
}
