package node

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// retireEvery spaces the questions about a replica that nobody wants any more.
const retireEvery = time.Second

// membershipQuestion asks whether a replica is still in its group's configuration.
type membershipQuestion struct {
	Group   shardmap.GroupID `json:"group"`
	Replica uint64           `json:"replica"`
}

// retire drops a replica of this node that group 0 does not want, once it has left
// the raft configuration. Raft does not tell it: a leader stops sending to a replica
// in the moment that it applies the removal, and one that was down hears nothing at
// all. So the holder is asked, and all who may be members: the group may have no holder
// before the wanted replica is here, which has its vote. Ids are minted once and, once
// unwanted, never wanted again, so a late answer does no harm.
func (c *Core) retire(st multiraft.GroupStatus, now multiraft.Instant) {
	want := c.meta.Group(st.Group)
	if numberOf(st.ReplicaID) >= want.NextReplica {
		return // minted after what this node knows of group 0
	}
	if _, member := st.Config.Find(st.ReplicaID); !member && st.Applied > 0 {
		c.drop(st.Group, now)
		return
	}
	if now.Mono-c.retiring[st.Group] < retireEvery {
		return
	}
	c.retiring[st.Group] = now.Mono
	others := nodesOf(st.Config.Voters)
	for _, r := range want.Replicas {
		others = append(others, r.Node)
	}
	asked := []shardmap.NodeID{c.routes.Route(st.Group).Leader}
	for _, n := range others {
		if silent, heard := c.raft.Silence(n, now); heard && silent < retireEvery && !slices.Contains(asked, n) {
			asked = append(asked, n)
		}
	}
	for _, n := range asked {
		if n != 0 && n != c.self.Node {
			c.askWhetherMember(n, st, now)
		}
	}
}

// askWhetherMember drops a replica of this node if another one says that it is no member.
func (c *Core) askWhetherMember(n shardmap.NodeID, st multiraft.GroupStatus, now multiraft.Instant) {
	b, err := json.Marshal(membershipQuestion{st.Group, st.ReplicaID})
	if err != nil {
		return
	}
	c.Ask(n, "member", b, now, func(a Answer) {
		here, have := c.raft.Group(st.Group)
		if a.Err == "" && string(a.Body) == "false" && have && here.ReplicaID == st.ReplicaID {
			c.drop(st.Group, c.now)
		}
	})
}

// numberOf is the number that group 0 minted for a replica.
func numberOf(replica uint64) uint64 { return uint64(uint32(replica)) }

// knock tells the holders of groups that have nothing to do with the wanted replicas here
// that they are here. A holder that knew only an old wish may have given a vote to one
// that this node gave up before: as long as that is a member the wanted one is never spoken to.
func (c *Core) knock(now multiraft.Instant) {
	if now.Mono-c.knocked < retireEvery {
		return
	}
	c.knocked = now.Mono
	for g := range c.meta.Groups {
		id := shardmap.GroupID(g)
		own := c.raft.Own(id)
		if id == shardmap.MetaGroup || own == 0 || c.raft.Applied(id) > 0 {
			continue
		}
		holder := c.routes.Route(id).Leader
		want, wanted := c.meta.Groups[g].On(c.self.Node)
		if !wanted || describe(want).ID != own || holder == 0 || holder == c.self.Node {
			continue
		}
		if b, err := json.Marshal(membershipQuestion{id, own}); err == nil {
			c.Ask(holder, "member", b, now, func(Answer) {}) // the question is the message
		}
	}
}

// drop forgets a replica of this node for good.
func (c *Core) drop(id shardmap.GroupID, now multiraft.Instant) {
	probeRetired.Hit()
	delete(c.retiring, id)
	c.raft.Destroy(id, now)
	c.data.Drop(id)
	c.dirty = true // it may be wanted again under another id
}

// answerMember says whether a replica is in a group's configuration, if this node
// holds the group. Of a wanted one that is not it learns that the other one which stands
// there in its node's place is gone: a node has one of a group, and gets no id twice.
// Who does not hold the group knows it when a later replica of the same node stands in its
// place: a configuration is committed when it is applied, and is never taken back.
func (c *Core) answerMember(body []byte, now multiraft.Instant) Answer {
	var q membershipQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return Answer{Err: "the question cannot be read: " + err.Error()}
	}
	st, ok := c.raft.Group(q.Group)
	_, member := st.Config.Find(q.Replica)
	other, on := st.Config.On(multiraft.NodeOf(q.Replica))
	holds := ok && st.Lease.Check(now.Mono, now.SuspendOffset)
	switch {
	case !holds && !member && on && numberOf(other.ID) > numberOf(q.Replica):
		probeSuccessorSeen.Hit()
	case !holds:
		return Answer{Err: "this node does not hold the group"}
	case member:
		return Answer{Body: []byte("true")}
	case on:
		if want, wanted := c.meta.Group(q.Group).On(other.Node); wanted && describe(want).ID == q.Replica {
			c.succeeded[q.Group] = other.ID
			c.arrived[q.Group] = arrival{} // there is something to do again
		}
	}
	return Answer{Body: []byte("false")}
}
