package shardmap

import "fmt"

// Slots is the number of hash slots, fixed by the Redis Cluster protocol.
const Slots = 16384

// Slot is a Redis Cluster hash slot, 0..16383.
type Slot uint16

// ShardID numbers the shards of a cluster from 0.
type ShardID uint16

// GroupID numbers raft groups. Group 0 is the meta group and holds no data;
// shard groups are 1..Layout.Groups.
type GroupID uint16

// MetaGroup is the group that keeps identities, placement and settings.
const MetaGroup GroupID = 0

// NodeID is the number that group 0 minted for a node; never reused, 0 means none.
type NodeID uint32

// Layout is the fixed division of the slots of one cluster (hard settings).
type Layout struct {
	Shards int // power of two, 1..16384
	Groups int // shard groups, 1..Shards, divides Shards
}

// DefaultLayout is 256 shards in 64 groups.
var DefaultLayout = Layout{Shards: 256, Groups: 64}

// Validate reports why the layout cannot be used.
func (l Layout) Validate() error {
	switch {
	case l.Shards < 1 || l.Shards > Slots || l.Shards&(l.Shards-1) != 0:
		return fmt.Errorf("numShards is %d: it must be a power of two from 1 to %d", l.Shards, Slots)
	case l.Groups < 1 || l.Groups > l.Shards || l.Shards%l.Groups != 0:
		return fmt.Errorf("numGroups is %d: it must divide numShards (%d)", l.Groups, l.Shards)
	}
	return nil
}

// ShardOf is the shard that a slot belongs to.
func (l Layout) ShardOf(s Slot) ShardID { return ShardID(int(s) * l.Shards / Slots) }

// GroupOf is the group that a shard belongs to.
func (l Layout) GroupOf(s ShardID) GroupID { return GroupID(int(s)/(l.Shards/l.Groups)) + 1 }

// ShardsPerGroup is the number of shards in each group.
func (l Layout) ShardsPerGroup() int { return l.Shards / l.Groups }

// FirstShard is the first shard of a shard group; its shards are contiguous.
func (l Layout) FirstShard(g GroupID) ShardID { return ShardID((int(g) - 1) * l.ShardsPerGroup()) }

// SlotRange is the first and last slot of a shard.
func (l Layout) SlotRange(s ShardID) (first, last Slot) {
	per := Slots / l.Shards
	return Slot(int(s) * per), Slot(int(s)*per + per - 1)
}
