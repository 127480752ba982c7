package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	elasticLimit = 3 * time.Minute        // until nodes have come or gone
	elasticLook  = 500 * time.Millisecond // between two looks whether they have
	// elasticP99 is by how much the slowest calls may be slower while copies move.
	elasticP99 = 2
	// movedMax is by how much more than a newcomer's share may move.
	movedMax = 1.1
	// parked is how long a request waits for a lease.
	parked = 200 * time.Millisecond
	// elasticReplace is how long these nodes miss another one before they replace it.
	elasticReplace = 10 * time.Second
)

// TestElastic lets nodes come and go under a mixed load of three client processes: from
// three to five and back by decommission, each of three in turn drained and started
// again, one killed and replaced by a blank one. No client sees an error (but in the
// window of the failover), no majority write is lost, the copies are equal after each,
// no group is ever without a complete follower, and no more moves than the newcomers'
// share. AEGIS_TEST_ELASTIC says for how long it looks at the load before each, and has
// the times judged; AEGIS_TEST_ELASTIC_KEYS how many keys move.
func TestElastic(t *testing.T) {
	e := startElastic(t)
	e.tried(t, func() bool {
		again := e.phase(t, "three nodes to five", e.grow)
		again = e.phase(t, "five nodes to three", e.shrink) || again
		e.blank(t, e.nodes[3])
		e.blank(t, e.nodes[4])
		return again
	})
	e.tried(t, func() bool { return e.phase(t, "each drained and started again", e.roll) })
	e.tried(t, func() bool { return e.phase(t, "one killed and replaced", e.replace) })
}

// elastic is a cluster whose nodes come and go, and its load.
type elastic struct {
	nodes  []*restartable
	at     []*restartable // that are members now
	load   *mixed
	judged bool
	before time.Duration // each phase
	lease  time.Duration
	killed time.Time // in the phase, zero: nobody was
}

func startElastic(t *testing.T) *elastic {
	t.Helper()
	base := freeBlock(t, portsEach*5)
	lines := slices.Clone(contract)
	for i := 3; i < 5; i++ {
		lines = append(lines, fmt.Sprintf("./bin/aegis --id node%d --client-addr :70%d0 --gossip-addr :70%d2 --seeds localhost:7002", i+1, i, i))
	}
	e := &elastic{judged: os.Getenv("AEGIS_TEST_ELASTIC") != "", before: duration(t, "AEGIS_TEST_ELASTIC", time.Second), lease: leaseLength}
	for i := range lines {
		lines[i] = onPorts(lines[i], base) + fmt.Sprint(" --max-memory-bytes 256MiB --replace-after ", elasticReplace)
		if !e.judged { // a lease that lapses because others are busy is no error of this test
			lines[i] += " --lease-profile noisy"
			e.lease = noisyLease
		}
	}
	e.nodes = prepare(t, lines...)
	e.at = slices.Clone(e.nodes[:3])
	for _, n := range e.at {
		n.start(t)
	}
	addrs := addresses(e.at)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	awaitMap(t, addrs)
	fillElastic(t, addrs, times(t, "AEGIS_TEST_ELASTIC_KEYS", 20_000))
	e.load = startMixed(t, startWitness(t), addrs)
	return e
}

