package shardgroup

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// oracle knows what really happened.
type oracle struct {
	state     []map[shardmap.Version]string           // exact contents at each position of each branch
	prev      []map[shardmap.Version]shardmap.Version // the chain
	rows      map[uint32]row                          // by epoch, first application
	writes    []*write
	byTicket  map[uint64]*write
	lastID    int
	spares    int
	timed     bool
	transfers []shardmap.NodeID
	stats     struct{ opens, unclean, unbounded, holes, writes, majority, lost, refused int }
}

type write struct {
	s     int
	v     shardmap.Version
	acked bool // told OK, at any level
	maj   bool // told OK at majority
	solo  bool
}

func newOracle(shards int) oracle {
	o := oracle{rows: map[uint32]row{}, byTicket: map[uint64]*write{}}
	for range shards {
		o.state = append(o.state, map[shardmap.Version]string{0: ""})
		o.prev = append(o.prev, map[shardmap.Version]shardmap.Version{})
	}
	return o
}

// do executes a command at a node as a client would and tells the oracle.
func (w *world) do(m *member, s int, c *statemachine.Command, level Level) (Admission, error) {
	r := m.rep()
	sh := r.shards[s]
	prev := sh.m.Position()
	var res statemachine.Result
	a, err := r.Do(shardmap.ShardID(s), c, level, &res, w.now)
	if err != nil || !res.Changed {
		if err != nil {
			w.stats.refused++
		}
		return a, err
	}
	w.tracef("write %d shard %d %v prev %v kind %d key %s evicted %v", m.id, s, a.Version, prev, c.Kind, c.Key, res.Record.Evicted)
	w.wrote(r, s, prev, a, level)
	return a, nil
}

// doAll executes commands as one transaction.
func (w *world) doAll(m *member, s int, cs []*statemachine.Command, level Level) (Admission, error) {
	r := m.rep()
	prev := r.shards[s].m.Position()
	var t Txn
	if a, err := r.Begin(&t, shardmap.ShardID(s), true, level, w.now); err != nil {
		w.stats.refused++
		return a, err
	}
	var res statemachine.Result
	for _, c := range cs {
		_ = t.Do(c, &res)
	}
	a, changed := t.End()
	if changed {
		w.tracef("transaction %d shard %d %v prev %v of %d commands", m.id, s, a.Version, prev, len(cs))
		w.wrote(r, s, prev, a, level)
	}
	return a, nil
}

// wrote tells the oracle of a write, and waits for its acks.
func (w *world) wrote(r *Replica, s int, prev shardmap.Version, a Admission, level Level) {
	sh := r.shards[s]
	if _, again := w.prev[s][a.Version]; again {
		w.bad("version %v of shard %d issued twice", a.Version, s)
	}
	w.prev[s][a.Version] = prev
	w.state[s][a.Version] = dump(sh)
	w.stats.writes++
	x := &write{s: s, v: a.Version, solo: sh.soloOn}
	w.writes = append(w.writes, x)
	w.promptly(w.node(r.n.cfg.Self.Node))
	if level == Async {
		x.acked = a.Fresh(w.now)
		return
	}
	id := uint64(len(w.writes))
	w.byTicket[id] = x
	t := Ticket{ID: id, Shard: shardmap.ShardID(s), Version: a.Version, Level: level, Deadline: w.now.Mono + 400e6}
	if o := r.Await(a.Lease, t, w.now); o != Waiting {
		w.ticketDue(t, o)
	}
}

func (w *world) ticketDue(t Ticket, o Outcome) {
	x := w.byTicket[t.ID]
	if x == nil || o != Acked {
		return
	}
	x.acked, x.maj = true, t.Level != Seats
	w.stats.majority++
}

// opened is the oracle's look at an Open, at its first application anywhere.
func (w *world) opened(m *member, r *row) {
	if o, ok := w.rows[r.epoch]; ok {
		if fmt.Sprint(o.base, o.holder) != fmt.Sprint(r.base, r.holder) {
			w.bad("epoch %d opened twice: %v by %v, %v by %v", r.epoch, o.base, o.holder, r.base, r.holder)
		}
		return
	}
	w.rows[r.epoch] = *r
	w.stats.opens++
	w.tracef("open epoch %d by %v base %v clean %b bounded %b hole %b", r.epoch, r.holder.Node, r.base, r.clean, r.bounded, r.hole)
	at := shardmap.MakeVersion(r.epoch, 0)
	for s := range w.state {
		want, ok := w.state[s][r.base[s]]
		if !ok {
			w.bad("epoch %d shard %d opens at %v, which never was", r.epoch, s, r.base[s])
		}
		if r.hole.has(s) {
			want = ""
		}
		w.state[s][at] = want
		w.prev[s][at] = r.base[s]
		w.count(r, s)
	}
}

