package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// History judges operations as they run and as their clients are told. It keeps
// what every surviving write left of its key, so that each check looks at the top
// of one list: linear in the number of operations, without a search to give up.
type History struct {
	layout  shardmap.Layout
	top     []held // by group
	shards  []shardHistory
	keys    []keyHistory
	names   map[string]Key
	seen    [][]session // by client, then key
	refused []string    // what writes with a definite error would have written
	said    []saidLost

	Sample *Sample // of keys that are judged by search as well; may be nil
	// Wild says that clocks are worse than the protocol allows: two nodes may serve
	// at once. Only what does not rest on clocks is judged then.
	Wild    bool
	Excused int // violations that wild clocks explain
	// Late is by how much the times at which operations ran may be off, when nobody saw them.
	Late time.Duration

	Ops       int
	Reads     int
	Hits      int           // answers from caches
	Oldest    time.Duration // how long the oldest of them was not true any more
	Evictions int
	Broken    []string
	Lost      int // acknowledged writes that a cut declared lost
	Durable   int // those of Lost whose clients had waited for a majority
	Wiped     int // those of Lost that went with the last copy of their shard

	loss Loss // by the newest cut
}

type held struct {
	ballot multiraft.Ballot
	node   shardmap.NodeID
	at     time.Duration
}

// keyHistory is the surviving writes of a key, oldest first.
type keyHistory struct {
	name  string
	shard shardmap.ShardID
	log   []entry
	known int // log[:known] holds the newest entry that some client knows of, last
}

// entry is what one write left of its key.
type entry struct {
	version  shardmap.Version
	ran      time.Duration
	seen     time.Duration // when a client first knew of it, 0 = none does
	sum      digest
	size     int32
	alive    bool
	gone     bool // its deadline has been seen to pass
	goneAt   time.Duration
	evicted  bool // by a change of another key
	inferred bool // from what others saw: its version is a guess
	acked    bool
	durable  bool  // its client had waited for a majority
	counted  bool  // Append or Incr made it
	number   int64 // of the digits in it, when the write was an Incr
	deadline int64
}

// session is what one client has seen of one key.
type session struct {
	wrote, read shardmap.Version
}

// NewHistory is an empty history.
func NewHistory(l shardmap.Layout) *History {
	return &History{
		layout: l, top: make([]held, l.Groups+1), shards: make([]shardHistory, l.Shards), names: map[string]Key{},
	}
}

// Key is the number of a key.
func (h *History) Key(name string) Key {
	if k, ok := h.names[name]; ok {
		return k
	}
	k := Key(len(h.keys))
	h.names[name] = k
	h.keys = append(h.keys, keyHistory{name: name, shard: h.layout.ShardOf(shardmap.SlotOfString(name))})
	return k
}

// Name is the key of a number.
func (h *History) Name(k Key) string { return h.keys[k].name }

// Shard is the shard of a key.
func (h *History) Shard(k Key) shardmap.ShardID { return h.keys[k].shard }

// brokenMax is how many violations a history tells.
const brokenMax = 20

func (h *History) broken(property, format string, args ...any) {
	if !h.Judges(property) {
		h.Excused++
	} else if len(h.Broken) < brokenMax {
		h.Broken = append(h.Broken, property+": "+fmt.Sprintf(format, args...))
	}
}

// clockless are the properties that hold whatever clocks do: the fence and a
// majority keep majority writes, copies are made by versions, and what is left of
// a cluster comes to rest.
var clockless = [...]string{"P8", "P10", "P13", "P18", "frame"}

// Judges reports whether a property is to hold in this history.
func (h *History) Judges(property string) bool {
	return !h.Wild || slices.Contains(clockless[:], property)
}

// Break tells a violation that the harness saw by itself.
func (h *History) Break(property, format string, args ...any) { h.broken(property, format, args...) }

// last is the newest surviving write of a key, nil when there is none.
func (k *keyHistory) last() *entry {
	if len(k.log) == 0 {
		return nil
	}
	return &k.log[len(k.log)-1]
}

// at finds the entry of a version, nil when it does not survive.
func (k *keyHistory) at(v shardmap.Version) *entry {
	for i := len(k.log) - 1; i >= 0 && k.log[i].version >= v; i-- {
		if k.log[i].version == v {
			return &k.log[i]
		}
	}
	return nil
}

