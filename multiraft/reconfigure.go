package multiraft

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Reconfigure drives a group one step toward the target replicas. The caller
// lists a future voter as learner until its copy is filled. It is idempotent and
// does nothing unless this node holds an open, unexpired lease published under
// the last configuration of its log (G2). Joint changes are explicit and never
// left by raft itself: its automatic leave is proposed by any new leader, long
// before that one has fenced (G1). It reports whether the target is reached.
func (c *Core) Reconfigure(g0 GroupStatus, target []ReplicaDesc, now Instant) bool {
	g := c.group(g0.Group)
	if g == nil || g.claim == nil || !g.leads() || !g.claim.lease.Check(now.Mono, now.SuspendOffset) {
		return false
	}
	if g.changing(now) {
		return false
	}
	cc, voters := c.nextChange(g, target)
	if cc == nil {
		return !g.conf.Joint()
	}
	if voters != nil && !c.supported(g, voters, now) && !seeded("confunsafe") {
		probeLowSupport.Hit()
		return false
	}
	if g.raft().ProposeConfChange(cc) == nil {
		g.confAsked = now.Wait + 10*c.cfg.Heartbeat
		c.touch(g)
	}
	return false
}

// changing reports whether a configuration entry is on its way: asked for, or in the log
// and not applied.
func (g *group) changing(now Instant) bool {
	return g.lastConf > g.log.applied || now.Wait < g.confAsked
}

// Changing reports whether the members of a group change just now: its lease should not
// leave before. Raft forgets a transfer in some of these moments, and the group would stand
// until it is taken back.
func (c *Core) Changing(id shardmap.GroupID, now Instant) bool {
	g := c.group(id)
	return g != nil && g.changing(now)
}

// nextChange is the next configuration entry, nil when none is needed; voters is
// the voter set it leads to, nil when voters do not change.
func (c *Core) nextChange(g *group, target []ReplicaDesc) (cc *pb.ConfChangeV2, voters []ReplicaDesc) {
	if g.conf.Joint() {
		return &pb.ConfChangeV2{}, nil
	}
	var votersNow, votersThen, learnersThen []uint64
	for _, d := range g.conf.Voters {
		votersNow = append(votersNow, d.ID)
	}
	for _, d := range target {
		if d.Role == RoleLearner {
			learnersThen = append(learnersThen, d.ID)
		} else {
			votersThen = append(votersThen, d.ID)
			voters = append(voters, d)
		}
	}
	wanted := append(slices.DeleteFunc(slices.Clone(votersThen), g.replaces), learnersThen...)
	if cc := learnerChange(g, votersNow, wanted); cc != nil {
		return cc, nil
	}
	var changes []*pb.ConfChangeSingle
	for _, id := range votersThen {
		if !slices.Contains(votersNow, id) {
			changes = append(changes, change(pb.ConfChangeAddNode, id))
		}
	}
	for _, id := range votersNow {
		switch {
		case slices.Contains(votersThen, id):
		case slices.Contains(learnersThen, id):
			changes = append(changes, change(pb.ConfChangeAddLearnerNode, id))
		default:
			changes = append(changes, change(pb.ConfChangeRemoveNode, id))
		}
	}
	if len(changes) == 0 || len(votersThen) == 0 {
		return nil, nil
	}
	transition := pb.ConfChangeTransitionJointExplicit
	if seeded("autoleave") {
		transition = pb.ConfChangeTransitionJointImplicit
	}
	return &pb.ConfChangeV2{Transition: transition.Enum(), Changes: changes}, voters
}

// learnerChange adds one missing replica as learner, or removes one learner that
// nobody wants. Voters are not touched, so no joint configuration is needed.
func learnerChange(g *group, votersNow, wanted []uint64) *pb.ConfChangeV2 {
	for _, id := range wanted {
		_, have := g.conf.Find(id)
		if !have && !slices.Contains(votersNow, id) {
			return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{change(pb.ConfChangeAddLearnerNode, id)}}
		}
	}
	for _, d := range g.conf.Learners {
		if !slices.Contains(wanted, d.ID) {
			return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{change(pb.ConfChangeRemoveNode, d.ID)}}
		}
	}
	return nil
}

func change(t pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: t.Enum(), NodeId: proto.Uint64(id)}
}

// replaces reports whether another replica on the node of a raft id votes: as long
// as it does, the node has no room for this one, and it cannot learn first.
func (g *group) replaces(id uint64) bool {
	return slices.ContainsFunc(g.conf.Voters, func(v ReplicaDesc) bool { return v.Node == NodeOf(id) && v.ID != id })
}

// hearsAllBut reports whether the last heartbeat of each voter on another node has come.
func (c *Core) hearsAllBut(n shardmap.NodeID, voters []ReplicaDesc, now Instant) bool {
	for _, d := range voters {
		if d.Node == n || d.Node == c.cfg.Self.Node {
			continue
		}
		if p := c.peer(d.Node); p == nil || now.Wait-p.heard > 3*c.cfg.Heartbeat/2 {
			return false
		}
	}
	return true
}

// supported reports whether the lease would not dip: every added voter has acked
// this ballot, and the target set alone supports it for half a promise (G3). One
// that replaces another replica on its node cannot have acked: the others must do.
// One that stays and is dead adds nothing to that support and is no reason to wait:
// else no other voter of the group could leave before it is heard again. Where a replica is
// replaced on its node all others must have been heard just now: until the new one is
// there, which takes a round trip more, the group could not do without them.
func (c *Core) supported(g *group, voters []ReplicaDesc, now Instant) bool {
	for _, d := range voters {
		stays := slices.ContainsFunc(g.conf.Voters, func(v ReplicaDesc) bool { return v.ID == d.ID })
		if d.ID != g.self && (!stays || seeded("dead-voter-waits")) && !g.claim.voter(d.ID).acked && !g.replaces(d.ID) {
			return false
		}
		if g.replaces(d.ID) && !c.hearsAllBut(NodeOf(d.ID), voters, now) {
			return false
		}
	}
	as := *g
	as.conf = GroupConfig{Voters: voters, Outgoing: g.conf.Voters}
	return c.support(&as) >= now.Age+c.cfg.Promise/2
}
