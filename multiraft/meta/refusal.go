package meta

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// failoverNodes is how many nodes a cluster needs to survive the death of one.
const failoverNodes = 3

// Refuses says why a node must not get an intent now, "" when it may. Group 0's holder
// asks it before it proposes, and the state again before it takes one; it looks only at
// what is wanted, not at who is alive.
func (s *State) Refuses(id shardmap.NodeID, to Intent) string {
	n, ok := s.Node(id)
	switch {
	case !ok:
		return fmt.Sprintf("there is no node %d", id)
	case to > Gone:
		return "an unknown intent"
	case n.Intent == to:
		return ""
	case n.Intent == Gone:
		return n.Name + " is gone for good"
	}
	active, places := s.others(id)
	switch to {
	case Draining:
		if n.Intent == Leaving {
			return n.Name + " is leaving already, and its leases with it: take that back with undrain first"
		}
		if active == 0 {
			return fmt.Sprintf("%s is the last node that takes leases: they have nowhere to go", n.Name)
		}
	case Leaving:
		need := max(s.Settings.ReplicationFactor, min(failoverNodes, places+1))
		switch {
		case places == 0:
			return n.Name + " is the last node: there is nowhere for its data to go"
		case places < need:
			return fmt.Sprintf("without %s %d nodes are left that take copies, and %d are needed (replication factor %d): add a node first", n.Name, places, need, s.Settings.ReplicationFactor)
		case active == 0:
			return fmt.Sprintf("%s is the last node that takes leases: they have nowhere to go; undrain another one first", n.Name)
		}
	case Gone:
		if n.Intent != Leaving {
			return fmt.Sprintf("%s is %s: only a node that is leaving can be gone", n.Name, n.Intent)
		}
		if g := s.wantedOn(id); g > 0 {
			return fmt.Sprintf("%s still has %d groups", n.Name, g)
		}
	}
	return ""
}

// others counts the nodes beside one that take leases, and those that take copies.
func (s *State) others(id shardmap.NodeID) (active, places int) {
	for _, n := range s.Nodes {
		if n.ID == id || !n.Intent.Places() {
			continue
		}
		places++
		if n.Intent == Active {
			active++
		}
	}
	return active, places
}

// wantedOn counts the groups of data that are wanted on a node.
func (s *State) wantedOn(id shardmap.NodeID) (groups int) {
	for _, g := range s.Groups[1:] {
		if _, ok := g.On(id); ok {
			groups++
		}
	}
	return groups
}
