package sim

import (
	"encoding/binary"
	mrand "math/rand"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// dataLog is the write-ahead log of a process, and what a Committer is to it: it writes
// and syncs in simulated time, on a disk that knows what a crash leaves.
type dataLog struct {
	mode    wal.Mode
	disk    *wal.Memory // nil = none was made yet
	down    bool        // the machine goes down with the process
	boots   byte
	log     *wal.Log // nil in mode off, and while the process is down
	writing bool
	syncing bool
	fails   bool // the disk
	forced  bool // an fsync was asked for
	idle    bool // the one under way is that of every second, which nobody waits for
	torn    bool // the next crash is in the middle of a write
	held    bool // nothing is synced until a script says so
	slow    slowRead
	waits   []logWait
	image   dataImage
	// what the log said of itself when the process ended
	acked, synced wal.LSN
	stood         []stood
}

// stood is a copy that the log would have brought back when the process ended.
type stood struct {
	shard shardmap.ShardID
	copy  uint64
	at    shardmap.Version
}

// logWait is a reply that leaves when the log is logged up to a place.
type logWait struct {
	upto wal.LSN
	f    func()
}

// slowLogs is how long a takeover waits for logs that take longer, in simulated clusters.
const slowLogs = 3 * time.Second

// drawLogs gives some clusters logs: all nodes in one mode, or each in its own. The older seeds
// of testdata have none, so that they go on to mean what they were kept for; nor does the draw
// change what a seed without logs draws.
func (w *World) drawLogs(seed uint64) {
	if w.cfg.Plain || !w.cfg.Faults || w.cfg.Second || !hasLogs[seed%16] {
		return
	}
	switch w.rng.IntN(3) {
	case 0:
		w.cfg.Log = []wal.Mode{wal.Write}
	case 1:
		w.cfg.Log = []wal.Mode{wal.Fsync}
	case 2:
		w.cfg.Log = []wal.Mode{wal.Off, wal.Write, wal.Fsync}
	}
}

// hasLogs are three of sixteen: nothing cuts a log here, so a restart plays the whole of it,
// and such a cluster takes twice the CPU of one without.
var hasLogs = [16]bool{6: true, 8: true, 11: true}

// logMode is the mode of a node's log.
func (w *World) logMode() wal.Mode {
	switch n := len(w.cfg.Log); n {
	case 0:
		return wal.Off
	case 1:
		return w.cfg.Log[0]
	default:
		return w.cfg.Log[w.rng.IntN(n)]
	}
}

// chance is a source for the disk, which wants one of the older kind.
func (w *World) chance() *mrand.Rand { return mrand.New(mrand.NewSource(int64(w.rng.Uint64()))) }

// recover brings the data back that the log has, as a node does before it takes part in
// anything, and judges what came back (P15).
func (p *process) recover(r *multiraft.Restored) {
	d := &p.data
	d.log, d.writing, d.syncing, d.waits = nil, false, false, nil
	if d.mode == wal.Off {
		return
	}
	first := d.disk == nil
	switch {
	case first:
		d.disk = wal.NewMemory()
	case d.down:
		d.boots++
		d.disk = d.disk.PowerCut(p.w.chance())
	default:
		d.disk = d.disk.Kill(p.w.chance())
	}
	data := p.core.Data()
	cfg := wal.Config{FS: d.disk, Mode: d.mode, ID: [16]byte{byte(p.id)}, Boot: [16]byte{1, d.boots}, Shards: p.w.cfg.Shards, SegmentBytes: 64 << 10}
	im, err := p.loadImage(&cfg)
	if err != nil {
		p.w.broke("P15", "node %d cannot read its image: %v", p.id, err)
		return
	}
	rec, err := wal.Recover(cfg, restoring{p})
	if err != nil {
		p.w.broke("P15", "node %d cannot read its log: %v", p.id, err)
		return
	}
	p.judgeLog(&rec.Recovery, first)
	own := p.core.Self().Inc
	if rec.Intact {
		own = multiraft.Incarnation{Counter: binary.BigEndian.Uint64(rec.Life[:]), Nonce: binary.BigEndian.Uint64(rec.Life[8:])}
		p.w.acted["log came back"]++
	}
	var life [16]byte
	binary.BigEndian.PutUint64(life[:], own.Counter)
	binary.BigEndian.PutUint64(life[8:], own.Nonce)
	if d.log, err = rec.Begin(life); err != nil {
		p.w.broke("P15", "node %d cannot begin its log: %v", p.id, err)
		return
	}
	d.down = false
	d.disk.Before = func(string, string) error {
		if d.fails {
			return errDisk
		}
		return nil
	}
	for i := range r.Groups {
		data.Promised(r.Groups[i].Group, r.Groups[i].HardState.GetTerm())
	}
	data.SetLog(d.log, own)
	if rec.Intact {
		p.judgeCopies()
	}
	p.keepImage(im, cfg.From)
	data.Forces(func() { d.forced = true })
}

// wantsDisks says whether the next write at the process is to wait for disks.
func (p *process) wantsDisks() bool {
	if p.data.log == nil || p.w.rng.IntN(4) > 0 {
		return false
	}
	p.w.acted["waited for disks"]++
	return true
}

// judgeLog holds what came back of a log against what it had said: whatever was synced is
// there, and an intact one has all that it ever acknowledged.
func (p *process) judgeLog(rec *wal.Recovery, first bool) {
	d := &p.data
	p.w.note("node %d: its log of mode %v is back up to %d of %d acked and %d synced, intact %v %s", p.id, d.mode, rec.End, d.acked, d.synced, rec.Intact, rec.Why)
	switch {
	case first:
	case rec.End < d.synced || rec.Intact && rec.End < d.acked:
		p.w.broke("P15", "the log of node %d, in mode %v, ends at %d, and had acknowledged %d and synced %d (intact %v)", p.id, d.mode, rec.End, d.acked, d.synced, rec.Intact)
	case !rec.Intact && (d.mode == wal.Fsync || !d.down):
		p.w.broke("P15", "the log of node %d, in mode %v, is not intact after a crash that it outlives: %s", p.id, d.mode, rec.Why)
	}
	if rec.Torn != nil {
		p.w.acted["torn log"]++
	}
}

// judgeCopies holds the copies that came back against what the log was to bring back.
func (p *process) judgeCopies() {
	for _, was := range p.data.stood {
		r := p.core.Data().ReplicaOf(was.shard)
		if r == nil || p.data.image.damaged[uint16(was.shard)] {
			continue
		}
		id, _, _ := r.ComesBack(was.shard)
		if _, at, _, whole := r.CopyDigest(was.shard); id == was.copy && (!whole || at < was.at) {
			p.w.broke("P15", "the copy of shard %d at node %d comes back at %v, whole %v, and was logged at %v", was.shard, p.id, at, whole, was.at)
		}
	}
}

// noteCopies remembers what the log would bring back.
func (p *process) noteCopies() {
	d := &p.data
	d.stood = d.stood[:0]
	for id := range shardmap.ShardID(p.w.cfg.Shards) {
		if r := p.core.Data().ReplicaOf(id); r != nil {
			if copy, at, ok := r.ComesBack(id); ok {
				d.stood = append(d.stood, stood{id, copy, at})
			}
		}
	}
}

// restoring plays a log into a process. No frame that a copy wrote misfits it.
type restoring struct{ p *process }

// Frame implements wal.Visitor.
func (v restoring) Frame(f *wal.Frame) error {
	if err := v.p.core.Data().Restore(f); err != nil {
		v.p.w.broke("P15", "node %d, shard %d: %v: %s", v.p.id, f.Shard, err, shardgroup.DescribeFrame(f))
	}
	return nil
}

// Damaged implements wal.Visitor.
func (v restoring) Damaged(shard uint16) {
	v.p.data.image.damaged[shard] = true
	v.p.core.Data().Lost(shardmap.ShardID(shard))
}

// Progress implements wal.Visitor.
func (restoring) Progress(int64, int64) {}

// loseLog ends what the log was doing at a crash: a write that was under way may have
// reached the disk in part.
func (p *process) loseLog() {
	d := &p.data
	if d.log == nil {
		return
	}
	d.acked, d.synced = d.log.Acked(), d.log.Synced()
	p.noteCopies()
	p.loseImage()
	if d.torn || d.writing && p.w.rng.IntN(2) == 0 {
		d.disk.Before = func(change, _ string) error {
			if change == "write" {
				return errDisk
			}
			return nil
		}
		_, _ = d.log.Commit()
		p.w.acted["killed in a write"]++
	}
	d.disk.Before, d.log, d.waits, d.torn = nil, nil, nil, false
}

// writeLog begins to write what was appended, if anything was.
func (p *process) writeLog() {
	d := &p.data
	if d.log == nil || d.writing || d.log.Backlog() == 0 {
		if d.log != nil && d.forced && !d.writing {
			p.syncLog(0)
		}
		return
	}
	d.writing = true
	life := p.life
	p.w.after(20*time.Microsecond+time.Duration(p.w.rng.Int64N(int64(200*time.Microsecond))), func() {
		p.when(life, func() {
			d.writing = false
			_, err := d.log.Commit()
			p.told(err)
			if d.mode == wal.Fsync || d.forced {
				p.syncLog(0)
			} else {
				p.syncLog(time.Second)
			}
			p.writeLog()
		})
	})
}

// syncLog makes durable what was written, after a while and in the time that a disk takes.
func (p *process) syncLog(after time.Duration) {
	d, w := &p.data, p.w
	if d.log == nil || d.syncing && (after > 0 || !d.idle) || d.held || d.log.Synced() == d.log.Written() {
		return
	}
	d.syncing, d.forced, d.idle = true, false, after > 0
	after += p.diskTime()
	life := p.life
	w.after(after, func() {
		p.when(life, func() {
			d.syncing = false
			if !d.held {
				p.told(d.log.Sync())
				p.syncLog(after)
			}
		})
	})
}

// diskTime is how long the disk takes for an fsync: it is slow now and then, and stalls.
func (p *process) diskTime() time.Duration {
	w := p.w
	d := 200*time.Microsecond + time.Duration(w.rng.Int64N(int64(2*time.Millisecond)))
	if w.rng.IntN(200) == 0 {
		d += time.Duration(w.rng.Int64N(int64(60 * time.Millisecond)))
	}
	if p.drive.stall > 0 {
		d += time.Duration(w.rng.Int64N(int64(p.drive.stall)))
	}
	return d
}

// told passes on that more is logged, or that the log has ended.
func (p *process) told(err error) {
	d := &p.data
	if err != nil {
		if !p.drive.failed {
			p.drive.failed = true
			p.w.acted["log error"]++
			p.core.StorageFailed(err, p.clock())
			p.core.Flush(p.clock())
		}
		return
	}
	if p.core.Data().Logged() {
		p.core.Data().Pump(p.clock())
		p.core.Flush(p.clock())
	}
	for len(d.waits) > 0 && d.waits[0].upto <= d.log.Acked() {
		f := d.waits[0].f
		d.waits = d.waits[1:]
		f()
	}
}

// logged calls f when all that was appended so far is logged in the sense of the mode: at
// once without a log, never when the process ends before.
func (p *process) logged(f func()) {
	d := &p.data
	if d.log == nil || d.log.Acked() >= d.log.End() {
		f()
		return
	}
	d.waits = append(d.waits, logWait{d.log.End(), f})
	p.writeLog()
}
