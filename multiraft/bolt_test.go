package multiraft

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func entries(from, to, term uint64) (es []*pb.Entry) {
	for i := from; i <= to; i++ {
		es = append(es, &pb.Entry{Index: proto.Uint64(i), Term: proto.Uint64(term), Data: []byte{byte(i)}})
	}
	return es
}

// The two storages must mean the same: what one gives back, the other does too.
func TestStoragesAgree(t *testing.T) {
	bolt, err := OpenBolt(filepath.Join(t.TempDir(), "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer bolt.Close()
	mem := NewMemoryStorage([16]byte{1})
	first, err := bolt.Load()
	if err != nil || !first.Identity.FirstRun || first.Identity.Inc.Counter != 1 {
		t.Fatalf("%+v, %v", first.Identity, err)
	}
	if _, err := mem.Load(); err != nil {
		t.Fatal(err)
	}
	snap := &pb.Snapshot{Data: []byte("s"), Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(4), Term: proto.Uint64(2), ConfState: &pb.ConfState{Voters: []uint64{7}}}}
	hs := &pb.HardState{Term: proto.Uint64(3), Vote: proto.Uint64(7), Commit: proto.Uint64(4)}
	for i, b := range []*Batch{
		{Groups: []GroupWrite{{Group: 1, ReplicaID: 7, HardState: hs, Entries: entries(1, 6, 1)}, {Group: 2, ReplicaID: 8}}},
		{Groups: []GroupWrite{{Group: 1, ReplicaID: 7, Entries: entries(5, 9, 2)}}, Cap: time.Second},
		{Groups: []GroupWrite{{Group: 1, ReplicaID: 7, Snapshot: snap, CompactTo: 3}}},
		{Groups: []GroupWrite{{Group: 2, ReplicaID: 8, Destroyed: true}, {Group: 300, ReplicaID: 9, Entries: entries(1, 1, 1)}}},
		{Groups: []GroupWrite{{Group: 300, ReplicaID: 9, Snapshot: snap}}},
	} {
		if err := bolt.Save(b); err != nil {
			t.Fatal(err)
		}
		if err := mem.Save(b); err != nil {
			t.Fatal(err)
		}
		got, err := bolt.Load()
		if err != nil {
			t.Fatal(err)
		}
		want, _ := mem.Load()
		if got.Identity.Cap != want.Identity.Cap || got.Identity.Inc.Counter != want.Identity.Inc.Counter || got.Identity.FirstRun {
			t.Fatalf("batch %d: identity %+v, want %+v", i, got.Identity, want.Identity)
		}
		if !reflect.DeepEqual(got.Tombstones, want.Tombstones) || len(got.Groups) != len(want.Groups) {
			t.Fatalf("batch %d: %+v, want %+v", i, got, want)
		}
		for j, g := range got.Groups {
			w := want.Groups[j]
			if g.ReplicaID != w.ReplicaID || !proto.Equal(g.HardState, w.HardState) || !proto.Equal(g.Snapshot, w.Snapshot) || len(g.Entries) != len(w.Entries) {
				t.Fatalf("batch %d: group %+v, want %+v", i, g, w)
			}
			for k := range g.Entries {
				if !proto.Equal(g.Entries[k], w.Entries[k]) {
					t.Fatalf("batch %d: entry %v, want %v", i, g.Entries[k], w.Entries[k])
				}
			}
		}
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s, err := OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	id := Identity{UUID: [16]byte{9}, Node: 4, Name: "n", Founding: []byte("f")}
	if err := s.SaveIdentity(id); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.Load(); r.Identity.Node != 4 || r.Identity.Name != "n" || string(r.Identity.Founding) != "f" || r.Identity.Inc.Counter != 2 {
		t.Fatalf("%+v", r.Identity)
	}
	if err := putFormat(s, 9); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "format version") {
		t.Fatalf("format 9 gave %v", err)
	}
	if err := putFormat(s, boltFormat); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range [][]byte{bucketHard, bucketSnap, bucketTomb, bucketGroup} {
		key, good := groupKey(1), binary.BigEndian.AppendUint64(nil, 1)
		put := func(b, k, v []byte) {
			t.Helper()
			if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(b).Put(k, v) }); err != nil {
				t.Fatal(err)
			}
		}
		put(bucketGroup, key, good)
		put(bucket, key, []byte("no record of ours"))
		if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "start it as a new node") {
			t.Errorf("a damaged record in %s gave %v", bucket, err)
		}
		if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete(key) }); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if err := os.WriteFile(path, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBolt(path); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("a damaged file gave %v", err)
	}
}

func putFormat(s *BoltStorage, f byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketIdent).Put(keyFormat, []byte{f}) })
}
