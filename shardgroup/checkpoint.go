package shardgroup

import (
	"errors"
	"math/bits"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// A checkpoint is a fill whose target is the node's image. It reads the copy range by
// range while writes go on, so that what it has at the end is of no single moment; the
// log from where it began to where it ended makes it one, as the records that follow the
// chunks make a fill exact. Nothing is stopped, and nothing is kept for it.
type checkpoint struct {
	s    *shard
	id   uint64 // of the copy
	turn uint32 // of the shard when it began
}

// Checkpoint is what saves a shard; nil when this node has no copy of it.
func (n *Node) Checkpoint(id shardmap.ShardID) image.Source {
	r := n.ReplicaOf(id)
	if r == nil || n.log == nil {
		return nil
	}
	return &checkpoint{s: r.shard(id), id: r.id}
}

// Begin implements image.Source. A copy that is not whole has nothing to save: its log says
// how it becomes whole.
func (c *checkpoint) Begin(width uint16) (row image.Row, ok bool) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.whole {
		return row, false
	}
	c.turn = s.turn
	row.Copy, row.From, row.Width = c.id, s.standing(), s.imageWidth(width)
	return row, true
}

// Needs implements image.Source. The row of a copy that waits for a fill is let go of, as its
// log is: else such a copy would keep a file from being replaced for nobody knows how long.
func (c *checkpoint) Needs(former *image.Row) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if former.Copy != c.id || s.forgotten || s.need > wal.LSN(former.From.LSN) {
		return false
	}
	s.forgotten = !s.inFill()
	return !s.forgotten
}

// inFill says whether the copy is whole, or on its way: that ends soon. The caller holds mu.
func (s *shard) inFill() bool { return s.whole || s.xfer != 0 || s.r.taking.Load() }

// standing is where the copy stands in the log. The caller holds mu: all frames of the
// shard that were appended are below.
func (s *shard) standing() image.Standing {
	return image.Standing{
		LSN: uint64(s.n.log.End()), Position: uint64(s.m.Position()), Floor: uint64(s.floor), Time: s.m.Time(),
	}
}

// partBlocks is how many blocks of the usual length one read may take: less would cut too
// much, and more would hold the shard for too long.
const partBlocks = 4

// imageWidth is how many of the digest's ranges a block is to have, so that it has about
// ImageBlockBytes. A width that is right to a factor of four stays: with another one all
// is written anew.
func (s *shard) imageWidth(old uint16) uint16 {
	blocks := uint64(s.m.HeldBytes()) / uint64(s.n.cfg.ImageBlockBytes)
	want := uint16(image.Ranges >> min(bits.Len(image.Ranges)-1, bits.Len64(blocks)))
	if old != 0 && old <= want*4 && want <= old*4 {
		return old
	}
	return want
}

// ours says whether only records have happened to the copy since Begin: whatever rebases
// or doubts it is a step of the log that a range cannot be read on both sides of. The
// caller holds mu.
func (c *checkpoint) ours() bool {
	return c.s.whole && (c.s.turn == c.turn || mutant.Is("image-across-a-revert"))
}

// Read implements image.Source.
func (c *checkpoint) Read(lo, hi uint64, compare bool, digest uint64, dst []byte) (b []byte, end uint64, same, ok bool) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.ours() {
		return dst, hi, false, false
	}
	s.sweep() // what is dead is left out, but it is in the digest until it is swept
	if compare && s.m.DigestWithin(lo, hi) == digest {
		return dst, hi, true, true
	}
	b, end = s.m.ChunkWithin(lo, hi, partBlocks*s.n.cfg.ImageBlockBytes, dst)
	return b, end, false, true
}

// Digest implements image.Source.
func (c *checkpoint) Digest(entries []byte) uint64 {
	return statemachine.ChunkDigest(c.s.n.cfg.Secret, entries)
}

// End implements image.Source.
func (c *checkpoint) End(row *image.Row) bool {
	for {
		if more, ok := c.end(row); !more {
			return ok
		}
	}
}

// end sweeps a step, so that the shard is held for a moment only.
func (c *checkpoint) end(row *image.Row) (more, ok bool) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.ours() {
		return false, false
	}
	if s.sweep() {
		return true, true
	}
	row.To, row.Digest = s.standing(), s.m.Digest()
	return false, true
}

// Imaged tells that a row is durable: the copy's log is not needed from its beginning any
// more, but from where the row begins.
func (n *Node) Imaged(row *image.Row) {
	r := n.ReplicaOf(shardmap.ShardID(row.Shard))
	if r == nil || r.id != row.Copy {
		return
	}
	s := r.shard(shardmap.ShardID(row.Shard))
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := wal.LSN(row.From.LSN); s.whole && at > s.need { // a fill that began meanwhile needs its own log
		s.need, s.forgotten = at, false
	}
}

// ReleaseLog is the LSN, limit at most, below which the log tells nothing that a restart
// needs: what lies there is in the image, or of copies that are to be filled anyway.
func (n *Node) ReleaseLog(limit wal.LSN, now multiraft.Instant) wal.LSN {
	for _, r := range n.all() {
		for _, s := range r.shards {
			limit = min(limit, s.releaseLog(limit, now.Mono))
		}
	}
	return limit
}

// xferPatience is how long a fill may stand still before the log is not kept for it.
const xferPatience = 30 * time.Second

