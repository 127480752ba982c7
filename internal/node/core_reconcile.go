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
	stepEvery  = 100 * time.Millisecond // while copies are on their way
	// steadyFor is how long a group must have been whole and quiet before its
	// lease goes back to a node that was away; newcomerSteady the same for a node in
	// its first life, whose arrival is no sign of trouble.
	steadyFor      = 30 * time.Second
	newcomerSteady = time.Second
	// Leases that go where they are preferred, or leave a node that drains, go one at a
	// time, so that no group waits for the work of another, and spread over paceSpan, but
	// never more than paceMax apart: a client that has one connection to a node waits with
	// all its requests for the one that is parked. Those of groups without a key go at once:
	// of a young cluster one node holds all.
	paceMax  = 500 * time.Millisecond
	paceSpan = 30 * time.Second
)

// reconcile compares what is wanted with what is, and takes the next step. Every
// step is idempotent and conditional, so doing it again, late, or at two nodes
// does no harm.
func (c *Core) reconcile(now multiraft.Instant) {
	if c.meta == nil {
		return
	}
	c.announce(now)
	c.watchComebacks(now)
	c.tickRecovery(now)
	c.notedAll()
	if c.leadsMeta(now) && now.Mono-c.placed >= c.placePause {
		c.missProgress(now)
		c.watchMissed(now)
		if c.forgetGone() {
			c.placed = now.Mono
		} else if c.meta.Version != c.inPlace {
			c.place(now)
		}
	}
	c.mourn(now)
	c.depart(now)
	c.tellProgress(now)
	c.adopt(now)
	c.knock(now)
	for g := range c.meta.Groups {
		c.drive(shardmap.GroupID(g), now)
	}
	switch {
	case c.sheds():
	case c.astray(c.self.Node) || c.sentAway(c.self.Node):
		c.drainMore(now) // to those that may have them; who has no other keeps the lease
	default:
		c.balance(now)
	}
}

// place proposes the placement that is wanted, where it differs.
func (c *Core) place(now multiraft.Instant) {
	var changed []meta.Placement
	want := c.ring.placements(c.meta.Nodes, c.meta.Settings, c.meta.Groups, c.progress, c.self.Node, c.missed, c.meta.Halted)
	plan, pending, held := steps(want, c.meta.Nodes, c.meta.Groups, c.progress, c.missed, c.meta.Halted)
	c.heldUp = held
	c.placePause = placeEvery
	if pending {
		c.placePause = stepEvery
	}
	known := c.knowsProgress(now)
	if !known && len(plan) > 0 {
		plan = plan[:1] // newcomers need group 0
	}
	for _, p := range plan {
		if !sameReplicas(c.meta.Group(p.Group), p) {
			changed = append(changed, p)
		}
	}
	switch {
	case len(changed) == 0 && known:
		c.inPlace = c.meta.Version // the same state wants the same again
	case len(changed) > 0:
		c.placed = now.Mono
		c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Place: changed}.Encode())
	}
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
		case wanted && !have && !refounds(want):
			if id != shardmap.MetaGroup {
				c.data.Join(id, describe(want).ID, raftRole(want.Role))
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
	rank := slices.IndexFunc(want.Replicas, func(r meta.Replica) bool { return r.Node == c.self.Node })
	if rank < 0 {
		rank = len(want.Replicas)
	}
	var ahead []shardmap.NodeID
	for _, r := range want.Replicas[:rank] {
		ahead = append(ahead, r.Node)
	}
	if c.draining || c.sentAway(c.self.Node) {
		rank += len(want.Replicas)
	}
	c.raft.SetRank(id, rank, ahead...)
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
	at := arrival{want.Version, c.raft.Applied(id)}
	if at == c.arrived[id] { // as nearly always: everything below follows from the two
		return
	}
	st, ok := c.raft.Group(id)
	if !ok || !st.Leads {
		return
	}
	seated, seats := true, c.seats(id)
	if r := c.data.Replica(id); r != nil {
		r.SetSeats(wantedSeats(st.Config, want, c.self.Node))
		seated = r.Seated()
		want = withHolder(st.Config, want, c.self.Node, seats)
	} else if id == shardmap.MetaGroup {
		seated = !fills(st.Config, want)
		if mine, _ := want.On(c.self.Node); mine.Role != meta.Voter {
			return // it hands group 0 over first
		}
	}
	target := outlived(st.Config, want, seats)
	if gone := c.succeeded[id]; target == nil && gone != 0 {
		if _, member := st.Config.Find(gone); !member {
			delete(c.succeeded, id)
		} else if target = succeed(st.Config, want, seats, gone); target != nil {
			probeSucceeded.Hit()
		}
	}
	if target == nil {
		target = nextMembers(st.Config, want, seats, seated)
	}
	if target != nil {
		c.raft.Reconfigure(st, target, now)
	} else if seated {
		c.arrived[id] = at
	}
}

