package chaos

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Trial judges what clients of real nodes were told, by the checkers that judge the
// simulator. Versions say in which order writes ran. What is not known of an operation,
// the moment at which it ran, is chosen so that it explains the answer if anything does:
// a write runs as late as possible, when its own answer or that of a later write of the
// shard proves that it ran; a reading before the next write of its key, if it has begun.
// So a reading that begins after somebody was told of a newer write finds the newer one,
// and is wrong.
type Trial struct {
	h        *History
	wall     int64 // unix ms at time 0
	bound    time.Duration
	skew     int64 // ms
	evicts   bool
	evicted  int // keys that readings showed to be evicted
	unjudged int // keys
	shards   []trialShard
	keys     []trialKey
	now      time.Duration
	alive    map[sight]time.Duration // when the last operation began that found a key at a version
	suspects []string                // keys whose answers a guess did not explain
	losses   []Loss
	missing  int // epochs of which nobody told what their Open decided
	verdicts int // that were judged
	names    map[shardmap.NodeID]string
}

type trialShard struct {
	order  []*act // writes, by version
	next   int
	cuts   []Cut // by epoch
	cut    int
	epoch  uint32
	guess  bool   // of an epoch nobody told what its Open decided
	flying []*act // what ran and whose client was not told yet
}

type trialKey struct {
	open     []*act // readings under way whose place is not found yet
	doubtful []*act // writes of unknown outcome that may leave the key absent
	unread   []*act // sets of unknown outcome whose value nobody read
}

// sight is a key at a version.
type sight struct {
	key Key
	at  shardmap.Version
}

// act is an operation on its way through a trial.
type act struct {
	t         *Told
	op        Op
	shard     shardmap.ShardID
	inferred  bool // its version is a guess: between those of others
	ran, done bool
	used      shardmap.Version // of a doubtful one: the entry that it explains
}

// TrialConfig says what a trial has to know beside the operations.
type TrialConfig struct {
	Layout shardmap.Layout
	Wall   int64                      // unix ms at time 0 of the operations
	Bound  time.Duration              // how old readings from followers may be
	Skew   time.Duration              // that wall clocks of nodes were off, at most
	Names  map[shardmap.NodeID]string // addresses of nodes, as operations have them; may be nil
	Sample int                        // keys that are judged by search as well
	// Evicts says that memory was full: a key may go at any time, and what is gone stays
	// gone (P17). Only registers can be judged then.
	Evicts bool
	// Verdicts are what nodes said at rest of versions that clients were told.
	Verdicts []AtRest
}

// What clocks and threads of one machine may add: after a takeover a shard's time is ahead
// of the wall clock by up to what the former holder might have used, a lease and 200 ms,
// or behind it by as much as nobody was heard of; replies wait for a core.
const (
	lateShardTime = 1500 // ms
	earlyShard    = 900  // ms: L + 200 ms, and replies
	lateThreads   = 250 * time.Millisecond
)

// Try judges operations and the Opens that nodes told of. Where a write of unknown
// outcome makes it a matter of guessing in which order operations of a key ran, and the
// guess does not explain all answers, that key is judged anew by search, which tries all.
func Try(cfg TrialConfig, told []Told, cuts []Cut) (*History, *Trial) {
	apart := map[string]bool{}
	for {
		h, t := try(cfg, slices.Clone(told), cuts, apart)
		if len(t.suspects) == 0 {
			return h, t
		}
		for _, k := range t.suspects {
			apart[k] = true
		}
	}
}

