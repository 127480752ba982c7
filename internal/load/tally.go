package load

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// LatencyMax is the longest latency that is told apart; a longer one counts as this.
const LatencyMax = time.Minute

// NewHistogram records nanoseconds from one microsecond on, to three digits.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(LatencyMax), 3)
}

// Record takes one latency in nanoseconds.
func Record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, int64(time.Microsecond)), int64(LatencyMax))) // always within the bounds
}

// tally counts what some workers saw.
type tally struct {
	mu     sync.Mutex // guards everything below
	gets   *hdrhistogram.Histogram
	sets   *hdrhistogram.Histogram
	late   *hdrhistogram.Histogram // how late batches left though their worker was idle
	second *hdrhistogram.Histogram // of the second that runs
	misses int
	errors map[string]int
}

func newTally() *tally {
	return &tally{gets: NewHistogram(), sets: NewHistogram(), late: NewHistogram(), second: NewHistogram(), errors: map[string]int{}}
}

// add counts a batch that was meant for due and left at left, both in nanoseconds. Errors
// count as operations without latency: an error that comes fast is no fast answer.
func (t *tally) add(ops []op, due, left int64, idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if idle {
		Record(t.late, left-due)
	}
	for i := range ops {
		o := &ops[i]
		if o.error != "" {
			t.errors[o.error]++
			continue
		}
		if o.miss {
			t.misses++
		}
		h := t.gets
		if o.set {
			h = t.sets
		}
		Record(h, o.done-due)
		Record(t.second, o.done-due)
	}
}

// take merges into sum what came since the last take, and forgets the second.
func (t *tally) take(second *hdrhistogram.Histogram, errors map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	second.Merge(t.second)
	t.second.Reset()
	for code, n := range t.errors {
		errors[code] += n
	}
}

// merge adds all of other.
func (t *tally) merge(other *tally) {
	other.mu.Lock()
	defer other.mu.Unlock()
	t.gets.Merge(other.gets)
	t.sets.Merge(other.sets)
	t.late.Merge(other.late)
	t.misses += other.misses
	for code := range maps.Keys(other.errors) {
		t.errors[code] += other.errors[code]
	}
}
