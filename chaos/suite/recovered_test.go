package suite

import (
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// TestALogThatLacksWhatWasAcknowledged: each way in which a log can be wrong is said, and
// what the suite damaged itself is no fault of the node.
func TestALogThatLacksWhatWasAcknowledged(t *testing.T) {
	c, err := cluster.New(cluster.Config{Dir: t.TempDir(), Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	shard := layout.ShardOf(shardmap.SlotOfString("k"))
	told := []chaos.Told{{Key: "k", Kind: chaos.Set, Outcome: chaos.OK, Node: c.Nodes[1].Addr(), Version: 7, End: time.Second}}
	for name, one := range map[string]struct {
		change func(f *found)
		broken bool
	}{
		"all is there":             {func(*found) {}, false},
		"one write is missing":     {func(f *found) { f.highest[shard] = 6 }, true},
		"it was cut":               {func(f *found) { f.highest[shard], f.harmed = 6, true }, false},
		"it was another node":      {func(f *found) { f.highest[shard], f.node = 6, 0 }, false},
		"it was written after":     {func(f *found) { f.highest[shard], f.since = 6, 500*ms }, false},
		"a byte is wrong":          {func(f *found) { f.damages = []wal.Damage{{}} }, true},
		"a byte was made wrong":    {func(f *found) { f.damages, f.harmed = []wal.Damage{{}}, true }, false},
		"a shard is in image only": {func(f *found) { delete(f.highest, shard) }, false},
	} {
		f := &found{node: 1, since: 2 * time.Second, highest: map[shardmap.ShardID]shardmap.Version{shard: 7}}
		one.change(f)
		r := &run{c: c, layout: layout, found: []*found{f}}
		r.recovered(told)
		if (len(r.broken) > 0) != one.broken || one.broken && !strings.HasPrefix(r.broken[0], "P15: ") {
			t.Errorf("%s: %q", name, r.broken)
		}
	}
}
