package multiraft

import (
	"cmp"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// raft.db, a bbolt file of its own so that no data snapshot can hold its single
// writer (elections wait for it):
//
//	ident  "format" u8 | "identity" JSON | "incarnation" u64 | "cap" ns u64
//	group  <group u16> -> replica u64
//	hard   <group u16> -> raftpb.HardState
//	snap   <group u16> -> raftpb.Snapshot
//	log    <group u16><index u64> -> raftpb.Entry
//	tomb   <group u16><replica u64> -> ""
const boltFormat = 1

var (
	bucketIdent = []byte("ident")
	bucketGroup = []byte("group")
	bucketHard  = []byte("hard")
	bucketSnap  = []byte("snap")
	bucketLog   = []byte("log")
	bucketTomb  = []byte("tomb")

	keyFormat      = []byte("format")
	keyIdentity    = []byte("identity")
	keyIncarnation = []byte("incarnation")
	keyCap         = []byte("cap")
)

// BoltStorage is raft.db. One goroutine calls it.
type BoltStorage struct {
	db   *bbolt.DB
	path string
}

// startAnew is all that can be done with a damaged raft.db: what is left of it might
// vote or promise against what it has forgotten.
const startAnew = "move the node's data directory away and start it as a new node"

// OpenBolt opens or makes raft.db. The caller holds the data directory's lock.
func OpenBolt(path string) (*BoltStorage, error) {
	if err := refuseCutShort(path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 16 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w; if the file is damaged, "+startAnew, path, err)
	}
	return &BoltStorage{db: db, path: path}, nil
}

// storedIdentity is the JSON of an Identity at rest.
type storedIdentity struct {
	UUID     [16]byte        `json:"uuid"`
	Cluster  [16]byte        `json:"cluster"`
	Node     shardmap.NodeID `json:"node"`
	Name     string          `json:"name"`
	Founding []byte          `json:"founding,omitempty"`
}

// Load raises the incarnation with an fsync, then reads everything.
func (s *BoltStorage) Load() (Restored, error) {
	var r Restored
	err := s.guard(func() error { return s.load(&r) })
	if err != nil {
		return Restored{}, fmt.Errorf("read %s: %w", s.path, err)
	}
	return r, nil
}

// guard makes an error of bbolt's panics: it asserts what a damaged page breaks.
func (s *BoltStorage) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v; %s", p, startAnew)
		}
	}()
	return f()
}

func (s *BoltStorage) load(r *Restored) error {
	err := s.db.Update(func(tx *bbolt.Tx) error { return s.begin(tx, &r.Identity) })
	if err == nil {
		if err = s.db.View(func(tx *bbolt.Tx) error { return readGroups(tx, r) }); err != nil {
			err = fmt.Errorf("the file is damaged: %w; %s", err, startAnew)
		}
	}
	return err
}

func (s *BoltStorage) begin(tx *bbolt.Tx, id *Identity) error {
	for _, name := range [][]byte{bucketIdent, bucketGroup, bucketHard, bucketSnap, bucketLog, bucketTomb} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	b := tx.Bucket(bucketIdent)
	var si storedIdentity
	switch f := b.Get(keyFormat); {
	case f == nil:
		id.FirstRun = true
		if _, err := crand.Read(si.UUID[:]); err != nil {
			return err
		}
		if err := b.Put(keyFormat, []byte{boltFormat}); err != nil {
			return err
		}
		if err := putJSON(b, keyIdentity, si); err != nil {
			return err
		}
	case len(f) != 1 || f[0] != boltFormat:
		return fmt.Errorf("format version %v is not one that this version of aegis reads (%d): use the version that wrote it, or a newer one", f, boltFormat)
	default:
		if err := json.Unmarshal(b.Get(keyIdentity), &si); err != nil {
			return fmt.Errorf("the file is damaged: identity: %w; %s", err, startAnew)
		}
	}
	id.UUID, id.Cluster, id.Node, id.Name, id.Founding = si.UUID, si.Cluster, si.Node, si.Name, si.Founding
	id.Cap = time.Duration(readU64(b.Get(keyCap)))
	id.Inc.Counter = readU64(b.Get(keyIncarnation)) + 1
	var nonce [8]byte
	if _, err := crand.Read(nonce[:]); err != nil {
		return err
	}
	id.Inc.Nonce = binary.BigEndian.Uint64(nonce[:])
	return b.Put(keyIncarnation, binary.BigEndian.AppendUint64(nil, id.Inc.Counter))
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, j)
}

func readU64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func groupKey(g shardmap.GroupID) []byte { return binary.BigEndian.AppendUint16(nil, uint16(g)) }

func logKey(g shardmap.GroupID, index uint64) []byte {
	return binary.BigEndian.AppendUint64(groupKey(g), index)
}

var errBoltRecord = errors.New("a record that cannot be read")