// maybeAlive and maybeAbsent say what the entry allows at a shard time somewhere
// between low and high.
func (e *entry) maybeAlive(low int64) bool {
	return e != nil && e.alive && !e.gone && (e.deadline == 0 || e.deadline > low)
}

func (e *entry) maybeAbsent(high int64) bool {
	return e == nil || !e.alive || e.gone || (e.deadline != 0 && e.deadline <= high)
}

// Ran takes note of an operation at the moment it ran at a node that may serve
// its shard, answered or not. What it found must be what the surviving writes left.
func (h *History) Ran(o *Op) {
	k := &h.keys[o.Key]
	h.inOrder(k.shard, o)
	if o.Kind == Flush {
		h.flushed(k.shard, o)
		return
	}
	top := k.last()
	if o.Kind == Read {
		o.prop, o.wrong = h.judge(k, top, o)
	} else if o.Found != top.maybeAlive(o.Low) && o.Found == top.maybeAbsent(o.High) {
		h.broken(h.absenceOf(top, o), "%q: %v at %v found it there: %v, after %s", k.name, o.Kind, called(o.Node), o.Found, top)
	}
	if top != nil && !o.Found && top.deadline != 0 {
		top.gone, top.goneAt = true, o.Ran
	}
	if o.writes() {
		if !o.Found {
			top = nil
		}
		h.append(k, h.applied(k, top, o), o)
		for _, e := range o.Evicted {
			h.evict(e, o)
		}
	}
	h.Sample.ran(o)
}

// evict leaves nothing of a key that a change of another one cost. Only what is there
// can be evicted, and only so, logged, may a key go (P17).
func (h *History) evict(e Evicted, o *Op) {
	k := &h.keys[e.Key]
	if top := k.last(); top == nil || !top.alive || top.version != e.Version {
		h.broken("P17", "%q: version %v is evicted by version %v, after %s", k.name, e.Version, o.Version, top)
	}
	own := o.entry
	h.append(k, entry{version: o.Version, ran: o.Ran, evicted: true}, o)
	o.entry = own
	h.Evictions++
}

// Shrank takes note of what a holder evicted without a write of a client, because its
// copy takes more than its budget: the budget fell, or the former holder's copy of the
// same entries took less. The shard is at that version then, though no client was told.
func (h *History) Shrank(id shardmap.ShardID, node shardmap.NodeID, at time.Duration, version shardmap.Version, es []Evicted) {
	h.shards[id].position = max(h.shards[id].position, version)
	for _, e := range es {
		h.evict(e, &Op{Node: node, Ran: at, Version: version})
	}
}

// append puts what a write left of its key behind the older writes. Where clocks are
// wild, a holder that does not know that it is deposed writes beside its successor:
// what an Open has cut already is no part of the key.
func (h *History) append(k *keyHistory, e entry, o *Op) {
	at := len(k.log)
	if h.Wild {
		if h.lost(k.shard, e.version) {
			return
		}
		for at > 0 && k.log[at-1].version > e.version {
			at--
		}
	}
	k.log = slices.Insert(k.log, at, e)
	o.entry = int32(at + 1)
}

// flushed leaves nothing of any key of a shard.
func (h *History) flushed(id shardmap.ShardID, o *Op) {
	for i := range h.keys {
		if k := &h.keys[i]; k.shard == id {
			h.append(k, entry{version: o.Version, ran: o.Ran}, o)
		}
	}
	o.entry = 1
}

// judge says which property a reading breaks, "" when it is right.
func (h *History) judge(k *keyHistory, top *entry, o *Op) (property, wrong string) {
	switch {
	case !o.Found && top.maybeAbsent(o.High):
	case !o.Found:
		return h.absenceOf(top, o), fmt.Sprintf("%q: absent at %v at %v, after %s", k.name, called(o.Node), o.Ran, top)
	case top == nil || o.Version != top.version:
		return h.strange(k, o), fmt.Sprintf("%q: version %v (%.40q) read at %v at %v, after %s", k.name, o.Version, o.Value, called(o.Node), o.Ran, top)
	case !top.alive && top.evicted:
		return "P17", fmt.Sprintf("%q: %.40q read at %v at %v, after %s", k.name, o.Value, called(o.Node), o.Ran, top)
	case !top.alive:
		return "P6", fmt.Sprintf("%q: %.40q read at %v at %v, after %s", k.name, o.Value, called(o.Node), o.Ran, top)
	case o.Deadline != top.deadline:
		return "P7", fmt.Sprintf("%q: deadline %d read at %v at %v, after %s", k.name, o.Deadline, called(o.Node), o.Ran, top)
	case !top.maybeAlive(o.Low):
		return "P7", fmt.Sprintf("%q: read at %v at %v, when it was %d at least, after %s", k.name, called(o.Node), o.Ran, o.Low, top)
	case int(top.size) != len(o.Value) || top.sum != emptyDigest.add(o.Value):
		return h.foreign(top.property(), o), fmt.Sprintf("%q: version %v reads %.40q (%d bytes) at %v at %v, after %s", k.name, o.Version, o.Value, len(o.Value), called(o.Node), o.Ran, top)
	}
	return "", ""
}

