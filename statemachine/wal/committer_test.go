package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// gate is a directory whose fsyncs wait until they are let through.
type gate struct {
	*Memory
	armed   atomic.Bool
	arrived chan struct{}
	pass    chan error
	syncs   atomic.Int64
}

func newGate() *gate {
	g := &gate{Memory: NewMemory(), arrived: make(chan struct{}), pass: make(chan error)}
	g.Before = func(change, _ string) error {
		if change != "sync" || !g.armed.Load() {
			return nil
		}
		g.syncs.Add(1)
		g.arrived <- struct{}{}
		return <-g.pass
	}
	return g
}

func openOn(t *testing.T, fs FS, mode Mode) *Log {
	t.Helper()
	l, _, err := open(Config{FS: fs, Mode: mode, ID: [16]byte{1}, Boot: [16]byte{1}, Shards: testShards}, (&story{}).reader())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func unexpected(t *testing.T) func(error) {
	return func(err error) { t.Errorf("the log failed: %v", err) }
}

// TestOneFsyncServesAllWhoWait lets fifty writers come while an fsync is under way: one
// more answers all of them, and none is answered before it.
func TestOneFsyncServesAllWhoWait(t *testing.T) {
	g := newGate()
	l := openOn(t, g, Fsync)
	moved := make(chan struct{}, 1)
	c := Run(l, func() { poke(moved) }, unexpected(t))
	g.armed.Store(true)
	first := l.Append(0, kindTest, 1, []byte("first"))
	c.Wake()
	<-g.arrived
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		end := l.Append(uint16(i%testShards), kindTest, uint64(i+2), []byte("many"))
		wg.Go(func() {
			if err := c.Wait(end, i%2 == 0); err != nil {
				t.Error(err)
			}
			answered.Add(1)
		})
	}
	if len(moved) > 0 {
		t.Error("what is written and not durable is told of")
	}
	if l.Synced() >= first || answered.Load() > 0 {
		t.Errorf("durable up to %d, %d answered while no fsync has ended", l.Synced(), answered.Load())
	}
	g.pass <- nil
	<-g.arrived
	if n := answered.Load(); n > 0 || l.Synced() != first {
		t.Errorf("%d were answered by an fsync that began before they wrote; durable up to %d of %d", n, l.Synced(), first)
	}
	if write, sync := c.Stalled(); write != 0 || sync <= 0 {
		t.Errorf("an fsync is under way: the write stalls for %v, the fsync for %v", write, sync)
	}
	g.pass <- nil
	wg.Wait()
	if n := g.syncs.Load(); n != 2 || answered.Load() != 50 {
		t.Errorf("%d fsyncs answered %d", n, answered.Load())
	}
	g.armed.Store(false)
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// TestOneWriteServesAllWhoWait: in mode write, fifty writers that come while a write is
// under way are answered by the next one, which one of them makes, and by no fsync.
func TestOneWriteServesAllWhoWait(t *testing.T) {
	m := NewMemory()
	l := openOn(t, m, Write)
	c := Run(l, func() {}, unexpected(t))
	arrived, pass := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	var writes, answered atomic.Int64
	m.Before = func(change, _ string) error {
		if change == "write" && armed.Load() {
			writes.Add(1)
			arrived <- struct{}{}
			<-pass
		}
		return nil
	}
	armed.Store(true)
	var wg sync.WaitGroup
	wait := func(end LSN) {
		wg.Go(func() {
			if err := c.Wait(end, false); err != nil || l.Written() < end {
				t.Errorf("answered with %d of %d written, %v", l.Written(), end, err)
			}
			answered.Add(1)
		})
	}
	wait(l.Append(0, kindTest, 1, []byte("first")))
	<-arrived
	for i := range 50 {
		wait(l.Append(uint16(i%testShards), kindTest, uint64(i+2), []byte("many")))
	}
	if n := answered.Load(); n > 0 {
		t.Errorf("%d were answered before anything was written", n)
	}
	pass <- struct{}{}
	<-arrived
	if n := answered.Load(); n > 1 {
		t.Errorf("%d were answered by a write that began before they appended", n)
	}
	pass <- struct{}{}
	wg.Wait()
	if n := writes.Load(); n != 2 || answered.Load() != 51 {
		t.Errorf("%d writes answered %d", n, answered.Load())
	}
	armed.Store(false)
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// TestAFailedFsyncIsTold fails the one fsync that all wait for.
func TestAFailedFsyncIsTold(t *testing.T) {
	g := newGate()
	l := openOn(t, g, Fsync)
	failed := make(chan error, 2)
	c := Run(l, func() {}, func(err error) { failed <- err })
	g.armed.Store(true)
	var wg sync.WaitGroup
	for range 5 {
		end := l.Append(0, kindTest, 1, []byte("x"))
		wg.Go(func() {
			if err := c.Wait(end, true); !errors.Is(err, errDisk) {
				t.Errorf("a write waits for an fsync that failed, and hears %v", err)
			}
		})
	}
	<-g.arrived
	g.pass <- errDisk
	wg.Wait()
	if err := <-failed; !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if err := c.Wait(l.Append(0, kindTest, 2, nil), false); !errors.Is(err, errDisk) {
		t.Errorf("a write after the failure hears %v", err)
	}
	if err := c.Stop(); !errors.Is(err, errDisk) || len(failed) > 0 || g.syncs.Load() != 1 {
		t.Errorf("stopped with %v after %d fsyncs, failed was told %d times more", err, g.syncs.Load(), len(failed))
	}
}

// TestModeWriteWaitsForNoFsync answers writes while an fsync hangs, and a +fsync when it ends.
func TestModeWriteWaitsForNoFsync(t *testing.T) {
	g := newGate()
	l := openOn(t, g, Write)
	c := Run(l, func() {}, unexpected(t))
	g.armed.Store(true)
	end := l.Append(0, kindTest, 1, []byte("forced"))
	durable := make(chan error, 1)
	go func() { durable <- c.Wait(end, true) }()
	<-g.arrived
	for i := range 20 {
		if err := c.Wait(l.Append(1, kindTest, uint64(i), []byte("x")), false); err != nil {
			t.Error(err)
		}
	}
	if l.Synced() >= end || len(durable) > 0 {
		t.Error("+fsync is answered while its fsync hangs")
	}
	g.armed.Store(false)
	g.pass <- nil
	if err := <-durable; err != nil || l.Durable(0) != 1 {
		t.Errorf("%v, durable %d", err, l.Durable(0))
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// tally counts the frames of each shard and wants each one's numbers in order.
type tally struct {
	t     *testing.T
	seen  [testShards]uint64
	bytes int64
}

func (v *tally) Frame(f *Frame) error {
	if n := binary.BigEndian.Uint64(f.Payload); n != v.seen[f.Shard] {
		v.t.Errorf("shard %d: frame %d comes where %d belongs", f.Shard, n, v.seen[f.Shard])
	}
	v.seen[f.Shard]++
	return nil
}
func (v *tally) Damaged(shard uint16)       { v.t.Errorf("shard %d is damaged", shard) }
func (v *tally) Progress(done, total int64) { v.bytes = done }

// TestOnARealDisk writes from several goroutines and reads everything back, after a stop
// and after a process that went without one.
func TestOnARealDisk(t *testing.T) {
	for _, mode := range []Mode{Write, Fsync} {
		d, err := OpenDisk(filepath.Join(t.TempDir(), "wal"))
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{FS: d, Mode: mode, ID: [16]byte{1}, Boot: Boot(), Shards: testShards, SegmentBytes: 32 << 10}
		l, rec, err := open(cfg, &tally{t: t})
		if err != nil || rec.Intact {
			t.Fatalf("%+v, %v", rec, err)
		}
		c := Run(l, func() {}, unexpected(t))
		var wg sync.WaitGroup
		for shard := range uint16(testShards) {
			wg.Go(func() {
				payload := make([]byte, 200)
				for i := range uint64(100) {
					binary.BigEndian.PutUint64(payload, i)
					end := l.Append(shard, kindTest, i, payload)
					if err := c.Wait(end, i%50 == 49); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		left := &tally{t: t}
		if rec, err := verify(cfg, left); err != nil || !rec.Intact || rec.Frames != 100*testShards || left.bytes < 100*testShards*200 {
			t.Errorf("%v: left without a stop: %+v, %v", mode, rec, err)
		}
		freed, err := l.DropBelow(l.Synced())
		if err != nil || freed < 64<<10 {
			t.Errorf("%v: %d bytes were freed, %v", mode, freed, err)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		sizes, err := d.List()
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, size := range sizes {
			sum += size
		}
		if l.Bytes() != sum {
			t.Errorf("%v: the log says that it takes %d bytes, its files %d", mode, l.Bytes(), sum)
		}
		cfg.From = l.Synced()
		cfg.Boot = [16]byte{99}
		l, rec, err = open(cfg, &tally{t: t})
		if err != nil || !rec.Intact || rec.Frames != 0 || rec.End != cfg.From {
			t.Fatalf("%v: after a stop and a reboot: %+v, %v", mode, rec, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestARemovalHoldsNobodyUp lets the removal of a segment stand still: writes go on, are
// made durable and answered meanwhile, and the segment is counted until it is gone.
func TestARemovalHoldsNobodyUp(t *testing.T) {
	for _, mode := range []Mode{Write, Fsync} {
		fs, arrived, pass := NewMemory(), make(chan struct{}), make(chan struct{})
		fs.Before = func(change, _ string) error {
			if change == "remove" {
				arrived <- struct{}{}
				<-pass
			}
			return nil
		}
		cfg := Config{FS: fs, Mode: mode, ID: [16]byte{1}, Boot: [16]byte{1}, Shards: testShards, SegmentBytes: 1 << 10}
		l, _, err := open(cfg, (&story{}).reader())
		if err != nil {
			t.Fatal(err)
		}
		c := Run(l, func() {}, unexpected(t))
		write := func() {
			if err := c.Wait(l.Append(0, kindTest, 1, make([]byte, 600)), true); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			write()
		}
		before := l.Bytes()
		dropped := make(chan int64)
		go func() {
			freed, err := l.DropBelow(l.Synced())
			if err != nil {
				t.Error(err)
			}
			dropped <- freed
		}()
		<-arrived
		for range 4 {
			write() // hangs if it has to wait for the removal
		}
		if l.Bytes() <= before {
			t.Errorf("%v: %d bytes while a segment is being removed, %d before", mode, l.Bytes(), before)
		}
		whole := l.Bytes()
		pass <- struct{}{}
		for freed := int64(-1); freed < 0; {
			select {
			case <-arrived:
				pass <- struct{}{}
			case freed = <-dropped:
				if freed == 0 || l.Bytes() != whole-freed {
					t.Errorf("%v: %d bytes of %d were freed, and %d are left", mode, freed, whole, l.Bytes())
				}
			}
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestCutKeepsWhatIsThere: bytes that are written once more are the same ones.
func TestCutKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDisk(filepath.Join(dir, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 2*rewriteStep+777)
	for i := range want {
		want[i] = byte(i % 251)
	}
	const size = 2*rewriteStep + 70
	for i, doubted := range []int64{0, 1, rewriteStep, size - 1, size, size + 5} {
		name := segmentName(uint64(i + 1))
		f, err := d.Create(name)
		if err == nil {
			_, err = f.Write(want)
		}
		if err == nil {
			err = errors.Join(f.Close(), d.Cut(name, size, doubted))
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Read(name, nil, 0); err != nil || !bytes.Equal(got, want[:size]) {
			t.Errorf("from %d on: %d bytes, %v", doubted, len(got), err)
		}
	}
}