func try(cfg TrialConfig, told []Told, cuts []Cut, apart map[string]bool) (*History, *Trial) {
	h := NewHistory(cfg.Layout)
	h.Late = lateThreads
	t := &Trial{h: h, wall: cfg.Wall, bound: cfg.Bound, skew: cfg.Skew.Milliseconds(), evicts: cfg.Evicts, shards: make([]trialShard, cfg.Layout.Shards), names: cfg.Names, alive: map[sight]time.Duration{}}
	acts, searched := make([]*act, 0, len(told)), map[Key][]*act{}
	for i := range told {
		a := t.take(&told[i])
		if apart[a.t.Key] {
			searched[a.op.Key] = append(searched[a.op.Key], a)
		} else {
			acts = append(acts, a)
		}
	}
	for _, c := range cuts {
		s := &t.shards[c.Shard]
		s.cuts = append(s.cuts, c)
	}
	for i := range t.shards {
		slices.SortStableFunc(t.shards[i].cuts, func(a, b Cut) int { return cmp.Compare(a.Epoch, b.Epoch) })
		t.shards[i].cuts = t.onceEach(t.shards[i].cuts)
	}
	t.resolve(acts)
	t.count(acts)
	for _, a := range acts {
		if a.t.writes() && a.t.Version != 0 && a.t.Outcome != Refused {
			t.shards[a.shard].order = append(t.shards[a.shard].order, a)
		}
	}
	for i := range t.shards {
		slices.SortStableFunc(t.shards[i].order, func(a, b *act) int { return cmp.Compare(a.t.Version, b.t.Version) })
	}
	if cfg.Evicts { // a search knows of no evictions
		t.unjudged = len(searched)
		clear(searched)
	} else {
		for _, k := range t.sampled(acts, cfg.Sample) {
			searched[k] = nil
		}
	}
	for _, a := range acts {
		if list, ok := searched[a.op.Key]; ok {
			searched[a.op.Key] = append(list, a)
		}
	}
	t.run(acts)
	t.rested(cfg.Verdicts)
	h.Sample = NewSample()
	for k, list := range searched {
		t.search(k, list)
	}
	h.Finish()
	return h, t
}

// Loss is how many acknowledged writes of a shard one Open declared lost, and when.
type Loss struct {
	Shard  shardmap.ShardID
	At     time.Duration
	Writes int
	Span   time.Duration // from the first of them to the last

	Durable int // of them, those that a majority had been waited for
}

// Missing is how many epochs were seen of which nobody told what their Open decided.
func (t *Trial) Missing() int { return t.missing }

// take makes an act of an operation.
func (t *Trial) take(o *Told) *act {
	k := t.h.Key(o.Key)
	for int(k) >= len(t.keys) {
		t.keys = append(t.keys, trialKey{})
	}
	a := &act{t: o, shard: t.h.Shard(k)}
	a.op = Op{Client: o.Client, Key: k, Kind: o.Kind, Arg: o.Arg, Start: o.Start, Durable: o.Durable}
	if o.Kind == Incr {
		a.op.Delta = 1
	}
	return a
}

// onceEach leaves one Open of each epoch, and tells of two that decided differently.
func (t *Trial) onceEach(cuts []Cut) (list []Cut) {
	for _, c := range cuts {
		n := len(list)
		if n == 0 || list[n-1].Epoch != c.Epoch {
			list = append(list, c)
			continue
		}
		o := &list[n-1]
		if c.Node != o.Node || c.Base != o.Base {
			t.h.broken("P11", "shard %d: epoch %d was opened by %v above %v and by %v above %v", c.Shard, c.Epoch, called(o.Node), o.Base, called(c.Node), c.Base)
		}
		if o.At == 0 {
			o.At = c.At
		}
	}
	return list
}

// resolve gives writes of unknown outcome the version under which somebody read them:
// values are unique.
func (t *Trial) resolve(acts []*act) {
	by := map[string]*act{}
	for _, a := range acts {
		if a.t.Kind == Set && a.t.Outcome == Unknown {
			by[string(a.t.Arg)] = a
		}
	}
	for _, a := range acts {
		at := a.t.Version
		if a.t.If {
			at = a.t.IfIs
		}
		if (a.t.If || a.t.Kind == Read && a.t.Found) && !a.t.Stale && a.t.Outcome == OK && at != 0 {
			seen := sight{a.op.Key, at}
			t.alive[seen] = max(t.alive[seen], a.t.Start)
		}
		if a.t.Kind != Read || !a.t.Found || a.t.Outcome != OK {
			continue
		}
		if w := by[string(a.t.Value)]; w != nil && w.t.Version == 0 && w.op.Key == a.op.Key {
			w.t.Version = a.t.Version
		}
	}
	for _, a := range acts {
		if a.t.Outcome == Unknown && a.t.Version == 0 && (a.t.Kind == Del || a.t.Deadline != 0) {
			k := &t.keys[a.op.Key]
			k.doubtful = append(k.doubtful, a)
		}
		if a.t.Outcome == Unknown && a.t.Version == 0 && a.t.Kind == Set {
			k := &t.keys[a.op.Key]
			k.unread = append(k.unread, a)
		}
	}
}

