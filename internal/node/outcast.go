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

// remembers is what this node knows of who was removed, and nothing else: nothing where it
// does not take part yet.
func (n *Node) remembers() *meta.State {
	core := n.standing()
	if core == nil {
		return &meta.State{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), outcastWait/2)
	defer cancel()
	got := make(chan *meta.State, 1)
	err := n.host.Do(ctx, func(multiraft.Instant) {
		s := &meta.State{}
		if m := core.Meta(); m != nil {
			s.Removed, s.Recoveries = slices.Clone(m.Removed), slices.Clone(m.Recoveries)
		}
		got <- s
	})
	if err != nil {
		return &meta.State{}
	}
	return <-got
}

// outcast asks some of the others whether this node still belongs to them, often when it
// has heard of no leader for a while. A member that says no, under the cluster's secret, ends
// this process: nothing that it could do would count. Those that were declared gone are asked
// too: they may run, and have gone on without this one.
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
	known := n.remembers()
	for _, a := range forsakenAt(known) {
		contacts = append(slices.Clip(contacts), membership.Contact{Addr: a})
	}
	turn := l.turn(contacts, n.self)
	l.last = time.Now()
	one, cancel := context.WithTimeout(ctx, outcastWait)
	defer cancel()
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: n.cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	heard := make(chan membership.Heard, len(turn))
	for _, at := range turn {
		go func() {
			rep, err := membership.Ask(one, at.Addr, q, n.secret)
			heard <- membership.Heard{Addr: at.Addr, Reply: rep, Err: err}
		}()
	}
	for range turn {
		h := <-heard
		if h.Err != nil {
			continue
		}
		switch verdictOf(h.Reply, n.cluster, known) {
		case removedHere:
			n.end(n.errRemoved())
			return
		case yieldsHere:
			n.end(n.errYields(h.Reply))
			return
		case yieldsThere:
			c.notice("parted "+h.Addr, fmt.Sprintf(
				"%s runs at %s: it went on without this node, as this one did without it. What was decided here stands, and it ends as soon as it hears that; writes that it took since are lost",
				h.Reply.Name, h.Addr))
		}
	}
}

// verdict is what follows for a node from what another one remembers.
type verdict uint8

const (
	stays       verdict = iota
	removedHere         // this node was removed
	yieldsHere          // both went on without the other, and the other one's decision stands
	yieldsThere         // the other way round
)

// verdictOf judges by an answer. Who was removed itself, as far as the asker knows, removes
// nobody: two that were cut off, and were each told that the other one is gone, would end each
// other. Of those the one ends whose decision has the lower mark.
func verdictOf(rep membership.Reply, cluster [16]byte, known *meta.State) verdict {
	if rep.Cluster != cluster {
		return stays
	}
	switch parted, yields := known.Parted(rep.Recovered); {
	case yields:
		return yieldsHere
	case parted:
		return yieldsThere
	case rep.Removed && !known.WasRemoved(rep.UUID):
		return removedHere
	}
	return stays
}

// forsakenAt are the gossip addresses of the nodes that were declared gone last.
func forsakenAt(known *meta.State) (addrs []string) {
	if n := len(known.Recoveries); n > 0 {
		for _, f := range known.Recoveries[n-1].Nodes {
			if f.Gossip != "" {
				addrs = append(addrs, f.Gossip)
			}
		}
	}
	return addrs
}

// errYields is the end of a node that went on in a recovery beside another one. Its directory
// stays as it is: operators may want it rather than the other one.
func (n *Node) errYields(rep membership.Reply) error {
	return fmt.Errorf("%s went on in a recovery without this node, and this one in another without it: the two were cut off from each other. What was decided there stands, because it has more survivors or, of as many, the higher maker, and this node ends, so that nobody serves beside it; what was written here since is lost. To go on with this side instead stop the others for good and start it again; else move data directory %s away: with an empty one and --seeds it joins as a new node",
		rep.Name, n.dir.path)
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
	heard := make(chan membership.Heard, len(addrs))
	for _, a := range addrs {
		go func() {
			rep, err := membership.Ask(ctx, a, q, n.secret)
			heard <- membership.Heard{Addr: a, Reply: rep, Err: err}
		}()
	}
	for range addrs {
		h := <-heard
		switch {
		case h.Err != nil:
		case verdictOf(h.Reply, q.Cluster, known) == removedHere:
			return n.errRemoved()
		case verdictOf(h.Reply, q.Cluster, known) == yieldsHere:
			return n.errYields(h.Reply)
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
	addrs = forsakenAt(known)
	for _, m := range nodes {
		if a := m.Addresses.Gossip; a != "" && canonical(a) != own && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
