package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// witness is a thread that sleeps a millisecond again and again: when it is woken late, the
// machine was busy with something else, and no server is to blame for what it was late with.
type witness struct {
	mu    sync.Mutex
	worst time.Duration
	stop  chan struct{}
	done  sync.WaitGroup
}

func startWitness() *witness {
	w := &witness{stop: make(chan struct{})}
	w.done.Go(w.run)
	return w
}

func (w *witness) run() {
	runtime.LockOSThread() // never unlocked: the thread ends with it
	nap := syscall.NsecToTimespec(int64(time.Millisecond))
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		before := time.Now()
		_ = syscall.Nanosleep(&nap, nil) // a Go timer is late by itself
		late := time.Since(before) - time.Millisecond
		w.mu.Lock()
		w.worst = max(w.worst, late)
		w.mu.Unlock()
	}
}

// late is the worst lateness since it was asked last.
func (w *witness) late() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := w.worst
	w.worst = 0
	return worst
}

func (w *witness) end() {
	close(w.stop)
	w.done.Wait()
}

const syncProbes = 20

// syncTimes is what the directory's disk takes to make a little more of a file durable,
// whoever asks, sorted.
func syncTimes(dir string) (took []time.Duration, err error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	page := make([]byte, syncBytes)
	for range syncProbes {
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		begun := time.Now()
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took, nil
}
