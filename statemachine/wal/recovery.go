package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// Place is a byte in the log's files.
type Place struct {
	Segment uint64
	Offset  int64 // in its file
}

// String is "segment S, byte O", the segment as in its file's name.
func (p Place) String() string { return fmt.Sprintf("segment %016x, byte %d", p.Segment, p.Offset) }

// Tear is the end of a log that a crash left unfinished. What lies behind it was never
// durable, and opening the log removes it.
type Tear struct {
	Place
	Bytes int64 // behind it, in all segments
}

// Damage is a place of the log that was durable and cannot be read any more.
type Damage struct {
	Place
	Why    string
	Shards []uint16 // that lost frames by it; nil when no frame was lost
}

// Recovery is what a log held.
type Recovery struct {
	Segments int
	Bytes    int64
	Frames   uint64 // of the user, those below Config.From left out
	End      LSN
	Mode     Mode     // in which it was last written, Off when there is no log
	Life     [16]byte // given to Begin by who wrote it last
	Torn     *Tear
	Damages  []Damage
	// Intact says that all that was ever acknowledged out of this log has come back, but
	// for the shards that Damaged named. Why says why not.
	Intact bool
	Why    string
}

// scan reads the segments of a log one after the other.
type scan struct {
	cfg *Config
	v   Visitor
	rec Recovery

	files  map[string]int64
	segs   []uint64 // to be read, rising
	older  []extent // not to be read
	heads  []extent // of those that were read
	lsn    LSN
	chain  uint32
	counts []uint64 // frames of each shard
	known  bool     // counts say so
	untold bool     // bytes were lost, and whose is not known yet
	stated LSN      // up to here the log was durable
	last   head     // of the last segment that has one
	closed bool     // the last frame is an end
	stop   bool     // behind a tear
	table  []uint64
}

// extent is a segment and the frames in it.
type extent struct {
	number     uint64
	first, end LSN
	bytes      int64 // that are good
}

func (s *scan) run() error {
	s.lsn, s.stated = s.cfg.From, s.cfg.Durable
	if err := s.choose(); err != nil {
		return err
	}
	var b []byte
	var total int64
	for _, n := range s.segs {
		total += s.files[segmentName(n)]
	}
	for i, n := range s.segs {
		var err error
		if b, err = s.cfg.FS.Read(segmentName(n), b[:0], 0); err != nil {
			return err
		}
		if err := s.segment(i, b); err != nil {
			return fmt.Errorf("%s: %w", segmentName(n), err)
		}
		if s.stop {
			break
		}
		s.rec.Segments++
		s.rec.Bytes += int64(len(b))
		s.v.Progress(s.rec.Bytes, total)
	}
	if s.untold {
		s.blame(s.everyone())
		for id := range s.counts { // no later table may agree with what is here: it must be told again
			s.counts[id]++
		}
	}
	s.judge()
	return nil
}

// choose finds the segments to read: from the last one on that begins at or below From.
func (s *scan) choose() (err error) {
	if s.files, err = s.cfg.FS.List(); err != nil {
		return err
	}
	for name := range s.files {
		if n, ok := segmentNumber(name); ok {
			s.segs = append(s.segs, n)
		}
	}
	slices.Sort(s.segs)
	for i := len(s.segs) - 1; i > 0; i-- {
		b, err := s.cfg.FS.Read(segmentName(s.segs[i]), nil, segmentHead)
		if err != nil {
			return err
		}
		if h, err := decodeHead(b); err == nil && h.first <= s.cfg.From {
			for _, n := range s.segs[:i] {
				s.older = append(s.older, extent{number: n, end: h.first, bytes: s.files[segmentName(n)]})
			}
			s.segs = s.segs[i:]
			break
		}
	}
	return nil
}

