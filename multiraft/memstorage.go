package multiraft

import (
	"cmp"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// MemoryStorage keeps in memory what raft.db keeps on disk, with the same
// meaning: what Save has taken survives a crash of the node. The simulator calls
// Save only when its disk has finished a batch, so a crash before loses it.
type MemoryStorage struct {
	identity Identity
	groups   map[shardmap.GroupID]*RestoredGroup
	tombs    []Tombstone
	failing  error
}

// NewMemoryStorage is an empty disk with a name of its own.
func NewMemoryStorage(uuid [16]byte) *MemoryStorage {
	return &MemoryStorage{
		identity: Identity{UUID: uuid, FirstRun: true},
		groups:   make(map[shardmap.GroupID]*RestoredGroup),
	}
}

// Fail makes every later Save return err, as a broken disk does.
func (m *MemoryStorage) Fail(err error) { m.failing = err }

// Load raises the incarnation and copies everything out. The nonce is derived
// from uuid and counter, so that runs repeat.
func (m *MemoryStorage) Load() (Restored, error) {
	m.identity.Inc.Counter++
	n := uint64(14695981039346656037) ^ m.identity.Inc.Counter
	for _, b := range m.identity.UUID {
		n = (n ^ uint64(b)) * 1099511628211
	}
	m.identity.Inc.Nonce = n
	r := Restored{Identity: m.identity, Tombstones: slices.Clone(m.tombs)}
	m.identity.FirstRun = false
	if seeded("lostvote") { // the disk is new, the name is not
		r.Identity.Cap = 0
	}
	for _, g := range m.groups {
		r.Groups = append(r.Groups, RestoredGroup{
			g.Group, g.ReplicaID, proto.CloneOf(g.HardState), proto.CloneOf(g.Snapshot), slices.Clone(g.Entries),
		})
	}
	for i := range r.Groups {
		if seeded("lostvote") {
			r.Groups[i].HardState = nil
		}
	}
	slices.SortFunc(r.Groups, func(a, b RestoredGroup) int { return cmp.Compare(a.Group, b.Group) })
	return r, nil
}

// Save takes a batch.
func (m *MemoryStorage) Save(b *Batch) error {
	if m.failing != nil {
		return m.failing
	}
	m.identity.Cap = max(m.identity.Cap, b.Cap)
	for i := range b.Groups {
		m.saveGroup(&b.Groups[i])
	}
	return nil
}

func (m *MemoryStorage) saveGroup(w *GroupWrite) {
	if w.Destroyed {
		delete(m.groups, w.Group)
		m.tombs = append(m.tombs, Tombstone{w.Group, w.ReplicaID})
		return
	}
	g := m.groups[w.Group]
	if g == nil || g.ReplicaID != w.ReplicaID {
		g = &RestoredGroup{Group: w.Group, ReplicaID: w.ReplicaID}
		m.groups[w.Group] = g
	}
	if w.HardState != nil && !seeded("M10") {
		g.HardState = proto.CloneOf(w.HardState)
	}
	if w.Snapshot != nil {
		g.Snapshot = proto.CloneOf(w.Snapshot)
		g.Entries = afterSnapshot(g.Entries, w)
	}
	g.Entries = spliceEntries(g.Entries, w.Entries)
}

// afterSnapshot drops what a snapshot makes needless: the whole log when it came
// from the leader, the part that was compacted when it is this node's own.
func afterSnapshot(log []*pb.Entry, w *GroupWrite) []*pb.Entry {
	cut := w.Snapshot.GetMetadata().GetIndex()
	if w.CompactTo == 0 {
		last := uint64(0)
		if len(log) > 0 {
			last = log[len(log)-1].GetIndex()
		}
		if last <= cut || !holds(log, w.Snapshot) {
			return nil
		}
	}
	return slices.DeleteFunc(slices.Clone(log), func(e *pb.Entry) bool { return e.GetIndex() <= cut })
}

// holds reports whether the log contains the entry that a snapshot ends with.
func holds(log []*pb.Entry, s *pb.Snapshot) bool {
	return slices.ContainsFunc(log, func(e *pb.Entry) bool {
		return e.GetIndex() == s.GetMetadata().GetIndex() && e.GetTerm() == s.GetMetadata().GetTerm()
	})
}

// spliceEntries replaces the log from the first new index on.
func spliceEntries(log, entries []*pb.Entry) []*pb.Entry {
	if len(entries) == 0 {
		return log
	}
	first := entries[0].GetIndex()
	keep := slices.DeleteFunc(slices.Clone(log), func(e *pb.Entry) bool { return e.GetIndex() >= first })
	return append(keep, entries...)
}

// SaveIdentity keeps who this node is.
func (m *MemoryStorage) SaveIdentity(id Identity) error {
	if m.failing != nil {
		return m.failing
	}
	id.Inc, id.Cap, id.FirstRun = m.identity.Inc, m.identity.Cap, m.identity.FirstRun
	m.identity = id
	return nil
}

// Close does nothing.
func (m *MemoryStorage) Close() error { return nil }
