package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	scaleShards = 16_384
	scaleCopies = 3
	scaleVoters = 3
	scaleMemory = 64 << 30 // of each node

)

// scaleRow is what one size of a cluster costs. Plans are made and measured; traffic is
// counted from the sizes of frames and how often they go out.
type scaleRow struct {
	Nodes      int     `json:"nodes"`
	Mean       float64 `json:"copiesMean"`
	Most       int     `json:"copiesMost"`
	Bound      int     `json:"copiesBound"` // mean x 1.15 rounded up, plus 1
	LeasesMost int     `json:"leasesMost"`
	FoundMs    float64 `json:"foundMs"`
	JoinMs     float64 `json:"joinMs"`
	JoinMoved  int     `json:"joinMoved"`
	JoinIdeal  float64 `json:"joinIdeal"`
	JoinElse   int     `json:"joinElsewhere"` // copies that went to others than the newcomer
	LeaveMs    float64 `json:"leaveMs"`
	LeaveMoved int     `json:"leaveMoved"`
	LeaveIdeal float64 `json:"leaveIdeal"`
	PlanBytes  int64   `json:"planBytes"`   // allocated by the plan of a join
	MetaBytes  int     `json:"group0Bytes"` // the snapshot of group 0
	BeatPeers  int     `json:"beatPeers"`   // nodes with a group in common
	BeatBytes  int     `json:"beatBytesPerSecond"`
	RouteBytes int     `json:"routeBytesPerSecond"`
	GossipMax  int     `json:"gossipBytesPerSecondMax"`
}

func newScale() *cobra.Command {
	var format, picture string
	var sizes []int
	cmd := &cobra.Command{
		Use: "scale", Short: "Plan clusters of many nodes with 16,384 shards: balance, movement, time, memory, traffic",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return usagef("unknown output format %q: use table or json", format)
			}
			rows := make([]scaleRow, len(sizes))
			for i, n := range sizes {
				if n < scaleVoters {
					return usagef("%d nodes: from %d on", n, scaleVoters)
				}
				rows[i] = scaleOf(n)
			}
			if picture != "" {
				if err := os.WriteFile(picture, scalePicture(rows), 0o600); err != nil {
					return err
				}
			}
			if format == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rows)
			}
			return printScale(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&picture, "svg", "", "file to draw to")
	cmd.Flags().IntSliceVar(&sizes, "nodes", []int{10, 100, 1000}, "sizes of clusters")
	return cmd
}

func scaleHosts(n int) (hosts []membership.Host, ids []shardmap.NodeID) {
	for i := 1; i <= n; i++ {
		hosts = append(hosts, membership.Host{Node: shardmap.NodeID(i), Weight: scaleMemory, Leases: true})
		ids = append(ids, shardmap.NodeID(i))
	}
	return hosts, ids
}

// scalePlan makes a plan and says how long it took, ring included.
func scalePlan(n int, present []membership.Places) ([]membership.Places, float64) {
	hosts, ids := scaleHosts(n)
	begun := time.Now()
	ps := membership.NewRing(ids, 100).Plan(hosts, membership.Shape{Groups: scaleShards, Copies: scaleCopies, Voters: scaleVoters}, present)
	return ps, float64(time.Since(begun).Microseconds()) / 1000
}

func scaleOf(n int) scaleRow {
	r := scaleRow{Nodes: n, Mean: float64(scaleShards*scaleCopies) / float64(n)}
	r.Bound = int(math.Ceil(r.Mean*1.15)) + 1
	var plan []membership.Places
	plan, r.FoundMs = scalePlan(n, nil)
	copies, leases := make([]int, n+2), make([]int, n+2)
	for _, p := range plan[1:] {
		leases[p.Copies[0]]++
		for _, c := range p.Copies {
			copies[c]++
		}
	}
	r.Most, r.LeasesMost = slices.Max(copies), slices.Max(leases)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var joined []membership.Places
	joined, r.JoinMs = scalePlan(n+1, plan)
	runtime.ReadMemStats(&after)
	r.PlanBytes = int64(after.TotalAlloc - before.TotalAlloc)
	r.JoinMoved, r.JoinElse = scaleMoved(plan, joined, shardmap.NodeID(n+1))
	r.JoinIdeal = float64(scaleShards*scaleCopies) / float64(n+1)
	var left []membership.Places
	left, r.LeaveMs = scalePlan(n, joined)
	r.LeaveMoved, _ = scaleMoved(joined, left, 0)
	r.LeaveIdeal = float64(r.JoinMoved)
	r.traffic(plan)
	r.MetaBytes = scaleMeta(n, plan)
	return r
}

// scaleMoved counts the copies that a plan brings to nodes, and those that do not go to a
// newcomer.
func scaleMoved(before, after []membership.Places, newcomer shardmap.NodeID) (moved, elsewhere int) {
	for g := 1; g < len(after); g++ {
		for _, n := range after[g].Copies {
			if !slices.Contains(before[g].Copies, n) {
				moved++
				if n != newcomer {
					elsewhere++
				}
			}
		}
	}
	return moved, elsewhere
}

