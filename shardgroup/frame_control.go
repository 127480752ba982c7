package shardgroup

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Control frames: format u8 | kind u8 | body.
const (
	controlPull  = 1
	controlReply = 2
)

// pull asks a sealed replica for the records (from, to] of a shard, or for the
// contents from hash lo on.
type pull struct {
	group    shardmap.GroupID
	ballot   multiraft.Ballot
	inc      multiraft.Incarnation // of the process that is asked
	shard    shardmap.ShardID
	bulk     bool
	lo       uint64
	from, to shardmap.Version
}

// pullReply answers it; ok = false means that this replica cannot.
type pullReply struct {
	pull
	ok         bool
	hi         uint64 // last hash of data
	pos, floor shardmap.Version
	time       int64
	data       []byte
}

func (w *writer) pull(q *pull) {
	w.u8(frameFormat)
	w.u8(controlPull)
	w.pullBody(q)
}

func (w *writer) pullBody(q *pull) {
	w.u16(uint16(q.group))
	w.ballot(q.ballot)
	w.inc(q.inc)
	w.u16(uint16(q.shard))
	w.flag(q.bulk)
	w.u64(q.lo)
	w.u64(uint64(q.from))
	w.u64(uint64(q.to))
}

func (r *reader) pull() pull {
	return pull{
		group: shardmap.GroupID(r.u16()), ballot: r.ballot(), inc: r.inc(), shard: shardmap.ShardID(r.u16()),
		bulk: r.flag(), lo: r.u64(), from: r.version(), to: r.version(),
	}
}

func (w *writer) pullReply(a *pullReply) {
	w.u8(frameFormat)
	w.u8(controlReply)
	w.pullBody(&a.pull)
	w.flag(a.ok)
	w.u64(a.hi)
	w.u64(uint64(a.pos))
	w.u64(uint64(a.floor))
	w.u64(uint64(a.time))
	w.b = append(w.b, a.data...)
}

func (r *reader) pullReply() pullReply {
	a := pullReply{pull: r.pull(), ok: r.flag(), hi: r.u64(), pos: r.version(), floor: r.version(), time: int64(r.u64())}
	a.data, r.b = r.b, nil
	return a
}

// upTo is the part of a run of records that lies at or below a version.
func upTo(b []byte, v shardmap.Version) []byte {
	for n := 0; n+recordHead <= len(b); {
		size := statemachine.RecordSize(b[n:])
		if versionOf(b[n:]) > v || size < recordHead || size > len(b)-n {
			return b[:n]
		}
		n += size
		if n == len(b) {
			return b
		}
	}
	return nil
}
