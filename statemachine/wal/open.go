package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// Recovered is a log that was read and is not written yet. Between Recover and Begin its
// owner decides who it is from here on.
type Recovered struct {
	Recovery
	scan *scan
}

// Recover reads a log and changes nothing. The caller holds a lock on the directory. The
// error is that of a log that cannot be opened at all, of its files, or of the visitor.
func Recover(cfg Config, v Visitor) (*Recovered, error) {
	if cfg.Mode != Write && cfg.Mode != Fsync {
		return nil, fmt.Errorf("wal: mode %v has no log", cfg.Mode)
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = segmentBytes
	}
	s := &scan{cfg: &cfg, v: v, counts: make([]uint64, cfg.Shards)}
	err := s.run()
	return &Recovered{s.rec, s}, err
}

// Describe says whose log a directory holds, how many shards it has, in which mode it was
// last written, and where it begins: what Recover must be told by somebody who is neither
// its owner nor knows its image.
func Describe(fs FS) (Config, error) {
	files, err := fs.List()
	if err != nil {
		return Config{}, err
	}
	cfg := Config{FS: fs}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, ok := segmentNumber(name); !ok {
			continue
		}
		b, err := fs.Read(name, nil, segmentHead)
		if err != nil {
			return Config{}, err
		}
		h, err := decodeHead(b)
		switch {
		case errors.Is(err, ErrNewer):
			return Config{}, err
		case err != nil:
			continue
		case cfg.Mode == Off:
			cfg.From = h.first
		}
		cfg.ID, cfg.Shards, cfg.Mode = h.id, int(h.shards), h.mode
	}
	if cfg.Mode == Off {
		return Config{}, ErrNone
	}
	return cfg, nil
}

// Begin cuts what a crash left unfinished, makes what was recovered durable, and begins a
// new segment. life is what the next Recovery will give back: the name under which the
// owner acknowledges from now on.
func (r *Recovered) Begin(life [16]byte) (*Log, error) {
	s := r.scan
	if err := s.mend(); err != nil {
		return nil, err
	}
	shards := s.cfg.Shards
	l := &Log{
		cfg: *s.cfg, life: life, batch: newBatch(shards), spare: newBatch(shards),
		writtenAt: make([]atomic.Uint64, shards), syncedAt: make([]atomic.Uint64, shards),
		dirty: newTouched(shards), clean: newTouched(shards),
		segs: append(s.older, s.heads...), next: s.next(), chain: s.chain, counts: s.counts,
		end: max(s.lsn, s.cfg.From, s.cfg.Durable),
	}
	l.batch.end = l.end
	l.written.Store(uint64(l.end))
	l.synced.Store(uint64(l.end))
	for _, e := range l.segs {
		l.bytes.Add(e.bytes)
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, l.Sync()
}

// mend makes durable what recovery has given, and removes what it has not. The last
// segment goes first: stopped halfway, what is left is still one run.
func (s *scan) mend() error {
	if t := s.rec.Torn; t != nil {
		at := slices.Index(s.segs, t.Segment)
		for i := len(s.segs) - 1; i > at || i == at && t.Offset == 0; i-- {
			if err := s.cfg.FS.Remove(segmentName(s.segs[i])); err != nil {
				return err
			}
		}
	}
	for i, e := range s.heads {
		if e.end >= s.stated || i == len(s.heads)-1 { // its last mark may not be durable
			doubted, err := s.doubted(&e)
			if err == nil {
				err = s.cfg.FS.Cut(segmentName(e.number), e.bytes, doubted)
			}
			if err != nil {
				return err
			}
		}
	}
	return s.cfg.FS.SyncNames() // the next head says that all of it is durable
}

// doubted is from where on a segment may not be on the disk though it was read. The process
// that wrote it may have ended because an fsync failed: the system has its bytes in memory
// still, takes them for clean, and a second fsync says nothing of them. Started anew, the
// machine gives what the disk has.
func (s *scan) doubted(e *extent) (int64, error) {
	switch {
	case s.last.boot != s.cfg.Boot:
		return e.bytes, nil
	case e.first >= s.stated || len(s.rec.Damages) > 0:
		return 0, nil
	}
	b, err := s.cfg.FS.Read(segmentName(e.number), nil, e.bytes)
	if err != nil {
		return 0, err
	}
	off, lsn := segmentHead, e.first
	for lsn < s.stated && len(b)-off >= frameHead {
		size := frameHead + int(binary.BigEndian.Uint32(b[off+4:]))
		if Kind(b[off+8]) >= KindFirst {
			lsn += LSN(size)
		}
		off += size
	}
	return int64(min(off, len(b))), nil
}

// next is the number of the segment that follows those that are kept.
func (s *scan) next() uint64 {
	switch n := len(s.heads); {
	case n > 0:
		return s.heads[n-1].number + 1
	case s.rec.Torn != nil:
		return s.rec.Torn.Segment
	}
	return 1
}
