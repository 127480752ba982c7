package chaos

import (
	"cmp"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Cut is what an Open decided for one shard: of the epochs before, only versions
// up to Base survive. It is told when its holder begins to serve.
type Cut struct {
	Shard   shardmap.ShardID
	Epoch   uint32
	Node    shardmap.NodeID // that serves from now on
	Life    int             // of the node
	Base    shardmap.Version
	Clean   bool // no majority write may be among the lost
	Bounded bool // the lost were written within the tail bound
	At      time.Duration
	Since   time.Duration // the oldest process with a copy that lives began then; 0: not known
}

// shardHistory is what is known of a shard as a whole.
type shardHistory struct {
	cuts     []Cut // rising epochs
	position shardmap.Version
	durable  shardmap.Version // highest version that was said to be held by a majority
}

// tailBound is how old a write may grow at a holder before others hold it: the
// data plane's bound of 250 ms, by a MONOTONIC that a time daemon slews by up to
// 8.3 % on a clock that is off by 0.5 %, and the distance between its marks.
const tailBound = 280 * time.Millisecond

// Cut takes note of an Open. Each epoch is opened once (P11); a clean
// Open loses nothing that a majority held (P8); what a bounded one loses was
// written within the tail bound (P9).
func (h *History) Cut(c Cut) {
	s := &h.shards[c.Shard]
	if n := len(s.cuts); n > 0 && c.Epoch <= s.cuts[n-1].Epoch {
		h.late(s, c)
		return
	}
	s.cuts = append(s.cuts, c)
	s.position = shardmap.MakeVersion(c.Epoch, 0)
	if s.durable > c.Base {
		if c.Clean {
			h.broken("P8", "shard %d: the Open of epoch %d by %v at %v calls itself clean and cuts above %v, but a majority held %v", c.Shard, c.Epoch, called(c.Node), c.At, c.Base, s.durable)
		}
		s.durable = c.Base
	}
	span := lostSpan{}
	for i := range h.keys {
		if k := &h.keys[i]; k.shard == c.Shard {
			k.cut(&c, &span)
			h.Sample.cut(Key(i), &c)
		}
	}
	h.loss = Loss{Shard: c.Shard, At: c.At, Writes: span.acked, Durable: span.durable, Span: span.last - span.first}
	h.Durable += span.durable
	if h.Lost += span.acked; c.Base == 0 {
		h.Wiped += span.acked
	}
	if age := span.inherited(s.cuts); c.Bounded && age > tailBound+h.Late {
		h.broken("P9", "shard %d: the Open of epoch %d by %v at %v calls its loss bounded, but a holder wrote for %v on top of what it had inherited and nobody else held", c.Shard, c.Epoch, called(c.Node), c.At, age)
	}
	if c.Bounded && span.longest > tailBound+h.Late {
		h.broken("P9", "shard %d: the Open of epoch %d by %v at %v calls its loss bounded, but writes up to %v older than others are among the lost", c.Shard, c.Epoch, called(c.Node), c.At, span.longest)
	}
}

// late takes an Open that is told after a newer one: a node that was stopped opens
// what was its own, and its lease refuses everything. A second Open of the same
// epoch is none of that.
func (h *History) late(s *shardHistory, c Cut) {
	i, same := slices.BinarySearchFunc(s.cuts, c.Epoch, func(o Cut, epoch uint32) int { return cmp.Compare(o.Epoch, epoch) })
	if !same {
		s.cuts = slices.Insert(s.cuts, i, c)
		return
	}
	if o := s.cuts[i]; c.Node != o.Node || c.Life != o.Life || c.Base != o.Base {
		h.broken("P11", "shard %d: life %d of %v opened epoch %d above %v at %v, which life %d of %v had opened above %v", c.Shard, c.Life, called(c.Node), c.Epoch, c.Base, c.At, o.Life, called(o.Node), o.Base)
	}
}

// lostSpan finds how far apart in time the lost writes of one epoch are.
type lostSpan struct {
	epochs  []epochSpan
	longest time.Duration

	acked       int           // of the lost writes, those that were acknowledged
	durable     int           // of those, the ones whose clients had waited for a majority
	first, last time.Duration // when the first and the last of those ran
}

type epochSpan struct {
	epoch       uint32
	first, last time.Duration
}

// addAcked takes an acknowledged write that is lost.
func (l *lostSpan) addAcked(e *entry) {
	if l.acked == 0 {
		l.first, l.last = e.ran, e.ran
	}
	l.acked++
	if e.durable {
		l.durable++
	}
	l.first, l.last = min(l.first, e.ran), max(l.last, e.ran)
}

func (l *lostSpan) add(e *entry) {
	for i := range l.epochs {
		if x := &l.epochs[i]; x.epoch == e.version.Epoch() {
			x.first, x.last = min(x.first, e.ran), max(x.last, e.ran)
			l.longest = max(l.longest, x.last-x.first)
			return
		}
	}
	l.epochs = append(l.epochs, epochSpan{e.version.Epoch(), e.ran, e.ran})
}

// inherited is for how long a holder went on that had inherited writes which are
// lost now: what nobody else held when it began, it must count from there.
func (l *lostSpan) inherited(cuts []Cut) (longest time.Duration) {
	for _, x := range l.epochs {
		older := slices.ContainsFunc(l.epochs, func(o epochSpan) bool { return o.epoch < x.epoch })
		if i := slices.IndexFunc(cuts, func(c Cut) bool { return c.Epoch == x.epoch }); older && i >= 0 {
			longest = max(longest, x.last-cuts[i].At)
		}
	}
	return longest
}

// cut forgets the lost entries, and counts those of them that were acknowledged. An unclean
// Open may go back in time by what clocks differ by, as shardgroup/DESIGN.md says, and so may
// one after which no process is left that was there: logs do not tell how late it was when
// somebody read. A deadline that was seen to pass is judged by the clocks alone from there on.
func (k *keyHistory) cut(c *Cut, span *lostSpan) {
	n := len(k.log)
	for n > 0 && k.log[n-1].version > c.Base {
		n--
		if k.log[n].acked {
			span.addAcked(&k.log[n])
		}
		if !k.log[n].inferred {
			span.add(&k.log[n])
		}
	}
	if n > 0 && (!c.Clean || c.Since > k.log[n-1].goneAt) { // those who knew what time the last holder had come to are gone
		k.log[n-1].gone = false
	}
	if n == len(k.log) {
		return
	}
	k.log = k.log[:n]
	for k.known = min(k.known, n); k.known > 0 && k.log[k.known-1].seen == 0; k.known-- {
	}
}

// Position is the last version that a shard's server was seen at.
func (h *History) Position(id shardmap.ShardID) shardmap.Version { return h.shards[id].position }

// lost says whether a version was cut away.
func (h *History) lost(s shardmap.ShardID, v shardmap.Version) bool { return h.cutBy(s, v) != nil }

// cutBy is the latest Open that cut a version away, nil when none did.
func (h *History) cutBy(s shardmap.ShardID, v shardmap.Version) *Cut {
	cuts := h.shards[s].cuts
	for i := len(cuts) - 1; i >= 0 && cuts[i].Epoch > v.Epoch(); i-- {
		if v > cuts[i].Base {
			return &cuts[i]
		}
	}
	return nil
}

// inOrder is P11 for versions: what a shard's server shows never goes back, and
// nothing is written in an epoch that was not opened.
func (h *History) inOrder(id shardmap.ShardID, o *Op) {
	s := &h.shards[id]
	switch {
	case o.writes() && o.Version <= s.position, o.At < s.position:
		h.broken("P11", "shard %d: %v at position %v at %v (change %v), after %v", id, called(o.Node), o.At, o.Ran, o.Version, s.position)
	case max(o.Version, o.At).Epoch() > s.position.Epoch():
		h.broken("P11", "shard %d: %v at position %v (change %v) in an epoch that nobody opened, after %v", id, called(o.Node), o.At, o.Version, s.position)
	}
	s.position = max(s.position, o.At)
	if o.writes() {
		s.position = max(s.position, o.Version)
	}
}

// durable notes that a majority was said to hold everything up to a version.
func (h *History) durable(id shardmap.ShardID, v shardmap.Version) {
	s := &h.shards[id]
	if c := h.cutBy(id, v); c != nil {
		if !h.Wild || c.Clean { // a deposed holder may go on, where clocks are wild
			h.broken("P8", "shard %d: version %v is said to be held by a majority after the Open of epoch %d cut it at %v", id, v, c.Epoch, c.At)
		}
		return
	}
	s.durable = max(s.durable, v)
}
