package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Serving is for how long a node says that it served a group under a lease. All times are
// on one clock.
type Serving struct {
	Group  shardmap.GroupID
	Ballot multiraft.Ballot
	Node   int // by its place in the cluster
	From   time.Duration
	Until  time.Duration
}

// Overlaps tells of every two nodes that served a group at the same time, and of every
// ballot that served after a higher one (P1). at is subtracted from what is told.
func Overlaps(all []Serving, at time.Duration) (broken []string) {
	byGroup := map[shardmap.GroupID][]Serving{}
	for _, s := range all {
		byGroup[s.Group] = append(byGroup[s.Group], s)
	}
	for g, list := range byGroup {
		slices.SortFunc(list, func(a, b Serving) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Until, b.Until)) })
		last := list[0] // the one that served longest so far
		for _, s := range list[1:] {
			if s.From < last.Until && s.Node != last.Node {
				broken = append(broken, fmt.Sprintf("P1: group %d: node %d served under %v from %v to %v, and node %d under %v from %v on",
					g, last.Node+1, last.Ballot, last.From-at, last.Until-at, s.Node+1, s.Ballot, s.From-at))
			}
			if s.Ballot.Less(last.Ballot) && s.From >= last.Until {
				broken = append(broken, fmt.Sprintf("P1: group %d: node %d served under %v from %v on, after node %d under %v", g, s.Node+1, s.Ballot, s.From-at, last.Node+1, last.Ballot))
			}
			if s.Until > last.Until {
				last = s
			}
		}
	}
	slices.Sort(broken)
	return broken
}

// Digest is the state of one copy of a shard at rest.
type Digest struct {
	Shard   shardmap.ShardID
	Node    int
	Version shardmap.Version
	Time    int64 // of the shard, unix ms
	Digest  string
	Whole   bool
}

// Differences tells of copies of a shard at the same version and time that differ, and of
// those that have not come to the same one (P10).
func Differences(all []Digest) (broken []string, copies int) {
	first := map[shardmap.ShardID]Digest{}
	for _, d := range all {
		if !d.Whole {
			broken = append(broken, fmt.Sprintf("P10: shard %d: the copy of node %d is not whole at rest", d.Shard, d.Node+1))
			continue
		}
		copies++
		f, known := first[d.Shard]
		switch {
		case !known:
			first[d.Shard] = d
		case f.Version != d.Version:
			broken = append(broken, fmt.Sprintf("P10: shard %d: node %d is at version %v at rest, node %d at %v", d.Shard, f.Node+1, f.Version, d.Node+1, d.Version))
		case f.Time == d.Time && f.Digest != d.Digest:
			broken = append(broken, fmt.Sprintf("P10: shard %d: nodes %d and %d differ at version %v: %s and %s", d.Shard, f.Node+1, d.Node+1, d.Version, f.Digest, d.Digest))
		}
	}
	return broken, copies
}
