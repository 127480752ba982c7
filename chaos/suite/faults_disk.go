package suite

import (
	"errors"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/internal/fault"
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
	before, err := r.order(nodes, fault.Order{Hangs: true})
	var after fault.State
	return &struck{
		nodes: nodes, target: n.Name, hold: r.span(0, lease),
		heal: func() error {
			for end := at + stallFor; !r.p.servedSince(at+lease) && r.ctx.Err() == nil; {
				if !r.wait(probeEvery) || r.l.now() > end {
					r.broken = append(r.broken, fmt.Sprintf("P13: the disk of %s stood still for %v, and its groups were served by nobody else, at %v", n.Name, stallFor, r.l.now()))
					break
				}
			}
			var e error
			after, e = r.order(nodes, fault.Order{})
			return errors.Join(err, e)
		},
		evidence: func() (string, error) {
			k := after.Hung - before.Hung
			if k == 0 {
				return "", errors.New("nothing was to be synced")
			}
			return fmt.Sprintf("%d fsyncs stood still", k), nil
		},
	}
}

// failDisk lets fsyncs of a node fail, and takes its power away.
func failDisk(r *run) *struck {
	nodes := busiest(r)
	n := r.c.Nodes[nodes[0]]
	_, err := r.order(nodes, fault.Order{Holds: true, Fails: "lost"})
	at, seen := r.l.now(), ""
	return &struck{
		nodes: nodes, target: n.Name,
		heal: func() error {
			if n.AwaitEnd(endMax) { // as it should
				seen = fmt.Sprintf("the node ended over it after %v", (r.l.now() - at).Round(time.Millisecond))
			} else {
				if s, e := r.order(nodes, fault.Order{Holds: true, Fails: "lost"}); e == nil && s.Failed > 0 {
					seen = fmt.Sprintf("%d fsyncs failed, and the node went on", s.Failed)
				}
				n.Kill()
			}
			return errors.Join(err, r.start(nodes), holdBack(r))
		},
		evidence: func() (string, error) {
			if seen == "" {
				return "", errors.New("nothing was to be synced")
			}
			return seen, nil
		},
	}
}