// sampled are the keys with most operations of those that a search can judge.
func (t *Trial) sampled(acts []*act, n int) []Key {
	ops := make([]int, len(t.keys))
	for _, a := range acts {
		if a.t.Kind == Incr || a.t.Deadline != 0 {
			ops[a.op.Key] = math.MinInt32
		} else if !a.t.Stale {
			ops[a.op.Key]++
		}
	}
	keys := make([]Key, 0, len(ops))
	for k, n := range ops {
		if n > 0 {
			keys = append(keys, Key(k))
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return cmp.Compare(ops[b], ops[a]) })
	return keys[:min(n, len(keys))]
}

// moment is something that happens at a time: at one and the same, operations begin
// before others end.
type moment struct {
	at   time.Duration
	kind int8 // -1 begin, 0 an Open, 1 end
	act  *act
	cut  *Cut
}

func (t *Trial) run(acts []*act) {
	all := make([]moment, 0, 2*len(acts))
	for _, a := range acts {
		all = append(all, moment{at: a.t.Start, kind: -1, act: a}, moment{at: a.t.End, kind: 1, act: a})
	}
	for i := range t.shards {
		for j := range t.shards[i].cuts {
			if c := &t.shards[i].cuts[j]; c.At != 0 {
				all = append(all, moment{at: c.At, cut: c})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind))
	})
	for i := range all {
		m := &all[i]
		t.now = m.at
		broken := len(t.h.Broken)
		switch {
		case m.cut != nil:
			t.force(m.cut.Shard, shardmap.MakeVersion(m.cut.Epoch, 0))
		case m.kind < 0:
			t.begin(m.act)
		default:
			t.end(m.act)
		}
		if len(t.h.Broken) > broken {
			t.suspect(broken)
		}
	}
}

// guessable are the properties that a wrong guess of where a write ran seems to break.
var guessable = [...]string{"P2", "P3", "P4", "P6", "P7"}

// suspect looks whether new violations are of keys of which a write has an unknown
// outcome.
func (t *Trial) suspect(from int) {
	begun := func(a *act) bool { return a.t.Start <= t.now }
	for _, b := range t.h.Broken[from:] {
		property, rest, _ := strings.Cut(b, ": ")
		for i := range t.keys {
			k, name := &t.keys[i], t.h.keys[i].name
			unsure := slices.ContainsFunc(k.doubtful, begun) || slices.ContainsFunc(k.unread, begun)
			if unsure && slices.Contains(guessable[:], property) && strings.HasPrefix(rest, strconv.Quote(name)) && !slices.Contains(t.suspects, name) {
				t.suspects = append(t.suspects, name)
			}
		}
	}
}

// begin lets a reading look for its place from now on.
func (t *Trial) begin(a *act) {
	if a.t.Outcome != OK || a.t.Stale || a.t.writes() {
		return
	}
	k := &t.keys[a.op.Key]
	k.open = append(k.open, a)
	t.tryAbsent(a, false)
}

func (t *Trial) end(a *act) {
	a.op.End = t.now
	switch {
	case a.t.Outcome == Refused:
		t.h.Refused(&a.op)
	case a.t.Outcome == Unknown, a.done:
	case a.t.Stale:
		t.stale(a)
	case a.t.writes():
		t.force(a.shard, a.t.Version)
		t.tell(a)
	case a.t.Found:
		t.force(a.shard, a.t.Version)
		t.read(a)
		t.tell(a)
	default:
		t.explain(a)
		t.tell(a)
	}
}

// tell says to the history that the client was answered.
func (t *Trial) tell(a *act) {
	if a.done || !a.ran {
		return
	}
	a.done = true
	a.op.End = t.now
	t.h.Done(&a.op)
	s := &t.shards[a.shard]
	s.flying = slices.DeleteFunc(s.flying, func(o *act) bool { return o == a })
}

