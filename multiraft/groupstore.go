package multiraft

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// groupStore is what raft reads of a group: the durable log in memory, and
// snapshots made on demand. A joiner refuses a snapshot whose configuration does
// not name it, so the one at hand from before it joined would never be taken.
type groupStore struct {
	*raft.MemoryStorage
	confState *pb.ConfState // as of applied
	applied   uint64
	state     func() []byte // the data plane's state as of applied
}

// Snapshot is the group's state as of what is applied.
func (s *groupStore) Snapshot() (*pb.Snapshot, error) {
	have, err := s.MemoryStorage.Snapshot()
	if err != nil || have.GetMetadata().GetIndex() >= s.applied {
		return have, err
	}
	return s.CreateSnapshot(s.applied, s.confState, s.state())
}