// arrival is where a group had what is wanted: the version of the wish, and the
// group's own log, which says what it has.
type arrival struct {
	wanted  uint64
	applied uint64
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

// patience is how long a node must look well before the lease of a group moves to it from
// here. Where this node is to give the group up, a move of copies waits for that, and the
// lease will not come back: it goes soon, also to one that was away, once.
func (c *Core) patience(id shardmap.GroupID, n shardmap.NodeID) time.Duration {
	if row, ok := c.meta.Node(n); ok && row.Generation <= 1 || !c.stays(id) && !c.flaps(n) {
		return newcomerSteady
	}
	return steadyFor
}

// balance hands leases back to the nodes the ring prefers, one at a time, once
// everything has been quiet for a while.
func (c *Core) balance(now multiraft.Instant) {
	for i := range c.meta.Settings.Groups {
		id := shardmap.GroupID(1 + (int(c.lastPaced)+i)%c.meta.Settings.Groups) // the one that had its turn comes last
		to := c.rightful(id)
		if to == 0 {
			delete(c.steady, id)
			continue
		}
		since, known := c.steady[id]
		switch {
		case !known:
			c.steady[id] = now.Mono
		case now.Mono-since >= c.patience(id, to) && c.mayLeave(id, now):
			delete(c.steady, id)
			if c.moveLease(id, to, now) {
				c.paced, c.lastPaced = now.Mono, id
			}
		}
	}
}

// mayLeave reports whether a lease may leave now that is in no hurry.
func (c *Core) mayLeave(id shardmap.GroupID, now multiraft.Instant) bool {
	since := now.Mono - c.paced
	if len(c.moves) == 0 && (since >= paceMax || since >= pace(len(c.held(now)))) {
		return true
	}
	r := c.data.Replica(id)
	return len(c.moves) < drainAtOnce && r != nil && r.Len() == 0
}

// pace is how far apart leases leave a node that holds so many.
func pace(leases int) time.Duration { return min(paceMax, paceSpan/time.Duration(max(1, leases))) }

// stays reports whether this node is to keep its copy of a group.
func (c *Core) stays(id shardmap.GroupID) bool {
	mine, _ := c.meta.Group(id).On(c.self.Node)
	return mine.HoldsData() && mine.Node != 0 && roleOf(c.raft.Own(id)) != multiraft.RoleWitness
}

// rightful is the node that a group held here should go to and could, 0 when
// there is none: the first of the wanted replicas, or, when this node is to leave
// the group, the first that can take it (the seats do not change before, G6).
func (c *Core) rightful(id shardmap.GroupID) shardmap.NodeID {
	want := c.meta.Group(id)
	if !c.raft.Opened(id) || c.moves[id] != nil || len(want.Replicas) < groupVoters {
		return 0
	}
	stays := c.stays(id)
	if stays && (want.Replicas[0].Node == c.self.Node || c.now.Mono < c.kept[id]) {
		return 0
	}
	st, _ := c.raft.Group(id)
	r := c.data.Replica(id)
	if st.Config.Joint() || r == nil {
		return 0
	}
	takes := func(n shardmap.NodeID) bool {
		return !c.leaving(n) && !c.astray(n) && votes(st.Config, n) && r.Succeeds(n)
	}
	for _, w := range want.Replicas {
		if takes(w.Node) && (!stays || !c.flaps(w.Node)) {
			return w.Node
		}
		if stays {
			return 0
		}
	}
	for _, v := range st.Config.Voters { // not even wanted, but it has a copy by right
		if takes(v.Node) && !isWitness(v) {
			return v.Node
		}
	}
	for _, w := range want.Replicas { // rather a copy that is to have no leases than a witness
		if w.HoldsData() && !c.announcedLeave(w.Node) && !c.astray(w.Node) && votes(st.Config, w.Node) && r.Succeeds(w.Node) {
			return w.Node
		}
	}
	return 0
}

// votes reports whether leadership could be handed to a node.
func votes(conf multiraft.GroupConfig, n shardmap.NodeID) bool {
	return slices.ContainsFunc(conf.Voters, func(d multiraft.ReplicaDesc) bool { return d.Node == n })
}
