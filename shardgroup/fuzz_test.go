package shardgroup

import (
	"bytes"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

func FuzzEntry(f *testing.F) {
	m := multiraft.Member{Node: 3, Inc: multiraft.Incarnation{Counter: 2, Nonce: 9}}
	f.Add((&entry{
		kind: entryOpen, member: m, base: []shardmap.Version{1, 2}, lost: []uint64{0, 5},
		clean: maskOf(2), seats: []multiraft.Member{m}, tight: true,
	}).encode())
	f.Add((&entry{kind: entrySeats, seats: []multiraft.Member{m, m}, prevSeats: []multiraft.Member{m}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		l := &lineage{shards: 2}
		l.apply(e)
		if again, err := decodeEntry(e.encode()); err != nil || !bytes.Equal(again.encode(), e.encode()) {
			t.Fatalf("%+v does not survive its own bytes: %v", e, err)
		}
	})
}

func FuzzLineage(f *testing.F) {
	l := &lineage{shards: 2}
	l.apply(&entry{kind: entryOpen, base: []shardmap.Version{0, 0}, lost: []uint64{0, 0}, clean: maskOf(2)})
	l.apply(&entry{kind: entryOpen, prevEpoch: 1, base: []shardmap.Version{0, 0}, lost: []uint64{0, 0}})
	f.Add(l.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLineage(b)
		if err != nil {
			return
		}
		for s := range l.shards {
			l.cut(s, shardmap.MakeVersion(1, 5))
			l.judge(s, shardmap.MakeVersion(1, 5))
		}
		if again, err := decodeLineage(l.encode()); err != nil || !bytes.Equal(again.encode(), l.encode()) {
			t.Fatalf("does not survive its own bytes: %v", err)
		}
	})
}

// FuzzData feeds bytes to a follower that listens, and to one that does not.
func FuzzData(f *testing.F) {
	w := newWorld(f, 1, worldConfig(), 3, 3)
	a := w.serve(1)
	w.must(a, 0, "k", "v")
	w.synced(1, 2, 3)
	w.must(a, 0, "k", "v")
	f.Add(a.n.NextData(2, nil, w.now))
	a.n.LaneDown(3, a.conns[3], w.now)
	a.n.LaneUp(3, 99, w.now)
	f.Add(a.n.NextData(3, nil, w.now))
	f.Add([]byte{frameFormat, frameFirst, 255, 255, 255, 255})
	f.Add(comparingFrame(w.nodes[1]))
	conn := uint64(1000)
	f.Fuzz(func(t *testing.T, b []byte) {
		b2 := w.nodes[1]
		b2.n.OnData(1, a.conns[2], b, w.now)
		conn++
		w.nodes[2].n.OnData(1, conn, b, w.now)
	})
}

// comparingFrame is a fill that compares, from its beginning to the states, in one frame.
func comparingFrame(m *member) []byte {
	s := m.rep().shards[0]
	head := transferHead{dataHead: dataHead{ballot: s.in.ballot, sess: s.in.sess}, xfer: 7, step: 1}
	w := writer{}
	w.u8(frameFormat)
	w.u8(frameMessages)
	w.fillBegin(&fillBegin{dataHead: head.dataHead, xfer: 7, start: 1})
	w.digests(&digests{transferHead: head, buckets: make([]byte, digestsSize)})
	w.bucketVersions(&versions{transferHead: head, buckets: []bucketVersions{{bucket: 3, versions: make([]byte, statemachine.VersionSize)}}})
	w.states(&states{transferHead: head, states: []hashState{{hash: s.m.Hash([]byte("k"))}}})
	return w.b
}

func FuzzAckAndControl(f *testing.F) {
	w := newWorld(f, 1, worldConfig(), 3, 3)
	a := w.serve(1)
	w.must(a, 0, "k", "v")
	w.send(a, w.nodes[1])
	w.deliver(a, w.nodes[1])
	f.Add(w.nodes[1].n.NextAck(1, nil, w.now))
	q := writer{}
	q.pull(&pull{group: 1, ballot: a.lead.ballot, inc: a.inc, to: 1 << 40})
	f.Add(q.b)
	ack := writer{b: w.nodes[1].n.NextAck(1, nil, w.now)[:ackHead]}
	ack.differs(&differs{buckets: make([]byte, differsSize), hashes: []uint64{1, 2}})
	f.Add(ack.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		a.n.OnAck(2, b, w.now)
		a.n.OnControl(2, b, w.now)
		decodeReply(multiraft.Member{}, b)
	})
}
