package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	// moveKillRate makes moves long enough to be met, in bytes a second of each node.
	moveKillRate = "2MiB"
	// moveKillSpan is how long after its begin a move is met at most.
	moveKillSpan = 2 * time.Second
	// moveKillLate is when it is told what everything waits for.
	moveKillLate = 12 * time.Second
	// moveKillLimit is until everything is in place again.
	moveKillLimit = 2 * time.Minute
)

// TestKillsInMoves lets a fourth node join three that have data and take writes, and leave
// again, over and over; in the midst of each move a node that gives a copy, or one that gets
// it, is killed -9 and started again. Every group has one owner then, no majority write is
// lost, the copies are equal, and by the logs no two nodes ever served a group at once.
// AEGIS_TEST_MOVE_KILLS says how often; without it it is the newcomer that dies, once.
func TestKillsInMoves(t *testing.T) {
	t.Parallel()
	k := startMoveKills(t)
	k.any = os.Getenv("AEGIS_TEST_MOVE_KILLS") != ""
	for i := range times(t, "AEGIS_TEST_MOVE_KILLS", 1) {
		visitor := k.nodes[3]
		if i%2 == 0 {
			k.move(t, 4, func() { visitor.start(t) })
			continue
		}
		k.move(t, 3, func() {
			if a := ask(k.nodes[0].addr, "aegis.admin", "decommission", visitor.name); !strings.Contains(a, "leaving") {
				t.Fatalf("decommission: %s", a)
			}
		})
		k.left(t)
	}
	k.judge(t)
}

// moveKills is a cluster of three nodes that a fourth one visits.
type moveKills struct {
	nodes []*restartable
	keys  int
	any   bool // any node may be killed, not the visitor only
	rnd   *rand.Rand
	deeds []cluster.Deed
	roles map[string]int // kills by what the victim was
}

