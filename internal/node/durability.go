package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// durability is the node's write-ahead log and who runs it; nil in mode off. What stands
// behind log is set before the first command is taken.
type durability struct {
	dir  string
	mode wal.Mode
	fs   wal.FS

	progress  progress
	found     wal.Recovery
	took      time.Duration // to read it
	log       *wal.Log
	committer *wal.Committer

	image       *image.Image // of who restores it, then of checkpoints
	loaded      loaded
	checkpoints *checkpoints
}

// progress is how far the log has been read.
type progress struct {
	begun       time.Time
	image       atomic.Int64 // bytes of the image, which is read first
	done, total atomic.Int64 // bytes
}

// backlogMax is how many bytes may be appended and not written before a follower reads no
// more of what is to be appended.
const backlogMax = 16 << 20

// logDir is where the log of this node lives.
func (c *Config) logDir(own string) string {
	if c.Stated["walDir"] {
		return filepath.Join(c.WALDir, filepath.Base(own))
	}
	return filepath.Join(own, "wal")
}

// openLog looks at the directory of the log before anything is opened that others can
// see: whoever starts with the wrong mode or beside the wrong log hears it at once.
func (n *Node) openLog() error {
	dir := n.cfg.logDir(n.dir.path)
	whose, err := describeLog(dir)
	switch {
	case errors.Is(err, wal.ErrNone):
		if err := n.leaveImage(); err != nil || n.cfg.WAL == wal.Off {
			return err
		}
	case err != nil:
		return fmt.Errorf("write-ahead log in %s: %w", dir, err)
	case n.cfg.WAL == wal.Off:
		return fmt.Errorf("%s holds a write-ahead log of mode %s, and --wal off would leave it behind: what is written from here on would be missing in it. Start with --wal %s, or move that directory away to begin without what it holds",
			dir, whose.Mode, whose.Mode)
	case whose.ID != n.uuid:
		return fmt.Errorf("%s holds the write-ahead log of another node identity (%x) than data directory %s (%x): bring the two together again that belong to each other, or move the log away to begin without what it holds",
			dir, whose.ID, n.dir.path, n.uuid)
	}
	disk, err := wal.OpenDisk(dir)
	n.durable = &durability{dir: dir, mode: n.cfg.WAL, fs: disk}
	return err
}

// describeLog says whose log a directory holds, wal.ErrNone when there is none.
func describeLog(dir string) (wal.Config, error) {
	disk, err := wal.LookInto(dir)
	if err != nil {
		return wal.Config{}, wal.ErrNone
	}
	return wal.Describe(disk)
}

// lifeOf is how a log names an incarnation.
func lifeOf(i multiraft.Incarnation) (life [16]byte) {
	binary.BigEndian.PutUint64(life[:], i.Counter)
	binary.BigEndian.PutUint64(life[8:], i.Nonce)
	return life
}

func incarnationOf(life [16]byte) multiraft.Incarnation {
	return multiraft.Incarnation{Counter: binary.BigEndian.Uint64(life[:]), Nonce: binary.BigEndian.Uint64(life[8:])}
}

// run begins to write the log that was recovered.
func (d *durability) run(n *Node, l *wal.Log) {
	d.log = l
	d.committer = wal.Run(l, func() {
		if n.core.Data().Logged() {
			n.host.Post(func(multiraft.Instant) {}) // a takeover waits: a pass looks after it
		}
	}, func(err error) {
		n.log.Error("the write-ahead log failed: this node gives its leases up and ends", zap.String("dir", d.dir), zap.Error(err))
		n.host.Fail(d.broken(err))
	})
	n.core.Data().Forces(d.committer.Force)
}

// stop closes the image and the log, as far as they were opened.
func (d *durability) stop() error {
	if d == nil {
		return nil
	}
	d.checkpoints.end()
	if d.image != nil {
		_ = d.image.Close()
	}
	if d.committer == nil {
		return nil
	}
	if err := d.committer.Stop(); err != nil {
		return d.broken(err)
	}
	return nil
}

// broken says which log cannot be written.
func (d *durability) broken(err error) error {
	return fmt.Errorf("the write-ahead log in %s cannot be written: %w", d.dir, err)
}

// wake says that something was appended.
func (d *durability) wake() {
	if d != nil {
		d.committer.Wake()
	}
}

// settle waits until all that was written so far is logged, or on the disk whatever the
// mode. The error says that it never will be: nobody can say what of it comes back.
func (d *durability) settle(disk bool) error {
	if d == nil {
		return nil
	}
	return d.committer.Wait(d.log.End(), disk)
}

// hold keeps the reader of a data connection back while the log is behind: what it brings
// is appended, and memory must not be the log's buffer. Acks have connections of their own.
func (d *durability) hold() {
	if d != nil && d.log.Backlog() > backlogMax {
		_ = d.settle(false)
	}
}

// stallMax is how long a write, and in mode fsync an fsync, may take before this node claims
// no more leases: under them it could acknowledge nothing.
const stallMax = time.Second

// stalled is how long what acknowledgements wait for has been under way.
func (d *durability) stalled() time.Duration {
	write, sync := d.committer.Stalled()
	if d.mode == wal.Fsync {
		return max(write, sync)
	}
	return write
}

// logged is the node's core as its host steps it: a pass looks at how the log's disk is,
// and what the pass appended is written without anybody having to ask.
type logged struct {
	*Core
	d *durability
}

// Tick implements multiraft.Stepper.
func (l logged) Tick(now multiraft.Instant) {
	if l.d != nil {
		l.data.Stalls(l.d.stalled() > stallMax)
	}
	l.Core.Tick(now)
}

// Flush implements multiraft.Stepper.
func (l logged) Flush(now multiraft.Instant) {
	l.Core.Flush(now)
	if l.d != nil && l.d.log.Backlog() > 0 {
		l.d.wake()
	}
}

// failed is the directory whose disk failed: the log's, unless that is sound.
func (n *Node) failedDir() string {
	if d := n.durable; d != nil && d.log != nil && d.log.Err() != nil && !errors.Is(d.log.Err(), wal.ErrClosed) {
		return d.dir
	}
	return n.dirPath()
}
