package node

import (
	"context"
	"fmt"

	"github.com/baxromumarov/aegisKV/membership"
)

// A data directory that was copied makes two processes with one identity. The lock
// of the directory cannot see that, and the peers listen to the later start only: the
// earlier one would stand there without leases and without a word.

// isTwin reports whether an answer comes from another process with this node's
// identity. The identity of this start is as the lock was won, so an earlier start
// cannot have given it and be a mere memory.
func (n *Node) isTwin(rep membership.Reply) bool {
	mine := n.start.Identity.Inc
	return rep.UUID == n.uuid && rep.Cluster == n.identity.Cluster && rep.Incarnation != 0 &&
		(rep.Incarnation != mine.Counter || rep.Nonce != mine.Nonce)
}

// confront asks where gossip says that a later start of this node is. Gossip alone may
// be a lie; a later start that answers under the cluster's secret is proof, and ends
// this node.
func (c *chat) confront(ctx context.Context) {
	n := c.n
	c.mu.Lock()
	addr := c.twin
	c.mu.Unlock()
	if addr == "" {
		return
	}
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: n.cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	rep, err := membership.Ask(ctx, addr, q, n.secret)
	switch {
	case err != nil:
		c.notice("twin", fmt.Sprintf("gossip tells of a later start of this node at %s, which does not answer this one (%v): if data directory %s was copied, stop the process that runs on the copy", addr, err, n.dir.path))
	case n.isTwin(rep) && rep.Incarnation > n.start.Identity.Inc.Counter:
		n.end(fmt.Errorf("another process runs with this node's identity at %s and was started later (incarnation %d, this one is %d), so the cluster listens to that one only: data directory %s was copied, which no two processes may have; keep one of the two, and start the other with an empty --data-dir, as a new node",
			addr, rep.Incarnation, n.start.Identity.Inc.Counter, n.dir.path))
	}
}