func (s *shard) releaseLog(limit wal.LSN, now time.Duration) wal.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.need >= limit || s.forgotten {
		return limit
	}
	if s.xfer != 0 && now >= s.heardAt+xferPatience {
		s.abandonFill()
	}
	if s.inFill() {
		return s.need
	}
	s.forgotten = true // it waits for a fill, for nobody knows how long
	return limit
}

// abandonFill gives up a fill whose holder has gone silent: its lease may live on through
// another node, so nobody seals, and nobody says that it is over. A holder that comes back
// on the same connection goes on with it, so it must be told to begin anew.
func (s *shard) abandonFill() {
	s.xfer, s.broken = 0, true
	if s.in.lane != nil {
		s.ack(s.in.lane, true)
	}
}

// relog writes the whole copy into the log, whose story of it was let go of while it was
// not whole, and that becomes whole without a fill: a takeover filled it and did not open.
// That is rare, so it is not done in steps.
func (s *shard) relog() {
	s.forgotten = false
	s.mark(markRebase)
	var b []byte
	for lo, hi := uint64(0), uint64(0); hi != ^uint64(0); lo = hi + 1 {
		b, hi = s.m.Chunk(lo, s.n.cfg.FillBytes, b[:0])
		s.writeRange(lo, hi, b)
	}
}

// Loading takes a shard from the image, before the log is played; nil when this node has
// no copy of it.
func (n *Node) Loading(id shardmap.ShardID) image.Loader {
	r := n.ReplicaOf(id)
	if r == nil {
		return nil
	}
	return &loading{s: r.shard(id)}
}

// loading is an image.Loader.
type loading struct {
	s   *shard
	row image.Row
}

// Errors of a row that does not help.
var (
	errOtherCopy = errors.New("shardgroup: the image is of a copy that this node has no more")
	errImage     = errors.New("shardgroup: the image differs from the copy that it was made of")
)

// Begin implements image.Loader.
func (l *loading) Begin(row *image.Row) error {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose()
	if row.Copy != s.r.id {
		return errOtherCopy
	}
	l.row, s.need = *row, wal.LSN(row.From.LSN)
	s.m.SetPosition(shardmap.Version(row.From.Position))
	s.m.SetTime(row.From.Time)
	return nil
}

// Range implements image.Loader.
func (l *loading) Range(lo, hi uint64, entries []byte) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.s.m.LoadRange(lo, hi, entries)
}

// End implements image.Loader. The ring is recalled from the log, as far as that goes back.
func (l *loading) End(digest uint64) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.m.Digest() != digest {
		return errImage
	}
	l.s.ring.reset(l.s, 0)
	l.s.saved, l.s.lost = &l.row, false
	return nil
}

// meet says whether a frame of the log is to be played: what the image holds only goes
// into the ring. Where the image ended it becomes one state.
func (s *shard) meet(f *wal.Frame) (play bool) {
	row := s.saved
	switch {
	case row == nil:
		return true
	case uint64(f.LSN) < row.From.LSN:
		s.holed = false // what was lost lies further back
		s.recall(f.Kind, f.Payload)
		return false
	case s.holed:
		s.lose()
		return true
	}
	s.rejoin()
	if uint64(f.LSN) >= row.To.LSN {
		s.unite()
	}
	return true
}

// recall puts a record that the image holds into the ring: it may have to be undone, or be
// told to a follower.
func (s *shard) recall(kind wal.Kind, b []byte) {
	r := reader{b: b}
	switch kind {
	case logRecord:
		s.recallRecords(b)
	case logRevert:
		if m := r.revert(); !r.bad {
			s.recalled = 0
			s.recallRecords(m.records)
		}
	case logMark:
		if r.u8()&(markRebase|markWipe) != 0 {
			s.recalled = 0
		}
	default:
		s.recalled = 0
	}
}

func (s *shard) recallRecords(buf []byte) {
	for len(buf) > 0 {
		n := statemachine.RecordSize(buf)
		if n < recordHead || n > len(buf) {
			s.recalled = 0
			return
		}
		raw := buf[:n:n]
		buf = buf[n:]
		if s.recalled == 0 || prevOf(raw) != s.recalled {
			s.ring.reset(s, prevOf(raw))
		}
		s.ring.add(s, raw)
		s.recalled = versionOf(raw)
	}
}

// rejoin keeps the ring that was recalled if it leads to where the image begins.
func (s *shard) rejoin() {
	if from := shardmap.Version(s.saved.From.Position); s.m.Position() == from && (s.recalled != from || from == 0) {
		s.ring.reset(s, from)
	}
	s.recalled = s.m.Position()
}

// unite makes the copy whole once the log has come to where the image ended. It is the copy
// of that moment exactly, or it is lost.
func (s *shard) unite() {
	row := s.saved
	s.saved = nil
	s.m.AdvanceTime(row.To.Time)
	s.m.Settle()
	if s.m.Position() != shardmap.Version(row.To.Position) || s.m.Digest() != row.Digest {
		s.lose()
		return
	}
	s.whole, s.floor, s.marked = true, shardmap.Version(row.To.Floor), row.To.Time
}

// restored ends the replay of a shard whose log ends at an LSN.
func (s *shard) restored(end wal.LSN) {
	row := s.saved
	switch {
	case row == nil:
	case uint64(end) < row.To.LSN || s.holed:
		s.lose()
	default:
		s.rejoin()
		s.unite()
	}
}