// segment reads one segment.
func (s *scan) segment(i int, b []byte) error {
	n := s.segs[i]
	h, err := decodeHead(b)
	switch {
	case errors.Is(err, ErrNewer):
		return err
	case err != nil:
		return s.headless(i, b)
	case h.id != s.cfg.ID || h.shards != uint32(s.cfg.Shards):
		return fmt.Errorf("%w: it has %d shards and the id %x", ErrForeign, h.shards, h.id)
	case i == 0 && h.first > s.cfg.From:
		s.damage(Place{n, 0}, "the log before it is missing", s.everyone()) // no crash does that: see DropBelow
	case i == 0:
	case !s.untold && (n != s.segs[i-1]+1 || h.seed != s.chain):
		if s.torn(i, b, 0, frameBadHead) {
			s.tear(i, 0)
			return nil
		}
		s.damage(Place{n, 0}, "it does not follow the segment before it", nil)
		s.untold = true
	}
	s.lsn, s.chain, s.last, s.closed = h.first, h.seed, h, false
	s.stated = max(s.stated, h.synced)
	s.heads = append(s.heads, extent{number: n, first: h.first})
	good, err := s.frames(i, b)
	e := &s.heads[len(s.heads)-1]
	e.end, e.bytes = s.lsn, good
	return err
}

// headless deals with a segment whose head cannot be read.
func (s *scan) headless(i int, b []byte) error {
	sound := frameBadHead
	if len(b) < segmentHead {
		sound = frameShort
	}
	if s.torn(i, b, 0, sound) {
		s.tear(i, 0)
		return nil
	}
	s.damage(Place{s.segs[i], 0}, errHead.Error(), nil)
	s.untold = true
	s.lsn += LSN(len(b))
	s.heads = append(s.heads, extent{number: s.segs[i], first: s.lsn, end: s.lsn, bytes: int64(len(b))})
	return nil
}

// frames reads the frames of a segment and says how many of its bytes are kept.
func (s *scan) frames(i int, b []byte) (int64, error) {
	for off := segmentHead; off < len(b); {
		f, sound := decodeFrame(b[off:], s.chain)
		if mutant.Enabled {
			sound = misjudged(&f, b[off:], sound)
		}
		if sound != frameGood {
			if s.torn(i, b, off, sound) {
				s.tear(i, off)
				return int64(off), nil
			}
			if !s.step(b[off:], &f, sound, Place{s.segs[i], int64(off)}) {
				s.lsn += LSN(len(b) - off) // no less than what stood there
				return int64(len(b)), nil
			}
		} else if err := s.take(&f); err != nil {
			return int64(off), err
		}
		off += f.size
	}
	return int64(len(b)), nil
}

// take brings a good frame where it belongs.
func (s *scan) take(f *frame) error {
	s.chain, s.closed = f.sum, false
	switch f.kind {
	case kindMark, kindEnd:
		if m, ok := decodeMark(f.payload, s.cfg.ID); ok {
			s.stated = max(s.stated, m.synced)
			s.closed = f.kind == kindEnd
		}
		return nil
	case kindTable:
		s.settle(f.payload)
		return nil
	}
	at := s.lsn
	s.lsn += LSN(f.size)
	if f.kind < KindFirst || int(f.shard) >= len(s.counts) {
		return fmt.Errorf("a frame of kind %d and shard %d, which no log of %d shards has", f.kind, f.shard, len(s.counts))
	}
	s.counts[f.shard]++
	if at < s.cfg.From {
		return nil
	}
	s.rec.Frames++
	return s.v.Frame(&Frame{LSN: at, Kind: f.kind, Shard: f.shard, Payload: f.payload})
}

// step goes over a damaged frame whose shard and end are known; false when the bytes up
// to the end of the segment are lost, and whose they were only a table can tell.
func (s *scan) step(b []byte, f *frame, sound soundness, at Place) bool {
	chain, ok := f.sum, sound == frameBadBody
	if rest := b[min(f.size, len(b)):]; ok && len(rest) > 0 {
		if chain, ok = follows(rest, f.sum); !ok {
			chain, ok = follows(rest, f.computed)
		}
	}
	if !ok {
		s.damage(at, "what stands there is no frame", nil)
		s.untold = true
		return false
	}
	s.chain, s.closed = chain, false
	if f.kind < KindFirst {
		s.damage(at, "a frame of the log itself fails its checksum", nil)
		return true
	}
	s.lsn += LSN(f.size)
	lost := []uint16(nil)
	if int(f.shard) < len(s.counts) && s.lsn > s.cfg.From {
		lost = []uint16{f.shard}
	}
	s.damage(at, "a frame fails its checksum", lost)
	if lost != nil {
		s.counts[f.shard]++
	}
	return true
}