// tried does something again as long as the machine disturbs it.
func (e *elastic) tried(t *testing.T, do func() (again bool)) {
	t.Helper()
	for try := 1; do() && !t.Failed(); try++ {
		if try == tries {
			t.Fatal("inconclusive as often as it was tried: this machine is too noisy to judge, run again")
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// phase looks at the load before something happens and while it does, and judges. It is to
// be done again when the machine disturbed it.
func (e *elastic) phase(t *testing.T, name string, happens func(t *testing.T)) (again bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	majority := majorityLoad(ctx, t, &wg, addresses(e.at))
	e.killed = time.Time{}
	wait(ctx, time.Second) // the clients get to know each other
	from := time.Now()
	wait(ctx, e.before)
	begun := time.Now()
	happens(t)
	e.alike(t)
	ended := time.Now()
	cancel()
	wg.Wait()
	majority.verify(t, newClient(t, addresses(e.at)), 10)
	neverAlone(t, e.nodes, from)
	before, during := e.load.between(t, from, begun, time.Time{}, 0), e.load.between(t, begun, ended, e.killed, e.failover())
	t.Logf("%s, before: %v", name, before)
	t.Logf("%s, %v: %v", name, ended.Sub(begun).Round(time.Millisecond), during)
	return e.judge(t, before, during)
}

// judge fails for every error that the machine is not to blame for: one that stands for as
// long as requests are parked has CLUSTERDOWN as an answer. Times are judged where that is
// asked for, of a machine that does nothing else.
func (e *elastic) judge(t *testing.T, before, during *stretch) (again bool) {
	t.Helper()
	for _, c := range slices.Concat(before.failed, during.failed) {
		if e.load.w.disturbed(c.at.Add(-parked), c.at.Add(c.took), parked) {
			again = true
			t.Logf("while the machine stood: %v", c)
		} else {
			t.Error(c)
		}
	}
	for _, role := range mixedRoles {
		if n := before.calls[role] + during.calls[role]; n < 200 {
			t.Errorf("%s made %d calls only", role, n)
		}
	}
	switch was, is := quantile(before.took, .99), quantile(during.took, .99); {
	case !e.judged || again:
	case before.inconclusive() || during.inconclusive():
		t.Log("inconclusive: too many windows were disturbed")
		return true
	case is > elasticP99*was || quantile(during.pauses, .99) > pauseP99:
		t.Errorf("p99 is %v, over %d times %v, or pauses of groups %v, over %v", is, elasticP99, was, quantile(during.pauses, .99), pauseP99)
	}
	return again
}

// failover is the window that follows a death: a lease, and a second until all is served.
func (e *elastic) failover() time.Duration { return e.lease + time.Second }

// blank starts the data of a node that is no member any more from nothing.
func (e *elastic) blank(t *testing.T, n *restartable) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(n.dir, "data", n.name)); err != nil {
		t.Fatal(err)
	}
}

// grow lets two nodes join and looks at what moved.
func (e *elastic) grow(t *testing.T) {
	t.Helper()
	first := e.nodes[0].addr
	was := placesOf(statusOf(first))
	from := time.Now()
	e.nodes[3].start(t)
	e.nodes[4].start(t)
	untilEvery(t, elasticLimit, elasticLook, "five nodes have their copies", func() bool {
		r := statusOf(first)
		return r.Healthy && len(placesOf(r)) == 5 && strings.Contains(ask(first, "aegis.admin", "rebalance"), `"steps":[]`)
	})
	took := time.Since(from)
	moved := 0
	for name, at := range placesOf(statusOf(first)) {
		for _, g := range at {
			if !slices.Contains(was[name], g) {
				moved++
			}
		}
	}
	ideal := 2. / 5 * groups * 3
	t.Logf("3 to 5 nodes in %v: %d of %d copies moved, ideal %.1f", took.Round(time.Millisecond), moved, groups*3, ideal)
	if float64(moved) > movedMax*ideal+2 {
		t.Errorf("%d copies moved, ideal %.1f", moved, ideal)
	}
	e.at = e.nodes
}

// shrink decommissions the two newcomers at once.
func (e *elastic) shrink(t *testing.T) {
	t.Helper()
	for _, n := range e.nodes[3:] {
		e.intend(t, e.nodes[0].addr, "decommission", n)
	}
	for _, n := range e.nodes[3:] {
		n.leaves(t, elasticLimit)
	}
	e.at = slices.Clone(e.nodes[:3])
	e.complete(t)
}

// complete waits until three nodes have all copies.
func (e *elastic) complete(t *testing.T) {
	t.Helper()
	untilEvery(t, elasticLimit, elasticLook, "three nodes have all", func() bool { return statusOf(e.at[0].addr).lacking() == "" })
}

// roll drains each node, ends it, starts it again, and waits for its copies. A drain by
// operators' will takes half a second per lease; the end of a process drains as well, and
// where no times are judged that is enough.
func (e *elastic) roll(t *testing.T) {
	t.Helper()
	for i, n := range e.at {
		other := e.at[(i+1)%len(e.at)].addr
		from := time.Now()
		if e.judged {
			e.intend(t, other, "drain", n)
			untilEvery(t, elasticLimit, elasticLook, n.name+" has no lease", func() bool {
				r := statusOf(other)
				return r.Served == groups && len(r.holders()[n.name]) == 0
			})
		}
		drained := time.Now()
		n.signal(syscall.SIGTERM)
		n.leaves(t, elasticLimit)
		left := time.Now()
		n.start(t)
		n.answers(t)
		if e.judged {
			e.intend(t, other, "undrain", n)
		}
		untilEvery(t, elasticLimit, elasticLook, "three nodes have all", func() bool { return statusOf(other).lacking() == "" })
		t.Logf("%s was drained in %v, left in %v, came back with its copies in %v", n.name, drained.Sub(from), left.Sub(drained), time.Since(left))
	}
}

// intend tells a node what operators want of another one.
func (e *elastic) intend(t *testing.T, asked, word string, n *restartable) {
	t.Helper()
	if a := ask(asked, "aegis.admin", word, n.name); !strings.Contains(a, `"changed":true`) {
		t.Fatalf("%s of %s: %s", word, n.name, a)
	}
}

// replace kills the last node -9, and has a blank one take its place.
func (e *elastic) replace(t *testing.T) {
	t.Helper()
	dead, blank := e.at[2], e.nodes[3]
	if dead == blank {
		blank = e.nodes[2]
	}
	e.killed = time.Now()
	dead.kill()
	untilEvery(t, 2*e.failover(), elasticLook, "the others serve all", func() bool { return statusOf(e.at[0].addr).Served == groups })
	e.blank(t, blank)
	blank.start(t)
	e.at[2] = blank
	e.complete(t)
}

// neverAlone reads in the nodes' logs which copies counted of each group, at every
// moment since: a holder and a complete follower at least, whatever moved.
func neverAlone(t *testing.T, nodes []*restartable, since time.Time) {
	t.Helper()
	seen := 0
	for _, n := range nodes {
		log, err := os.ReadFile(n.logPath())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			var said struct {
				TS                  time.Time
				Msg, Groups, Copies string
			}
			if json.Unmarshal([]byte(line), &said) != nil || said.TS.Before(since) || said.Msg != "group opened" && said.Msg != "other copies count" {
				continue
			}
			seen += groupsIn(said.Groups)
			if len(strings.Fields(said.Copies)) < 2 {
				t.Errorf("%s: %s, of groups %s the copies at %q", n.name, said.Msg, said.Groups, said.Copies)
			}
		}
	}
	if seen < groups/2 {
		t.Errorf("the nodes told %d changes of copies only", seen)
	}
}

