package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// unlinkedWait is how long a node to which no connection stands may take to answer
// all the same.
const unlinkedWait = 200 * time.Millisecond

// statusMax is how long a status that is asked for may take to gather.
const statusMax = 2 * time.Second

// Status asks every node for its report and draws the conclusion. Nodes that do
// not answer in time are named.
func (n *Node) Status(timeout time.Duration) (ClusterReport, error) {
	if n.redis.Loading() {
		return ClusterReport{}, errors.New(n.reading())
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var nodes []meta.Node
	var wanted []meta.Group
	var settings meta.Settings
	notHeard := map[shardmap.NodeID]time.Duration{}
	var missed []shardmap.NodeID
	halted := false
	r := ClusterReport{Cluster: hex.EncodeToString(n.cluster[:]), At: time.Now().UTC(), MapEpoch: n.routes.Load().Epoch()}
	err := n.host.Do(ctx, func(now multiraft.Instant) {
		if m := n.core.Meta(); m != nil {
			for _, row := range m.Nodes {
				notHeard[row.ID], _ = n.core.raft.Silence(row.ID, now)
			}
			missed, halted = n.core.missedNow(now), m.Halted
			nodes, wanted = append(nodes, m.Nodes...), append(wanted, m.Groups...)
			settings, r.Groups, r.Factor = m.Settings, m.Settings.Groups, m.Settings.ReplicationFactor
		}
	})
	if err != nil {
		return r, fmt.Errorf("the node is too busy to answer: %w", err)
	}
	if nodes == nil {
		return r, errors.New("this node has not been filled by group 0 yet: try again")
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range nodes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			wait := timeout
			if _, linked := n.links.Load(m.ID); !linked && m.ID != n.self {
				wait = unlinkedWait
			}
			one, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			a := n.ask(one, func() shardmap.NodeID { return m.ID }, "status", nil)
			var nr NodeReport
			mu.Lock()
			defer mu.Unlock()
			if a.Err != "" || json.Unmarshal(a.Body, &nr) != nil {
				r.Silent = append(r.Silent, m.Name)
				r.Absent = append(r.Absent, Absentee{m.ID, m.Name, m.Addresses.Client, m.Intent.String(), notHeard[m.ID]})
				return
			}
			nr.Intent, nr.Zone = m.Intent.String(), m.Zone
			r.Nodes, r.Waiting = append(r.Nodes, nr), append(r.Waiting, nr.Waiting...)
		}()
	}
	wg.Wait()
	if r.Moves = r.moves(wanted); len(r.Moves) > 0 {
		r.Moving = r.moving(r.plan(placements(nodes, settings, wanted, nil, 0, missed, halted)).Steps)
	}
	if halted {
		r.Halted = heldBack(r.plan(placements(nodes, settings, wanted, nil, 0, missed, false)), r.plan(placements(nodes, settings, wanted, nil, 0, missed, true)))
	}
	r.restarts(votersOf(wanted[shardmap.MetaGroup]))
	r.conclude(len(hosts(nodes, nil)))
	return r, nil
}

func votersOf(g meta.Group) (ids []shardmap.NodeID) {
	for _, r := range g.Replicas {
		if r.Role == meta.Voter {
			ids = append(ids, r.Node)
		}
	}
	return ids
}

// conclude counts what is served and says in a sentence how the cluster is.
func (r *ClusterReport) conclude(nodes int) {
	copies := min(r.Factor, nodes)
	full := 0
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if !g.Open {
				continue
			}
			r.Served++
			if len(g.CaughtUp)+1 >= copies && len(g.Seats) >= min(copies, groupSeats(nodes)) && !g.Solo && !g.Thin {
				full++
			}
		}
	}
	r.FullyFed = full
	switch {
	case r.Served < r.Groups:
		r.Verdict = fmt.Sprintf("%d of %d groups are served", r.Served, r.Groups)
	case nodes < groupVoters:
		r.Verdict = fmt.Sprintf("no failover yet: %d of %d nodes", nodes, groupVoters)
	case full < r.Groups:
		r.Verdict = fmt.Sprintf("all groups are served; %d of %d have all their replicas", full, r.Groups)
	case len(r.Moves) > 0:
		r.Verdict = fmt.Sprintf("all groups are served; copies of %d are on their way to other nodes", len(r.Moves))
	case len(r.Silent) > 0:
		r.Verdict = fmt.Sprintf("all groups are served; %d nodes do not answer", len(r.Silent))
	default:
		r.Verdict = "healthy: every group is served and has all its replicas"
		r.Healthy = true
	}
}

// groupSeats is how many seats a group can have on this many nodes.
func groupSeats(nodes int) int {
	if nodes < groupVoters {
		return 1
	}
	return nodes
}

// ShardDigest is the state of one shard copy, to compare replicas by.
type ShardDigest struct {
	Shard   shardmap.ShardID `json:"shard"`
	Version shardmap.Version `json:"version"`
	Time    int64            `json:"time"`
	Digest  string           `json:"digest"`
	Whole   bool             `json:"whole"`
	Keys    int              `json:"keys"`
}

// Digests lists every shard copy of this node.
func (n *Node) Digests() []ShardDigest {
	var out []ShardDigest
	layout := n.routes.Load().Layout()
	now := multiraft.Now()
	for g := 1; g <= layout.Groups; g++ {
		r := n.core.Data().Replica(shardmap.GroupID(g))
		if r == nil {
			continue
		}
		for _, s := range r.Status(now).Shards {
			d, at, t, whole := r.CopyDigest(s.Shard)
			out = append(out, ShardDigest{s.Shard, at, t, fmt.Sprintf("%016x", d), whole, s.Keys})
		}
	}
	return out
}

// Lineage lists what is remembered here of every Open of every group that this node has a
// part in. Epochs that are missing were never opened, or longer ago than is remembered.
func (n *Node) Lineage() (list []shardgroup.Decided) {
	for g := 1; g <= n.routes.Load().Layout().Groups; g++ {
		if r := n.core.Data().Replica(shardmap.GroupID(g)); r != nil {
			list = append(list, r.Decisions()...)
		}
	}
	return list
}
