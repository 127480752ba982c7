package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

func (w *World) crashFor(p *process, d time.Duration) {
	if !p.up {
		return
	}
	w.fault("crash", "node %d for %v", p.id, d)
	p.crash()
	w.startIn(p, d)
}

// startIn starts a process that is down, now and then on a machine that was
// started anew as well.
func (w *World) startIn(p *process, d time.Duration) {
	life := p.life
	w.lift(d, func() {
		if p.up || p.life != life || p.gone {
			return
		}
		if !w.cfg.Plain && w.rng.IntN(4) == 0 {
			w.acted["reboot"]++
			p.clocks.reboot(w.now)
			p.data.down = true
		}
		w.note("node %d starts", p.id)
		p.start()
	})
}

// crashAll ends every process at once.
func crashAll(w *World, _, _ *process) {
	w.fault("crash of all", "%d nodes", len(w.nodes))
	for _, p := range w.members() {
		if p.up {
			p.crash()
			w.startIn(p, w.span(time.Millisecond, 3*time.Second))
		}
	}
}

// cutPower takes some machines or all down at once, and all that no disk had.
func cutPower(w *World, _, _ *process) {
	w.fault("power cut", "%d nodes", len(w.nodes))
	for _, p := range w.members() {
		if p.up && w.rng.IntN(4) > 0 {
			p.data.down = true
			p.crash()
			w.startIn(p, w.span(time.Millisecond, 3*time.Second))
		}
	}
}

// restartStorm ends one process after the other, faster than they recover.
func restartStorm(w *World, _, _ *process) {
	w.fault("restart storm", "%d nodes", len(w.nodes))
	at := time.Duration(0)
	for _, p := range w.members() {
		at += w.span(10*time.Millisecond, time.Second)
		w.lift(at, func() {
			if p.up {
				p.crash()
				w.startIn(p, w.span(time.Millisecond, 500*time.Millisecond))
			}
		})
	}
}

func (w *World) pause(p *process, d time.Duration) {
	if p.up {
		w.fault("pause", "node %d for %v", p.id, d)
		p.paused = w.now + d
	}
}

// suspend lets a machine sleep: its process is stopped, MONOTONIC stands still and
// BOOTTIME goes on, and what is sent to it by UDP is lost.
func suspend(w *World, p, _ *process) {
	if p.up && !p.clocks.asleep {
		w.sleep(p, w.span(time.Millisecond, 3*time.Second))
	}
}

func (w *World) sleep(p *process, d time.Duration) {
	w.fault("suspend", "node %d for %v", p.id, d)
	p.clocks.fold(w.now)
	p.clocks.asleep = true
	p.paused = max(p.paused, w.now+d)
	w.after(d, func() {
		p.clocks.fold(w.now)
		p.clocks.asleep = false
	})
}

// clockRate gives a machine's clocks another rate, within what the protocol allows.
func clockRate(w *World, p, _ *process) {
	w.fault("clock rate", "node %d", p.id)
	p.clocks.fold(w.now)
	p.clocks.rate = w.rate()
}

// rate draws the rate of a machine's clocks; both ends of what is allowed are
// drawn often.
func (w *World) rate() float64 {
	switch w.rng.IntN(4) {
	case 0:
		return 1 + rateError
	case 1:
		return 1 - rateError
	}
	return 1 + (w.rng.Float64()*2-1)*rateError
}

// clockSlew lets a time daemon slew a machine's MONOTONIC for a while.
func clockSlew(w *World, p, _ *process) {
	w.fault("clock slew", "node %d", p.id)
	p.clocks.fold(w.now)
	p.clocks.slew = 1 + (w.rng.Float64()*2-1)*slewMax
	w.lift(w.span(time.Second, 10*time.Second), func() {
		p.clocks.fold(w.now)
		p.clocks.slew = 1
	})
}

// wildRate lets a machine's clocks run at half or twice their speed, and MONOTONIC
// away from the raw one.
func wildRate(w *World, p, _ *process) {
	w.fault("wild rate", "node %d", p.id)
	p.clocks.fold(w.now)
	p.clocks.rate, p.clocks.slew = 0.5+1.5*w.rng.Float64(), 0.5+w.rng.Float64()
}

