package shardgroup

import (
	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// What a copy has in memory and what is left of it after a crash differ as long as frames
// are on their way into the log. Whatever is counted (acks, held, the watermark of a
// takeover) is of the second; whatever is fetched or compared is of the first.

// logged is the position that this copy would come back at, at least: what an ack may
// state. 0 while that cannot be said. The caller holds mu, as for the next two.
func (s *shard) logged() shardmap.Version {
	if s.n.log == nil || mutant.Is("ack-before-wal") {
		return s.m.Position()
	}
	if s.n.log.Acked() < s.barrier {
		return 0
	}
	return shardmap.Version(s.n.log.Logged(uint16(s.id)))
}

// durable is logged on the disk, whatever the mode; 0 without a log.
func (s *shard) durable() shardmap.Version {
	if s.n.log == nil || s.n.log.Synced() < s.barrier {
		return 0
	}
	return shardmap.Version(s.n.log.Durable(uint16(s.id)))
}

// barred says that a frame is not logged yet by which the copy became another: whole or
// not, at another position, on another branch. Until it is, a position says nothing: the
// copy may come back as it was before.
func (s *shard) barred() bool {
	return s.n.log != nil && !mutant.Is("ack-before-wal") && s.n.log.Acked() < s.barrier
}

// inLog says that all of this copy is logged.
func (s *shard) inLog() bool { return !s.barred() && s.logged() == s.m.Position() }

// ack has the peer told of this copy as soon as all of it is logged.
func (s *shard) ack(l *lane, urgent bool) {
	if s.inLog() {
		l.markAck(s.id, urgent)
	} else {
		s.hurry = s.hurry || urgent
	}
}

// Logged says that more is logged, or durable, than before: acks that waited for the log
// go out, and held may rise. It may be called from any goroutine. When it answers true, a
// takeover waits for the log, and Pump has something to do.
func (n *Node) Logged() (pump bool) {
	n.ahead.drain(func(id int) bool {
		if r := n.ReplicaOf(shardmap.ShardID(id)); r != nil {
			r.shard(shardmap.ShardID(id)).hearLog()
		}
		return true
	})
	n.forced.drain(func(id int) bool {
		if r := n.ReplicaOf(shardmap.ShardID(id)); r != nil {
			r.shard(shardmap.ShardID(id)).hearDisk()
		}
		return true
	})
	if n.clogged.Load() && n.log.Backlog() <= backlogMax && n.clogged.Swap(false) {
		for _, r := range n.all() {
			r.wake()
		}
	}
	return n.awaits.Load()
}

// backlogMax is how many bytes may wait in memory for the disk before writes are delayed:
// memory must not be the log's buffer.
const backlogMax = 16 << 20

// clogs says whether writes have to wait for the log's disk.
func (n *Node) clogs() bool {
	if n.log == nil || n.log.Backlog() <= backlogMax {
		return false
	}
	n.clogged.Store(true)
	return n.log.Backlog() > backlogMax // again: whoever wrote it meanwhile did not see the mark, and woke nobody
}

// Stalls says that the log's disk has not answered for long, or does again: this node
// claims no lease meanwhile, because it could acknowledge nothing under it.
func (n *Node) Stalls(on bool) { n.stalls.Store(on) }

// Stalled says what Stalls was told last.
func (n *Node) Stalled() bool { return n.stalls.Load() }

// hearLog passes on that more of the shard is logged.
func (s *shard) hearLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inLog() {
		s.n.ahead.set(int(s.id))
	}
	switch {
	case s.serving():
		s.advance()
	case s.in.lane != nil:
		s.in.lane.markAck(s.id, s.hurry)
		s.hurry = false
	}
}

// Forces says how to have the log made durable soon whatever its mode. f is called from
// any goroutine and with locks held.
func (n *Node) Forces(f func()) { n.fsync = f }

// toDisk has the copy made durable at once: somebody waits for that. The caller holds mu.
func (s *shard) toDisk() {
	if s.n.log == nil {
		return
	}
	s.forcedTo = s.m.Position()
	s.n.forced.set(int(s.id))
	if s.n.fsync != nil { // in mode fsync it happens anyway
		s.n.fsync()
	}
}

// hearDisk passes on that more of the shard is on the disk.
func (s *shard) hearDisk() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.durable() < s.forcedTo {
		s.n.forced.set(int(s.id))
	}
	switch {
	case s.serving():
		s.advance()
	case s.in.lane != nil:
		s.in.lane.markAck(s.id, true)
	}
}

// append puts a frame into the log and says where it ends. The shard is looked at when the
// log tells: the mark comes first, and whoever looks waits for mu.
func (s *shard) append(kind wal.Kind, payload []byte) wal.LSN {
	s.n.ahead.set(int(s.id))
	return s.n.log.Append(uint16(s.id), kind, uint64(s.m.Position()), payload)
}

// baseLogged says whether this copy's log has what the Open is going to state. An Open
// makes this copy the one that has the base: one that lost it again would be counted for
// what it had (hole 35). The caller holds r.mu.
func (r *Replica) baseLogged() bool {
	if r.n.log == nil || mutant.Is("seal-reply-unlogged") {
		return true
	}
	r.n.awaits.Store(true) // first: the log may tell at any moment
	for i, s := range r.shards {
		c := &r.take.copies[i]
		s.mu.Lock()
		ok := c.hole || s.logged() >= c.base
		s.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// ComesBack says which copy of a shard this is, and at what version its log brings it back,
// at least; not ok while it is not whole, or the log does not have yet how it became so.
func (r *Replica) ComesBack(id shardmap.ShardID) (copy uint64, at shardmap.Version, ok bool) {
	s := r.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.id, s.logged(), s.whole && !s.barred()
}
