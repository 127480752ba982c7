package shardgroup

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Frames of the ack connection:
//
//	format u8 | number of the newest data connection u64 | incarnation 16
//	stamp of the last Tick i64 | own send time i64 | messages
//	message: kind u8 | body of a length that the kind knows
const ackHead = 1 + 8 + 16 + 8 + 8

type ackKind uint8

const (
	ackPosition ackKind = iota + 1
	ackState
	ackKeys
	ackDiffers
	ackDurable // a position on the disk; how the copy stands an ackPosition says
)

// Flags of an ackPosition and of the shards of an ackState.
const (
	flagWhole   = 1 << iota // the copy is exact
	flagGap                 // a record did not follow the position: send from there
	flagMatched             // a digest agreed at an equal position and time
	flagBroken              // the copy cannot go on by records: fill it
)

// position is the cumulative ack of one shard. What it says of the copy belongs to
// the last fill that began there in the session, by the low bits of its number (0
// none): an ack from before a fill says nothing about the copy since.
type position struct {
	sess  uint32
	shard shardmap.ShardID
	flags byte
	fill  uint32
	pos   shardmap.Version
}

func (w *writer) position(kind ackKind, p position) {
	w.u8(byte(kind))
	w.u32(p.sess)
	w.u16(uint16(p.shard))
	w.u8(p.flags)
	w.u32(p.fill)
	w.u64(uint64(p.pos))
}

func (r *reader) position() position {
	return position{sess: r.u32(), shard: shardmap.ShardID(r.u16()), flags: r.u8(), fill: r.u32(), pos: r.version()}
}

// copyState is what a replica says of one of its shards: pos and what goes with it can be
// fetched, logged counts. Stating one of them alone would let what a crash takes back be
// counted, or give up what is alive in memory.
type copyState struct {
	pos     shardmap.Version
	logged  shardmap.Version // what its log has; 0 = that cannot be said now
	floor   shardmap.Version
	ringLow shardmap.Version
	head    shardmap.Version // the highest version it heard of
	time    int64
	whole   bool
}

// copyBytes is the length of an encoded copyState.
const copyBytes = 6*8 + 1

func (w *writer) copyStates(cs []copyState) {
	w.u16(uint16(len(cs)))
	for i := range cs {
		c := &cs[i]
		w.u64(uint64(c.pos))
		w.u64(uint64(c.logged))
		w.u64(uint64(c.floor))
		w.u64(uint64(c.ringLow))
		w.u64(uint64(c.head))
		w.u64(uint64(c.time))
		w.flag(c.whole)
	}
}

func (r *reader) copyStates() []copyState {
	n := int(r.u16())
	if n > MaxShards || n*copyBytes > len(r.b) {
		r.bad = true
		return nil
	}
	cs := make([]copyState, n)
	for i := range cs {
		cs[i] = copyState{
			pos: r.version(), logged: r.version(), floor: r.version(), ringLow: r.version(), head: r.version(),
			time: int64(r.u64()), whole: r.flag(),
		}
	}
	return cs
}

// state answers a Hello.
type state struct {
	group  shardmap.GroupID
	ballot multiraft.Ballot
	sess   uint32
	shards []copyState
}

func (w *writer) state(s *state) {
	w.u8(byte(ackState))
	w.u16(uint16(s.group))
	w.ballot(s.ballot)
	w.u32(s.sess)
	w.copyStates(s.shards)
}

func (r *reader) state() state {
	return state{group: shardmap.GroupID(r.u16()), ballot: r.ballot(), sess: r.u32(), shards: r.copyStates()}
}

// keys answers an Ask: the hashes of all keys changed above cut, or that the ring
// does not tell (ok = false).
type keys struct {
	sess   uint32
	shard  shardmap.ShardID
	cut    shardmap.Version
	ok     bool
	hashes []uint64
}

// keysMax bounds a key by key revert; beyond it the copy is filled.
const keysMax = 16 << 10

func (w *writer) keys(k *keys) {
	w.u8(byte(ackKeys))
	w.u32(k.sess)
	w.u16(uint16(k.shard))
	w.u64(uint64(k.cut))
	w.flag(k.ok)
	w.hashes(k.hashes)
}

func (r *reader) keys() keys {
	k := keys{sess: r.u32(), shard: shardmap.ShardID(r.u16()), cut: r.version(), ok: r.flag()}
	k.hashes = r.hashes()
	return k
}