// count checks what an Open loses of one shard.
func (w *world) count(r *row, s int) {
	if !r.clean.has(s) {
		w.stats.unclean++
	}
	if !r.bounded.has(s) {
		w.stats.unbounded++
	}
	if r.hole.has(s) {
		w.stats.holes++
	}
	lost := 0
	for _, x := range w.writes {
		if x.s != s || x.v.Epoch() >= r.epoch || x.v <= r.base[s] || w.lostBefore(s, x.v, r.epoch) {
			continue
		}
		if x.acked {
			lost++
			w.stats.lost++
		}
		if x.maj && r.clean.has(s) {
			w.bad("majority-acked %v of shard %d lost by the clean Open of epoch %d (base %v)", x.v, s, r.epoch, r.base[s])
		}
	}
	if bound := int(w.cfg.TailBytes)/40 + 2; w.cfg.TailBytes > 0 && lost > bound && r.bounded.has(s) {
		w.bad("epoch %d shard %d lost %d acked writes, declared at most %d", r.epoch, s, lost, bound)
	}
}

func (w *world) lostBefore(s int, v shardmap.Version, epoch uint32) bool {
	for e := v.Epoch() + 1; e < epoch; e++ {
		if r, ok := w.rows[e]; ok && r.base[s] < v {
			return true
		}
	}
	return false
}

// check: a shard that calls itself whole holds exactly the contents of its
// position, on whatever branch it lies; its digest says so too.
func (w *world) check() {
	if w.timed {
		return // contents fall with time here
	}
	for _, m := range w.nodes {
		if !m.up {
			continue
		}
		for i, s := range m.rep().shards {
			if !s.whole {
				continue
			}
			if want, ok := w.state[i][s.m.Position()]; !ok || want != dump(s) {
				w.bad("node %d shard %d at %v holds [%s], its position means [%s] (known %v)", m.id, i, s.m.Position(), dump(s), want, ok)
			}
		}
	}
}

// settled says whether a holder serves and every seat is whole, admitted and in step.
func (w *world) settled() bool {
	h := w.holder()
	if h == nil || h.applied < len(h.log) {
		return false
	}
	var tail int64
	for _, s := range h.rep().shards {
		tail += s.tailOf()
	}
	if got := h.rep().tailBytes.Load(); got != tail {
		w.bad("the tail bound counts %d bytes, the rings have %d", got, tail)
	}
	for _, seat := range h.rep().line.seats {
		m := w.node(seat.Node)
		if !m.up || m.inc != seat.Inc {
			return false
		}
		for i, s := range m.rep().shards {
			hs := h.rep().shards[i]
			if !s.whole || s.m.Position() != hs.m.Position() {
				return false
			}
			if dump(s) != dump(hs) || s.m.Digest() != hs.m.Digest() {
				w.bad("equal position %v, different contents on nodes %d and %d", s.m.Position(), m.id, h.id)
			}
		}
	}
	return true
}

// verdicts: the lineage's judgement of every version equals the truth, which is
// the chain of prev pointers.
func (w *world) verdicts() {
	h := w.holder()
	for s := range w.state {
		chain := map[shardmap.Version]bool{}
		for p := h.rep().shards[s].m.Position(); p > 0; {
			chain[p] = true
			q, ok := w.prev[s][p]
			if !ok {
				w.bad("shard %d: position %v was never issued", s, p)
				return
			}
			p = q
		}
		for _, x := range w.writes {
			if x.s != s {
				continue
			}
			v, _, err := h.rep().Verdict(shardmap.ShardID(s), x.v, w.now)
			if err != nil {
				w.bad("verdict of %v: %v", x.v, err)
			}
			if v != VerdictUnknown && chain[x.v] == (v == VerdictLost) {
				w.bad("shard %d version %v: on the chain %v, judged %v", s, x.v, chain[x.v], v)
			}
			if v == VerdictUnknown && x.v.Epoch() >= h.rep().line.forgotten {
				w.bad("shard %d version %v judged unknown without need", s, x.v)
			}
		}
	}
}

var _ multiraft.Data = (*Node)(nil)

// learn takes an eviction that a holder decided by itself, for its budget.
func (w *world) learn(m *member, e *Event) {
	s := m.rep().shard(e.Shard)
	w.prev[s.idx][e.Version] = shardmap.MakeVersion(e.Version.Epoch(), e.Version.Seq()-1)
	w.state[s.idx][e.Version] = dump(s)
}