// force runs what must have run when a version of the shard is known.
func (t *Trial) force(id shardmap.ShardID, v shardmap.Version) {
	s := &t.shards[id]
	for {
		var w *act
		if s.next < len(s.order) && s.order[s.next].t.Version <= v {
			w = s.order[s.next]
		}
		epoch := v.Epoch()
		if w != nil {
			epoch = w.t.Version.Epoch()
		}
		switch {
		case s.cut < len(s.cuts) && s.cuts[s.cut].Epoch <= epoch:
			c := s.cuts[s.cut]
			s.cut++
			t.open(c)
		case epoch > s.epoch:
			t.missing++
			s.guess = true
			t.open(Cut{Shard: id, Epoch: epoch, Base: shardmap.MakeVersion(epoch, 0) - 1})
		case w == nil:
			return
		default:
			s.next++
			t.write(w)
		}
	}
}

// open carries an Open out. What it cuts was told before it, if at all: an answer that
// comes later was on its way.
func (t *Trial) open(c Cut) {
	s := &t.shards[c.Shard]
	s.epoch = c.Epoch
	c.At = t.now
	if n := s.cut - 1; n >= 0 && s.cuts[n].Epoch == c.Epoch {
		s.cuts[n].At = t.now
	}
	for i := range t.keys {
		if t.h.keys[i].shard == c.Shard {
			t.settle(&t.keys[i], func(a *act) bool { return lostBy(&c, a.t.Version) })
			top := t.h.keys[i].last()
			t.doubts(Key(i), s.order[s.next:], top != nil && !lostBy(&c, top.version))
		}
	}
	for _, w := range slices.Clone(s.flying) {
		if !w.t.writes() || lostBy(&c, w.t.Version) {
			t.tell(w)
		}
	}
	t.h.Cut(c)
	if t.h.loss.Writes > 0 && t.h.loss.Shard == c.Shard && t.h.loss.At == c.At {
		t.losses = append(t.losses, t.h.loss)
	}
	for i := range t.keys {
		if t.h.keys[i].shard == c.Shard {
			t.absences(&t.keys[i])
		}
	}
}

func lostBy(c *Cut, v shardmap.Version) bool { return v > c.Base && v.Epoch() < c.Epoch }

// settle runs the readings under way that found the newest write of their key, before
// something changes it.
func (t *Trial) settle(k *trialKey, which func(*act) bool) {
	for _, a := range slices.Clone(k.open) {
		top := t.h.keys[a.op.Key].last()
		if a.t.Found && top != nil && top.version == a.t.Version && which(a) {
			t.read(a)
		}
	}
}

func (t *Trial) absences(k *trialKey) {
	for _, a := range slices.Clone(k.open) {
		t.tryAbsent(a, false)
	}
}

// write runs a write whose version is known.
func (t *Trial) write(a *act) {
	k, h := &t.keys[a.op.Key], &t.h.keys[a.op.Key]
	t.settle(k, func(*act) bool { return true })
	s := &t.shards[a.shard]
	t.doubts(a.op.Key, s.order[s.next-1:], false)
	top := h.last()
	o := &a.op
	t.times(a)
	o.Version, o.At, o.Changed, o.Int = a.t.Version, a.t.Version, true, a.t.Int
	o.Ran = min(t.now, a.t.End)
	if a.t.If && a.t.IfIs == 0 && !top.maybeAbsent(o.High) {
		t.doubt(a)
		t.evict(a)
		t.absences(k)
		top = h.last()
	}
	o.Found = top.maybeAlive(o.Low)
	switch {
	case a.t.Kind == Del:
		top = t.unread(a, top)
		o.Found = true
	case a.t.Kind == Incr && a.t.Outcome == Unknown:
		if o.Int = 1; o.Found {
			o.Int = top.number + 1
		}
	case a.t.Deadline != 0:
		o.Deadline, o.TTL = a.t.Deadline, a.t.Deadline-t.wallAt(a.t.Start)
	}
	if o.Found && o.Kind == Incr && o.TTL == 0 {
		o.Deadline = top.deadline
	}
	t.conditions(a, top)
	a.ran = true
	if a.inferred {
		t.h.append(h, t.h.applied(h, top, o), o)
		t.h.Sample.ran(o)
	} else {
		t.h.Ran(o)
	}
	if a.t.Outcome == OK {
		s.flying = append(s.flying, a)
	}
	t.absences(k)
}

