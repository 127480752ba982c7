package shardgroup

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// transferHead begins every message of a fill that compares (the rung DIGEST of the
// ladder). step rises with every message that is to be answered.
type transferHead struct {
	dataHead
	xfer uint64
	step uint32
}

func (w *writer) transfer(h transferHead) {
	w.head(h.dataHead)
	w.u64(h.xfer)
	w.u32(h.step)
}

func (r *reader) transfer() transferHead {
	return transferHead{dataHead: r.head(), xfer: r.u64(), step: r.u32()}
}

// digests says what every bucket of the holder's copy comes to, all that is dead at time
// left out.
type digests struct {
	transferHead
	time    int64
	buckets []byte // u32 each
}

// digestsSize is the length of digests.buckets.
const digestsSize = 4 * statemachine.DigestBuckets

func (w *writer) digests(m *digests) {
	at := w.open(msgDigests)
	w.transfer(m.transferHead)
	w.u64(uint64(m.time))
	w.b = append(w.b, m.buckets...)
	w.shut(at)
}

func (r *reader) digests() digests {
	return digests{transferHead: r.transfer(), time: int64(r.u64()), buckets: r.take(digestsSize)}
}

// bucketVersions names the entries of one bucket: hash u64, digest u32 each.
type bucketVersions struct {
	bucket   int
	versions []byte
}

// versions says which entries the holder has in some of the buckets that differ.
type versions struct {
	transferHead
	buckets []bucketVersions
}

func (w *writer) bucketVersions(m *versions) {
	at := w.open(msgVersions)
	w.transfer(m.transferHead)
	w.u16(uint16(len(m.buckets)))
	for _, b := range m.buckets {
		w.u16(uint16(b.bucket))
		w.u32(uint32(len(b.versions)))
		w.b = append(w.b, b.versions...)
	}
	w.shut(at)
}

func (r *reader) bucketVersions() versions {
	m := versions{transferHead: r.transfer()}
	n := int(r.u16())
	if n > statemachine.DigestBuckets || n*6 > len(r.b) {
		r.bad = true
		return m
	}
	m.buckets = make([]bucketVersions, n)
	for i := range m.buckets {
		b := bucketVersions{bucket: int(r.u16())}
		b.versions = r.take(int(r.u32()))
		if b.bucket >= statemachine.DigestBuckets || len(b.versions)%statemachine.VersionSize != 0 {
			r.bad = true
		}
		m.buckets[i] = b
	}
	return m
}

// states brings what the holder has under some hashes.
type states struct {
	transferHead
	states []hashState
}

func (w *writer) states(m *states) {
	at := w.open(msgStates)
	w.transfer(m.transferHead)
	w.hashStates(m.states)
	w.shut(at)
}

func (r *reader) readStates() states {
	return states{transferHead: r.transfer(), states: r.hashStates()}
}

func (w *writer) hashStates(list []hashState) {
	w.u32(uint32(len(list)))
	for _, s := range list {
		w.u64(s.hash)
		w.u32(uint32(len(s.entries)))
		w.b = append(w.b, s.entries...)
	}
}

func (r *reader) hashStates() []hashState {
	n := int(r.u32())
	if n > len(r.b)/12 {
		r.bad = true
		return nil
	}
	list := make([]hashState, n)
	for i := range list {
		list[i].hash = r.u64()
		list[i].entries = r.take(int(r.u32()))
	}
	return list
}

// differs answers a message of a fill that compares: a bit for each bucket that differs
// (to digests), or the hashes whose state is wanted (to versions).
type differs struct {
	sess    uint32
	shard   shardmap.ShardID
	fill    uint32
	step    uint32
	buckets []byte
	hashes  []uint64
}

const differsSize = statemachine.DigestBuckets / 8

func (w *writer) differs(d *differs) {
	w.u8(byte(ackDiffers))
	w.u32(d.sess)
	w.u16(uint16(d.shard))
	w.u32(d.fill)
	w.u32(d.step)
	w.flag(d.buckets != nil)
	w.b = append(w.b, d.buckets...)
	w.hashes(d.hashes)
}

func (r *reader) differs() differs {
	d := differs{sess: r.u32(), shard: shardmap.ShardID(r.u16()), fill: r.u32(), step: r.u32()}
	if r.flag() {
		d.buckets = r.take(differsSize)
	}
	d.hashes = r.hashes()
	return d
}

func (w *writer) hashes(list []uint64) {
	w.u32(uint32(len(list)))
	for _, h := range list {
		w.u64(h)
	}
}

// hashes reads at most keysMax of them.
func (r *reader) hashes() []uint64 {
	n := int(r.u32())
	if n > keysMax || n*8 > len(r.b) {
		r.bad = true
		return nil
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = r.u64()
	}
	return list
}
