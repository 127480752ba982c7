package node

import (
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// nextMembers is what a group's configuration should become next on its way to what
// group 0 wants, nil when there is nothing to do. seats are the nodes whose copies
// count; seated says that they are the wanted ones.
func nextMembers(conf multiraft.GroupConfig, want meta.Group, seats []shardmap.NodeID, seated bool) []multiraft.ReplicaDesc {
	have := standing(conf, want)
	if inConfig(conf, have) { // as nearly always: nothing is made up only to find no change
		return exchange(conf, want, seats, true)
	}
	target := describeAll(have)
	if seated {
		return target
	}
	if target = hold(conf, target, seats); !conf.Joint() && sameMembers(conf, target) {
		return exchange(conf, want, seats, false)
	}
	return target
}

// outlived is a target without a learner in whose place its node is to have a newer
// replica, nil when there is none. The node may have forgotten it for good: a holder that
// knew only an old wish took it in once more under its old id. As long as it is a member
// the newer one has no room, and it is never filled. One that has a seat is alive, and
// stays; group 0 has no seats, and its replicas are never given up by their nodes.
func outlived(conf multiraft.GroupConfig, want meta.Group, seats []shardmap.NodeID) []multiraft.ReplicaDesc {
	if conf.Joint() || len(seats) == 0 {
		return nil
	}
	for i, l := range conf.Learners {
		if w, ok := want.On(l.Node); !ok || describe(w).ID == l.ID || slices.Contains(seats, l.Node) {
			continue
		}
		target := slices.Concat(conf.Voters, conf.Learners[:i], conf.Learners[i+1:])
		for j := len(conf.Voters); j < len(target); j++ {
			target[j].Role = multiraft.RoleLearner // also of a witness to be
		}
		return target
	}
	return nil
}

// succeed is a target in which the wanted replica of a node takes the vote of one that
// the node has given up, nil when it cannot. Who holds a group may have an old wish, and
// let a copy that no longer exists vote: its node refuses it, and the group has one vote less
// than it seems. The wanted one cannot learn first, for a node has one replica of a group.
func succeed(conf multiraft.GroupConfig, want meta.Group, seats []shardmap.NodeID, gone uint64) []multiraft.ReplicaDesc {
	i := slices.IndexFunc(conf.Voters, func(v multiraft.ReplicaDesc) bool { return v.ID == gone })
	if i < 0 || conf.Joint() || slices.Contains(seats, conf.Voters[i].Node) {
		return nil
	}
	w, ok := want.On(conf.Voters[i].Node)
	if !ok || w.Role == meta.Learner || describe(w).ID == gone {
		return nil
	}
	return instead(conf, describe(w))
}

// instead are the members with one in the place of the voter of its node.
func instead(conf multiraft.GroupConfig, d multiraft.ReplicaDesc) []multiraft.ReplicaDesc {
	target := slices.Clone(conf.Voters)
	for _, l := range conf.Learners {
		l.Role = multiraft.RoleLearner // also of a witness to be
		target = append(target, l)
	}
	target = slices.DeleteFunc(target, func(m multiraft.ReplicaDesc) bool { return m.Node == d.Node })
	return append(target, d)
}

// withHolder is what is wanted, with the holder's vote in the place of another one as
// long as it is to leave: it hands its lease over first (G6), and the voters stay odd.
// The place is a witness's, if there is one, rather one whose copy has no seat yet,
// rather the last; that copy learns meanwhile.
func withHolder(conf multiraft.GroupConfig, want meta.Group, holder shardmap.NodeID, seats []shardmap.NodeID) meta.Group {
	own, member := conf.On(holder)
	if w, ok := want.On(holder); ok && w.HoldsData() || !member {
		return want
	}
	place, worth := 0, -1
	for i, r := range want.Replicas {
		w := 0
		switch {
		case r.Role == meta.Learner:
			continue // gives no vote up
		case r.Node == holder:
			w = 3
		case r.Role == meta.Witness:
			w = 2
		case !slices.Contains(seats, r.Node):
			w = 1
		}
		if w >= worth {
			place, worth = i, w
		}
	}
	mine := meta.Replica{ID: uint64(uint32(own.ID)), Node: holder, Role: meta.Voter}
	want.Replicas = slices.Clone(want.Replicas)
	if r := &want.Replicas[place]; r.Role == meta.Witness {
		*r = mine
	} else {
		r.Role = meta.Learner
		want.Replicas = append(want.Replicas, mine)
	}
	return want
}

// standing is what is wanted, by the replicas that its nodes have in the
// configuration: a node cannot have two of one group. One that was given up and is
// wanted again before its replica has left gets a new id from group 0; one that is
// wanted as a witness instead of with a copy, or the other way round, gets one too.
func standing(conf multiraft.GroupConfig, want meta.Group) meta.Group {
	cloned := false
	for i, r := range want.Replicas {
		m, ok := conf.On(r.Node)
		if !ok || m.ID == describe(r).ID {
			continue
		}
		r.ID = uint64(uint32(m.ID))
		switch {
		case isWitness(m):
			r.Role = meta.Witness
		case r.Role == meta.Witness:
			r.Role = meta.Voter
		}
		if !cloned {
			want.Replicas, cloned = slices.Clone(want.Replicas), true
		}
		want.Replicas[i] = r
	}
	return want
}

func isWitness(d multiraft.ReplicaDesc) bool { return d.Role == multiraft.RoleWitness }

// inConfig reports whether a raft configuration is the wanted one.
func inConfig(conf multiraft.GroupConfig, want meta.Group) bool {
	if conf.Joint() || len(conf.Voters)+len(conf.Learners) != len(want.Replicas) {
		return false
	}
	for _, r := range want.Replicas {
		d, set := describe(r), conf.Voters
		if d.Role == multiraft.RoleLearner {
			set = conf.Learners
		}
		if !has(set, d.ID) {
			return false
		}
	}
	return true
}

func has(set []multiraft.ReplicaDesc, id uint64) bool {
	return slices.ContainsFunc(set, func(d multiraft.ReplicaDesc) bool { return d.ID == id })
}

// sameMembers reports whether a target changes nothing.
func sameMembers(conf multiraft.GroupConfig, target []multiraft.ReplicaDesc) bool {
	for _, d := range target {
		if set := conf.Voters; d.Role != multiraft.RoleLearner && !has(set, d.ID) || d.Role == multiraft.RoleLearner && !has(conf.Learners, d.ID) {
			return false
		}
	}
	return len(target) == len(conf.Voters)+len(conf.Learners)
}

// fills reports whether a future voter of group 0 is not a member yet: it learns
// until it speaks to this node.
func fills(conf multiraft.GroupConfig, want meta.Group) bool {
	return slices.ContainsFunc(want.Replicas, func(r meta.Replica) bool {
		d := describe(r)
		_, member := conf.Find(d.ID)
		return !member && d.Role == multiraft.RoleVoter
	})
}

// hold keeps the present voters as they are, those included that are to leave, and
// lets all others learn: a voter that left before its heir has a seat would take a
// copy with it that still counts, and leave an even number of voters. A learner that
// was given a seat already keeps it for the same reason. Only a voter without a seat
// makes room, for a witness, which needs none.
func hold(conf multiraft.GroupConfig, target []multiraft.ReplicaDesc, seats []shardmap.NodeID) []multiraft.ReplicaDesc {
	wanted := slices.Clone(target)
	for i := range target {
		target[i].Role = multiraft.RoleLearner
	}
	put := func(d multiraft.ReplicaDesc) {
		if i := slices.IndexFunc(target, func(t multiraft.ReplicaDesc) bool { return t.ID == d.ID }); i >= 0 {
			target[i] = d
		} else {
			target = append(target, d)
		}
	}
	come := slices.DeleteFunc(slices.Clone(wanted), func(d multiraft.ReplicaDesc) bool { return !isWitness(d) || has(conf.Voters, d.ID) })
	for _, v := range conf.Voters {
		if len(come) > 0 && !has(wanted, v.ID) && !slices.Contains(seats, v.Node) {
			v, come = come[0], come[1:]
		}
		put(v)
	}
	for _, l := range conf.Learners {
		if slices.Contains(seats, l.Node) {
			put(l)
		}
	}
	return target
}

// wantedSeats are the nodes whose copies are to count: of the wanted ones those that
// have or can have a copy now. A witness that is wanted as a copy cannot before it has
// made room. The holder keeps its seat until another node holds the lease: without it
// seats would wait for a holder, and the move of the lease for a seat.
func wantedSeats(conf multiraft.GroupConfig, want meta.Group, holder shardmap.NodeID) []shardmap.NodeID {
	seats := make([]shardmap.NodeID, 0, 8)
	add := func(n shardmap.NodeID) {
		if m, _ := conf.On(n); !isWitness(m) && !slices.Contains(seats, n) {
			seats = append(seats, n)
		}
	}
	voters := 0
	for _, w := range want.Replicas {
		if w.Role != meta.Learner {
			voters++
		}
		if w.HoldsData() {
			add(w.Node)
		}
	}
	if voters < groupVoters {
		return append(seats[:0], holder)
	}
	if m, _ := conf.On(holder); isWitness(m) && len(seats) == 0 {
		for _, v := range conf.Voters { // somebody must be able to take the lease from it
			add(v.Node)
		}
	}
	if !slices.Contains(seats, holder) {
		seats = append(seats, holder)
	}
	return seats
}

// exchange is a target in which one voter becomes its node's wanted replica of the
// other kind, nil when there is nothing to exchange. Witnesses make room first, for
// a copy must be filled before it can have a seat; a copy goes when all else is in
// place. Whoever has a seat stays, even a witness: it served when no copy was left,
// and has what was written since. The node is without a replica for a moment.
func exchange(conf multiraft.GroupConfig, want meta.Group, seats []shardmap.NodeID, settled bool) []multiraft.ReplicaDesc {
	voter := func(r meta.Replica) int {
		return slices.IndexFunc(conf.Voters, func(v multiraft.ReplicaDesc) bool { return v.Node == r.Node })
	}
	copies := slices.ContainsFunc(want.Replicas, func(r meta.Replica) bool {
		i := voter(r)
		return r.Role != meta.Witness && i >= 0 && isWitness(conf.Voters[i])
	})
	for _, r := range want.Replicas {
		i := voter(r)
		if i < 0 || r.Role == meta.Learner || isWitness(conf.Voters[i]) == (r.Role == meta.Witness) || slices.Contains(seats, r.Node) {
			continue
		}
		if r.Role == meta.Witness && (!settled || copies) {
			continue
		}
		return instead(conf, describe(r))
	}
	return nil
}