// groupsIn is how many groups a line of the log is about, which names them like "1-2,4".
func groupsIn(ranges string) (n int) {
	for r := range strings.SplitSeq(ranges, ",") {
		first, last := 0, 0
		if _, err := fmt.Sscanf(r, "%d-%d", &first, &last); err != nil {
			last = first
		}
		n += last - first + 1
	}
	return n
}

// placesOf are the groups of which each node has a copy that counts.
func placesOf(r report) map[string][]int {
	names := map[uint32]string{}
	for _, n := range r.Nodes {
		names[n.Node] = n.Name
	}
	by := map[string][]int{}
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if !g.Open {
				continue
			}
			for _, s := range g.Seats {
				by[names[s]] = append(by[names[s]], g.Group)
			}
		}
	}
	return by
}

// alike waits until every shard was seen with whole and equal copies. The clients go on
// meanwhile, so nodes are rarely asked about all shards between the same two writes: each
// is compared where its copies are at one version.
func (e *elastic) alike(t *testing.T) {
	t.Helper()
	equal := map[int]bool{}
	untilEvery(t, elasticLimit, elasticLook, "the copies are equal", func() bool {
		copies := map[int][]shardCopy{}
		for _, n := range e.at {
			for _, c := range digests(t, n.addr) {
				copies[int(c.Shard)] = append(copies[int(c.Shard)], c)
			}
		}
		for s, all := range copies {
			if slices.ContainsFunc(all, func(c shardCopy) bool { return !c.Whole || c.Version != all[0].Version }) {
				continue
			}
			if slices.ContainsFunc(all, func(c shardCopy) bool { return c.Digest != all[0].Digest }) {
				t.Fatalf("shard %d: copies at version %v differ: %+v", s, all[0].Version, all)
			}
			equal[s] = true
		}
		return len(copies) > 0 && len(equal) == len(copies)
	})
}

// unlikeCopies names a shard of which two nodes have different copies, "" none.
func unlikeCopies(t *testing.T, nodes []*restartable) string {
	t.Helper()
	first := map[int]shardCopy{}
	for _, n := range nodes {
		for _, c := range digests(t, n.addr) {
			s := int(c.Shard)
			if f, ok := first[s]; ok && (f.Digest != c.Digest || f.Version != c.Version) || !c.Whole {
				return fmt.Sprintf("shard %d at %s", s, n.name)
			}
			first[s] = c
		}
	}
	return ""
}

func elasticKey(i int) string { return fmt.Sprint("elastic:", i) }

// fillElastic writes what is to move: values of 1 KiB. Copies that a busy machine lets fall
// behind refuse for a while.
func fillElastic(t *testing.T, addrs []string, keys int) {
	t.Helper()
	c, _ := goRedis(t, addrs...)
	value := strings.Repeat("e", 1024)
	for batch := range slices.Chunk(indexes(keys), 500) {
		until(t, startLimit, "values are taken", func() bool {
			_, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
				for _, i := range batch {
					p.Set(t.Context(), elasticKey(i), value, 0)
				}
				return nil
			})
			if err != nil && !strings.Contains(err.Error(), "NOREPLICAS") {
				t.Fatal(err)
			}
			return err == nil
		})
	}
}
