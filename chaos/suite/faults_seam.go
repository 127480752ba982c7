package suite

import (
	"errors"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/internal/fault"
)

const (
	// jumpMost is by how much wall clocks are off at most.
	jumpMost = 30 * time.Second
	// driftPPM is by how much clocks of durations go wrong, of the 5,000 that leases are
	// made for.
	driftPPM = 4900
)

// order tells nodes what is wrong from now on, and sums up what they answer.
func (r *run) order(nodes []int, o fault.Order) (sum fault.State, err error) {
	for _, n := range nodes {
		s, e := r.c.Nodes[n].Order(o)
		err = errors.Join(err, e)
		sum.Skew = max(sum.Skew, s.Skew, -s.Skew)
		sum.Stalled, sum.Failed, sum.Held, sum.Syncs = sum.Stalled+s.Stalled, sum.Failed+s.Failed, sum.Held+s.Held, sum.Syncs+s.Syncs
		sum.WrongReads, sum.Hung = sum.WrongReads+s.WrongReads, sum.Hung+s.Hung
	}
	return sum, err
}

// jump is an offset of a wall clock, by chance: some seconds ahead or behind.
func (r *run) jump() time.Duration {
	d := r.span(2*time.Second, jumpMost)
	if r.rng.IntN(2) == 0 {
		return -d
	}
	return d
}

// wallJump puts the wall clock of the node that serves most groups ahead or back.
func wallJump(r *run) *struck {
	nodes := busiest(r)
	by := r.jump()
	before, err := r.order(nodes, fault.Order{WallMS: by.Milliseconds()})
	reads := int64(0)
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(2*lease, 4*lease),
		heal: func() error {
			s, e := r.order(nodes, fault.Order{})
			reads = s.WrongReads - before.WrongReads
			return errors.Join(err, e)
		},
		evidence: func() (string, error) {
			if reads == 0 {
				return "", errors.New("nobody looked at the wall clock")
			}
			return fmt.Sprintf("its wall clock was off by %v, and was looked at %d times", by.Round(time.Millisecond), reads), nil
		},
	}
}

// wallStrobe puts the wall clocks of all nodes ahead and back, many times.
func wallStrobe(r *run) *struck {
	all := everyone(r)
	times := 0
	var err error
	for end := r.l.now() + r.span(2*lease, 4*lease); err == nil && r.l.now() < end; times++ {
		_, err = r.order(all[r.rng.IntN(len(all)):][:1], fault.Order{WallMS: r.jump().Milliseconds()})
		r.wait(r.span(10*time.Millisecond, 100*time.Millisecond))
	}
	return &struck{
		nodes: all, target: "all, by chance",
		heal: func() error { _, e := r.order(all, fault.Order{}); return errors.Join(err, e) },
		evidence: func() (string, error) {
			if times < 5 {
				return "", fmt.Errorf("only %d jumps", times)
			}
			return fmt.Sprintf("%d jumps", times), nil
		},
	}
}

// drift lets the clock of the node that serves most groups go too slow and those of the
// others too fast, by as much as leases allow for, and cuts it off: it must have stopped
// when they begin.
func drift(r *run) *struck {
	nodes := busiest(r)
	others := r.others(nodes)
	s := r.cutOff(nodes, both(nodes, others), r.names(nodes))
	_, slow := r.order(nodes, fault.Order{PPM: -driftPPM})
	_, fast := r.order(others, fault.Order{PPM: driftPPM})
	err := errors.Join(slow, fast)
	mend, cut := s.heal, s.evidence
	s.heal = func() error { return errors.Join(err, mend()) } // the clocks stay wrong
	s.evidence = func() (string, error) {
		state, e := r.order(others, fault.Order{PPM: driftPPM})
		what, none := cut()
		if state.Skew == 0 {
			none = errors.Join(none, e, errors.New("no clock was wrong"))
		}
		return fmt.Sprintf("clocks were ahead by up to %v; %s", state.Skew.Round(time.Microsecond), what), none
	}
	return s
}

// stall lets each write and each sync of one node's log take long.
func stall(r *run) *struck {
	nodes := busiest(r)
	o := fault.Order{Stall: r.span(50*time.Millisecond, 300*time.Millisecond)}
	before, err := r.order(nodes, o)
	var s fault.State
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(2*lease, 5*lease),
		heal: func() error {
			var e error
			s, e = r.order(nodes, fault.Order{})
			return errors.Join(err, e)
		},
		evidence: func() (string, error) {
			if s.Stalled == before.Stalled {
				return "", errors.New("nothing waited for the disk")
			}
			return fmt.Sprintf("%d writes and syncs took %v longer", s.Stalled-before.Stalled, o.Stall), nil
		},
	}
}

// badDisk lets the disk of one node refuse what it is asked for. The node must give its
// leases up, and is started anew with a good one.
func badDisk(what string) func(r *run) *struck {
	return func(r *run) *struck {
		nodes := busiest(r)
		n := r.c.Nodes[nodes[0]]
		moved := r.moved(nodes)
		_, err := r.order(nodes, fault.Order{Fails: what})
		failed := int64(0)
		return &struck{
			nodes: nodes, target: n.Name, hold: r.span(3*lease, 5*lease),
			heal: func() error {
				s, e := r.order(nodes, fault.Order{Fails: what})
				if failed = s.Failed; e != nil && !n.Runs() {
					failed, e = 1, nil // it has ended over it
				} else if held := r.holds(nodes[0]); held > 0 {
					r.broken = append(r.broken, fmt.Sprintf("P15: %s serves %d groups although its log has failed %d times", n.Name, held, s.Failed))
				}
				n.Kill()
				return errors.Join(err, e, r.start(nodes))
			},
			evidence: func() (string, error) {
				if failed == 0 {
					return "", errors.New("the disk was not asked for anything")
				}
				text, none := moved()
				return fmt.Sprintf("the disk refused %d times; %s", failed, text), none
			},
		}
	}
}

// holds is how many groups a node serves.
func (r *run) holds(node int) (n int) {
	holders, _ := r.c.Holders()
	for _, h := range holders {
		if h == node {
			n++
		}
	}
	return n
}

// powerLoss kills all nodes at once, and what they had not synced is gone. It is held back
// from the start on, and again when they have started.
func powerLoss(r *run) *struck {
	all := everyone(r)
	seen := r.moved(all)
	s, err := r.order(all, fault.Order{Holds: true})
	for _, n := range all {
		r.c.Nodes[n].Kill()
	}
	return &struck{
		nodes: all, target: "all", hold: r.span(0, lease),
		heal: func() error { return errors.Join(err, r.start(all), holdBack(r)) },
		evidence: func() (string, error) {
			if s.Syncs == 0 {
				return "", errors.New("nothing had been synced")
			}
			what, none := seen()
			return fmt.Sprintf("%d syncs since the start, %d bytes of logs were in memory only; %s", s.Syncs, s.Held, what), none
		},
	}
}

// holdBack keeps in memory what nodes do not sync. Nodes that have just been started take
// orders as soon as they run.
func holdBack(r *run) error {
	return cluster.Await(healMax, "nodes that take orders", func() bool {
		_, err := r.order(everyone(r), fault.Order{Holds: true})
		return err == nil
	})
}
