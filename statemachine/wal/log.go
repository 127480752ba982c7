package wal

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// Config fixes what a Log is.
type Config struct {
	FS           FS
	Mode         Mode     // Write or Fsync
	ID           [16]byte // of the log's owner
	Boot         [16]byte // of the kernel that runs now; zero = it tells none
	Shards       int      // at most 65536
	SegmentBytes int64    // a segment ends before the write that would make it longer; 0 = 64 MiB
	From         LSN      // what lies below is held elsewhere and is not read
	Durable      LSN      // up to here it was durable, as somebody else knows who saw it
}

const segmentBytes = 64 << 20

// Errors of a Log.
var (
	ErrClosed = errors.New("wal: the log is closed")
	errShort  = errors.New("wal: a write was cut short")
)

// Log is the write-ahead log of a node. Append puts a frame into memory; Commit hands
// what was appended to the operating system; Sync makes it durable. All three may be
// called from any goroutine, and no lock that Append needs is held during I/O.
//
// The first error of the files is the last thing that happens: nothing is tried again,
// because a failed fsync may have dropped the very pages it failed for.
type Log struct {
	cfg Config

	mu    sync.Mutex // guards what Append fills
	batch *batch
	end   LSN // after what was appended

	written, synced atomic.Uint64 // LSNs
	bytes           atomic.Int64  // of all segments
	failed          atomic.Pointer[error]
	// positions of each shard: of its last frame that was written, and that is durable
	writtenAt, syncedAt []atomic.Uint64

	commit  sync.Mutex // one Commit at a time; guards the rest
	life    [16]byte
	spare   *batch
	file    File
	retired []File // segments that are full and not durable yet
	segs    []extent
	next    uint64 // segment
	chain   uint32
	counts  []uint64
	stated  LSN           // by the last mark or head
	dirty   *touched      // shards written since the last Sync began
	unnamed bool          // there is a file whose name is not durable
	named   atomic.Uint64 // the last segment whose name is

	syncing sync.Mutex // one Sync at a time; guards the rest
	clean   *touched

	dropping sync.Mutex // one DropBelow at a time; taken before commit
}

// Append puts a frame behind the others and says where it ends. position is what Logged
// gives once the frame is logged. It never blocks for I/O; payload is copied.
func (l *Log) Append(shard uint16, kind Kind, position uint64, payload []byte) LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end += LSN(frameHead + len(payload))
	if l.failed.Load() != nil {
		return l.end // nothing of it will ever be acknowledged
	}
	l.batch.b = appendFrame(l.batch.b, kind, shard, payload)
	l.batch.touched.touch(shard, position)
	l.batch.end = l.end
	return l.end
}

// End is where the next frame will begin.
func (l *Log) End() LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// Backlog is how many bytes are appended and not written.
func (l *Log) Backlog() int64 { return int64(l.End() - l.Written()) }

// Written is up to where the operating system has the log.
func (l *Log) Written() LSN { return LSN(l.written.Load()) }

// Synced is up to where the log is durable.
func (l *Log) Synced() LSN { return LSN(l.synced.Load()) }

// Acked is up to where the log is logged in the sense of the mode.
func (l *Log) Acked() LSN {
	if l.cfg.Mode == Fsync {
		return l.Synced()
	}
	return l.Written()
}

// Restore says at which position recovery left a shard, which is durable. It is called
// before anything of the shard is appended.
func (l *Log) Restore(shard uint16, position uint64) {
	l.writtenAt[shard].Store(position)
	l.syncedAt[shard].Store(position)
}

// Logged is the position of a shard's last frame that is logged in the sense of the
// mode: what an ack may state. It is 0 until something of the shard was logged or restored.
func (l *Log) Logged(shard uint16) uint64 {
	if l.cfg.Mode == Fsync {
		return l.syncedAt[shard].Load()
	}
	return l.writtenAt[shard].Load()
}

// Durable is the position of a shard's last frame that is on the disk.
func (l *Log) Durable(shard uint16) uint64 { return l.syncedAt[shard].Load() }

// Err is the error that ended the log, nil while it works.
func (l *Log) Err() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *Log) fail(err error) error {
	l.failed.CompareAndSwap(nil, &err)
	return l.Err()
}

// Commit writes what was appended so far in one write: the group commit of all who wait.
// It says up to where the log is written.
func (l *Log) Commit() (LSN, error) {
	l.commit.Lock()
	defer l.commit.Unlock()
	if err := l.Err(); err != nil {
		return l.Written(), err
	}
	l.mu.Lock()
	b := l.batch
	if len(b.b) == markBytes {
		l.mu.Unlock()
		return l.Written(), nil
	}
	l.batch = l.spare
	l.batch.end = b.end
	l.mu.Unlock()
	if err := l.write(b); err != nil {
		return l.Written(), l.fail(err)
	}
	for _, t := range b.touched.places {
		l.writtenAt[t.shard].Store(t.position)
		l.dirty.touch(t.shard, t.position)
	}
	l.written.Store(uint64(b.end))
	if mutant.Is("M07") {
		l.tell(&b.touched, b.end)
	}
	b.reset()
	l.spare = b
	return l.Written(), nil
}

// write puts a batch into the segment, or into a new one, behind a mark if there is
// something to state.
func (l *Log) write(b *batch) error {
	if e := l.last(); e.bytes+int64(len(b.b)) > l.cfg.SegmentBytes && e.end > e.first {
		if err := l.begin(); err != nil {
			return err
		}
	}
	run := b.b[markBytes:]
	if l.Synced() > l.stated {
		run = b.b
		l.mark(run[:0], kindMark)
	}
	return l.put(run, b.end)
}

