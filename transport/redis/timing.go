package redis

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A clock costs 30 ns to read, which is a tenth of a GET in a deep pipeline. So commands
// are timed in groups: those of one kind that stand together in a pipeline, timedMax at
// most, and each is counted with the mean of its group. A client that waits for each reply
// sends groups of one, and their two readings are those of the slow log: it costs nothing.
// Counts are gathered with the group as well, so that connections meet in a command's
// counters once for a group, and at no lock.

// timedMax is how many commands may share two readings of the clock.
const timedMax = 16

// group is commands of one kind that are timed together.
type group struct {
	cmd    *command
	calls  int64
	failed int64
	more   int64 // that the server's number lacks
}

// tally is what is counted of a command: how often it was called, how often an error was
// its answer or it was not even tried, and how long it took.
type tally struct {
	calls    atomic.Int64
	failed   atomic.Int64
	rejected atomic.Int64
	nanos    atomic.Int64
	times    atomic.Pointer[histogram]
}

// add counts calls that took so long together.
func (t *tally) add(calls, failed int64, took time.Duration) {
	t.calls.Add(calls)
	t.nanos.Add(int64(took))
	if failed > 0 {
		t.failed.Add(failed)
	}
	h := t.times.Load()
	if h == nil { // of most commands there never is one
		t.times.CompareAndSwap(nil, new(histogram))
		h = t.times.Load()
	}
	if h != nil { // else CONFIG RESETSTAT came between
		h.add(took/time.Duration(calls), calls)
	}
}

func (t *tally) reset() {
	t.calls.Store(0)
	t.failed.Store(0)
	t.rejected.Store(0)
	t.nanos.Store(0)
	t.times.Store(nil)
}

// enlist takes a command that is about to run into the group.
func (c *conn) enlist(cmd *command) {
	if c.group.cmd != cmd || c.group.calls == timedMax {
		if c.group.calls > 0 {
			c.closeGroup(c.srv.since())
		}
		c.group.cmd = cmd
		c.srv.commands.Add(1)
		c.group.more--
	}
	c.group.calls++
	c.group.more++
}

// closeGroup ends the group at a time since the server's start.
func (c *conn) closeGroup(now time.Duration) {
	g := &c.group
	if g.calls > 0 {
		g.cmd.add(g.calls, g.failed, now-c.lap)
	}
	if g.more > 0 {
		c.srv.commands.Add(g.more)
	}
	c.group, c.lap = group{}, now
}

// within times commands that are a part of the one under way, which counts with them.
func (c *conn) within(f func()) {
	outer, began := c.group, c.lap
	c.group, c.lap = group{}, c.srv.since()
	f()
	c.closeGroup(c.srv.since())
	c.group, c.lap = outer, began
}

// histogram counts durations by their length, in steps of 1/32 of it: 9 KiB of a command
// that is used at all.
type histogram struct{ counts [stepsMax]atomic.Int64 }

const (
	stepBits = 5
	stepsMax = (40 - stepBits + 1) << stepBits // up to 2^40 ns: 18 minutes
)

func (h *histogram) add(took time.Duration, calls int64) { h.counts[stepOf(took)].Add(calls) }

// stepOf is the step of a duration; the last one is for all that are longer.
func stepOf(d time.Duration) int {
	ns := uint64(max(0, d))
	shift := max(0, bits.Len64(ns)-stepBits-1)
	return min(shift<<stepBits+int(ns>>shift), stepsMax-1)
}

// stepEnd is the longest duration of a step.
func stepEnd(step int) time.Duration {
	shift := max(0, step>>stepBits-1)
	return time.Duration((step-shift<<stepBits+1)<<shift - 1)
}

// read copies the counts, so that what is made of them fits together.
func (h *histogram) read() (counts [stepsMax]int64, total int64) {
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
		total += counts[i]
	}
	return counts, total
}

// percentiles are durations that so many percent were not longer than, up to a step.
func (h *histogram) percentiles(percent ...float64) (all []time.Duration) {
	counts, total := h.read()
	for _, p := range percent {
		rank, seen, step := int64(math.Ceil(float64(total)*p/100)), int64(0), 0
		for ; step < stepsMax-1; step++ {
			if seen += counts[step]; seen >= max(1, rank) {
				break
			}
		}
		all = append(all, stepEnd(step))
	}
	return all
}

// doubling is how many calls took no longer than a time.
type doubling struct{ micros, calls int64 }

// doublings are the counts as LATENCY HISTOGRAM shows them: up to 1024 ns, up to twice
// that and so on, but for times that no call took. Redis names these 1, 2, 4, 8, 16, 33,
// 66 microseconds: its own steps of 1/128 end that much later.
func (h *histogram) doublings() (all []doubling, total int64) {
	counts, total := h.read()
	seen, before, step := int64(0), int64(0), 0
	for end := int64(1024); step < stepsMax; end *= 2 {
		for ; step < stepsMax && stepEnd(step) < time.Duration(end); step++ {
			seen += counts[step]
		}
		if seen > before {
			all = append(all, doubling{(end + end/128 - 1) / 1000, seen})
		}
		before = seen
	}
	return all, total
}
