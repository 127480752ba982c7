package node

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// writtenShard is the newest write of a session in one shard.
type writtenShard struct {
	version shardmap.Version
	lease   shardgroup.Lease // nil: WAIT has said that it ended
	ended   bool             // so has the lease of an older write there, and WAIT has not said it
}

// writtenShards is the newest write of a session in each shard it wrote to. Every
// write passes here: a map cost a tenth of a pipelined SET. Pages come with the
// first write in their range, so that a connection with one key has one page.
type writtenShards struct {
	pages [][]writtenShard
}

const writtenPage = 16 // shards in a page

func (w *writtenShards) note(shard shardmap.ShardID, v shardmap.Version, l shardgroup.Lease) {
	page := int(shard / writtenPage)
	for page >= len(w.pages) {
		w.pages = append(w.pages, nil)
	}
	if w.pages[page] == nil {
		w.pages[page] = make([]writtenShard, writtenPage)
	}
	s := &w.pages[page][shard%writtenPage]
	s.ended = s.ended || s.lease != nil && s.lease != l
	s.version, s.lease = v, l
}

// unblocked says that WAIT has told of a lease that ended: what is written from here on
// counts anew. The versions stay, for tokens.
func (w *writtenShards) unblocked() {
	for _, page := range w.pages {
		for i := range page {
			page[i].lease, page[i].ended = nil, false
		}
	}
}

// all calls yield for every shard written to, in rising order, until it says false.
func (w *writtenShards) all(yield func(shardmap.ShardID, writtenShard) bool) {
	for i, page := range w.pages {
		for j, s := range page {
			if s.version != 0 && !yield(shardmap.ShardID(i*writtenPage+j), s) {
				return
			}
		}
	}
}
