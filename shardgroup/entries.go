package shardgroup

import (
	"encoding/binary"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// entryKind says what a raft entry does.
type entryKind uint8

const (
	entryOpen entryKind = iota + 1
	entryAdmit
	entrySeats
	entryExposure
)

// entryFormat is the version of the bytes of entries and of snapshots.
const entryFormat = 1

// entry is one raft entry of a group's data plane.
type entry struct {
	kind   entryKind
	ballot multiraft.Ballot
	member multiraft.Member // Open: the holder; Admit: whose word counts now

	// Open
	prevEpoch uint32
	base      []shardmap.Version
	lost      []uint64
	clean     mask
	hole      mask
	tight     bool
	displaced shardmap.NodeID // whose seat a holder without one takes

	seats     []multiraft.Member // Open: the first seats; Seats: the new ones
	prevSeats []multiraft.Member // Seats: the ones it was computed from

	solo mask   // Open, Exposure
	thin mask   // Exposure
	mark uint64 // which of the control entries of a ballot it is, 0 = a takeover's Open
}

func (e *entry) encode() []byte {
	w := writer{b: make([]byte, 0, 128)}
	w.u8(entryFormat)
	w.u8(byte(e.kind))
	w.ballot(e.ballot)
	w.member(e.member)
	w.u32(e.prevEpoch)
	w.versions(e.base)
	for s := range e.base {
		w.u64(e.lost[s])
	}
	w.mask(e.clean)
	w.mask(e.hole)
	w.flag(e.tight)
	w.u32(uint32(e.displaced))
	w.members(e.seats)
	w.members(e.prevSeats)
	w.mask(e.solo)
	w.mask(e.thin)
	w.u64(e.mark)
	return w.b
}

func decodeEntry(b []byte) (*entry, error) {
	r := reader{b: b}
	if r.u8() != entryFormat {
		return nil, ErrFrame
	}
	e := &entry{kind: entryKind(r.u8()), ballot: r.ballot(), member: r.member(), prevEpoch: r.u32(), base: r.versions()}
	e.lost = make([]uint64, len(e.base))
	for s := range e.lost {
		e.lost[s] = r.u64()
	}
	e.clean, e.hole = r.mask(), r.mask()
	e.tight = r.flag()
	e.displaced = shardmap.NodeID(r.u32())
	e.seats, e.prevSeats = r.members(), r.members()
	e.solo, e.thin, e.mark = r.mask(), r.mask(), r.u64()
	if r.bad || len(r.b) != 0 || e.kind < entryOpen || e.kind > entryExposure {
		return nil, ErrFrame
	}
	return e, nil
}

// encode writes the whole state for a raft snapshot.
func (l *lineage) encode() []byte {
	w := writer{b: make([]byte, 0, 256)}
	w.u8(entryFormat)
	w.u16(uint16(l.shards))
	w.u32(l.forgotten)
	w.mask(l.solo)
	w.mask(l.thin)
	w.members(l.seats)
	w.u8(byte(len(l.rows)))
	for i := range l.rows {
		r := &l.rows[i]
		w.u32(r.epoch)
		w.ballot(r.ballot)
		w.member(r.holder)
		w.versions(r.base)
		for s := range r.base {
			w.u64(r.lost[s])
		}
		w.mask(r.clean)
		w.mask(r.bounded)
		w.mask(r.hole)
		w.flag(r.tight)
	}
	return w.b
}

func decodeLineage(b []byte) (*lineage, error) {
	r := reader{b: b}
	if r.u8() != entryFormat {
		return nil, ErrFrame
	}
	l := &lineage{shards: int(r.u16()), forgotten: r.u32(), solo: r.mask(), thin: r.mask(), seats: r.members()}
	for n := int(r.u8()); n > 0 && !r.bad; n-- {
		x := row{epoch: r.u32(), ballot: r.ballot(), holder: r.member(), base: r.versions()}
		x.lost = make([]uint64, len(x.base))
		for s := range x.lost {
			x.lost[s] = r.u64()
		}
		x.clean, x.bounded, x.hole = r.mask(), r.mask(), r.mask()
		x.tight = r.flag()
		if len(x.base) != l.shards || x.epoch <= l.epoch() {
			return nil, ErrFrame
		}
		l.rows = append(l.rows, x)
	}
	if r.bad || len(r.b) != 0 || l.shards > MaxShards || len(l.rows) > maxRows {
		return nil, ErrFrame
	}
	return l, nil
}

// writer builds bytes; reader takes them apart, and after the first thing that
// is not there answers zeros and is bad.
type writer struct{ b []byte }

func (w *writer) u8(v byte)    { w.b = append(w.b, v) }
func (w *writer) u16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) flag(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *writer) ballot(b multiraft.Ballot) { w.u64(b.Term); w.u32(b.Sub) }
func (w *writer) inc(i multiraft.Incarnation) {
	w.u64(i.Counter)
	w.u64(i.Nonce)
}

func (w *writer) member(m multiraft.Member) { w.u32(uint32(m.Node)); w.inc(m.Inc) }

func (w *writer) members(ms []multiraft.Member) {
	w.u8(byte(len(ms)))
	for _, m := range ms {
		w.member(m)
	}
}

func (w *writer) versions(vs []shardmap.Version) {
	w.u16(uint16(len(vs)))
	for _, v := range vs {
		w.u64(uint64(v))
	}
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || len(r.b) < n {
		r.bad, r.b = true, nil
		return nil
	}
	t := r.b[:n:n]
	r.b = r.b[n:]
	return t
}

func (r *reader) u8() byte {
	if t := r.take(1); t != nil {
		return t[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if t := r.take(2); t != nil {
		return binary.BigEndian.Uint16(t)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if t := r.take(4); t != nil {
		return binary.BigEndian.Uint32(t)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if t := r.take(8); t != nil {
		return binary.BigEndian.Uint64(t)
	}
	return 0
}

func (r *reader) flag() bool                { return r.u8() != 0 }
func (r *reader) version() shardmap.Version { return shardmap.Version(r.u64()) }
func (r *reader) ballot() multiraft.Ballot {
	return multiraft.Ballot{Term: r.u64(), Sub: r.u32()}
}

func (r *reader) inc() multiraft.Incarnation {
	return multiraft.Incarnation{Counter: r.u64(), Nonce: r.u64()}
}

func (r *reader) member() multiraft.Member {
	return multiraft.Member{Node: shardmap.NodeID(r.u32()), Inc: r.inc()}
}

func (r *reader) members() []multiraft.Member {
	n := int(r.u8())
	if n == 0 || n > maxSeats {
		r.bad = r.bad || n > maxSeats
		return nil
	}
	ms := make([]multiraft.Member, n)
	for i := range ms {
		ms[i] = r.member()
	}
	return ms
}

func (r *reader) versions() []shardmap.Version {
	n := int(r.u16())
	if n == 0 || n > MaxShards {
		r.bad = r.bad || n > MaxShards
		return nil
	}
	vs := make([]shardmap.Version, n)
	for i := range vs {
		vs[i] = r.version()
	}
	return vs
}
