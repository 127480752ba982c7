package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// event is something that happens at a time; ties go in the order of planning.
type event struct {
	at  time.Duration
	seq uint64
	run func()
}

// World is one simulated cluster and everything around it.
type World struct {
	cfg      Config
	rng      *rand.Rand
	now      time.Duration
	seq      uint64
	heap     []event
	hash     uint64
	events   uint64
	nodes    []*process
	parcels  []*parcel // to be used again
	target   int       // how many nodes there are to be
	kinds    []fault
	healed   bool // the time for faults is over
	healedAt time.Duration
	clients  []*actor
	cacher   *cacher
	history  *chaos.History
	keys     []simKey
	hashes   map[uint64]chaos.Key // where keys are evicted
	skew     skew
	operated bool // there are operators, and the dead are replaced
	closing  bool // clients begin nothing new
	acted    map[string]int
	log      []remark
}

// Config is what a seed does not decide.
type Config struct {
	Nodes  int
	Groups int
	Shards int
	Factor int // copies of each group's data

	// RingBytes is a node's memory for replication, so little that rings take blocks
	// from each other, and BlockBytes what they take at once; 0: as usual.
	RingBytes  int64
	BlockBytes int
	// CompareBytes is from how many bytes on a shard's copies are compared before one is
	// filled; 0: as usual, which no shard here comes to.
	CompareBytes int
	FillRate     int64         // bytes a second that a node sends of fills, 0 = any number
	DataBytes    int64         // a node's memory for its stores
	Keys         int           // times the usual number of keys
	Evicts       bool          // there is too little memory for all of them
	Duration     time.Duration // with faults; the quiet end comes on top
	OpsPerS      int
	Faults       bool
	Plain        bool // only the kinds of faults that the first simulator had
	Trace        bool
	Second       bool // some keys are judged by porcupine as well

	Log []wal.Mode // of the nodes' logs, each one's drawn from these; none: off
}

// DefaultConfig is three to five nodes, 16 groups, 100 operations a second.
func DefaultConfig() Config {
	return Config{Groups: 16, Shards: 16, Factor: 3, RingBytes: 1 << 20, DataBytes: 64 << 20, Keys: 1, Duration: 60 * time.Second, OpsPerS: 100, Faults: true}
}

// at plans an event.
func (w *World) at(t time.Duration, f func()) {
	w.seq++
	e := event{max(t, w.now), w.seq, f}
	i := len(w.heap)
	w.heap = append(w.heap, event{})
	for i > 0 {
		p := (i - 1) / 2
		if !e.before(&w.heap[p]) {
			break
		}
		w.heap[i] = w.heap[p]
		i = p
	}
	w.heap[i] = e
}

func (w *World) after(d time.Duration, f func()) { w.at(w.now+d, f) }

func (e *event) before(o *event) bool { return e.at < o.at || (e.at == o.at && e.seq < o.seq) }

// pop takes the next event out. The last one goes down from the top until it is in order,
// and the smaller ones on its way go up by one.
func (w *World) pop() event {
	n := len(w.heap) - 1
	top, last := w.heap[0], w.heap[n]
	w.heap[n].run = nil
	w.heap = w.heap[:n]
	if n == 0 {
		return top
	}
	heap, i := w.heap, 0
	for c := 1; c < n; c = 2*i + 1 {
		if c+1 < n && heap[c+1].before(&heap[c]) {
			c++
		}
		if !heap[c].before(&last) {
			break
		}
		heap[i] = heap[c]
		i = c
	}
	heap[i] = last
	return top
}

// run lets events happen until a time.
func (w *World) run(until time.Duration) {
	for len(w.heap) > 0 && w.heap[0].at <= until {
		e := w.pop()
		w.now = e.at
		w.events++
		w.mix(uint64(e.at))
		e.run()
	}
	w.now = until
}

// mix folds a number into the running hash (FNV-1a).
func (w *World) mix(v uint64) { w.hash = (w.hash ^ v) * 1099511628211 }

// remark is a line of the log. Few runs fail, and of the others nobody reads it: it is
// written out in the end, so nothing in it may change.
type remark struct {
	at     time.Duration
	format string
	args   []any
}

func (r *remark) String() string {
	return fmt.Sprintf("%12v %s", r.at, fmt.Sprintf(r.format, r.args...))
}

// note remembers a line for the end of a failed run.
func (w *World) note(format string, args ...any) {
	for i, a := range args {
		if b, ok := a.([]byte); ok { // its memory is used again
			args[i] = string(b)
		}
	}
	r := remark{w.now, format, args}
	if w.cfg.Trace {
		fmt.Println(r.String())
	}
	if w.log = append(w.log, r); len(w.log) > 400 {
		w.log = w.log[200:]
	}
}

// lines are the newest of the log.
func (w *World) lines() (list []string) {
	for i := range w.log {
		list = append(list, w.log[i].String())
	}
	return list
}

func (w *World) fault(name, format string, args ...any) {
	w.acted[name]++
	w.note("fault %s: "+format, append([]any{name}, args...)...)
}
