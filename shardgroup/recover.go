package shardgroup

import (
	"fmt"
	"math"
	"slices"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A group whose majority is gone goes on in a new generation. Those left behind may have
// opened epochs that no survivor heard of, and written in them: an epoch of theirs must
// never be minted again. So a generation's epochs begin at a multiple of 1<<epochShift,
// which no holder reaches by opening one after the other.
const epochShift = 16

// generationRow is the row that separates the epochs of two generations. It cuts nothing:
// what survives is for the Open after it to say, which is never a clean one. It goes when
// that Open is applied. A row of an Open has a ballot with a sub, this one has none.
func generationRow(generation uint32, by multiraft.Member, shards int) row {
	r := row{
		epoch: generation << epochShift, ballot: multiraft.Ballot{Term: uint64(generation)}, holder: by,
		base: make([]shardmap.Version, shards), lost: make([]uint64, shards),
	}
	for s := range r.base {
		r.base[s] = math.MaxInt64
	}
	return r
}

// begins says whether a row is one that separates two generations.
func (r *row) begins() bool { return r.ballot.Sub == 0 && r.ballot.Term != 0 }

// regenerate turns the lineage into that of a new generation, of which stay are the nodes
// that have copies. Their seats stay; the node that goes on has one if its copy is whole.
// Without any whole copy there is no seat, and what is found is what there is.
func (l *lineage) regenerate(generation uint32, by multiraft.Member, whole bool, stay []shardmap.NodeID) error {
	if first := generation << epochShift; !mutant.Is("recover-generation") {
		if first <= l.epoch() || first >= shardmap.MaxEpoch {
			return fmt.Errorf("generation %d does not follow epoch %d", generation, l.epoch())
		}
		l.push(generationRow(generation, by, l.shards))
	}
	l.seats = slices.DeleteFunc(slices.Clone(l.seats), func(m multiraft.Member) bool {
		return m.Node == by.Node || !slices.Contains(stay, m.Node)
	})
	if whole {
		l.seats = append(l.seats, by)
	}
	if len(l.seats) == 0 {
		l.seats = nil
	}
	if !mutant.Is("recover-clean") {
		l.thin = l.all() // the next Open is clean in no shard
	}
	return nil
}

// Regenerated is the group's raft state with which this node's replica goes on without
// the majority: all that it has applied and the tail of its log, in a new generation.
func (n *Node) Regenerated(g shardmap.GroupID, generation uint32, stay []shardmap.NodeID, tail [][]byte) ([]byte, error) {
	r := n.Replica(g)
	if r == nil {
		return nil, fmt.Errorf("group %d: no replica", g)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := decodeLineage(r.line.encode())
	if err != nil {
		return nil, err
	}
	for _, b := range tail {
		if e, err := decodeEntry(b); err == nil {
			l.apply(e)
		}
	}
	whole := !r.isWitness()
	for _, s := range r.shards {
		s.mu.Lock()
		whole = whole && s.whole
		s.mu.Unlock()
	}
	if err := l.regenerate(generation, n.cfg.Self, whole, stay); err != nil {
		return nil, err
	}
	return l.encode(), nil
}

// Refounded is the raft state of a group of which no survivor has a copy: it opens empty.
func (n *Node) Refounded(generation uint32) ([]byte, error) {
	l := &lineage{shards: n.cfg.Layout.ShardsPerGroup()}
	if err := l.regenerate(generation, n.cfg.Self, false, nil); err != nil {
		return nil, err
	}
	return l.encode(), nil
}

// opened is the epoch of the last Open: what copies hold is of that epoch or an older one.
func (l *lineage) opened() uint32 {
	for i := len(l.rows) - 1; i >= 0; i-- {
		if r := &l.rows[i]; !r.begins() {
			return r.epoch
		}
	}
	return 0
}
