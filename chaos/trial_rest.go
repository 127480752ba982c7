package chaos

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// AtRest is what a node said at rest of a version that a client was told (AEGIS.CHECK).
type AtRest struct {
	Shard   shardmap.ShardID `json:"s"`
	Version shardmap.Version `json:"v"`
	Node    shardmap.NodeID  `json:"n"`
	Holds   bool             `json:"h,omitempty"` // it serves the shard
	Word    Verdict          `json:"w"`
}

// rested judges verdicts at rest: a holder says durable or lost of every version that it
// can know of, and nobody says lost of what no Open cut, or anything else of what one did.
// Where an Open is a guess, nothing can be said.
func (t *Trial) rested(all []AtRest) {
	if len(all) == 0 {
		return
	}
	for id := range t.shards {
		if s := &t.shards[id]; s.cut < len(s.cuts) { // a node remembers it, and nobody has seen its epoch
			t.force(shardmap.ShardID(id), shardmap.MakeVersion(s.cuts[len(s.cuts)-1].Epoch, 0))
		}
	}
	for _, v := range all {
		switch {
		case t.shards[v.Shard].guess:
			continue
		case v.Holds:
			t.h.Rested(v.Shard, v.Version, v.Word, v.Node, t.now)
		default:
			t.h.Judged(v.Shard, v.Version, v.Word, false, v.Node, t.now)
		}
		t.verdicts++
	}
}
