package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand"
	"slices"
	"testing"
)

const kindTest = KindFirst

// written is one frame that a test appended.
type written struct {
	at, end LSN
	shard   uint16
	payload []byte
}

// story is all that was appended to a log, and what was acknowledged of it.
type story struct {
	frames   []written
	from     LSN // what lies below is in an image
	inKernel LSN // acknowledged in the sense of write
	onDisk   LSN // and of fsync
}

// reader compares what a log gives back with the story of it.
type reader struct {
	*story
	next    int
	end     LSN
	damaged map[uint16]bool
	holes   map[uint16]bool // shards of which frames were left out
	wrong   error
}

func (s *story) reader() *reader {
	r := &reader{story: s, damaged: map[uint16]bool{}, holes: map[uint16]bool{}, end: s.from}
	for r.next < len(s.frames) && s.frames[r.next].at < s.from {
		r.next++
	}
	return r
}

func (r *reader) Frame(f *Frame) error {
	for r.next < len(r.frames) && r.frames[r.next].at < f.LSN {
		r.holes[r.frames[r.next].shard] = true
		r.next++
	}
	if r.next == len(r.frames) || r.frames[r.next].at != f.LSN {
		r.wrong = fmt.Errorf("a frame at %d that was never written", f.LSN)
		return r.wrong
	}
	w := r.frames[r.next]
	if w.shard != f.Shard || f.Kind != kindTest || !bytes.Equal(w.payload, f.Payload) {
		r.wrong = fmt.Errorf("the frame at %d is not what was written", f.LSN)
		return r.wrong
	}
	if r.holes[f.Shard] && !r.damaged[f.Shard] {
		r.wrong = fmt.Errorf("shard %d goes on at %d over a hole that nobody told of", f.Shard, f.LSN)
		return r.wrong
	}
	r.next++
	r.end = w.end
	return nil
}

func (r *reader) Damaged(shard uint16)       { r.damaged[shard] = true }
func (r *reader) Progress(done, total int64) {}

// run drives one log through a script with crashes.
type run struct {
	t      *testing.T
	r      *rand.Rand
	mode   Mode
	fs     *Memory
	log    *Log
	boot   byte
	life   byte
	story  story
	checks int
	// meanwhile says that writes go on while the fsync under way lasts.
	meanwhile bool
}

const testShards = 8

func verify(cfg Config, v Visitor) (Recovery, error) {
	r, err := Recover(cfg, v)
	if r == nil {
		return Recovery{}, err
	}
	return r.Recovery, err
}

func open(cfg Config, v Visitor) (*Log, Recovery, error) {
	r, err := Recover(cfg, v)
	if err != nil {
		return nil, Recovery{}, err
	}
	l, err := r.Begin([16]byte{})
	return l, r.Recovery, err
}

func (x *run) config(fs *Memory, boot byte) Config {
	return Config{
		FS: fs, Mode: x.mode, ID: [16]byte{1, 2, 3}, Boot: [16]byte{boot},
		Shards: testShards, SegmentBytes: 6 << 10, From: x.story.from,
	}
}

// note takes over what is acknowledged by now.
func (x *run) note() {
	if x.log != nil {
		x.story.inKernel = max(x.story.inKernel, x.log.Written())
		x.story.onDisk = max(x.story.onDisk, x.log.Synced())
	}
}

// acknowledged is what must come back.
func (x *run) acknowledged(powerCut bool) LSN {
	if x.mode == Write && !powerCut {
		return x.story.inKernel
	}
	return x.story.onDisk
}

// crash is called after every change of the directory: whatever a crash leaves there
// must be a prefix with all that was acknowledged.
func (x *run) crash(string) {
	x.note()
	x.check(x.fs.Kill(x.r), false)
	x.check(x.fs.PowerCut(x.r), true)
	x.check(x.fs.Kill(x.r).PowerCut(x.r), true)
}