// mark appends a frame that states what is durable.
func (l *Log) mark(dst []byte, kind Kind) []byte {
	l.stated = l.Synced()
	var room [markPayload]byte
	return appendFrame(dst, kind, 0, appendMark(room[:0], l.cfg.ID, mark{l.last().number, l.last().bytes, l.stated}))
}

// put writes a run of frames into the segment.
func (l *Log) put(run []byte, end LSN) error {
	l.chain = seal(run, l.chain, l.counts)
	if err := put(l.file, run); err != nil {
		return err
	}
	l.last().bytes += int64(len(run))
	l.bytes.Add(int64(len(run)))
	l.last().end = end
	return nil
}

func (l *Log) last() *extent { return &l.segs[len(l.segs)-1] }

// begin ends the segment and begins the next.
func (l *Log) begin() error {
	if l.file != nil {
		l.retired = append(l.retired, l.file)
	}
	e := extent{number: l.next, first: l.Written(), end: l.Written()}
	l.next++
	f, err := l.cfg.FS.Create(segmentName(e.number))
	if err != nil {
		return err
	}
	h := head{
		mode: l.cfg.Mode, shards: uint32(l.cfg.Shards), id: l.cfg.ID, boot: l.cfg.Boot,
		number: e.number, first: e.first, synced: l.Synced(), life: l.life, seed: l.chain,
	}
	b := appendHead(nil, &h)
	b = appendFrame(b, kindTable, 0, appendTable(nil, l.counts))
	l.chain = seal(b[segmentHead:], l.chain, nil)
	if err := put(f, b); err != nil {
		return err
	}
	e.bytes = int64(len(b))
	l.bytes.Add(e.bytes)
	l.file, l.stated, l.unnamed = f, h.synced, true
	l.segs = append(l.segs, e)
	return nil
}

func put(f File, b []byte) error {
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = errShort
	}
	return err
}

// Sync makes durable what was written when it was called: all shards at once. Commits go
// on meanwhile.
func (l *Log) Sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.commit.Lock()
	if err := l.Err(); err != nil {
		l.commit.Unlock()
		return err
	}
	upto, dirty, retired, file, unnamed, last := l.Written(), l.dirty, l.retired, l.file, l.unnamed, l.last().number
	l.dirty, l.retired, l.unnamed = l.clean, nil, false
	l.commit.Unlock()
	for _, f := range retired {
		if err := f.Sync(); err != nil && !mutant.Is("M23") {
			return l.fail(err)
		}
	}
	if err := file.Sync(); err != nil && !mutant.Is("M23") {
		return l.fail(err)
	}
	if unnamed {
		if err := l.cfg.FS.SyncNames(); err != nil {
			return l.fail(err)
		}
	}
	l.tell(dirty, upto)
	l.named.Store(last)
	dirty.reset()
	l.clean = dirty
	for _, f := range retired {
		if err := f.Close(); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// tell says what is durable now.
func (l *Log) tell(t *touched, upto LSN) {
	for _, p := range t.places {
		l.syncedAt[p.shard].Store(p.position)
	}
	l.synced.Store(uint64(upto))
}

// State writes a mark when more is durable than the log says of itself. It is for idle
// moments: after them, damage to what was synced last cannot be taken for a torn end.
func (l *Log) State() error {
	l.commit.Lock()
	defer l.commit.Unlock()
	if l.Synced() == l.stated {
		return l.Err()
	}
	return l.state(kindMark)
}

// state writes a mark alone.
func (l *Log) state(kind Kind) error {
	if err := l.Err(); err != nil {
		return err
	}
	if err := l.put(l.mark(nil, kind), l.Written()); err != nil {
		return l.fail(err)
	}
	return nil
}

// DropBelow removes the segments that end at or below an LSN and says how many bytes
// that freed. What is not durable stays, and one segment whose name is: a log that has
// lost all its segments could not be told from one that never had any. No Commit waits
// for a removal, which may take as long as an fsync does.
func (l *Log) DropBelow(at LSN) (freed int64, err error) {
	l.dropping.Lock()
	defer l.dropping.Unlock()
	for {
		e, ok, err := l.oldest(at)
		if !ok || err != nil {
			return freed, err
		}
		if err := l.cfg.FS.Remove(segmentName(e.number)); err != nil {
			return freed, err
		}
		freed += e.bytes
		l.commit.Lock()
		l.segs = l.segs[1:] // others only append
		l.unnamed = true
		l.commit.Unlock()
		l.bytes.Add(-e.bytes)
	}
}

// oldest is the first segment, if it ends at or below an LSN and may go.
func (l *Log) oldest(at LSN) (e extent, ok bool, err error) {
	l.commit.Lock()
	defer l.commit.Unlock()
	e = l.segs[0]
	return e, e.end <= min(at, l.Synced()) && e.number < l.named.Load(), l.Err()
}

// Bytes is what the log's files take. It waits for no I/O.
func (l *Log) Bytes() int64 { return l.bytes.Load() }

// Close writes and syncs what was appended, says that this was all, and closes the files.
// A log closed so is intact whatever the machine does next. Nobody appends any more.
func (l *Log) Close() error {
	_, err := l.Commit()
	if err == nil {
		err = l.Sync()
	}
	if err == nil {
		l.commit.Lock()
		err = l.state(kindEnd)
		l.commit.Unlock()
	}
	if err == nil {
		err = l.Sync()
	}
	_ = l.fail(ErrClosed)
	l.commit.Lock()
	defer l.commit.Unlock()
	return errors.Join(err, l.file.Close())
}
