package chaos

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestALossHasASize: how many acknowledged writes one Open loses, for how many of them a
// majority had been waited for, and how far apart in time they are.
func TestALossHasASize(t *testing.T) {
	const s = time.Second
	shard := trialLayout.ShardOf(shardmap.SlotOfString("k"))
	var told []Told
	for i := range 6 {
		at := time.Duration(i+1) * s
		told = append(told, Told{Key: "k", Kind: Set, Arg: []byte{byte('a' + i)}, Start: at, End: at + time.Millisecond, Version: shardmap.MakeVersion(1, uint64(i+1)), Durable: i == 3})
	}
	told[4].Outcome = Unknown
	told[4].Version = 0
	told = append(told, Told{Client: 1, Key: "k", Kind: Read, Found: true, Value: []byte("b"), Version: shardmap.MakeVersion(1, 2), Start: 20 * s, End: 20*s + 1})
	cuts := []Cut{{Shard: shard, Epoch: 1, Node: 1, At: 1}, {Shard: shard, Epoch: 2, Node: 2, Base: shardmap.MakeVersion(1, 2), At: 10 * s}}
	h, tr := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall}, told, cuts)
	if len(h.Broken) > 0 || h.Lost != 3 || h.Durable != 1 {
		t.Errorf("lost %d, durable %d, broken %v", h.Lost, h.Durable, h.Broken)
	}
	if len(tr.losses) != 1 || tr.losses[0].Writes != 3 || tr.losses[0].Durable != 1 || tr.losses[0].Span != 3*s {
		t.Errorf("%+v", tr.losses)
	}
}