// follows says whether a frame with a head that fits the chain begins b.
func follows(b []byte, chain uint32) (uint32, bool) {
	f, sound := decodeFrame(b, chain)
	return chain, sound != frameBadHead && f.size > 0
}

// settle compares a table with what was read.
func (s *scan) settle(payload []byte) {
	if s.table == nil {
		s.table = make([]uint64, len(s.counts))
	}
	if !decodeTable(payload, s.table) {
		return
	}
	if s.untold {
		lost := s.everyone()
		if s.known {
			lost = slices.DeleteFunc(lost, func(id uint16) bool { return s.counts[id] == s.table[id] })
		}
		s.blame(lost)
	}
	s.known, s.untold = true, false
	copy(s.counts, s.table)
}

// torn says whether a frame that cannot be read was never durable. Below what was stated
// to be durable it was. Above, the kernel may have written anything in any order if the
// machine went down since; otherwise the file ends where the last write ended.
func (s *scan) torn(i int, b []byte, off int, sound soundness) bool {
	if s.lsn < max(s.stated, s.statedBehind(i, b, off)) {
		return false
	}
	if s.rebooted() {
		return true
	}
	return sound == frameShort && i == len(s.segs)-1
}

// misjudged seeds M15, which plays a frame that fails its checksum, and M16, which plays
// one that was not written to its end.
func misjudged(f *frame, b []byte, sound soundness) soundness {
	switch {
	case sound == frameBadBody && mutant.Is("M15"):
		return frameGood
	case sound == frameShort && f.size > 0 && mutant.Is("M16"):
		f.payload, f.size = b[frameHead:], len(b)
		return frameGood
	}
	return sound
}

// rebooted says whether the machine went down since the last head was written. A kernel
// without an id may be any.
func (s *scan) rebooted() bool {
	return s.last.mode != Off && (s.last.boot != s.cfg.Boot || s.cfg.Boot == [16]byte{})
}

// statedBehind looks for statements of what was durable behind a place of segment i.
func (s *scan) statedBehind(i int, b []byte, off int) LSN {
	stated := findMarks(b, int64(off), s.cfg.ID, s.segs[i])
	if h, err := decodeHead(b); err == nil {
		stated = max(stated, h.synced)
	}
	for _, n := range s.segs[i+1:] {
		b, err := s.cfg.FS.Read(segmentName(n), nil, 0)
		if err != nil {
			continue
		}
		if h, err := decodeHead(b); err == nil {
			stated = max(stated, h.synced)
		}
		stated = max(stated, findMarks(b, 0, s.cfg.ID, n))
	}
	return stated
}

// tear ends the log at an offset of segment i.
func (s *scan) tear(i, off int) {
	t := &Tear{Place: Place{s.segs[i], int64(off)}, Bytes: -int64(off)}
	for _, n := range s.segs[i:] {
		t.Bytes += s.files[segmentName(n)]
	}
	s.rec.Torn, s.stop = t, true
}

// damage takes note of a place that cannot be read.
func (s *scan) damage(at Place, why string, shards []uint16) {
	s.rec.Damages = append(s.rec.Damages, Damage{Place: at, Why: why})
	s.blame(shards)
}

// blame says which shards lost frames by the last damage.
func (s *scan) blame(shards []uint16) {
	if len(shards) == 0 {
		return
	}
	d := &s.rec.Damages[len(s.rec.Damages)-1]
	d.Shards = append(d.Shards, shards...)
	for _, id := range shards {
		s.v.Damaged(id)
	}
}

func (s *scan) everyone() []uint16 {
	all := make([]uint16, s.cfg.Shards)
	for i := range all {
		all[i] = uint16(i)
	}
	return all
}

// judge says whether what was acknowledged has come back.
func (s *scan) judge() {
	r := &s.rec
	r.End, r.Mode, r.Life = s.lsn, s.last.mode, s.last.life
	switch {
	case r.Mode == Off:
		r.Why = "there is no log"
	case s.lsn < max(s.cfg.From, s.cfg.Durable):
		r.Why = "the log ends before what was durable of it, or before the image that was made of it: it is an older one"
	case r.Mode == Write && !s.closed && s.rebooted():
		r.Why = "the machine was restarted since, and what was written in mode write may not have been on the disk"
	default:
		r.Intact = true
	}
}
