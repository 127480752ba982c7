package main

import (
	"runtime"
	"testing"
	"time"
)

func TestAnIdleNodeHoldsNoProcessor(t *testing.T) {
	for _, tc := range []struct {
		spent, took time.Duration
		want        bool
	}{
		{0, time.Second, false},
		{10 * time.Millisecond, time.Second, false},
		{30 * time.Millisecond, time.Second, true},
		{3 * time.Millisecond, 100 * time.Millisecond, true},
		{2 * time.Second, time.Second, true},
	} {
		if got := busy(tc.spent, tc.took); got != tc.want {
			t.Errorf("%v of %v is busy: %v", tc.spent, tc.took, got)
		}
	}
}

// A processor that is held must still let the collector stop the world: the signal
// that asks for it ends the wait.
func TestAHeldProcessorYieldsToTheCollector(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	started, ended := make(chan struct{}), make(chan time.Duration)
	go func() {
		close(started)
		began := time.Now()
		holdProcessor(time.Minute)
		ended <- time.Since(began)
	}()
	<-started
	for {
		runtime.GC()
		select {
		case held := <-ended:
			if held > 30*time.Second {
				t.Fatalf("held for %v", held)
			}
			return
		default:
		}
	}
}