func (x *run) check(fs *Memory, powerCut bool) {
	x.t.Helper()
	x.checks++
	boot := x.boot
	if powerCut {
		boot++
	}
	v := x.story.reader()
	rec, err := verify(x.config(fs, boot), v)
	if err != nil {
		x.t.Fatalf("check %d: %v (%v)", x.checks, err, v.wrong)
	}
	x.judge(rec, v, powerCut)
	if x.checks%5 == 0 { // and again after the log was mended
		x.twice(fs, boot, rec.End)
	}
}

func (x *run) judge(rec Recovery, v *reader, powerCut bool) {
	x.t.Helper()
	switch {
	case len(rec.Damages) > 0 || len(v.damaged) > 0:
		x.t.Fatalf("check %d: a crash is called damage: %v: %+v, from %d", x.checks, rec.Damages[0].Why, rec, x.story.from)
	case len(v.holes) > 0:
		x.t.Fatalf("check %d: there is a gap", x.checks)
	case v.end != max(rec.End, x.story.from):
		x.t.Fatalf("check %d: the log ends at %d and its frames at %d", x.checks, rec.End, v.end)
	case v.end < x.acknowledged(powerCut):
		x.t.Fatalf("check %d, power cut %v: %d came back, %d was acknowledged; torn %+v", x.checks, powerCut, v.end, x.acknowledged(powerCut), rec.Torn)
	case rec.Mode != Off && rec.Life[0]+1 < x.life:
		x.t.Fatalf("check %d: the log of life %d says that it is of life %d", x.checks, x.life, rec.Life[0])
	case rec.Intact && x.mode == Write && v.end < x.story.inKernel:
		x.t.Fatalf("check %d: called intact at %d, %d was acknowledged", x.checks, v.end, x.story.inKernel)
	case !rec.Intact && rec.Mode != Off && (x.mode == Fsync || !powerCut && x.log != nil):
		x.t.Fatalf("check %d: not intact: %s", x.checks, rec.Why)
	}
}

// twice opens a crashed log, and reads it once more.
func (x *run) twice(fs *Memory, boot byte, end LSN) {
	x.t.Helper()
	cfg := x.config(fs, boot)
	l, _, err := open(cfg, x.story.reader())
	if err != nil {
		x.t.Fatalf("check %d: open: %v", x.checks, err)
	}
	l.Append(3, kindTest, 1, []byte("after the crash"))
	if err := l.Close(); err != nil {
		x.t.Fatal(err)
	}
	late := story{from: x.story.from}
	for _, f := range x.story.frames {
		if f.end <= end {
			late.frames = append(late.frames, f)
		}
	}
	at := max(end, x.story.from)
	late.frames = append(late.frames, written{at, l.End(), 3, []byte("after the crash")})
	v := late.reader()
	rec, err := verify(cfg, v)
	if err != nil || rec.Torn != nil || len(rec.Damages) > 0 || !rec.Intact || v.end != l.End() {
		x.t.Fatalf("check %d: after a crash, a start and a stop: %+v, %v, %v; ends at %d, not %d", x.checks, rec, err, v.wrong, v.end, l.End())
	}
}

// start begins the log on what a crash has left.
func (x *run) start() {
	x.life++
	x.log = nil
	x.fs.After, x.fs.Before = x.crash, x.goOn
	v := x.story.reader()
	r, err := Recover(x.config(x.fs, x.boot), v)
	if err != nil {
		x.t.Fatal(err)
	}
	rec := r.Recovery
	l, err := r.Begin([16]byte{x.life})
	if err != nil {
		x.t.Fatal(err)
	}
	for n := len(x.story.frames); n > 0 && x.story.frames[n-1].end > max(rec.End, x.story.from); n-- {
		x.story.frames = x.story.frames[:n-1] // never acknowledged, and gone
	}
	x.log = l
}

// goOn writes in the middle of a Sync.
func (x *run) goOn(change, _ string) error {
	if !x.meanwhile || change != "sync" {
		return nil
	}
	x.meanwhile = false
	for range 1 + x.r.Intn(10) {
		x.append()
	}
	_, err := x.log.Commit()
	return err
}

