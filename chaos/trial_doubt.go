package chaos

// What a Trial makes of replies that more than one history explains.

import (
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// explain finds why a reading that ends now found nothing: a write after those that are
// known to have run, or one of unknown outcome. What has no reason is wrong.
func (t *Trial) explain(a *act) {
	t.tryAbsent(a, true)
	if a.ran {
		return
	}
	s := &t.shards[a.shard]
	if v, ok := t.removal(a, s.order[s.next:]); ok {
		t.force(a.shard, v)
		t.tryAbsent(a, true)
	}
	if !a.ran {
		t.doubt(a)
		t.tryAbsent(a, true)
	}
	if !a.ran {
		t.evict(a)
	}
	t.read(a)
}

// evict lets a key go that an operation did not find there, where memory was full. What
// shows the same version later shows one that came back (P17).
func (t *Trial) evict(a *act) {
	k := &t.h.keys[a.op.Key]
	if top := k.last(); !t.evicts || top == nil || !top.alive {
		return
	}
	t.settle(&t.keys[a.op.Key], func(*act) bool { return true })
	o := Op{Key: a.op.Key}
	t.h.append(k, entry{version: t.guessed(a), ran: t.now, evicted: true, inferred: true}, &o)
	t.evicted++
}

// doubts explains readings that found nothing, and whose reason can only lie before what
// happens to their key now, by writes of unknown outcome. next are the writes from now on.
// Where the newest write stays, as most do at an Open, it may expire before a reading ends:
// that reason need not lie before.
func (t *Trial) doubts(k Key, next []*act, stays bool) {
	top := t.h.keys[k].last()
	if top == nil {
		return
	}
	for _, a := range slices.Clone(t.keys[k].open) {
		if a.t.Found || a.ran {
			continue
		}
		if _, later := t.removal(a, next); later {
			continue
		}
		t.tryAbsent(a, !stays)
		if !a.ran && (t.alive[sight{k, top.version}] > a.t.End || t.staysAlive(a, next)) {
			t.doubt(a)
			t.tryAbsent(a, true)
			if !a.ran && t.evicts {
				t.evict(a)
				t.tryAbsent(a, true)
			}
		}
	}
}

// staysAlive says whether what comes next on the key was there after the reading's end:
// then its reason lies before. Otherwise a write of unknown outcome may come behind.
func (t *Trial) staysAlive(a *act, next []*act) bool {
	for _, w := range next {
		if w.t.Start > a.t.End {
			break
		}
		if w.op.Key == a.op.Key && t.alive[sight{w.op.Key, w.t.Version}] > a.t.End {
			return true
		}
	}
	return false
}

// removal is the version of the next write that leaves a key absent, if it and all before
// it may have run by the end of a reading.
func (t *Trial) removal(a *act, next []*act) (shardmap.Version, bool) {
	for _, w := range next {
		if w.t.Start > a.t.End {
			break
		}
		if w.op.Key == a.op.Key && (w.t.Kind == Del || w.t.Deadline != 0 && w.t.Deadline <= t.wallAt(a.t.End)+earlyShard+t.skew) {
			return w.t.Version, true
		}
	}
	return 0, false
}

// doubt lets a write of unknown outcome have happened.
func (t *Trial) doubt(a *act) {
	k := &t.h.keys[a.op.Key]
	for _, d := range t.keys[a.op.Key].doubtful {
		late := d.t.Kind == Set && d.t.Deadline > a.op.High
		if d.t.Start > t.now || late || d.used != 0 && k.at(d.used) != nil {
			continue
		}
		t.settle(&t.keys[a.op.Key], func(*act) bool { return true })
		o := d.op
		o.Kind, o.Changed, o.Found, o.Ran = Del, true, true, t.now
		o.Version = t.guessed(a)
		d.used = o.Version
		t.h.append(k, entry{version: o.Version, ran: t.now, inferred: true}, &o)
		t.h.Sample.ran(&o)
		return
	}
}

// guessed is the version that a doubtful write is taken to have: the last that it can
// have. If an Open cuts that and not the real one, the write may explain a reading again.
func (t *Trial) guessed(a *act) shardmap.Version {
	s := &t.shards[a.shard]
	v := shardmap.MakeVersion(s.epoch+1, 0) - 1
	for _, w := range s.order[max(0, s.next-1):] {
		if w.op.Key == a.op.Key && !w.ran {
			return min(v, w.t.Version-1)
		}
	}
	return v
}

// stale judges a reading from a follower: what it shows was true not longer ago than the
// bound (P19).
func (t *Trial) stale(a *act) {
	if a.t.Found {
		t.force(a.shard, a.t.Version)
		t.h.Hit(Cached{a.op.Key, a.t.Version}, a.t.Start, t.bound+lateThreads, 0)
		return
	}
	if t.evicts {
		return // it may be gone
	}
	k := &t.h.keys[a.op.Key]
	t.times(a)
	since := a.t.Start - t.bound - lateThreads
	for i := -1; i < len(k.log); i++ {
		absent := i < 0 || k.log[i].maybeAbsent(a.op.High)
		if absent && (i+1 == len(k.log) || k.log[i+1].ran >= since) {
			return
		}
	}
	for _, d := range t.keys[a.op.Key].doubtful {
		if d.t.Start <= t.now {
			return
		}
	}
	s := &t.shards[a.shard]
	if _, ok := t.removal(a, s.order[s.next:]); ok { // its client is not told yet
		return
	}
	t.h.broken("P19", "%q: absent at a follower at %v, after %s", a.t.Key, t.now, k.last())
}
