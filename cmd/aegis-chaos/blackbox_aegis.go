package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/peer"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/internal/load"
)

// aegisSystem is a cluster of AegisKV as any other: what is done to it, and nothing of
// its inside.
type aegisSystem struct {
	c    *cluster.Cluster
	name string
	kept int64 // pieces and packets held back before the present fault
}

// aegisNodes is how many nodes hold the three copies.
const aegisNodes = 3

// startAegis starts nodes with the defaults of the program.
func startAegis(program, dir string, seed uint64) (*aegisSystem, error) {
	c, err := cluster.New(cluster.Config{Aegis: program, Dir: dir, Nodes: aegisNodes, Seed: seed})
	if err != nil {
		return nil, err
	}
	a := &aegisSystem{c: c}
	if err = c.Start(); err == nil {
		err = cluster.Await(time.Minute, "a healthy cluster", c.Healthy)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	a.name = load.ServerName(c.Nodes[0].Addr())
	return a, nil
}

// Cluster says what a report calls it.
func (a *aegisSystem) Cluster() report.Cluster {
	s := report.Cluster{Server: a.name, Nodes: len(a.c.Nodes), Copies: 3, Ack: "async", WAL: "off", Note: "defaults"}
	if r, err := a.c.Status(); err == nil {
		s.Groups = r.Groups
	}
	return s
}

// Seeds are the addresses of all nodes.
func (a *aegisSystem) Seeds() []string { return a.c.Addrs() }

// Node finds a node by its address.
func (a *aegisSystem) Node(addr string) (int, string) { return slices.Index(a.c.Addrs(), addr), addr }

// Inject begins a fault.
func (a *aegisSystem) Inject(f peer.Fault, node int) error {
	switch f {
	case peer.Kill:
		a.c.Nodes[node].Kill()
	case peer.Pause:
		return a.c.Nodes[node].Pause()
	case peer.Partition:
		a.kept = a.held(node)
		a.fence(node, cluster.Rule{Cut: true})
	}
	return nil
}

// Mend ends a fault and says how it was seen.
func (a *aegisSystem) Mend(f peer.Fault, node int) (evidence string, acted bool, err error) {
	n := a.c.Nodes[node]
	switch f {
	case peer.Kill:
		acted = !n.Runs()
		return "the process was gone", acted, n.Start()
	case peer.Pause:
		acted = n.Paused() // the kernel was asked when it was stopped
		n.Resume()
		return "the kernel showed it stopped", acted, nil
	}
	held := a.held(node) - a.kept
	a.fence(node, cluster.Rule{})
	return strconv.FormatInt(held, 10) + " pieces and packets between it and the others were held back", held > 0, nil
}

// fence gives every direction of a node a rule.
func (a *aegisSystem) fence(node int, r cluster.Rule) {
	for i := range a.c.Nodes {
		if i != node {
			a.c.Set(i, node, r)
			a.c.Set(node, i, r)
		}
	}
}

// held is what the relays around a node held back so far.
func (a *aegisSystem) held(node int) (n int64) {
	for i := range a.c.Nodes {
		if i != node {
			n += a.c.Carried(i, node).Kept + a.c.Carried(node, i).Kept
		}
	}
	return n
}

// Healthy says whether all groups are served, with all their copies.
func (a *aegisSystem) Healthy() bool { return a.c.Healthy() }
