package chaos

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Counters have no unique values: an INCR of unknown outcome shows by a number that the
// INCRs with an answer do not account for.

// number is what a client was told that a counter was at a version.
type number struct {
	at   shardmap.Version
	n    int64
	own  *act // the INCR that made it, nil when only a reading shows it
	told time.Duration
}

// count gives INCRs of unknown outcome the versions that somebody saw the work of. Each
// counts once at most; what is left unexplained the history tells of.
func (t *Trial) count(acts []*act) {
	numbers, unknown := map[Key][]number{}, map[Key][]*act{}
	for _, a := range acts {
		switch {
		case a.t.Kind == Incr && a.t.Outcome == Unknown:
			unknown[a.op.Key] = append(unknown[a.op.Key], a)
		case a.t.Kind == Incr && a.t.Outcome == OK:
			numbers[a.op.Key] = append(numbers[a.op.Key], number{a.t.Version, a.t.Int, a, a.t.End})
		}
	}
	for _, a := range acts {
		if a.t.Kind == Read && a.t.Found && a.t.Outcome == OK && len(unknown[a.op.Key]) > 0 {
			if n, err := strconv.ParseInt(string(a.t.Value), 10, 64); err == nil {
				numbers[a.op.Key] = append(numbers[a.op.Key], number{a.t.Version, n, nil, a.t.End})
			}
		}
	}
	for k, list := range unknown {
		slices.SortStableFunc(list, func(a, b *act) int { return cmp.Compare(a.t.Start, b.t.Start) })
		t.attribute(k, numbers[k], list)
	}
}

// attribute walks through what a counter was, by version.
func (t *Trial) attribute(k Key, all []number, unknown []*act) {
	slices.SortStableFunc(all, func(a, b number) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case a.own != nil:
			return -1
		}
		return 0
	})
	cuts := t.shards[t.h.keys[k].shard].cuts
	was := []number{{}}
	for _, p := range all {
		was = t.surviving(was, cuts, p.at)
		last := was[len(was)-1]
		if p.at == last.at {
			continue
		}
		between := p.n - last.n - 1
		for i := int64(1); i <= between && len(unknown) > 0; i++ {
			unknown = t.guess(unknown, place(last.at, p.at, between-i+1), p.told, true)
		}
		if p.own == nil {
			unknown = t.guess(unknown, p.at, p.told, false)
		}
		was = append(was, p)
	}
}

// place is a version some way below one that is known, but above an earlier one, and where
// no Open between the two cuts it away.
func place(last, next shardmap.Version, below int64) shardmap.Version {
	if last.Epoch() < next.Epoch() {
		last = shardmap.MakeVersion(next.Epoch(), 0)
	}
	return max(last, next-shardmap.Version(below))
}

// surviving are the numbers of before a version that no Open in between cut.
func (t *Trial) surviving(was []number, cuts []Cut, at shardmap.Version) []number {
	for _, c := range cuts {
		if c.Epoch > at.Epoch() {
			break
		}
		for len(was) > 1 && lostBy(&c, was[len(was)-1].at) {
			was = was[:len(was)-1]
		}
	}
	return was
}

// guess takes the first INCR that had begun by a time for the one of a version.
func (t *Trial) guess(unknown []*act, at shardmap.Version, by time.Duration, inferred bool) []*act {
	if len(unknown) == 0 || unknown[0].t.Start > by {
		return unknown
	}
	unknown[0].t.Version, unknown[0].inferred = at, inferred
	return unknown[1:]
}