func readGroups(tx *bbolt.Tx, r *Restored) error {
	err := tx.Bucket(bucketGroup).ForEach(func(k, v []byte) error {
		if len(k) != 2 || len(v) != 8 {
			return errBoltRecord
		}
		rg, err := readGroup(tx, shardmap.GroupID(binary.BigEndian.Uint16(k)), readU64(v))
		r.Groups = append(r.Groups, rg)
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(r.Groups, func(a, b RestoredGroup) int { return cmp.Compare(a.Group, b.Group) })
	return tx.Bucket(bucketTomb).ForEach(func(k, _ []byte) error {
		if len(k) != 10 {
			return errBoltRecord
		}
		r.Tombstones = append(r.Tombstones, Tombstone{shardmap.GroupID(binary.BigEndian.Uint16(k)), readU64(k[2:])})
		return nil
	})
}

func readGroup(tx *bbolt.Tx, g shardmap.GroupID, replica uint64) (RestoredGroup, error) {
	rg := RestoredGroup{Group: g, ReplicaID: replica}
	if b := tx.Bucket(bucketHard).Get(groupKey(g)); b != nil {
		rg.HardState = &pb.HardState{}
		if err := proto.Unmarshal(b, rg.HardState); err != nil {
			return rg, fmt.Errorf("group %d: hard state: %w", g, err)
		}
	}
	if b := tx.Bucket(bucketSnap).Get(groupKey(g)); b != nil {
		rg.Snapshot = &pb.Snapshot{}
		if err := proto.Unmarshal(b, rg.Snapshot); err != nil {
			return rg, fmt.Errorf("group %d: snapshot: %w", g, err)
		}
	}
	c := tx.Bucket(bucketLog).Cursor()
	next := rg.Snapshot.GetMetadata().GetIndex() + 1
	for k, v := c.Seek(logKey(g, next)); len(k) == 10 && k[0] == byte(g>>8) && k[1] == byte(g); k, v = c.Next() {
		e := &pb.Entry{}
		if err := proto.Unmarshal(v, e); err != nil {
			return rg, fmt.Errorf("group %d: entry %d: %w", g, readU64(k[2:]), err)
		}
		if e.GetIndex() != next {
			return rg, fmt.Errorf("group %d: the log has entry %d where %d belongs", g, e.GetIndex(), next)
		}
		rg.Entries = append(rg.Entries, e)
		next++
	}
	return rg, nil
}

// Save writes a batch in one transaction: two syncs, however many groups.
func (s *BoltStorage) Save(b *Batch) error { return s.SaveAll([]*Batch{b}) }

// SaveAll writes several batches, in order, in one transaction.
func (s *BoltStorage) SaveAll(bs []*Batch) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, b := range bs {
			if err := saveBatch(tx, b); err != nil {
				return err
			}
		}
		return nil
	})
}

func saveBatch(tx *bbolt.Tx, b *Batch) error {
	if ident := tx.Bucket(bucketIdent); b.Cap > time.Duration(readU64(ident.Get(keyCap))) {
		if err := ident.Put(keyCap, binary.BigEndian.AppendUint64(nil, uint64(b.Cap))); err != nil {
			return err
		}
	}
	for i := range b.Groups {
		if err := saveGroup(tx, &b.Groups[i]); err != nil {
			return fmt.Errorf("group %d: %w", b.Groups[i].Group, err)
		}
	}
	return nil
}

func saveGroup(tx *bbolt.Tx, w *GroupWrite) error {
	key := groupKey(w.Group)
	if w.Destroyed {
		return destroyGroup(tx, w, key)
	}
	if err := tx.Bucket(bucketGroup).Put(key, binary.BigEndian.AppendUint64(nil, w.ReplicaID)); err != nil {
		return err
	}
	if w.HardState != nil && !seeded("M10") {
		if err := putProto(tx.Bucket(bucketHard), key, w.HardState); err != nil {
			return err
		}
	}
	if w.Snapshot != nil {
		if err := putProto(tx.Bucket(bucketSnap), key, w.Snapshot); err != nil {
			return err
		}
		if err := cutLog(tx, w, 0, w.Snapshot.GetMetadata().GetIndex()); err != nil {
			return err
		}
		if w.CompactTo == 0 { // from the leader: what lies behind it belongs to another history
			if err := cutLog(tx, w, w.Snapshot.GetMetadata().GetIndex()+1, ^uint64(0)); err != nil {
				return err
			}
		}
	}
	if len(w.Entries) == 0 {
		return nil
	}
	if err := cutLog(tx, w, w.Entries[0].GetIndex(), ^uint64(0)); err != nil {
		return err
	}
	for _, e := range w.Entries {
		if err := putProto(tx.Bucket(bucketLog), logKey(w.Group, e.GetIndex()), e); err != nil {
			return err
		}
	}
	return nil
}

func putProto(b *bbolt.Bucket, key []byte, m proto.Message) error {
	v, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return b.Put(key, v)
}

// cutLog removes the group's entries from lo to hi.
func cutLog(tx *bbolt.Tx, w *GroupWrite, lo, hi uint64) error {
	var gone [][]byte
	c := tx.Bucket(bucketLog).Cursor()
	for k, _ := c.Seek(logKey(w.Group, lo)); len(k) == 10 && k[0] == byte(w.Group>>8) && k[1] == byte(w.Group) && readU64(k[2:]) <= hi; k, _ = c.Next() {
		gone = append(gone, slices.Clone(k))
	}
	for _, k := range gone {
		if err := tx.Bucket(bucketLog).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func destroyGroup(tx *bbolt.Tx, w *GroupWrite, key []byte) error {
	for _, name := range [][]byte{bucketGroup, bucketHard, bucketSnap} {
		if err := tx.Bucket(name).Delete(key); err != nil {
			return err
		}
	}
	if err := cutLog(tx, w, 0, ^uint64(0)); err != nil {
		return err
	}
	return tx.Bucket(bucketTomb).Put(binary.BigEndian.AppendUint64(key, w.ReplicaID), []byte{})
}

// SaveIdentity keeps who this node is.
func (s *BoltStorage) SaveIdentity(id Identity) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		return putJSON(tx.Bucket(bucketIdent), keyIdentity, storedIdentity{id.UUID, id.Cluster, id.Node, id.Name, id.Founding})
	})
}

// Close releases the file.
func (s *BoltStorage) Close() error { return s.db.Close() }