func startMoveKills(t *testing.T) *moveKills {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	base := freeBlock(t, portsEach*4)
	var lines []string
	for _, line := range append(slices.Clone(contract), "./bin/aegis --id node4 --client-addr :7030 --gossip-addr :7032 --seeds localhost:7002") {
		lines = append(lines, onPorts(line, base)+" --max-memory-bytes 256MiB --log-format json --log-level debug --fill-bytes-per-second "+moveKillRate)
	}
	k := &moveKills{
		nodes: prepare(t, lines...), keys: times(t, "AEGIS_TEST_MOVE_KEYS", 4000),
		rnd: rand.New(rand.NewPCG(seed, 1)), roles: map[string]int{},
	}
	for _, n := range k.nodes[:3] {
		n.start(t)
	}
	addrs := addresses(k.nodes[:3])
	until(t, startLimit, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	fillElastic(t, addrs, k.keys)
	return k
}

// move begins a move under majority writes, kills a node that takes part in it, and waits
// until as many nodes as there are to be are in order.
func (k *moveKills) move(t *testing.T, nodes int, begin func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	load := majorityLoad(ctx, t, &wg, addresses(k.nodes[:3]))
	until(t, time.Minute, "writes are acknowledged", func() bool {
		load.mu.Lock()
		defer load.mu.Unlock()
		return load.n > 20
	})
	begin()
	var r report
	until(t, time.Minute, "copies are on their way", func() bool { r = k.status(); return len(r.Moves) > 0 })
	wait(ctx, time.Duration(k.rnd.Int64N(int64(moveKillSpan))))
	if met := k.status(); len(met.Moves) > 0 {
		r = met
	} else {
		t.Log("the move was over before it was met")
	}
	victim, role := k.choose(r)
	k.roles[role]++
	k.deeds = append(k.deeds, cluster.Deed{At: multiraft.Now().Mono, Node: victim, What: "kill"})
	k.nodes[victim].kill()
	k.nodes[victim].start(t)
	from := time.Now()
	var why string
	defer func() {
		if t.Failed() {
			t.Log("last: ", why)
		}
	}()
	told := false
	until(t, moveKillLimit, "everything is in place", func() bool {
		why = k.unsettled(t, nodes)
		if late := time.Since(from) > moveKillLate; late && !told {
			told = true
			t.Log("not in place yet: ", why)
		}
		return why == ""
	})
	cancel()
	wg.Wait()
	load.verify(t, newClient(t, addresses(k.nodes[:3])), 20)
	until(t, moveKillLimit, "the copies are equal", func() bool { why = unlikeCopies(t, k.nodes[:nodes]); return why == "" })
	keys := 0
	for _, n := range k.nodes[:nodes] {
		for _, c := range digests(t, n.addr) {
			keys += c.Keys
		}
	}
	if keys < 3*k.keys {
		t.Errorf("%d keys in all copies, want three copies of %d at least", keys, k.keys)
	}
	t.Logf("%s, a %s of %d moves, killed; in place after %v", k.nodes[victim].name, role, len(r.Moves), time.Since(from).Round(10*time.Millisecond))
}

// status asks the first node that answers.
func (k *moveKills) status() (r report) {
	for _, n := range k.nodes[:3] {
		if r = statusOf(n.addr); len(r.Nodes) > 0 {
			break
		}
	}
	return r
}

// choose takes a move, and the holder of its group or a node that is to get a copy.
func (k *moveKills) choose(r report) (place int, role string) {
	if !k.any {
		return 3, "target"
	}
	m := r.Moves[k.rnd.IntN(len(r.Moves))]
	names := map[uint32]string{}
	source := ""
	for _, n := range r.Nodes {
		names[n.Node] = n.Name
		for _, g := range n.Groups {
			if g.Group == m.Group && g.Open {
				source = n.Name
			}
		}
	}
	name, role := source, "source"
	if len(m.To) > 0 && (k.rnd.IntN(2) == 0 || source == "") {
		name, role = names[m.To[k.rnd.IntN(len(m.To))]], "target"
	}
	return max(0, slices.IndexFunc(k.nodes, func(n *restartable) bool { return n.name == name })), role
}

// unsettled says what is not in place yet: so many nodes, one owner of every group by what
// each node says of itself, and nothing that is to move.
func (k *moveKills) unsettled(t *testing.T, nodes int) string {
	t.Helper()
	r := k.status()
	if len(r.Nodes) != nodes || len(r.Silent) > 0 || !r.Healthy || len(r.Moves) > 0 {
		return fmt.Sprintf("%d nodes, silent %v, %d moves: %s", len(r.Nodes), r.Silent, len(r.Moves), r.Verdict)
	}
	if plan := ask(k.nodes[0].addr, "aegis.admin", "rebalance"); !strings.Contains(plan, `"steps":[]`) {
		return "plan " + plan
	}
	owners := make([]int, groups+1)
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if g.Open {
				owners[g.Group]++
			}
			if !g.Whole {
				return fmt.Sprintf("%s's copy of group %d is not whole", n.Name, g.Group)
			}
		}
	}
	if slices.ContainsFunc(owners[1:], func(n int) bool { return n != 1 }) {
		return fmt.Sprintf("owners of groups: %v", owners[1:])
	}
	return ""
}

// left waits until the visitor's process has ended, and takes its directory away.
func (k *moveKills) left(t *testing.T) {
	t.Helper()
	v := k.nodes[3]
	v.leaves(t, moveKillLimit)
	k.deeds = append(k.deeds, cluster.Deed{At: multiraft.Now().Mono, Node: 3, What: "left"})
	if err := os.RemoveAll(v.dir + "/data/" + v.name); err != nil {
		t.Fatal(err)
	}
}

// judge reads in the logs who served when.
func (k *moveKills) judge(t *testing.T) {
	t.Helper()
	now := multiraft.Now().Mono
	logs := []string{}
	for _, n := range k.nodes {
		n.kill()
		logs = append(logs, n.logPath())
	}
	s, err := cluster.ReadStory(logs, k.deeds, shardmap.DefaultLayout, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range chaos.Overlaps(s.Servings, 0) {
		t.Error(broken)
	}
	t.Logf("kills %v; %d leases were served, never two of a group at once", k.roles, len(s.Servings))
	if len(s.Servings) < groups {
		t.Errorf("the logs tell of %d leases only", len(s.Servings))
	}
}
