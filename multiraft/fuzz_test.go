package multiraft

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// FuzzDatagram: whatever decodes encodes to the same bytes, and a Core that
// hears it neither panics nor promises too long.
func FuzzDatagram(f *testing.F) {
	inc := Incarnation{3, 9}
	for _, d := range []datagram{
		{kind: kindBeat, inc: inc, seq: 7, promise: 600 * ms, ceiling: 5, bits: []byte{3, 0}},
		{kind: kindBeatAck, inc: inc, req: Incarnation{1, 2}, seq: 7, bits: []byte{1}},
		{kind: kindRelease, inc: inc, group: 1, ballot: Ballot{4, 2}, heir: 2},
		{kind: kindNodeRelease, inc: inc, dead: Member{2, inc}},
	} {
		f.Add(d.packet())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDatagram(b)
		if err == nil && !bytes.Equal(d.append(nil), b) {
			t.Fatalf("%x came back as %x", b, d.append(nil))
		}
		c := newTestCluster(t, 2, 2, 1)
		n := c.nodes[0]
		n.core.Datagram(2, b, false, n.clock())
		n.core.Tick(n.clock())
		n.core.Flush(n.clock())
		if p := n.core.peer(2); p.promiseUntil > n.clock().Wait+promiseMax {
			t.Fatalf("promised until %v", p.promiseUntil)
		}
	})
}

// FuzzPulse: the short form says what the long one would.
func FuzzPulse(f *testing.F) {
	f.Add(byte(pb.MsgHeartbeat), uint64(1), uint64(2), uint64(3), uint64(4))
	f.Add(byte(pb.MsgHeartbeatResp), uint64(1), uint64(2), uint64(3), uint64(0))
	f.Add(byte(pb.MsgApp), uint64(1), uint64(2), uint64(3), uint64(0))
	f.Fuzz(func(t *testing.T, kind byte, to, from, term, commit uint64) {
		typ := pb.MessageType(kind)
		m := &pb.Message{Type: &typ, To: &to, From: &from, Term: &term, Commit: &commit}
		got, ok := decodePulse(appendPulse(nil, pulseOf(m)))
		if ok != isPulse(m) || ok && !proto.Equal(got.message(), m) {
			t.Fatalf("%v came back as %v, %v", m, got, ok)
		}
	})
}

// FuzzFrame: a control frame of a peer that is out of its mind. Raft messages are
// only decoded: what a member with the right secret makes raft do is raft's.
func FuzzFrame(f *testing.F) {
	c := newTestCluster(f, 2, 2, 1)
	c.run(200*ms, nil)
	head := appendInc([]byte{frameFormat}, c.nodes[1].core.Self().Inc)
	fence := append(bytes.Clone(head), itemFence, 0, 1, 0, 0, 0, 28)
	fence = binary.BigEndian.AppendUint64(fence, MakeReplica(2, 2, RoleVoter).ID)
	fence = binary.BigEndian.AppendUint64(fence, MakeReplica(1, 1, RoleVoter).ID)
	fence = appendBallot(fence, Ballot{9, 1})
	f.Add(fence)
	f.Add(append(bytes.Clone(head), itemRelease, 0, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2))
	f.Add(append(bytes.Clone(head), itemFenceAck, 0, 1, 255, 255, 255, 255))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newTestCluster(t, 2, 2, 1)
		n := c.nodes[0]
		for _, g := range n.core.order {
			g.self = 1<<63 + 12345 // nothing of raft's is addressed to this
		}
		n.core.Receive(2, b, n.clock())
		for kind := byte(itemFence); kind <= itemFenceNack; kind++ {
			if d, err := decodeFence(kind, b); err == nil && (d.hold < 0 || waited(d.hold) < d.hold) {
				t.Fatalf("a hold of %v is waited for %v", d.hold, waited(d.hold))
			}
		}
	})
}

// FuzzBoltRecords: raft.db with foreign bytes in its records is refused or read,
// never a panic, and the incarnation still rises.
func FuzzBoltRecords(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.db")
	s, err := OpenBolt(path)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.Load(); err != nil {
		f.Fatal(err)
	}
	if err := s.Save(&Batch{Groups: []GroupWrite{{Group: 1, ReplicaID: 7, Entries: entries(1, 2, 1)}}, Cap: time.Second}); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Add([]byte("hard"), groupKey(1), []byte{8, 1})
	f.Add([]byte("log"), logKey(1, 2), []byte{255})
	f.Add([]byte("group"), []byte{1}, []byte{2})
	f.Add([]byte("tomb"), []byte{1}, []byte{})
	f.Add([]byte("ident"), []byte("identity"), []byte("{"))
	f.Add([]byte("snap"), groupKey(1), []byte{18, 4, 16, 200, 1, 24})
	f.Fuzz(func(t *testing.T, bucket, key, value []byte) {
		tx, err := s.db.Begin(true) // never committed: no file is written
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		b := tx.Bucket(bucket)
		if b == nil || len(key) == 0 || len(key) > 64 || b.Put(key, value) != nil {
			return
		}
		var r Restored
		if s.begin(tx, &r.Identity) != nil || readGroups(tx, &r) != nil {
			return
		}
		for _, g := range r.Groups {
			n := &testNode{t: &testCluster{tb: t}, conf: map[shardmap.GroupID]GroupConfig{}}
			cfg := DefaultConfig()
			cfg.Self, cfg.Groups = Member{1, r.Identity.Inc}, 2
			_, _ = NewCore(cfg, Restored{Identity: r.Identity, Groups: []RestoredGroup{g}}, n, n, Instant{})
		}
	})
}
