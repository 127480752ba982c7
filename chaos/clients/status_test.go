package clients

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// report is what a node says of the whole cluster (AEGIS.ADMIN status).
type report struct {
	Cluster  string
	MapEpoch uint64
	Groups   int
	Factor   int `json:"replicationFactor"`
	Nodes    []nodeReport
	Silent   []string
	Served   int
	Healthy  bool
	Verdict  string
	Moves    []groupMove
	Moving   allMoves
}

// allMoves is how far all moves together are.
type allMoves struct {
	Copies  int
	Left    int64   `json:"leftBytes"`
	Rate    int64   `json:"bytesPerSecond"`
	Seconds float64 `json:"leftSeconds"`
}

// groupMove is copies of a group on their way.
type groupMove struct {
	Group    int
	From, To []uint32
}

type nodeReport struct {
	Node        uint32
	Name        string
	Incarnation uint64
	Groups      []groupReport
	Gossip      []gossipReport
	Notices     []string
}

type gossipReport struct {
	Name, State string
	Incarnation uint64
}

type groupReport struct {
	Group    int
	Epoch    uint32
	Open     bool
	Voters   []uint32
	Seats    []uint32
	CaughtUp []uint32
	Whole    bool
}

// statusOf asks a node for the status; a node that cannot say gives an empty one
// with the reason as its verdict.
func statusOf(addr string) (r report) {
	text := ask(addr, "aegis.admin", "status")
	if json.Unmarshal([]byte(text), &r) != nil {
		return report{Verdict: text}
	}
	return r
}

func healthy(addr string) bool { return statusOf(addr).Healthy }

// holders asks a node which node each group (from 0) is served by.
func holders(addr string) map[string][]int { return statusOf(addr).holders() }

// holders are the groups (from 0) that each node serves.
func (r report) holders() map[string][]int {
	by := map[string][]int{}
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if g.Open {
				by[n.Name] = append(by[n.Name], g.Group-1)
			}
		}
	}
	return by
}

// lacking says what three nodes lack to hold three whole copies of every group,
// each with one holder, three voters and three seats: "" nothing.
func (r report) lacking() string {
	if len(r.Nodes) != 3 || len(r.Silent) > 0 || r.Groups != groups || r.Factor != 3 {
		return fmt.Sprintf("%d nodes, silent %v, %d groups, factor %d: %s", len(r.Nodes), r.Silent, r.Groups, r.Factor, r.Verdict)
	}
	open := make([]int, r.Groups+1)
	for _, n := range r.Nodes {
		if len(n.Groups) != r.Groups {
			return fmt.Sprintf("%s has %d groups", n.Name, len(n.Groups))
		}
		for _, g := range n.Groups {
			if !g.Whole {
				return fmt.Sprintf("%s's copy of group %d is not whole", n.Name, g.Group)
			}
			if !g.Open {
				continue
			}
			open[g.Group]++
			if len(g.Voters) != 3 || len(g.Seats) != 3 || len(g.CaughtUp) != 2 {
				return fmt.Sprintf("group %d has voters %v, seats %v, followers in step %v", g.Group, g.Voters, g.Seats, g.CaughtUp)
			}
		}
	}
	if slices.ContainsFunc(open[1:], func(n int) bool { return n != 1 }) {
		return fmt.Sprintf("holders of groups 1 to %d: %v", r.Groups, open[1:])
	}
	if !r.Healthy {
		return r.Verdict
	}
	return ""
}

// opens counts how often the groups of a cluster were opened since it was founded:
// it rises by one with every new lease.
func (r report) opens() (n uint64) {
	epochs := map[int]uint32{}
	for _, node := range r.Nodes {
		for _, g := range node.Groups {
			epochs[g.Group] = max(epochs[g.Group], g.Epoch)
		}
	}
	for _, e := range epochs {
		n += uint64(e)
	}
	return n
}

// names are the names of the nodes, sorted.
func (r report) names() string {
	var ns []string
	for _, n := range r.Nodes {
		ns = append(ns, n.Name)
	}
	slices.Sort(ns)
	return strings.Join(ns, " ")
}
