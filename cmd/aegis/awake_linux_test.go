package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
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
		{60 * time.Millisecond, time.Second, false}, // with 1,024 groups, as much as it may take
		{150 * time.Millisecond, time.Second, true},
		{15 * time.Millisecond, 100 * time.Millisecond, true},
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

// A collection beside the goroutine that holds a processor, and one that computes, ends:
// it was a livelock of seconds. Both goroutines have no end, as in a node, so that they
// get a process of their own.
func TestACollectionDoesNotWaitForTheHeldProcessor(t *testing.T) {
	const inside = "AEGIS_TEST_HOLDS_A_PROCESSOR"
	if os.Getenv(inside) != "" {
		collectBesideHolder(t)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v (it has 20 s)\n%s", err, out)
	}
}

func collectBesideHolder(t *testing.T) {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	go func() {
		for {
			holdProcessor(awakeFor)
			yield()
		}
	}()
	go func() {
		for i := 1; ; i++ {
			if i%1_000_000 == 0 {
				runtime.Gosched()
			}
		}
	}()
	time.Sleep(100 * time.Millisecond)
	took := make([]time.Duration, 100)
	for i := range took {
		began := time.Now()
		runtime.GC()
		took[i] = time.Since(began)
		time.Sleep(2 * time.Millisecond) // both are in the middle of what they do when the next one begins
	}
	slices.Sort(took)
	t.Logf("a collection takes p50 %v, p90 %v, at most %v", took[50], took[90], took[99])
	if took[90] > 100*time.Millisecond {
		t.Error("a collection waits for the goroutine that holds a processor")
	}
}
