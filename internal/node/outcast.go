package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A node that was removed while it was away is named by nobody, and so nobody speaks to
// it: alone it could not tell that from a cluster that is down. So it asks.

const (
	// lonelyAfter is how long no leader of group 0 must be known before it is asked.
	lonelyAfter = 3 * time.Second
	outcastWait = time.Second
)

// wantedEvery is how often a node that knows a leader asks some of the others all the same:
// those whom it hears may be nodes that were declared gone together with it.
const wantedEvery = 5 * time.Second

// outcastAsks is how many are asked at once, in turn: some of them may be down.
const outcastAsks = 3

// lonely is what a node remembers of asking whether it is wanted.
type lonely struct {
	since time.Time // that it knows no leader of group 0; zero: it knows one
	last  time.Time // that it asked
	asked int       // contacts, in turn
}

// turn are those who are asked next: not this node itself, and everybody in some turn.
func (l *lonely) turn(contacts []membership.Contact, self shardmap.NodeID) (ask []membership.Contact) {
	others := slices.DeleteFunc(slices.Clone(contacts), func(at membership.Contact) bool { return at.Node == self })
	for range min(outcastAsks, len(others)) {
		ask = append(ask, others[l.asked%len(others)])
		l.asked++
	}
	return ask
}

// removed reports whether group 0 has taken a data directory out for good, as far as
// this node knows.
func (n *Node) removed(uuid [16]byte) (yes bool) {
	core := n.standing()
	if core == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), outcastWait/2)
	defer cancel()
	got := make(chan bool, 1)
	err := n.host.Do(ctx, func(multiraft.Instant) { got <- core.Meta() != nil && core.Meta().WasRemoved(uuid) })
	return err == nil && <-got
}

// outcast asks some of the others whether this node still belongs to them, often when it
// has heard of no leader for a while. A member that says no, under the cluster's secret, ends
// this process: nothing that it could do would count.
func (c *chat) outcast(ctx context.Context, contacts []membership.Contact) {
	n := c.n
	led, l := make(chan bool, 1), &c.lonely
	switch {
	case n.host.Do(ctx, func(multiraft.Instant) { led <- n.core.MetaLeader() != 0 }) != nil || len(contacts) == 0:
		return
	case <-led:
		if l.since = (time.Time{}); time.Since(l.last) < wantedEvery {
			return
		}
	case l.since.IsZero():
		l.since = time.Now()
		return
	case time.Since(l.since) < lonelyAfter:
		return
	}
	turn := l.turn(contacts, n.self)
	l.last = time.Now()
	one, cancel := context.WithTimeout(ctx, outcastWait)
	defer cancel()
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: n.cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	banished := make(chan bool, len(turn))
	for _, at := range turn {
		go func() {
			rep, err := membership.Ask(one, at.Addr, q, n.secret)
			banished <- err == nil && banishes(rep, n.cluster, n.removed)
		}()
	}
	for range turn {
		if <-banished {
			n.end(n.errRemoved())
			return
		}
	}
}

// banishes reports whether a node says that the asker was removed, and may say so: not when
// it was removed itself, as far as the asker knows. Two that were cut off, and were each told
// that the other one is gone, would end each other.
func banishes(rep membership.Reply, cluster [16]byte, removed func(uuid [16]byte) bool) bool {
	return rep.Cluster == cluster && rep.Removed && !removed(rep.UUID)
}

// errRemoved is the end of a node that was removed. It is remembered: who said so may be
// down when the node is started again.
func (n *Node) errRemoved() error {
	n.dir.leave()
	return fmt.Errorf("this node was removed from its cluster (%.4x), by an operator or because it was missed for longer than --replace-after: the others go on without it, and data directory %s may never come back; move it away and start again with --seeds: it joins as a new node",
		n.identity.Cluster, n.dir.path)
}

// membersWait is how long a node that starts waits for members that do not answer.
const membersWait = time.Second

// checkRemoved asks, before this node takes part in anything, all that it knows whether it
// still belongs to them. Nodes that were declared gone together would otherwise find a
// majority in each other, and serve what they have.
func (n *Node) checkRemoved(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, membersWait)
	defer cancel()
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: n.identity.Cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	known := n.metaOnDisk()
	addrs := n.membersOnDisk(known)
	removed := make(chan bool, len(addrs))
	for _, a := range addrs {
		go func() {
			rep, err := membership.Ask(ctx, a, q, n.secret)
			removed <- err == nil && banishes(rep, q.Cluster, func(u [16]byte) bool { return known.WasRemoved(u) })
		}()
	}
	for range addrs {
		if <-removed {
			return n.errRemoved()
		}
	}
	return nil
}

// metaOnDisk is what this node knew of group 0 when it ran last.
func (n *Node) metaOnDisk() *meta.State {
	for _, g := range n.start.Groups {
		if g.Group != shardmap.MetaGroup {
			continue
		}
		s, err := meta.Restore(g.Snapshot.GetData())
		if err != nil {
			s = &meta.State{NextNode: 1}
		}
		for _, e := range g.Entries {
			if e.GetType() == pb.EntryNormal {
				if x, err := meta.DecodeEntry(e.GetData()); err == nil {
					s.Apply(x)
				}
			}
		}
		return s
	}
	return &meta.State{}
}

// membersOnDisk are the gossip addresses of the nodes that this one knew when it ran last.
func (n *Node) membersOnDisk(known *meta.State) (addrs []string) {
	nodes := slices.Concat(n.founded.Nodes, n.founded.Contacts, known.Nodes)
	own := canonical(n.addresses().Gossip)
	for _, m := range nodes {
		if a := m.Addresses.Gossip; a != "" && canonical(a) != own && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