// scaleMeta is how large group 0 is.
func scaleMeta(n int, plan []membership.Places) int {
	f := meta.Founding{Settings: meta.Settings{Shards: scaleShards, Groups: scaleShards, VirtualNodes: 100, ReplicationFactor: scaleCopies}}
	for i := 1; i <= n; i++ {
		at := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
		f.Nodes = append(f.Nodes, meta.Node{
			ID: shardmap.NodeID(i), UUID: meta.UUID{byte(i), byte(i >> 8), 7}, Name: fmt.Sprintf("node-%d", i), DataBytes: scaleMemory, Generation: 1,
			Addresses: meta.Addresses{Client: at + ":7000", Cluster: at + ":7001", Gossip: at + ":7002"},
		})
	}
	var ps []meta.Placement
	for g, p := range plan {
		if g > 0 {
			ps = append(ps, meta.Placement{Group: shardmap.GroupID(g), BudgetBytes: scaleMemory / int64(len(plan)), Replicas: voters(p.Copies)})
		}
	}
	return len(meta.New(f, ps).Snapshot())
}

func voters(nodes []shardmap.NodeID) (ws []meta.Wanted) {
	for _, n := range nodes {
		ws = append(ws, meta.Wanted{Node: n, Role: meta.Voter})
	}
	return ws
}

// What goes over the wire besides data, per packet: Ethernet, IP and UDP or TCP headers,
// then ours. A heartbeat and its answer carry one bit per group of the cluster.
const (
	wireHead     = 14 + 20 + 8
	beatHead     = 18 + 34 + 40 // packet, body, envelope with its authenticator
	beatsPerSec  = 10
	routeHead    = 14 + 32 + 5 + 9
	routeBytes   = 10
	gossipPerSec = 5 // every 200 ms
	gossipFanout = 3
	gossipPacket = 1400
	pushPull     = 30 // seconds between exchanges of everything
)

// traffic counts what the busiest kind of node sends a second: its heartbeats and answers
// to every node with which it has a group in common (with group 0 that is every node),
// once a second the groups it holds to every node, and at most what gossip may.
func (r *scaleRow) traffic(plan []membership.Places) {
	r.BeatPeers = r.Nodes - 1 // group 0 is on every node
	bits := (len(plan) + 7) / 8
	r.BeatBytes = 2 * beatsPerSec * r.BeatPeers * (wireHead + beatHead + bits)
	r.RouteBytes = (r.Nodes - 1) * (routeHead + routeBytes*r.LeasesMost)
	member := len(membership.AppendMeta(nil, membership.Meta{Version: "0.1.0", ClientAddr: "10.0.0.1:7000", ClusterAddr: "10.0.0.1:7001", GossipAddr: "10.0.0.1:7002"}))
	r.GossipMax = gossipPerSec*gossipFanout*min(gossipPacket, 100+r.Nodes*member) + r.Nodes*(member+60)/pushPull
}

func printScale(w io.Writer, rows []scaleRow) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	line := func(name string, say func(r scaleRow) string) {
		cells := make([]string, len(rows))
		for i, r := range rows {
			cells[i] = say(r)
		}
		fmt.Fprintf(t, "%s\t%s\t\n", name, strings.Join(cells, "\t"))
	}
	line("nodes", func(r scaleRow) string { return fmt.Sprint(r.Nodes) })
	line("copies per node, mean", func(r scaleRow) string { return fmt.Sprintf("%.1f", r.Mean) })
	line("copies per node, most (bound)", func(r scaleRow) string { return fmt.Sprintf("%d (%d)", r.Most, r.Bound) })
	line("preferred leases, most", func(r scaleRow) string { return fmt.Sprint(r.LeasesMost) })
	line("plan of a founding, ms", func(r scaleRow) string { return fmt.Sprintf("%.0f", r.FoundMs) })
	line("plan of a join, ms", func(r scaleRow) string { return fmt.Sprintf("%.0f", r.JoinMs) })
	line("  allocates, MiB", func(r scaleRow) string { return fmt.Sprintf("%.1f", float64(r.PlanBytes)/(1<<20)) })
	line("  moves (ideal)", func(r scaleRow) string { return fmt.Sprintf("%d (%.1f)", r.JoinMoved, r.JoinIdeal) })
	line("  to others than the newcomer", func(r scaleRow) string { return fmt.Sprint(r.JoinElse) })
	line("plan of a leave, ms", func(r scaleRow) string { return fmt.Sprintf("%.0f", r.LeaveMs) })
	line("  moves (ideal)", func(r scaleRow) string { return fmt.Sprintf("%d (%.0f)", r.LeaveMoved, r.LeaveIdeal) })
	line("group 0, KiB", func(r scaleRow) string { return fmt.Sprint(r.MetaBytes >> 10) })
	line("heartbeats, KiB/s sent", func(r scaleRow) string { return fmt.Sprint(r.BeatBytes >> 10) })
	line("routes, KiB/s sent", func(r scaleRow) string { return fmt.Sprint(r.RouteBytes >> 10) })
	line("gossip, KiB/s sent at most", func(r scaleRow) string { return fmt.Sprint(r.GossipMax >> 10) })
	fmt.Fprintf(w, "%d shards in as many groups, %d copies. Plans are measured; traffic per node is counted from frame sizes.\n", scaleShards, scaleCopies)
	return t.Flush()
}