// absenceOf names the property that a key's wrong presence or absence breaks.
func (h *History) absenceOf(top *entry, o *Op) string {
	switch {
	case top != nil && top.deadline != 0:
		return "P7"
	case o.Found:
		return "P6"
	}
	return "P2"
}

// strange names the property that reading a version breaks which is not the newest.
func (h *History) strange(k *keyHistory, o *Op) string {
	for i := range k.log {
		if e := &k.log[i]; !e.alive && e.version > o.Version {
			if e.evicted {
				return "P17"
			}
			return "P6"
		}
	}
	return h.foreign("P2", o)
}

// applied is what a change leaves of a key, by the rules of the operation and not
// by what the node says; where the two differ, a change was applied twice or not at all.
func (h *History) applied(k *keyHistory, old *entry, o *Op) entry {
	e := entry{version: o.Version, ran: o.Ran, alive: true}
	if old == nil {
		old = &entry{sum: emptyDigest}
	}
	switch o.Kind {
	case Set:
		e.sum, e.size = emptyDigest.add(o.Arg), int32(len(o.Arg))
		h.dated(k, o, &e, o.TTL)
	case Append:
		e.sum, e.size, e.deadline, e.counted = old.sum.add(o.Arg), old.size+int32(len(o.Arg)), old.deadline, true
		if o.Int != int64(e.size) {
			h.broken("once", "%q: append at version %v makes %d bytes, after %s", k.name, o.Version, o.Int, old)
		}
	case Incr:
		e.number, e.deadline, e.counted = old.number+o.Delta, old.deadline, true
		if o.Int != e.number {
			h.broken("once", "%q: incr by %d at version %v makes %d, after %s", k.name, o.Delta, o.Version, o.Int, old)
		}
		var digits [20]byte
		b := strconv.AppendInt(digits[:0], e.number, 10)
		e.sum, e.size = emptyDigest.add(b), int32(len(b))
	case Del:
		e.alive = false
	case Expire, Persist:
		e.sum, e.size, e.number, e.counted = old.sum, old.size, old.number, old.counted
		h.dated(k, o, &e, o.TTL)
	}
	if e.alive && o.Deadline != e.deadline {
		h.broken("P7", "%q: %v at version %v leaves the deadline %d, not %d", k.name, o.Kind, o.Version, o.Deadline, e.deadline)
	}
	return e
}

// dated gives an entry its deadline, which must be as far away as was asked.
func (h *History) dated(k *keyHistory, o *Op, e *entry, ttl int64) {
	if ttl == 0 {
		return
	}
	e.deadline = o.Deadline
	if o.Deadline < o.Low+ttl || o.Deadline > o.High+ttl {
		h.broken("P7", "%q: %v for %d ms at version %v has the deadline %d, at a time from %d to %d", k.name, o.Kind, ttl, o.Version, o.Deadline, o.Low, o.High)
	}
}

// property is the one that another value under the entry's version breaks.
func (e *entry) property() string {
	if e.counted {
		return "once"
	}
	return "P2"
}

func (e *entry) String() string {
	switch {
	case e == nil:
		return "nothing"
	case e.evicted:
		return fmt.Sprintf("an eviction at version %v (%v)", e.version, e.ran)
	case !e.alive:
		return fmt.Sprintf("a delete at version %v (%v)", e.version, e.ran)
	}
	s := fmt.Sprintf("version %v of %d bytes (%v)", e.version, e.size, e.ran)
	if e.deadline != 0 {
		s += fmt.Sprintf(" with deadline %d, seen to pass: %v", e.deadline, e.gone)
	}
	return s
}
