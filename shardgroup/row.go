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
	if row == nil {
		return r.first, 0, nil, nil
	}
	clean = make([]bool, len(row.base))
	for i := range clean {
		clean[i] = row.clean.has(i)
	}
	return r.first, row.epoch, slices.Clone(row.base), clean
}
