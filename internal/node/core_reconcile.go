package node

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	// placeEvery spaces placement proposals: one must be applied before the next
	// is computed.
	placeEvery = time.Second
	// steadyFor is how long a group must have been whole and quiet before its
	// lease goes back to a node that was away; newcomerSteady the same for a node in
	// its first life, whose arrival is no sign of trouble.
	steadyFor      = 30 * time.Second
	newcomerSteady = time.Second
	// balanceAtOnce bounds planned lease moves of one node at a time.
	balanceAtOnce = 4
)

// reconcile compares what is wanted with what is, and takes the next step. Every
// step is idempotent and conditional, so doing it again, late, or at two nodes
// does no harm.
func (c *Core) reconcile(now multiraft.Instant) {
	if c.meta == nil {
		return
	}
	c.announce(now)
	if c.meta.Version != c.inPlace && c.leadsMeta(now) && now.Mono-c.placed >= placeEvery {
		c.place(now)
	}
	c.adopt(now)
	for g := range c.meta.Groups {
		c.drive(shardmap.GroupID(g), now)
	}
	if !c.draining {
		c.balance(now)
	}
}

// place proposes the placement that the ring wants, where it differs.
func (c *Core) place(now multiraft.Instant) {
	ids := make([]shardmap.NodeID, 0, len(c.meta.Nodes))
	bytes := make(map[shardmap.NodeID]int64)
	for _, n := range c.meta.Nodes {
		ids = append(ids, n.ID)
		bytes[n.ID] = n.DataBytes
	}
	var changed []meta.Placement
	for _, p := range placements(ids, c.plan, c.meta.Settings, bytes, c.meta) {
		if !sameReplicas(c.meta.Group(p.Group), p) {
			changed = append(changed, p)
		}
	}
	if len(changed) == 0 {
		c.inPlace = c.meta.Version // the same state wants the same again
	} else {
		c.placed = now.Mono
		c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Place: changed}.Encode())
	}
}

// placements is what every group should have on these nodes.
func placements(ids []shardmap.NodeID, plan [][]shardmap.NodeID, s meta.Settings, bytes map[shardmap.NodeID]int64, present *meta.State) []meta.Placement {
	was := func(g shardmap.GroupID) meta.Group {
		if present == nil {
			return meta.Group{}
		}
		return present.Group(g)
	}
	ps := []meta.Placement{{Group: shardmap.MetaGroup, From: was(0).Version, Replicas: wantedMeta(ids, was(0))}}
	groupsOn := make(map[shardmap.NodeID]int64)
	for g := 1; g <= s.Groups; g++ {
		id := shardmap.GroupID(g)
		ws := wantedReplicas(plan[g], len(ids), s.ReplicationFactor, was(id))
		for _, w := range ws {
			if w.Role != meta.Witness {
				groupsOn[w.Node]++
			}
		}
		ps = append(ps, meta.Placement{Group: id, From: was(id).Version, Replicas: ws})
	}
	for i := 1; i < len(ps); i++ {
		ps[i].BudgetBytes = groupBudget(ps[i].Replicas, bytes, groupsOn)
	}
	return ps
}

func sameReplicas(g meta.Group, p meta.Placement) bool {
	if g.BudgetBytes != p.BudgetBytes || len(g.Replicas) != len(p.Replicas) {
		return false
	}
	for i, r := range g.Replicas {
		if r.Node != p.Replicas[i].Node || r.Role != p.Replicas[i].Role {
			return false
		}
	}
	return true
}

// adopt makes the replicas that group 0 wants here and drops those it does not.
func (c *Core) adopt(now multiraft.Instant) {
	if !c.dirty {
		return
	}
	c.dirty = false
	for g := range c.meta.Groups {
		id := shardmap.GroupID(g)
		want, wanted := c.meta.Groups[g].On(c.self.Node)
		st, have := c.raft.Group(id)
		switch {
		case have && id != shardmap.MetaGroup && (!wanted || describe(want).ID != st.ReplicaID):
			c.dirty = true
			c.retire(st, now)
		case wanted && !have:
			if id != shardmap.MetaGroup {
				c.data.Join(id, raftRole(want.Role))
			}
			if c.raft.Join(id, describe(want).ID, now) != nil {
				c.data.Drop(id)
			}
		}
		c.settle(id)
	}
}

// settle applies what group 0 says of a group that is here: budget and the order
// in which replicas campaign.
func (c *Core) settle(id shardmap.GroupID) {
	want := c.meta.Group(id)
	rank := len(want.Replicas)
	for i, r := range want.Replicas {
		if r.Node == c.self.Node {
			rank = i
		}
	}
	if c.draining {
		rank += len(want.Replicas)
	}
	c.raft.SetRank(id, rank)
	if r := c.data.Replica(id); r != nil && want.BudgetBytes > 0 {
		r.SetBudget(want.BudgetBytes / int64(c.meta.Settings.Layout().ShardsPerGroup()))
	}
}

// drive moves the raft configuration of a group this node holds toward what is
// wanted: learners first; seats when they are filled; voters after the seats, so
// that every voter that may lead has a seat.
func (c *Core) drive(id shardmap.GroupID, now multiraft.Instant) {
	want := c.meta.Group(id)
	if !c.raft.Opened(id) || len(want.Replicas) == 0 {
		return
	}
	st, ok := c.raft.Group(id)
	if !ok || !st.Leads {
		return
	}
	seated := true
	if id != shardmap.MetaGroup {
		seated = c.seat(id, want)
	}
	want = standing(st.Config, want)
	if inConfig(st.Config, want) { // as nearly always: nothing is made up only to find no change
		return
	}
	target := describeAll(want)
	if !seated || id == shardmap.MetaGroup && c.fills(st, target) {
		target = holdMembers(st.Config, target, c.seats(id))
	}
	c.raft.Reconfigure(st, target, now)
}

