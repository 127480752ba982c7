package shardgroup

import (
	"slices"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// row is one line of the lineage: what one Open decided.
type row struct {
	epoch   uint32
	ballot  multiraft.Ballot
	holder  multiraft.Member
	base    []shardmap.Version // per shard: last version of the earlier lineage that survives
	clean   mask
	bounded mask
	hole    mask
	tight   bool     // cut nothing that was ever issued
	lost    []uint64 // per shard: versions known to be lost, at least
}

// maxRows bounds the lineage; versions older than its oldest row are not judged.
const maxRows = 64

// lineage is the raft state of a group's data plane. It changes only by apply,
// so every replica that applied the same entries has the same.
type lineage struct {
	shards    int
	rows      []row // rising epochs
	forgotten uint32
	seats     []multiraft.Member
	solo      mask // the holder writes without the tail bound
	thin      mask // opened unclean, and W seats do not hold that base yet
}

// epoch is the one of the last Open, 0 before the first.
func (l *lineage) epoch() uint32 {
	if len(l.rows) == 0 {
		return 0
	}
	return l.rows[len(l.rows)-1].epoch
}

func (l *lineage) last() *row {
	if len(l.rows) == 0 {
		return nil
	}
	return &l.rows[len(l.rows)-1]
}

// cut says how far a position lies on the lineage: the smallest base of the later
// rows cuts it. false when those rows are forgotten.
func (l *lineage) cut(s int, v shardmap.Version) (shardmap.Version, bool) {
	if mutant.Is("no-clamp") {
		return v, true
	}
	if v != 0 && v.Epoch() < l.forgotten {
		return 0, false
	}
	low := v
	for i := len(l.rows) - 1; i >= 0 && l.rows[i].epoch > v.Epoch(); i-- {
		low = min(low, l.rows[i].base[s])
	}
	return low, true
}

// seat is the member that has a node's seat.
func (l *lineage) seat(n shardmap.NodeID) (multiraft.Member, bool) {
	for _, m := range l.seats {
		if m.Node == n {
			return m, true
		}
	}
	return multiraft.Member{}, false
}

// counted says whether a replica's word counts for W and R.
func (l *lineage) counted(m multiraft.Member) bool {
	s, ok := l.seat(m.Node)
	return ok && (s.Inc == m.Inc || mutant.Is("amnesiac-counted"))
}

// writeQuorum is W for n seats, readQuorum R.
func writeQuorum(n int) int { return n/2 + 1 }
func readQuorum(n int) int  { return n - writeQuorum(n) + 1 }

// apply carries out one entry. Each is conditional: it applies whole or is a no-op.
func (l *lineage) apply(e *entry) bool {
	switch e.kind {
	case entryOpen:
		return l.applyOpen(e)
	case entryAdmit:
		for i := range l.seats {
			if l.seats[i].Node == e.member.Node {
				l.seats[i].Inc = e.member.Inc
				return true
			}
		}
		return false
	case entrySeats:
		if !slices.Equal(e.prevSeats, l.seats) || !oneStep(l.seats, e.seats) {
			return false
		}
		l.seats = slices.Clone(e.seats)
		return true
	case entryExposure:
		l.solo, l.thin = e.solo, e.thin
		return true
	}
	return false
}

func (l *lineage) applyOpen(e *entry) bool {
	if e.prevEpoch != l.epoch() || len(e.base) != l.shards || e.prevEpoch >= shardmap.MaxEpoch {
		return false
	}
	r := row{
		epoch: e.prevEpoch + 1, ballot: e.ballot, holder: e.member,
		base: e.base, hole: e.hole, clean: e.clean, lost: e.lost,
	}
	if !mutant.Is("unclean-forgotten") {
		r.clean = r.clean.without(l.thin)
	}
	r.bounded = r.clean.without(l.solo)
	l.solo = e.solo
	l.thin = l.all().without(r.clean)
	r.tight = e.tight && l.tight(&r)
	l.takeSeat(e)
	l.push(r)
	return true
}

func (l *lineage) all() mask { return maskOf(l.shards) }

// tight says whether a row's bases lie in the epoch before it, as they do when
// that epoch's holder handed over all it had.
func (l *lineage) tight(r *row) bool {
	if r.clean != l.all() {
		return false
	}
	for _, b := range r.base {
		if b.Epoch() != r.epoch-1 {
			return false
		}
	}
	return true
}

// takeSeat gives the holder its seat. The first Open founds the seats; later only
// an Open that is clean nowhere brings a holder without one (T7).
func (l *lineage) takeSeat(e *entry) {
	if len(l.seats) == 0 {
		l.seats = slices.Clone(e.seats)
	}
	for i := range l.seats {
		if l.seats[i].Node == e.member.Node {
			l.seats[i] = e.member
			return
		}
	}
	for i := range l.seats {
		if l.seats[i].Node == e.displaced {
			l.seats[i] = e.member
			return
		}
	}
	if len(l.seats) == 0 {
		l.seats = []multiraft.Member{e.member}
		return
	}
	l.seats[0] = e.member
}

// push appends a row and drops those that no verdict needs: rows cut further by
// the new one in every shard, and a tight row, which cut nothing.
func (l *lineage) push(r row) {
	keep := l.rows[:0:0]
	for i := range l.rows {
		if o := &l.rows[i]; !o.tight && !dominated(o.base, r.base) {
			keep = append(keep, *o)
		}
	}
	keep = append(keep, r)
	if n := len(keep) - maxRows; n > 0 {
		l.forgotten = keep[n-1].epoch
		keep = slices.Clone(keep[n:])
	}
	l.rows = keep
}

func dominated(old, base []shardmap.Version) bool {
	for s := range old {
		if old[s] < base[s] {
			return false
		}
	}
	return true
}

// seatNodes are the nodes whose copies count.
func (l *lineage) seatNodes() []shardmap.NodeID {
	nodes := make([]shardmap.NodeID, len(l.seats))
	for i, m := range l.seats {
		nodes[i] = m.Node
	}
	return nodes
}

// oneStep says whether one Seats entry may lead from a to b: one seat's
// difference, or between one seat and three.
func oneStep(a, b []multiraft.Member) bool {
	if len(b) == 0 || len(b) > maxSeats || doubled(b) {
		return false
	}
	gone, came := without(a, b), without(b, a)
	if gone <= 1 && came <= 1 {
		return true
	}
	return (len(a) == 1 && len(b) == 3 && gone == 0) || (len(a) == 3 && len(b) == 1 && came == 0)
}

// maxSeats is the largest replication factor, with one to spare for a swap.
const maxSeats = 8

func doubled(m []multiraft.Member) bool {
	for i := range m {
		for j := range i {
			if m[i].Node == m[j].Node {
				return true
			}
		}
	}
	return false
}

// without counts the nodes of a that b has not.
func without(a, b []multiraft.Member) int {
	n := 0
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y multiraft.Member) bool { return x.Node == y.Node }) {
			n++
		}
	}
	return n
}

// has says whether a copy at a position has a version in its history. Within an epoch
// positions are in one order; across epochs the rows say what was cut, as far as they
// are known here.
func (l *lineage) has(s int, v, position shardmap.Version) bool {
	if v > position || v == 0 || v.Epoch() == position.Epoch() {
		return v <= position
	}
	_, ok := l.judge(s, v)
	return ok && position.Epoch() <= l.epoch()
}

// judge is what anyone can say of a version: lost, unknown, or neither (ok).
func (l *lineage) judge(s int, v shardmap.Version) (verdict Verdict, ok bool) {
	if v.Epoch() < l.forgotten || v.Epoch() > l.epoch() || v.Epoch() == 0 {
		return VerdictUnknown, false
	}
	cut, known := l.cut(s, v)
	if !known {
		return VerdictUnknown, false
	}
	if cut < v {
		return VerdictLost, false
	}
	return 0, true
}
