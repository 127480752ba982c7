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
// write passes here, of many sessions in turn, so that what was noted is in no near
// cache: a version is stored without a look at what was there, and the lease is noted
// with the batch, for its group. A map cost a tenth of a pipelined SET, a version and a
// lease in one place a twentieth. Pages come with the first write in their range, so
// that a connection with one key has one page.
type writtenShards struct {
	layout shardmap.Layout
	pages  [][]shardmap.Version
	groups []writtenGroup // by group; nil before the first write
}

// writtenGroup is the lease of a session's writes in one group.
type writtenGroup struct {
	lease shardgroup.Lease // of the newest one; nil: none, or WAIT has said that it ended
	from  uint32           // versions of earlier epochs do not count for WAIT
	ended bool             // so has the lease of an older write there, and WAIT has not said it
}

const writtenPage = 64 // shards in a page

// note takes the version of a write, whose lease is still to be told.
func (w *writtenShards) note(shard shardmap.ShardID, v shardmap.Version) {
	page := int(shard / writtenPage)
	if page >= len(w.pages) || w.pages[page] == nil {
		w.grow(page)
	}
	w.pages[page][shard%writtenPage] = v
}

func (w *writtenShards) grow(page int) {
	for page >= len(w.pages) {
		w.pages = append(w.pages, nil)
	}
	w.pages[page] = make([]shardmap.Version, writtenPage)
}

// under tells the lease of writes in a group, the first of which was of this epoch.
func (w *writtenShards) under(g shardmap.GroupID, l shardgroup.Lease, epoch uint32) {
	if w.groups == nil {
		w.groups = make([]writtenGroup, w.layout.Groups+1)
	}
	at := &w.groups[g]
	if at.lease == nil {
		at.from = epoch
	}
	at.ended = at.ended || at.lease != nil && at.lease != l
	at.lease = l
}

// unblocked says that WAIT has told of a lease that ended: what is written from here on
// counts anew. The versions stay, for tokens.
func (w *writtenShards) unblocked() {
	for g := range w.groups {
		w.groups[g].lease, w.groups[g].ended = nil, false
	}
}

// all calls yield for every shard written to, in rising order, until it says false.
func (w *writtenShards) all(yield func(shardmap.ShardID, writtenShard) bool) {
	for i, page := range w.pages {
		for j, v := range page {
			if v == 0 {
				continue
			}
			s := writtenShard{version: v}
			shard := shardmap.ShardID(i*writtenPage + j)
			if g := w.group(shard); g != nil && v.Epoch() >= g.from {
				s.lease, s.ended = g.lease, g.ended
			}
			if !yield(shard, s) {
				return
			}
		}
	}
}

// group is what is known of a shard's group, nil while nothing is.
func (w *writtenShards) group(shard shardmap.ShardID) *writtenGroup {
	if w.groups == nil {
		return nil
	}
	return &w.groups[w.layout.GroupOf(shard)]
}
