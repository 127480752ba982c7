package node

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestWrittenShardsIsAMapInOrder draws writes and compares with a map.
func TestWrittenShardsIsAMapInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w writtenShards
		want := map[shardmap.ShardID]shardmap.Version{}
		for range rapid.IntRange(0, 40).Draw(t, "writes") {
			shard := shardmap.ShardID(rapid.IntRange(0, 1023).Draw(t, "shard"))
			want[shard] = shardmap.Version(rapid.Uint64Min(1).Draw(t, "version"))
			w.note(shard, want[shard], nil)
		}
		var ids []shardmap.ShardID
		for shard, s := range w.all {
			ids = append(ids, shard)
			if s.version != want[shard] {
				t.Fatalf("shard %d: %d, want %d", shard, s.version, want[shard])
			}
		}
		if wanted := slices.Sorted(maps.Keys(want)); !slices.Equal(ids, wanted) {
			t.Fatalf("%v, want %v", ids, wanted)
		}
	})
}
