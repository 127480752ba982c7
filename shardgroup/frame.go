package shardgroup

import (
	"encoding/binary"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Frames of the data connection:
//
//	format u8 | kind u8 | body
//
// A frame holds whole messages, or a part of one message that is too long for a
// frame of its own (a large value): first its total length, then its bytes.
//
//	message: kind u8 | length u32 | body
const (
	frameFormat   = 2
	frameMessages = 1
	frameFirst    = 2 // total u32 | bytes
	framePart     = 3 // bytes
	frameMax      = 256 << 10
	frameHead     = 2
	messageHead   = 5
	batchMax      = 64 << 10
	messageMax    = 128 << 20 // a value, its key and what it evicted
)

// msgKind says what a message of the data connection is.
type msgKind uint8

const (
	msgHello msgKind = iota + 1
	msgBatch
	msgAsk
	msgRevert
	msgFillBegin
	msgChunk
	msgFillEnd
	msgTick
	msgDigests
	msgVersions
	msgStates
)

// dataHead begins every message about one shard.
type dataHead struct {
	ballot multiraft.Ballot
	sess   uint32
	shard  shardmap.ShardID
}

func (w *writer) head(h dataHead) {
	w.ballot(h.ballot)
	w.u32(h.sess)
	w.u16(uint16(h.shard))
}

func (r *reader) head() dataHead {
	return dataHead{ballot: r.ballot(), sess: r.u32(), shard: shardmap.ShardID(r.u16())}
}

// open begins a message; shut fills its length in.
func (w *writer) open(k msgKind) int {
	w.u8(byte(k))
	w.u32(0)
	return len(w.b)
}

func (w *writer) shut(start int) {
	binary.BigEndian.PutUint32(w.b[start-4:], uint32(len(w.b)-start))
}

// hello opens a session for one group: what follows on this connection for its
// shards carries the session's number.
type hello struct {
	group  shardmap.GroupID
	ballot multiraft.Ballot
	sess   uint32
	epoch  uint32
	from   multiraft.Incarnation
	to     uint64 // raft id of the replica that it is for
}

func (w *writer) hello(h hello) {
	at := w.open(msgHello)
	w.u16(uint16(h.group))
	w.ballot(h.ballot)
	w.u32(h.sess)
	w.u32(h.epoch)
	w.inc(h.from)
	w.u64(h.to)
	w.shut(at)
}

func (r *reader) hello() hello {
	return hello{group: shardmap.GroupID(r.u16()), ballot: r.ballot(), sess: r.u32(), epoch: r.u32(), from: r.inc(), to: r.u64()}
}

// batch brings records; time is not zero only when they end at the head.
type batch struct {
	dataHead
	urgent  bool // somebody waits for the ack
	durable bool // somebody waits until it is on the disk
	head    shardmap.Version
	time    int64
	records []byte
}

func (w *writer) batch(b *batch) {
	at := w.open(msgBatch)
	w.dataBatch(b)
	w.shut(at)
}

func (w *writer) dataBatch(b *batch) {
	w.head(b.dataHead)
	w.flag(b.urgent)
	w.flag(b.durable)
	w.u64(uint64(b.head))
	w.u64(uint64(b.time))
	w.b = append(w.b, b.records...)
}

func (r *reader) batch() batch {
	b := batch{dataHead: r.head(), urgent: r.flag(), durable: r.flag(), head: r.version(), time: int64(r.u64())}
	b.records, r.b = r.b, nil
	return b
}

// ask asks a divergent follower which keys it changed above cut.
type ask struct {
	dataHead
	cut shardmap.Version
}

func (w *writer) ask(a *ask) {
	at := w.open(msgAsk)
	w.head(a.dataHead)
	w.u64(uint64(a.cut))
	w.shut(at)
}

func (r *reader) ask() ask { return ask{dataHead: r.head(), cut: r.version()} }

// revert undoes what lies above cut: the present state of every hash that was
// changed there, and the lineage's records (cut, asOf].
type revert struct {
	dataHead
	cut, asOf shardmap.Version
	time      int64
	digest    uint64 // of the holder's contents at asOf, all that is dead at time swept
	states    []hashState
	records   []byte
}

// hashState is all that a shard holds under one key hash.
type hashState struct {
	hash    uint64
	entries []byte
}

func (w *writer) revert(m *revert) {
	at := w.open(msgRevert)
	w.head(m.dataHead)
	w.u64(uint64(m.cut))
	w.u64(uint64(m.asOf))
	w.u64(uint64(m.time))
	w.u64(m.digest)
	w.hashStates(m.states)
	w.b = append(w.b, m.records...)
	w.shut(at)
}

func (r *reader) revert() revert {
	m := revert{dataHead: r.head(), cut: r.version(), asOf: r.version(), time: int64(r.u64()), digest: r.u64()}
	m.states = r.hashStates()
	m.records, r.b = r.b, nil
	return m
}

// fillBegin starts a bulk transfer: the copy is not whole from here on.
type fillBegin struct {
	dataHead
	xfer         uint64
	start, floor shardmap.Version
	cut          shardmap.Version // how far the copy lay on the lineage when the session began
	time         int64            // of the shard: what the copy is filled with was swept by it
	compares     bool             // what the copy holds is compared first, not replaced range by range
}

func (w *writer) fillBegin(m *fillBegin) {
	at := w.open(msgFillBegin)
	w.head(m.dataHead)
	w.u64(m.xfer)
	w.u64(uint64(m.start))
	w.u64(uint64(m.floor))
	w.u64(uint64(m.cut))
	w.u64(uint64(m.time))
	w.flag(m.compares)
	w.shut(at)
}

func (r *reader) fillBegin() fillBegin {
	return fillBegin{dataHead: r.head(), xfer: r.u64(), start: r.version(), floor: r.version(), cut: r.version(), time: int64(r.u64()), compares: r.flag()}
}

// chunk replaces a hash range.
type chunk struct {
	dataHead
	xfer    uint64
	lo, hi  uint64
	entries []byte
}

func (r *reader) chunk() chunk {
	m := chunk{dataHead: r.head(), xfer: r.u64(), lo: r.u64(), hi: r.u64()}
	m.entries, r.b = r.b, nil
	return m
}

// fillEnd closes a bulk transfer: the copy is whole if it agrees.
type fillEnd struct {
	dataHead
	xfer   uint64
	end    shardmap.Version
	time   int64
	digest uint64
}

func (w *writer) fillEnd(m *fillEnd) {
	at := w.open(msgFillEnd)
	w.head(m.dataHead)
	w.u64(m.xfer)
	w.u64(uint64(m.end))
	w.u64(uint64(m.time))
	w.u64(m.digest)
	w.shut(at)
}

func (r *reader) fillEnd() fillEnd {
	return fillEnd{dataHead: r.head(), xfer: r.u64(), end: r.version(), time: int64(r.u64()), digest: r.u64()}
}

// tickGroup names the shards of a group whose cursor is at the head.
type tickGroup struct {
	group  shardmap.GroupID
	shards mask
}

// tickHead begins a Tick: the sender's stamp, when the receiver sent the last ack that
// the sender had (by the receiver's clock, 0 none), the time that the named shards have
// reached, and how many groups follow. After the groups come digests.
type tickHead struct {
	stamp  int64
	echo   int64
	time   int64
	groups uint16
}

func (w *writer) tickHead(t *tickHead) {
	w.u64(uint64(t.stamp))
	w.u64(uint64(t.echo))
	w.u64(uint64(t.time))
	w.u16(t.groups)
}

func (r *reader) tickHead() tickHead {
	return tickHead{stamp: int64(r.u64()), echo: int64(r.u64()), time: int64(r.u64()), groups: r.u16()}
}

// tickDigest is what a shard's contents come to at a position and time.
type tickDigest struct {
	shard  shardmap.ShardID
	at     shardmap.Version
	time   int64
	digest uint64
}

func (w *writer) tickDigest(d *tickDigest) {
	w.u16(uint16(d.shard))
	w.u64(uint64(d.at))
	w.u64(uint64(d.time))
	w.u64(d.digest)
}

func (r *reader) tickDigest() tickDigest {
	return tickDigest{shard: shardmap.ShardID(r.u16()), at: r.version(), time: int64(r.u64()), digest: r.u64()}
}

func (r *reader) tickGroup() tickGroup {
	return tickGroup{shardmap.GroupID(r.u16()), r.mask()}
}
