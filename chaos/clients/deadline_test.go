package clients

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// TestANodeThatStoodStillRunsNothingLate: writes that lay in the sockets of a stopped node until
// their callers had given up are not applied when it goes on, well within its lease.
func TestANodeThatStoodStillRunsNothingLate(t *testing.T) {
	node := launch(t, 1, fmt.Sprint(rigMemory))[0]
	c := newClient(t, []string{node.addr})
	const keys = 50
	for i := range keys {
		if err := c.Set(t.Context(), fmt.Sprint("late:", i), []byte("before")); err != nil {
			t.Fatal(err)
		}
	}
	node.signal(syscall.SIGSTOP)
	until(t, time.Minute, "the node stands still", node.stopped)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	gaveUp := make(chan error)
	for i := range keys {
		go func() { gaveUp <- c.Set(ctx, fmt.Sprint("late:", i), []byte("late")) }()
	}
	ambiguous := 0
	for range keys {
		if errors.Is(<-gaveUp, client.ErrAmbiguous) {
			ambiguous++
		}
	}
	node.signal(syscall.SIGCONT)
	if ambiguous == 0 {
		t.Error("no write had left: the test did not do what it is for")
	}
	for i := range keys {
		if v, err := c.Get(t.Context(), fmt.Sprint("late:", i)); string(v) != "before" || err != nil {
			t.Errorf("%d: %q, %v", i, v, err)
		}
	}
}
