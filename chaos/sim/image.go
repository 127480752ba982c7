package sim

import (
	"errors"
	"iter"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// dataImage is the image of a process: the pass of a real node over a disk in memory, in
// simulated time. A crash comes between any two of its steps, and before or after any
// transaction of the file.
type dataImage struct {
	disk    *image.Memory // nil = none was made yet
	saver   *node.Saver   // nil while the process is down
	end     func()        // of the pass under way
	damaged map[uint16]bool
	before  func(change string) // a script's, when a change is about to be made
}

const (
	imageName = "image"
	// imageEvery is the longest time between two passes. Real nodes take minutes; here the
	// log of a minute is what a restart plays in the time of three simulated seconds.
	imageEvery = 12 * time.Second
)

var errDead = errors.New("the process is dead")

// loadImage brings back what the image holds, and says where the log goes on.
func (p *process) loadImage(cfg *wal.Config) (*image.Image, error) {
	d := &p.data.image
	if d.disk == nil {
		d.disk = image.NewMemory()
	}
	im, err := image.Open(image.Config{Path: imageName, ID: cfg.ID, Shards: cfg.Shards, Disk: d.disk})
	if err != nil {
		return nil, err
	}
	from, err := im.From()
	if err != nil {
		return nil, err
	}
	cfg.From, cfg.Durable = wal.LSN(from), wal.LSN(im.UpTo())
	d.damaged = map[uint16]bool{}
	for id := range uint16(cfg.Shards) {
		to := p.core.Data().Loading(shardmap.ShardID(id))
		if to == nil {
			continue
		}
		if err := im.Load(id, to); err != nil {
			p.w.note("node %d: %v", p.id, err)
			p.core.Data().Lost(shardmap.ShardID(id))
			d.damaged[id] = errors.Is(err, image.ErrDamaged)
		}
	}
	return im, nil
}

// keepImage begins to save the copies of the process, now and then.
func (p *process) keepImage(im *image.Image, from wal.LSN) {
	d := &p.data
	d.image.saver = &node.Saver{
		Data: p.core.Data(), Log: d.log, Image: im, Shards: p.w.cfg.Shards, RingBytes: p.w.cfg.RingBytes / 8, From: from, End: from,
	}
	p.saveLater()
}

func (p *process) saveLater() {
	life := p.life
	p.w.after(p.w.span(100*time.Millisecond, imageEvery), func() { p.when(life, p.saveImage) })
}

// saveImage begins a pass. It waits in simulated time, as often as the disk lets it wait.
func (p *process) saveImage() {
	d := &p.data.image
	if d.saver == nil || d.end != nil {
		return
	}
	life := p.life
	next, end := iter.Pull(func(wait func(time.Duration) bool) { p.pass(&saving{p: p, yield: wait}) })
	d.end = end
	var step func()
	step = func() {
		if wait, more := next(); more {
			p.w.after(wait, func() { p.when(life, step) })
			return
		}
		d.end = nil
		p.flush()
		p.saveLater()
	}
	step()
}

// loseImage ends a pass at a crash.
func (p *process) loseImage() {
	d := &p.data.image
	if d.end != nil {
		p.w.acted["killed while it saved"]++
		d.end()
	}
	d.end, d.saver, d.before = nil, nil, nil
}

// endPasses leaves no pass behind when a run is over.
func (w *World) endPasses() {
	for _, p := range w.nodes {
		if end := p.data.image.end; end != nil {
			end()
		}
	}
}

// saving is a pass under way.
type saving struct {
	p     *process
	yield func(time.Duration) bool
	dead  bool
}

// wait lets time pass; the process may be gone when it ends.
func (s *saving) wait(d time.Duration) error {
	if s.dead = s.dead || !s.yield(d); s.dead {
		return errDead
	}
	return nil
}

func (p *process) pass(s *saving) {
	d := &p.data
	sv, disk := d.image.saver, d.image.disk
	disk.Before, disk.After = s.beforeChange, s.afterChange
	counts, err := sv.Save(node.Pass{
		Hooks: image.Hooks{Durable: s.durable, Pause: s.pause},
		Dead: func() error {
			if s.dead {
				return errDead
			}
			return nil
		},
		Now:  func() multiraft.Instant { return p.clock() },
		Wall: func() int64 { return p.clock().Wall },
	})
	if err == nil {
		err = sv.Note()
	}
	disk.Before, disk.After = nil, nil
	switch {
	case s.dead:
	case err != nil:
		p.w.acted["image error"]++
		p.w.note("node %d could not save: %v", p.id, err)
	default:
		p.w.acted["saved"]++
		p.w.note("node %d saved %+v; its log begins at %d of %d", p.id, counts, sv.From, d.log.End())
	}
}

// pause lets something happen between two pieces of a pass, now and then.
func (s *saving) pause() {
	if !s.dead && s.p.w.rng.IntN(8) == 0 {
		_ = s.wait(s.p.w.span(0, 20*time.Millisecond))
	}
}

// durable waits until the log is on the disk up to an LSN.
func (s *saving) durable(lsn uint64) error {
	d := &s.p.data
	for !s.dead && d.log.Synced() < wal.LSN(lsn) {
		if err := d.log.Err(); err != nil {
			return err
		}
		d.forced = true
		s.p.writeLog()
		if err := s.wait(5 * time.Millisecond); err != nil {
			return err
		}
	}
	if s.dead {
		return errDead
	}
	return nil
}

// beforeChange lets a change of the file take its time; it may be refused.
func (s *saving) beforeChange(change string) error {
	if s.dead {
		return errDead
	}
	if f := s.p.data.image.before; f != nil {
		f(change)
	}
	if err := s.wait(s.p.diskTime()); err != nil {
		return err
	}
	return s.refusal()
}

// afterChange comes when a change is on the disk, and its writer does not know yet.
func (s *saving) afterChange(string) error {
	if err := s.wait(s.p.diskTime()); err != nil {
		return err
	}
	return s.refusal()
}

// refusal is the error of a disk that fails, or of the one file alone, now and then.
func (s *saving) refusal() error {
	if s.p.data.fails || !s.p.w.healed && s.p.w.cfg.Faults && s.p.w.rng.IntN(150) == 0 {
		return errDisk
	}
	return nil
}

// rotImage ends a process; when it comes back, a bit of its image has flipped.
func rotImage(w *World, p, _ *process) {
	if !p.up || p.data.image.disk == nil {
		return
	}
	w.crashFor(p, w.span(100*time.Millisecond, 4*time.Second))
	hit := w.rng.IntN(3 * w.cfg.Shards)
	flipped := p.data.image.disk.Flip(imageName, func(_ uint16, b []byte) int {
		if hit--; hit != 0 || len(b) == 0 {
			return -1
		}
		return w.rng.IntN(len(b))
	})
	if flipped > 0 {
		w.fault("rotten image", "node %d", p.id)
	}
}
