package node

import (
	"context"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
)

// A node that was removed while it was away is named by nobody, and so nobody speaks to
// it: alone it could not tell that from a cluster that is down. So it asks.

const (
	// lonelyAfter is how long no leader of group 0 must be known before it is asked.
	lonelyAfter = 3 * time.Second
	outcastWait = time.Second
)

// lonely is a node that knows no leader of group 0.
type lonely struct {
	since time.Time // zero: it knows one
	asked int       // contacts, in turn
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

// outcast asks one of the others whether this node still belongs to them, when it has
// heard of no leader for a while. A member that says no, under the cluster's secret, ends
// this process: nothing that it could do would count.
func (c *chat) outcast(ctx context.Context, contacts []membership.Contact) {
	n := c.n
	led := make(chan bool, 1)
	if n.host.Do(ctx, func(multiraft.Instant) { led <- n.core.MetaLeader() != 0 }) != nil || <-led {
		c.lonely = lonely{}
		return
	}
	l := &c.lonely
	if l.since.IsZero() {
		l.since = time.Now()
	}
	if time.Since(l.since) < lonelyAfter || len(contacts) == 0 {
		return
	}
	at := contacts[l.asked%len(contacts)]
	l.asked++
	if at.Node == n.self {
		return
	}
	one, cancel := context.WithTimeout(ctx, outcastWait)
	defer cancel()
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: n.cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	if rep, err := membership.Ask(one, at.Addr, q, n.secret); err == nil && rep.Cluster == n.cluster && rep.Removed {
		n.end(n.errRemoved())
	}
}

func (n *Node) errRemoved() error {
	return fmt.Errorf("this node was removed from its cluster (%.4x), by an operator or because it was missed for longer than --replace-after: others hold its copies now, and data directory %s may never come back; move it away and start again with --seeds: it joins as a new node",
		n.cluster, n.dir.path)
}