// unread lets a set that nobody read have happened, when a delete that was answered found
// something where nothing else is known to have been.
func (t *Trial) unread(a *act, top *entry) *entry {
	k := &t.keys[a.op.Key]
	if top.maybeAlive(a.op.Low) || len(k.unread) == 0 || k.unread[0].t.Start > t.now {
		return top
	}
	h := &t.h.keys[a.op.Key]
	w := k.unread[0]
	k.unread = k.unread[1:]
	o := w.op
	o.Changed, o.Ran, o.Version = true, t.now, a.t.Version-1
	t.h.append(h, entry{version: o.Version, ran: t.now, alive: true, sum: emptyDigest.add(o.Arg), size: int32(len(o.Arg))}, &o)
	return h.last()
}

// conditions judges what versions alone show of a write.
func (t *Trial) conditions(a *act, top *entry) {
	if a.t.Start > t.now {
		t.h.broken("P2", "%q: version %v was not asked for before %v, but a later write of shard %d had been answered by %v", a.t.Key, a.t.Version, a.t.Start, a.shard, t.now)
	}
	if a.t.If {
		is := shardmap.Version(0)
		if top.maybeAlive(a.op.Low) {
			is = top.version
		}
		if is != a.t.IfIs && !(a.t.IfIs == 0 && top.maybeAbsent(a.op.High)) {
			t.h.broken("P2", "%q: version %v was written on the condition that the key has version %v, after %s", a.t.Key, a.t.Version, a.t.IfIs, top)
		}
	}
	s := &t.shards[a.shard]
	if n := s.cut - 1; n >= 0 && s.cuts[n].Epoch == a.t.Version.Epoch() && t.names != nil && a.t.Node != "" && a.t.Outcome == OK {
		if holder := t.names[s.cuts[n].Node]; holder != "" && holder != a.t.Node {
			t.h.broken("P1", "%q: %s answered version %v, of an epoch that %s opened", a.t.Key, a.t.Node, a.t.Version, holder)
		}
	}
}

// times fills in between which times of its shard an operation ran.
func (t *Trial) times(a *act) {
	a.op.Low, a.op.High = t.wallAt(a.t.Start)-lateShardTime-t.skew, t.wallAt(max(a.t.Start, min(t.now, a.t.End)))+earlyShard+t.skew
}

func (t *Trial) wallAt(d time.Duration) int64 { return t.wall + d.Milliseconds() }

// read runs a reading, or a delete that found nothing.
func (t *Trial) read(a *act) {
	if a.ran {
		return
	}
	a.ran = true
	k := &t.keys[a.op.Key]
	k.open = slices.DeleteFunc(k.open, func(o *act) bool { return o == a })
	o := &a.op
	t.times(a)
	o.Ran, o.Found, o.Value, o.Version = t.now, a.t.Found, a.t.Value, a.t.Version
	o.At = t.h.Position(a.shard)
	if e := t.h.keys[o.Key].at(o.Version); e != nil {
		o.Deadline = e.deadline
	}
	t.h.Ran(o)
	s := &t.shards[a.shard]
	s.flying = append(s.flying, a)
}

// tryAbsent runs a reading that found nothing, if that can be now. When a key expired is
// known within some hundred milliseconds only, and who reads it as late as can be is never
// before one who found it there: so an expiry is a reason only for who cannot wait.
func (t *Trial) tryAbsent(a *act, cannotWait bool) {
	if a.ran || a.t.Found {
		return
	}
	t.times(a)
	top := t.h.keys[a.op.Key].last()
	if !top.maybeAbsent(a.op.High) {
		return
	}
	if top != nil && top.alive && !top.gone {
		if !cannotWait {
			return
		}
		// it expires: those who saw it were before
		t.settle(&t.keys[a.op.Key], func(*act) bool { return true })
	}
	t.read(a)
}

// String is for logs.
func (t *Trial) String() string {
	return fmt.Sprintf("%d operations, %d epochs without their Open", t.h.Ops, t.missing)
}