func (x *run) append() {
	payload := make([]byte, x.r.Intn(120))
	x.r.Read(payload)
	if x.r.Intn(300) == 0 {
		payload = make([]byte, 9<<10) // more than a segment
	}
	w := written{at: x.log.End(), shard: uint16(x.r.Intn(testShards)), payload: payload}
	w.end = x.log.Append(w.shard, kindTest, uint64(len(x.story.frames)), payload)
	x.story.frames = append(x.story.frames, w)
}

func (x *run) step() {
	var err error
	switch n := x.r.Intn(100); {
	case n < 55:
		x.append()
	case n < 80:
		_, err = x.log.Commit()
	case n < 93:
		x.meanwhile = x.r.Intn(3) == 0
		err = x.log.Sync()
		x.meanwhile = false
	case n < 95:
		err = x.log.State()
	case n < 97: // an image was made of what is durable
		x.story.from = x.boundary(x.log.Synced())
		_, err = x.log.DropBelow(x.story.from)
	case n < 98:
		if err = x.log.Close(); err == nil {
			x.start()
		}
	case n < 99:
		x.fs = x.fs.Kill(x.r)
		x.start()
	default:
		x.fs = x.fs.PowerCut(x.r)
		x.boot++
		x.story.inKernel = x.story.onDisk
		x.start()
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.note()
}

// boundary is the last end of a frame that is not above an LSN.
func (x *run) boundary(at LSN) LSN {
	b := x.story.from
	for _, f := range x.story.frames {
		if f.end <= at {
			b = f.end
		}
	}
	return b
}

// TestCrashAnywhere is the crash enumeration: after every change of a scripted run of
// more than 2,000 operations the process is killed and the power is cut. Each seed found a
// mistake: 4 removed the only segment whose name was durable, 5 began a segment that called
// durable what was in one whose name was not, 159 one whose last mark was not durable.
func TestCrashAnywhere(t *testing.T) {
	for _, mode := range []Mode{Write, Fsync} {
		for _, seed := range []int64{4, 5, 159} {
			t.Run(fmt.Sprintf("%v/%d", mode, seed), func(t *testing.T) {
				x := &run{t: t, r: rand.New(rand.NewSource(seed)), mode: mode, fs: NewMemory(), boot: 1}
				x.start()
				for range 2500 {
					x.step()
				}
				if x.checks < 2000 || len(x.story.frames) < 1000 {
					t.Errorf("only %d recoveries of %d frames", x.checks, len(x.story.frames))
				}
			})
		}
	}
}

// flood is a log with some segments, cleanly closed or just left.
func flood(t *testing.T, mode Mode, closed bool) *run {
	t.Helper()
	x := &run{t: t, r: rand.New(rand.NewSource(7)), mode: mode, fs: NewMemory(), boot: 1}
	l, _, err := open(x.config(x.fs, 1), x.story.reader())
	if err != nil {
		t.Fatal(err)
	}
	x.log = l
	for i := range 300 {
		x.append()
		if i%7 == 0 {
			if _, err := l.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 == 0 {
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if closed {
		err = l.Close()
	} else {
		_, err = l.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestEveryFlippedBitIsDetected damages one bit of a closed log at a time: the log says
// so, and gives nothing back over the hole of a shard that it does not name.
func TestEveryFlippedBitIsDetected(t *testing.T) {
	x := flood(t, Fsync, true)
	files, _ := x.fs.List()
	flips, exact, named := 0, 0, 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		size := files[name]
		for bit := int64(x.r.Intn(97)); bit < size*8; bit += 97 {
			x.fs.Flip(name, bit)
			v := x.story.reader()
			rec, err := verify(x.config(x.fs, byte(1+x.r.Intn(2))), v)
			x.fs.Flip(name, bit)
			flips++
			if v.wrong != nil {
				t.Fatalf("%s, bit %d: %v", name, bit, v.wrong)
			}
			if err == nil && len(rec.Damages) == 0 && rec.Torn == nil {
				t.Fatalf("%s, bit %d: nothing was noticed", name, bit)
			}
			if err == nil && rec.Torn != nil && v.end != x.log.End() {
				t.Fatalf("%s, bit %d: %d bytes that were durable are called torn: %+v", name, bit, x.log.End()-v.end, rec.Torn)
			}
			for ; v.next < len(v.frames); v.next++ {
				v.holes[v.frames[v.next].shard] = true
			}
			for shard := range v.holes {
				if !v.damaged[shard] {
					t.Fatalf("%s, bit %d: shard %d lost frames and is not named: %+v", name, bit, shard, rec)
				}
			}
			if len(v.damaged) > 0 {
				named++
				if len(v.damaged) == 1 {
					exact++
				}
			}
		}
	}
	if flips < 2000 || exact*10 < named*6 {
		t.Errorf("%d flips, %d named shards, %d of them a single one", flips, named, exact)
	}
}

// TestDamageStaysKnown opens a damaged log: a later start names the same shards again,
// because what they lost is still lost.
func TestDamageStaysKnown(t *testing.T) {
	for bit := int64(segmentHead+frameHead+100) * 8; bit < 5000*8; bit += 1013 {
		x := flood(t, Fsync, false)
		if err := x.log.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := x.log.State(); err != nil {
			t.Fatal(err)
		}
		files, _ := x.fs.List()
		name := segmentName(uint64(1 + x.r.Intn(len(files))))
		x.fs.Flip(name, bit%(files[name]*8))
		first := x.story.reader()
		l, rec, err := open(x.config(x.fs, 1), first)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Torn != nil || len(rec.Damages) == 0 {
			t.Fatalf("%s, bit %d: %+v", name, bit, rec)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		again := x.story.reader()
		if rec, err = verify(x.config(x.fs, 2), again); err != nil || fmt.Sprint(again.damaged) != fmt.Sprint(first.damaged) {
			t.Fatalf("%s, bit %d: %v, %v; named %v first, then %v", name, bit, err, rec, first.damaged, again.damaged)
		}
	}
}

// TestASegmentIsMissing removes whole files.
func TestASegmentIsMissing(t *testing.T) {
	x := flood(t, Fsync, true)
	files, _ := x.fs.List()
	for n := uint64(1); n < uint64(len(files)); n++ {
		fs := x.fs.Kill(x.r)
		if err := fs.Remove(segmentName(n)); err != nil {
			t.Fatal(err)
		}
		v := x.story.reader()
		rec, err := verify(x.config(fs, 1), v)
		if err != nil || v.wrong != nil || len(rec.Damages) == 0 || len(v.damaged) == 0 {
			t.Errorf("segment %d is missing: %+v, %v, %v", n, rec, err, v.wrong)
		}
	}
}

// TestRefusals are logs that are not opened at all.
func TestRefusals(t *testing.T) {
	x := flood(t, Fsync, true)
	cfg := x.config(x.fs, 1)
	cfg.ID[0]++
	if _, _, err := open(cfg, x.story.reader()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("another node")) {
		t.Errorf("the log of another node: %v", err)
	}
	cfg = x.config(x.fs, 1)
	cfg.Shards *= 2
	if _, _, err := open(cfg, x.story.reader()); err == nil {
		t.Error("a log of other shards was opened")
	}
	b := x.fs.files[segmentName(1)].data
	binary.BigEndian.PutUint16(b[8:], segmentFormat+1)
	h := b[:segmentHead-4]
	binary.BigEndian.PutUint32(b[segmentHead-4:], crc32.Checksum(h, castagnoli))
	if _, _, err := open(x.config(x.fs, 1), x.story.reader()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("newer")) {
		t.Errorf("a log of a newer format: %v", err)
	}
}
