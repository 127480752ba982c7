package multiraft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A raft id says where its replica lives, so that no table of replicas has to
// travel with configurations: witness bit 62 | node 61..32 | number 31..0. The
// number is minted by group 0 per group and never reused.
const witnessBit = 1 << 62

// MakeReplica names a replica.
func MakeReplica(number uint64, node shardmap.NodeID, role Role) ReplicaDesc {
	id := uint64(node)<<32 | number&(1<<32-1)
	if role == RoleWitness {
		id |= witnessBit
	}
	return ReplicaDesc{ID: id, Node: node, Role: role}
}

// NodeOf is the node that a raft id lives on; 0 for raft's "none".
func NodeOf(id uint64) shardmap.NodeID { return shardmap.NodeID(id &^ witnessBit >> 32) }

// describe turns ids of a raft configuration into descriptions; role is what a
// replica is unless its id says witness.
func describe(ids []uint64, role Role) []ReplicaDesc {
	ds := make([]ReplicaDesc, len(ids))
	for i, id := range ids {
		ds[i] = ReplicaDesc{ID: id, Node: NodeOf(id), Role: role}
		if id&witnessBit != 0 {
			ds[i].Role = RoleWitness
		}
	}
	slices.SortFunc(ds, func(a, b ReplicaDesc) int { return cmp.Compare(a.ID, b.ID) })
	return ds
}

func configOf(index uint64, cs *pb.ConfState) GroupConfig {
	return GroupConfig{
		Index:    index,
		Voters:   describe(cs.GetVoters(), RoleVoter),
		Outgoing: describe(cs.GetVotersOutgoing(), RoleVoter),
		Learners: describe(append(slices.Clone(cs.GetLearners()), cs.GetLearnersNext()...), RoleLearner),
	}
}

// Joint reports whether the group is between two voter sets.
func (c GroupConfig) Joint() bool { return len(c.Outgoing) > 0 }

// String names the members for logs: "voters 1.4 2.5w, outgoing ..., learners ...",
// each as node and replica number; w is a witness.
func (c GroupConfig) String() string {
	var b strings.Builder
	for i, set := range [3][]ReplicaDesc{c.Voters, c.Outgoing, c.Learners} {
		if len(set) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString([3]string{"voters", "outgoing", "learners"}[i])
		for _, d := range set {
			fmt.Fprintf(&b, " %d.%d", d.Node, uint32(d.ID))
			if d.Role == RoleWitness {
				b.WriteByte('w')
			}
		}
	}
	return b.String()
}

// Find looks a replica up by raft id.
func (c GroupConfig) Find(id uint64) (ReplicaDesc, bool) {
	for _, set := range [3][]ReplicaDesc{c.Voters, c.Outgoing, c.Learners} {
		for _, d := range set {
			if d.ID == id {
				return d, true
			}
		}
	}
	return ReplicaDesc{}, false
}

// On finds the replica that lives on a node.
func (c GroupConfig) On(n shardmap.NodeID) (ReplicaDesc, bool) {
	for _, set := range [3][]ReplicaDesc{c.Voters, c.Learners, c.Outgoing} {
		for _, d := range set {
			if d.Node == n {
				return d, true
			}
		}
	}
	return ReplicaDesc{}, false
}

// each calls f once for every replica of the configuration.
func (c GroupConfig) each(f func(ReplicaDesc)) {
	for i, set := range [3][]ReplicaDesc{c.Voters, c.Outgoing, c.Learners} {
		for _, d := range set {
			if i > 0 && slices.ContainsFunc(c.Voters, func(v ReplicaDesc) bool { return v.ID == d.ID }) {
				continue
			}
			if i > 1 && slices.ContainsFunc(c.Outgoing, func(v ReplicaDesc) bool { return v.ID == d.ID }) {
				continue
			}
			f(d)
		}
	}
}

// voter reports whether the id votes in the configuration, old or new.
func (c GroupConfig) voter(id uint64) bool {
	is := func(v ReplicaDesc) bool { return v.ID == id }
	return slices.ContainsFunc(c.Voters, is) || slices.ContainsFunc(c.Outgoing, is)
}

func seeded(name string) bool { return mutant.Is(name) }

// quiet is raft's logger: a 256-group election would write thousands of lines,
// and what matters comes as Events. Broken contracts still panic.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Fatal(v ...any)          { panic("raft: " + fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) {
	panic("raft: " + fmt.Sprintf(f, v...))
}
func (quiet) Panic(v ...any)            { panic("raft: " + fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic("raft: " + fmt.Sprintf(f, v...)) }