// seats are the nodes that have a seat of a group led here.
func (c *Core) seats(id shardmap.GroupID) (nodes []shardmap.NodeID) {
	if r := c.data.Replica(id); r != nil {
		for _, m := range r.Seats() {
			nodes = append(nodes, m.Node)
		}
	}
	return nodes
}

// standing is what is wanted, by the ids that its nodes have in the configuration. A
// node that was given up and is wanted again before its replica has left gets a new
// id from group 0, but it cannot have two replicas of a group: the old one stays.
func standing(conf multiraft.GroupConfig, want meta.Group) meta.Group {
	for i, r := range want.Replicas {
		have, ok := conf.On(r.Node)
		if id := uint64(uint32(have.ID)); ok && id != r.ID && (have.Role == multiraft.RoleWitness) == (r.Role == meta.Witness) {
			want.Replicas = slices.Clone(want.Replicas)
			want.Replicas[i].ID = id
			return standing(conf, want)
		}
	}
	return want
}

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
		if !slices.ContainsFunc(set, func(have multiraft.ReplicaDesc) bool { return have.ID == d.ID }) {
			return false
		}
	}
	return true
}

// fills reports whether a future voter of group 0 is not a member yet: it learns
// until it speaks to this node.
func (c *Core) fills(st multiraft.GroupStatus, target []multiraft.ReplicaDesc) bool {
	return slices.ContainsFunc(target, func(d multiraft.ReplicaDesc) bool {
		_, member := st.Config.Find(d.ID)
		return !member && d.Role == multiraft.RoleVoter
	})
}

// holdMembers keeps the present voters as they are, those included that are to
// leave, and lets all others learn: a voter that left before its heir has a seat
// would take a copy with it that still counts, and leave an even number of voters.
// A learner that was given a seat already keeps it for the same reason.
func holdMembers(conf multiraft.GroupConfig, target []multiraft.ReplicaDesc, seats []shardmap.NodeID) []multiraft.ReplicaDesc {
	for i := range target {
		target[i].Role = multiraft.RoleLearner
	}
	keep := func(d multiraft.ReplicaDesc) {
		i := slices.IndexFunc(target, func(t multiraft.ReplicaDesc) bool { return t.ID == d.ID })
		if i < 0 {
			target = append(target, d)
		} else {
			target[i] = d
		}
	}
	for _, v := range conf.Voters {
		keep(v)
	}
	for _, l := range conf.Learners {
		if slices.Contains(seats, l.Node) {
			keep(l)
		}
	}
	return target
}

// seat asks for the seats that the wanted voters need; until they are there the
// voters are held back.
func (c *Core) seat(id shardmap.GroupID, want meta.Group) (seated bool) {
	r := c.data.Replica(id)
	if r == nil {
		return true
	}
	seats := make([]shardmap.NodeID, 0, 8)
	voters := 0
	for _, w := range want.Replicas {
		if w.Role != meta.Learner {
			voters++
		}
		if w.HoldsData() {
			seats = append(seats, w.Node)
		}
	}
	if voters < groupVoters {
		seats = append(seats[:0], c.self.Node)
	}
	r.SetSeats(seats)
	return r.Seated()
}

// patience is how long a node must look well before leases move to it.
func (c *Core) patience(n shardmap.NodeID) time.Duration {
	if row, ok := c.meta.Node(n); ok && row.Generation <= 1 {
		return newcomerSteady
	}
	return steadyFor
}

// balance hands leases back to the nodes the ring prefers, a few at a time, once
// everything has been quiet for a while.
func (c *Core) balance(now multiraft.Instant) {
	moving := len(c.moves)
	for g := 1; g <= c.meta.Settings.Groups && moving < balanceAtOnce; g++ {
		id := shardmap.GroupID(g)
		to := c.rightful(id)
		if to == 0 {
			delete(c.steady, id)
			continue
		}
		since, known := c.steady[id]
		switch {
		case !known:
			c.steady[id] = now.Mono
		case now.Mono-since >= c.patience(to):
			delete(c.steady, id)
			c.moveLease(id, to, now)
			moving++
		}
	}
}

// rightful is the node that a group held here should go to and could, 0 when
// there is none: the first of the wanted replicas, or, when this node is to leave
// the group, the first that can take it (the seats do not change before, G6).
func (c *Core) rightful(id shardmap.GroupID) shardmap.NodeID {
	want := c.meta.Group(id)
	if !c.raft.Opened(id) || c.moves[id] != nil || len(want.Replicas) < groupVoters || want.Replicas[0].Node == c.self.Node {
		return 0
	}
	st, _ := c.raft.Group(id)
	r := c.data.Replica(id)
	if st.Config.Joint() || r == nil {
		return 0
	}
	stays := false
	if w, ok := want.On(c.self.Node); ok {
		stays = w.HoldsData()
	}
	for i, w := range want.Replicas {
		if stays && i > 0 {
			break
		}
		if !c.leaving(w.Node) && votes(st.Config, w.Node) && r.Succeeds(w.Node) {
			return w.Node
		}
	}
	return 0
}

// votes reports whether leadership could be handed to a node.
func votes(conf multiraft.GroupConfig, n shardmap.NodeID) bool {
	return slices.ContainsFunc(conf.Voters, func(d multiraft.ReplicaDesc) bool { return d.Node == n })
}
