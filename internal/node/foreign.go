package node

import (
	"context"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/membership"
)

// seedsWait is how long a node that knows its cluster waits for what its seeds say.
// It is waited out only where no seed of its own cluster answers and one is silent:
// a seed that is not running refuses at once. One second was too short for a busy
// machine, and the node then served beside the cluster it was meant to join.
const seedsWait = 5 * time.Second

// checkSeeds refuses to start a data directory of one cluster with the seeds of
// another: the node would serve what it has, and the operator who meant it to join
// would not notice. One seed of its own cluster is enough, and silent or blank seeds
// say nothing: this node needs none of them to go on.
func (n *Node) checkSeeds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, seedsWait)
	defer cancel()
	own, known := n.identity.Cluster, n.metaOnDisk()
	var foreign membership.Heard
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Cluster: own, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	answers, count := n.hearSeeds(ctx, q)
	for range count {
		h := <-answers
		switch {
		case h.Err == nil && n.isTwin(h.Reply):
			return fmt.Errorf("another process runs with this node's identity at %s: data directory %s was copied, which no two processes may have; start this one with an empty --data-dir, as a new node, or stop the other one", h.Addr, n.dir.path)
		case h.Err == nil && verdictOf(h.Reply, own, known) == removedHere:
			return n.errRemoved()
		case h.Err == nil && verdictOf(h.Reply, own, known) == yieldsHere:
			return n.errYields(h.Reply)
		case h.Err != nil || h.Reply.Cluster == [16]byte{} || h.Reply.UUID == n.uuid:
		case h.Reply.Cluster == own:
			return nil
		default:
			foreign = h
		}
	}
	if foreign.Addr == "" {
		return nil
	}
	return fmt.Errorf("data directory %s belongs to cluster %x, but the seed %s is a node of cluster %x: name nodes of its own cluster with --seeds, or choose an empty --data-dir to join the other one",
		n.dir.path, own[:4], foreign.Addr, foreign.Reply.Cluster[:4])
}
