package suite

import (
	"errors"
	"fmt"
	"time"
)

// How long a disk stands still, and how long its node may take to notice that it fails.
const (
	stallFor = 6 * time.Second
	endMax   = 2 * time.Second
)

// stallDisk lets every fsync of a node stand still. The node answers all the same, and
// must not keep groups whose writes it cannot acknowledge.
func stallDisk(r *run) *struck {
	nodes := busiest(r)
	n := r.c.Nodes[nodes[0]]
	at := r.l.now()
	err := n.Disk("stall")
	return &struck{
		nodes: nodes, target: n.Name, hold: r.span(0, lease),
		heal: func() error {
			for end := at + stallFor; !r.p.servedSince(at+lease) && r.ctx.Err() == nil; {
				if !r.wait(probeEvery) || r.l.now() > end {
					r.broken = append(r.broken, fmt.Sprintf("P13: the disk of %s stood still for %v, and its groups were served by nobody else, at %v", n.Name, stallFor, r.l.now()))
					break
				}
			}
			return errors.Join(err, n.Disk(""))
		},
		evidence: func() (string, error) {
			k, err := n.DiskActed("stall")
			return fmt.Sprintf("%d fsyncs stood still so far", k), err
		},
	}
}

// failDisk lets fsyncs of a node fail, and takes its power away.
func failDisk(r *run) *struck {
	nodes := busiest(r)
	n := r.c.Nodes[nodes[0]]
	err := n.Disk("error")
	return &struck{
		nodes: nodes, target: n.Name,
		heal: func() error {
			if !n.AwaitEnd(endMax) { // it should have ended by itself
				n.Kill()
			}
			return errors.Join(err, n.Disk(""), r.start(nodes))
		},
		evidence: func() (string, error) {
			k, err := n.DiskActed("error")
			return fmt.Sprintf("%d fsyncs failed so far", k), err
		},
	}
}
