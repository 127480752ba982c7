package suite

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

// way is a direction between two nodes.
type way [2]int

// ways are directions between some nodes and the others.
type ways func(one, other []int) []way

func outward(one, other []int) (list []way) {
	for _, a := range one {
		for _, b := range other {
			list = append(list, way{a, b})
		}
	}
	return list
}

func inward(one, other []int) []way { return outward(other, one) }

func both(one, other []int) []way { return append(outward(one, other), inward(one, other)...) }

// set gives directions a rule.
func (r *run) set(list []way, rule cluster.Rule) {
	for _, w := range list {
		r.c.Set(w[0], w[1], rule)
	}
}

// carried is what was seen on directions so far.
func (r *run) carried(list []way) (all []cluster.Carried) {
	for _, w := range list {
		all = append(all, r.c.Carried(w[0], w[1]))
	}
	return all
}

// acted is the evidence that a rule acted on every direction: a count rose on each.
func (r *run) acted(list []way, what string, count func(cluster.Carried) int64) func() (string, error) {
	before := r.carried(list)
	return func() (string, error) {
		sum := int64(0)
		for i, c := range r.carried(list) {
			n := count(c) - count(before[i])
			if n == 0 {
				return "", fmt.Errorf("nothing was %s from %s to %s", what, end(list[i][0]), end(list[i][1]))
			}
			sum += n
		}
		return fmt.Sprintf("%d pieces and packets were %s, some on each of %d directions", sum, what, len(list)), nil
	}
}

// end names one end of a direction.
func end(node int) string {
	if node == cluster.Clients {
		return "clients"
	}
	return fmt.Sprint("node", node+1)
}

func kept(c cluster.Carried) int64 { return c.Kept }

// cutOff cuts directions until the fault is over.
func (r *run) cutOff(nodes []int, list []way, target string) *struck {
	seen := r.acted(list, "held back", kept)
	r.set(list, cluster.Rule{Cut: true})
	return &struck{
		nodes: nodes, target: target, hold: r.span(2*lease, 5*lease), evidence: seen,
		heal: func() error { r.set(list, cluster.Rule{}); return nil },
	}
}

// apart cuts some nodes off from the others.
func apart(who chooser, in ways) func(r *run) *struck {
	return func(r *run) *struck {
		nodes := who(r)
		return r.cutOff(nodes, in(nodes, r.others(nodes)), r.names(nodes))
	}
}

// pair cuts the link between two nodes.
func pair(r *run) *struck {
	all := r.byLeases()
	two := all[:2]
	return r.cutOff(two, both(two[:1], two[1:]), r.names(two))
}

// flap cuts one node off and lets it back, many times.
func flap(r *run) *struck {
	nodes := busiest(r)
	list := both(nodes, r.others(nodes))
	seen := r.acted(list, "held back", kept)
	for range 8 {
		r.set(list, cluster.Rule{Cut: true})
		r.wait(r.span(lease/10, lease))
		r.set(list, cluster.Rule{})
		r.wait(r.span(lease/10, lease/2))
	}
	return &struck{nodes: nodes, target: r.names(nodes), evidence: seen, heal: func() error { return nil }}
}

// swizzle cuts half of all directions one by one, and lets them come back in another order.
func swizzle(r *run) *struck {
	var list []way
	for i := range r.c.Nodes {
		list = append(list, outward([]int{i}, r.others([]int{i}))...)
	}
	r.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:len(list)/2]
	seen := r.acted(list, "held back", kept)
	for _, w := range list {
		r.set([]way{w}, cluster.Rule{Cut: true})
		r.wait(r.span(0, lease))
	}
	return &struck{
		nodes: everyone(r), target: fmt.Sprintf("%d directions", len(list)), hold: r.span(lease, 2*lease), evidence: seen,
		heal: func() error {
			slices.Reverse(list[:len(list)/2])
			for _, w := range list {
				r.set([]way{w}, cluster.Rule{})
				r.wait(r.span(0, lease/2))
			}
			return nil
		},
	}
}

// links gives all that goes to and from one node a rule.
func links(what string, rule cluster.Rule) func(r *run) *struck {
	count := map[string]func(cluster.Carried) int64{
		"delay": func(c cluster.Carried) int64 { return c.Delayed }, "loss": kept, "damage": func(c cluster.Carried) int64 { return c.Damaged },
	}[what]
	seen := map[string]string{"delay": "delayed", "loss": "lost", "damage": "damaged"}[what]
	return func(r *run) *struck {
		nodes := busiest(r)
		list := both(nodes, r.others(nodes))
		evidence := r.acted(list, seen, count)
		r.set(list, rule)
		return &struck{
			nodes: nodes, target: r.names(nodes), hold: r.span(4*lease, 8*lease), evidence: evidence,
			heal: func() error { r.set(list, cluster.Rule{}); return nil },
		}
	}
}

// resets breaks the streams of one node off, again and again.
func resets(r *run) *struck {
	nodes := busiest(r)
	broken := 0
	for end := r.l.now() + r.span(2*lease, 4*lease); r.l.now() < end; r.wait(r.span(10*time.Millisecond, 150*time.Millisecond)) {
		for _, o := range r.others(nodes) {
			broken += r.c.Break(nodes[0], o)
		}
	}
	return &struck{
		nodes: nodes, target: r.names(nodes), heal: func() error { return nil },
		evidence: func() (string, error) {
			if broken == 0 {
				return "", errors.New("no stream stood")
			}
			return fmt.Sprintf("%d streams were broken off", broken), nil
		},
	}
}
