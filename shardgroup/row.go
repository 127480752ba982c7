package shardgroup

import (
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// LastRow is the epoch of the last Open applied here and the node it names; 0
// before the first. It is what routing maps are made of.
func (r *Replica) LastRow() (epoch uint32, holder shardmap.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row := r.line.last(); row != nil {
		return row.epoch, row.holder.Node
	}
	return 0, 0
}

// Seats are the members whose word counts now.
func (r *Replica) Seats() []multiraft.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.line.seats)
}

// LastCut is what the last Open applied here decided: for each shard of the group
// the last version of earlier epochs that survives, and whether no majority write
// can be among the lost.
func (r *Replica) LastCut() (first shardmap.ShardID, epoch uint32, base []shardmap.Version, clean []bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.line.last()
	if row == nil || row.begins() {
		return r.first, 0, nil, nil
	}
	clean = make([]bool, len(row.base))
	for i := range clean {
		clean[i] = row.clean.has(i)
	}
	return r.first, row.epoch, slices.Clone(row.base), clean
}

// Decided is what one Open decided of one shard.
type Decided struct {
	Shard   shardmap.ShardID `json:"shard"`
	Epoch   uint32           `json:"epoch"`
	Node    shardmap.NodeID  `json:"node"` // that was to serve from then on
	Life    uint64           `json:"life"` // of the node: its incarnation
	Base    shardmap.Version `json:"base"` // the last version of earlier epochs that survives
	Clean   bool             `json:"clean"`
	Bounded bool             `json:"bounded"`
	AtLeast uint64           `json:"atLeast"` // versions known to be lost
}

// Decisions lists what is remembered of all Opens, oldest first: for checkers, which
// must know why an acknowledged write is gone.
func (r *Replica) Decisions() (list []Decided) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range r.line.rows {
		if row.begins() {
			continue
		}
		for i, base := range row.base {
			list = append(list, Decided{
				Shard: r.shards[i].id, Epoch: row.epoch, Node: row.holder.Node, Life: row.holder.Inc.Counter, Base: base,
				Clean: row.clean.has(i), Bounded: row.bounded.has(i), AtLeast: row.lost[i],
			})
		}
	}
	return list
}
