package chaos

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestAKeyMayExpireAfterAnOpen: a reading that lasts from before an Open until after a
// deadline found nothing because of the deadline, not before the Open, behind which others
// found the key. One that ends long before the deadline has no reason.
func TestAKeyMayExpireAfterAnOpen(t *testing.T) {
	const ms = time.Millisecond
	shard := trialLayout.ShardOf(shardmap.SlotOfString("k"))
	for end, broken := range map[time.Duration]bool{7125 * ms: false, 5400 * ms: true} {
		version := shardmap.MakeVersion(1, 1)
		told := []Told{
			{Key: "k", Kind: Set, Arg: []byte("a"), Start: 1000 * ms, End: 1010 * ms, Version: version, Deadline: tellerWall + 7064},
			{Client: 1, Key: "k", Kind: Read, Start: 1100 * ms, End: end},
			{Client: 2, Key: "k", Kind: Read, Found: true, Value: []byte("a"), Version: version, Start: 6850 * ms, End: 6851 * ms},
		}
		cuts := []Cut{{Shard: shard, Epoch: 1, Node: 1, At: 1}, {Shard: shard, Epoch: 2, Node: 2, Base: version, Clean: true, Bounded: true, At: 6840 * ms}}
		h, _ := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall}, told, cuts)
		if len(h.Broken) > 0 != broken {
			t.Errorf("a reading until %v: %v", end, h.Broken)
		}
	}
}
