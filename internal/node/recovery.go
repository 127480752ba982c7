package node

import (
	"cmp"
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// recoveryPlan is who goes on with what when the majority of some groups is gone.
type recoveryPlan struct {
	Generation uint64
	Groups     []recoveredGroup
	Empty      []meta.Refounded
	Kept       int // groups of data that have their majority
}

// recoveredGroup is a group that goes on with one survivor's replica.
type recoveredGroup struct {
	Group    shardmap.GroupID `json:"group"`
	Replica  uint64           `json:"replica"`
	Log      multiraft.LogEnd `json:"log"`      // as it was when the plan was made
	Learners []uint64         `json:"learners"` // the other survivors' replicas, which follow

	copy shardgroup.Survey
}

func (g recoveredGroup) node() shardmap.NodeID { return multiraft.NodeOf(g.Replica) }

// stay are the nodes whose replicas the group keeps.
func (g recoveredGroup) stay() []shardmap.NodeID {
	ns := []shardmap.NodeID{g.node()}
	for _, id := range g.Learners {
		ns = append(ns, multiraft.NodeOf(id))
	}
	return ns
}

func (p *recoveryPlan) nothing() bool { return len(p.Groups)+len(p.Empty) == 0 }

func (p *recoveryPlan) metaLost() bool {
	return len(p.Groups) > 0 && p.Groups[0].Group == shardmap.MetaGroup
}

// part is what one survivor has to do once group 0 has decided.
func (p *recoveryPlan) part(n shardmap.NodeID) *recoverBegin {
	b := &recoverBegin{Generation: p.Generation}
	for _, g := range p.Groups {
		if g.node() == n && g.Group != shardmap.MetaGroup {
			b.Groups = append(b.Groups, g)
		}
	}
	for _, e := range p.Empty {
		if e.Node == n {
			b.Empty = append(b.Empty, e)
		}
	}
	return b
}

// survivor is one survivor's word about its replica of a group.
type survivor struct {
	node shardmap.NodeID
	survivingGroup
}

// planRecovery decides what goes on where. Groups that have their majority among the
// survivors are left alone. Of the others the survivor goes on whose log raft would elect:
// it alone knows all that any survivor knows of what was decided. What it lacks of the
// data it takes from the others when it takes over, as always.
func planRecovery(groups int, survivors []meta.Node, words map[shardmap.NodeID]survivorWord, gone func(shardmap.NodeID) bool) (p recoveryPlan) {
	have := make([][]survivor, groups+1)
	for _, row := range survivors {
		w := words[row.ID]
		p.Generation = max(p.Generation, w.Generation)
		for _, g := range w.Groups {
			if int(g.Group) <= groups {
				have[g.Group] = append(have[g.Group], survivor{row.ID, g})
				p.Generation = max(p.Generation, g.Log.Generation)
			}
		}
	}
	p.Generation++
	without := func(n shardmap.NodeID) bool { // who answered has the replica, or never again
		_, answered := words[n]
		return answered || gone(n)
	}
	empty := 0
	for g := range have {
		id := shardmap.GroupID(g)
		switch best := freshest(have[g]); {
		case len(have[g]) == 0:
			hosts := placesOf(survivors)
			p.Empty = append(p.Empty, meta.Refounded{Group: id, Node: hosts[empty%len(hosts)], Replica: meta.RefoundedReplica(p.Generation)})
			empty++
		case lost(have[g], without):
			r := recoveredGroup{Group: id, Replica: best.Replica, Log: best.Log, Learners: []uint64{}, copy: best.Copy}
			for _, s := range have[g] {
				if s.node != best.node {
					r.Learners = append(r.Learners, s.Replica)
				}
			}
			p.Groups = append(p.Groups, r)
		case id != shardmap.MetaGroup:
			p.Kept++
		}
	}
	return p
}

// placesOf are the survivors that may have copies; all, if none may.
func placesOf(nodes []meta.Node) (ids []shardmap.NodeID) {
	all := make([]shardmap.NodeID, len(nodes))
	for i, n := range nodes {
		if all[i] = n.ID; n.Intent.Places() {
			ids = append(ids, n.ID)
		}
	}
	if len(ids) == 0 {
		return all
	}
	return ids
}

// freshest is the survivor that goes on with a group: by its log, then one with a copy,
// then by how much of it is whole.
func freshest(have []survivor) (best survivor) {
	for i, s := range have {
		if i == 0 || fresher(s, best) > 0 {
			best = s
		}
	}
	return best
}

func fresher(a, b survivor) int {
	copies := func(s survivor) int {
		if roleOf(s.Replica) == multiraft.RoleWitness {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Log.Term, b.Log.Term), cmp.Compare(a.Log.Index, b.Log.Index),
		copies(a)-copies(b), a.Copy.Whole-b.Copy.Whole, -cmp.Compare(a.Copy.Missing, b.Copy.Missing), a.Copy.Keys-b.Copy.Keys,
	)
}

// lost reports whether a group has no majority among the survivors, by the newest
// configuration that any of them knows, and nodes that are gone, or have their replica no
// more, are why.
func lost(have []survivor, without func(shardmap.NodeID) bool) bool {
	if slices.ContainsFunc(have, func(s survivor) bool { return s.Served }) {
		return false
	}
	conf := have[0]
	for _, s := range have[1:] {
		if cmp.Or(cmp.Compare(s.Log.Generation, conf.Log.Generation), cmp.Compare(s.Conf, conf.Conf)) > 0 {
			conf = s
		}
	}
	return minority(conf.Voters, have, without) || len(conf.Outgoing) > 0 && minority(conf.Outgoing, have, without)
}

func minority(voters []uint64, have []survivor, without func(shardmap.NodeID) bool) bool {
	live, missed := 0, false
	for _, id := range voters {
		if slices.ContainsFunc(have, func(s survivor) bool { return s.Replica == id }) {
			live++
		} else {
			missed = missed || without(multiraft.NodeOf(id))
		}
	}
	return missed && 2*live <= len(voters)
}

// refounds reports whether a replica is the one with which a group begins anew: there is
// nobody to fill it, so it is not made blank like others.
func refounds(r meta.Replica) bool {
	return r.ID != 0 && r.ID%meta.RefoundedReplica(1) == 0
}
