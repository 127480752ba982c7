package suite

import (
	"errors"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

const (
	joinMax  = 60 * time.Second // until a newcomer has its share
	leaveMax = 90 * time.Second // until a node that is decommissioned has ended
)

// grow lets a node join, and kills another one while copies move to it; when all is well
// it is decommissioned again, and the node that serves most groups is killed meanwhile.
func grow(r *run) *struck {
	old := busiest(r)
	spare := len(r.c.Nodes) - 1
	n := r.c.Nodes[spare]
	seen := r.moved(old)
	err := n.Start()
	r.wait(r.span(0, 3*lease))
	r.c.Nodes[old[0]].Kill()
	copies := 0
	return &struck{
		nodes: everyone(r), target: n.Name + " comes and goes, " + r.names(old) + " is killed twice", hold: r.span(lease, 2*lease),
		heal: func() error {
			err = errors.Join(err, r.start(old))
			err = errors.Join(err, cluster.Await(joinMax, n.Name+" has copies", func() bool {
				copies = r.copiesOf(n.Name)
				return r.ctx.Err() != nil || copies > 0 && r.c.Healthy()
			}))
			return errors.Join(err, r.decommission(spare))
		},
		evidence: func() (string, error) {
			if copies == 0 {
				return "", errors.New("the newcomer got no copies")
			}
			what, none := seen()
			return fmt.Sprintf("the newcomer had %d copies and left again; %s", copies, what), none
		},
	}
}

// copiesOf is how many whole shard copies a node holds.
func (r *run) copiesOf(name string) (whole int) {
	for _, n := range r.c.Nodes {
		if n.Name == name {
			list, _ := n.Digests()
			for _, d := range list {
				if d.Whole {
					whole++
				}
			}
		}
	}
	return whole
}

// decommission takes a node out for good, with a kill in the middle of it, and waits for
// the end of its process.
func (r *run) decommission(node int) error {
	n := r.c.Nodes[node]
	victim := busiest(r)
	if victim[0] == node {
		victim = []int{0}
	}
	if _, err := r.c.Nodes[victim[0]].Ask("AEGIS.ADMIN", "decommission", n.Name); err != nil {
		return fmt.Errorf("decommission: %w", err)
	}
	r.wait(r.span(0, 2*lease))
	r.c.Nodes[victim[0]].Kill()
	r.wait(r.span(0, lease))
	if err := r.start(victim); err != nil {
		return err
	}
	if err := cluster.Await(leaveMax, n.Name+" leaves after it was decommissioned", func() bool { return r.ctx.Err() != nil || !n.Runs() }); err != nil {
		return err
	}
	return n.Wipe() // what comes next time is another node
}