// wildJump moves a machine's clocks forward, each for itself. They never go back:
// not even a broken kernel lets MONOTONIC do that.
func wildJump(w *World, p, _ *process) {
	w.fault("wild jump", "node %d", p.id)
	p.clocks.fold(w.now)
	p.clocks.raw += w.span(0, 5*time.Second)
	p.clocks.mono += w.span(0, 5*time.Second)
}

// drive is what a node's disk is doing. As the host of a core does it, all batches
// that wait are written at once, in one transaction.
type drive struct {
	pending []*multiraft.Batch
	writing int           // so many of them, the first ones, are being written
	stall   time.Duration // how much longer than usual a write may take
	failed  bool          // a write of this life failed
}

var errDisk = errors.New("input/output error")

// failDisk lets a disk refuse to write for a while; the process ends with the
// first batch that it wants saved.
func failDisk(w *World, p, _ *process) {
	w.fault("failing disk", "node %d", p.id)
	p.failDisk(errDisk)
	w.lift(w.span(200*time.Millisecond, 3*time.Second), func() { p.failDisk(nil) })
}

func (p *process) failDisk(err error) {
	p.disk.Fail(err)
	p.data.fails = err != nil
}

// stallDisk makes a disk slow for a while.
func stallDisk(w *World, p, _ *process) {
	w.fault("stalled disk", "node %d", p.id)
	p.drive.stall = w.span(50*time.Millisecond, time.Second)
	w.lift(w.span(time.Second, 4*time.Second), func() { p.drive.stall = 0 })
}

// Append implements node.CoreOut.
func (p *process) Append(b *multiraft.Batch) {
	p.drive.pending = append(p.drive.pending, b)
	if p.drive.writing == 0 {
		p.write()
	}
}

// write begins to write what is pending; the disk takes its time.
func (p *process) write() {
	w, d, life := p.w, &p.drive, p.life
	delay := 200*time.Microsecond + time.Duration(w.rng.Int64N(int64(2*time.Millisecond)))
	if w.rng.IntN(200) == 0 {
		delay += time.Duration(w.rng.Int64N(int64(60 * time.Millisecond)))
		w.acted["slow disk"]++
	}
	if d.stall > 0 {
		delay += time.Duration(w.rng.Int64N(int64(d.stall)))
	}
	d.writing = len(d.pending)
	w.after(delay, func() {
		if p.up && p.life == life {
			p.written()
		}
	})
}

// written ends a write. An error is told once: after it a host saves nothing more.
func (p *process) written() {
	d, life := &p.drive, p.life
	done := slices.Clone(d.pending[:d.writing])
	for _, b := range done {
		if err := p.disk.Save(b); err != nil {
			d.failed = true
			p.w.acted["disk error"]++
			p.when(life, func() { p.core.StorageFailed(err, p.clock()); p.flush() })
			return
		}
	}
	d.pending = slices.Delete(d.pending, 0, d.writing)
	if d.writing = 0; len(d.pending) > 0 {
		p.write()
	}
	p.when(life, func() {
		for _, b := range done {
			p.core.Appended(b, p.clock())
		}
		p.flush()
	})
}

// lose ends what the disk was doing at a crash: what was being written may have
// reached it or not, all of it.
func (d *drive) lose(p *process) {
	if d.writing > 0 && !d.failed && p.w.rng.IntN(2) == 0 {
		p.w.acted["kept by the disk"]++
		for _, b := range d.pending[:d.writing] {
			if p.disk.Save(b) != nil {
				break
			}
		}
	}
	clear(d.pending)
	d.pending, d.writing, d.failed = d.pending[:0], 0, false
}

// stop ends a process whose storage failed, and lets a supervisor start it again.
func (p *process) stop() {
	life := p.life
	p.w.after(0, func() {
		if p.up && p.life == life {
			p.crash()
			p.w.startIn(p, p.w.span(100*time.Millisecond, 4*time.Second))
		}
	})
}
