package sim

import (
	crand "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Result is what one run showed.
type Result struct {
	Seed    uint64
	Hash    uint64
	Events  uint64
	Ops     int
	Lost    int
	Wiped   int
	Broken  []string
	Acted   map[string]int
	Log     []string
	Oldest  time.Duration // how long an answer from a cache was not true any more, at the most
	Seconds float64       // simulated
}

// seededReader feeds crypto/rand, which raft draws its election jitter from.
type seededReader struct{ *rand.ChaCha8 }

func (r seededReader) Read(b []byte) (int, error) { return r.ChaCha8.Read(b) }

var _ io.Reader = seededReader{}

// Run simulates one seed. Only one run may go on in a process at a time, because
// the process-wide random source is replaced.
func Run(cfg Config, seed uint64) Result {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	old := crand.Reader
	crand.Reader = seededReader{rand.NewChaCha8(key)}
	defer func() { crand.Reader = old }()
	w := &World{
		cfg: cfg, rng: rand.New(rand.NewChaCha8(key)), hash: 14695981039346656037,
		acted: map[string]int{},
	}
	w.drawShape()
	if seed%4 == 3 { // not drawn: that would make other runs of all seeds of before
		w.cfg.FillRate = slowFills
	}
	w.drawLogs(seed)
	w.history = chaos.NewHistory(w.layout())
	w.operated = !w.cfg.Plain && w.cfg.Faults && seed/2%2 == 0
	w.drawFaults()
	w.target = w.cfg.Nodes
	if w.target == 0 {
		w.target = 3 + int(seed%3)
		if w.operated {
			w.target++ // one can be spared
		}
	}
	if w.cfg.Nodes = w.target; !w.cfg.Plain && w.cfg.Faults && w.rng.IntN(3) == 0 {
		w.cfg.Nodes = 1 + w.rng.IntN(w.target)
	}
	if w.cfg.Evicts {
		w.scant()
	}
	defer w.endPasses()
	w.found()
	w.reconnect()
	w.run(3 * time.Second)
	for i := range 4 {
		w.clients = append(w.clients, newActor(w, i))
	}
	for _, a := range w.clients {
		a.loop()
	}
	if seed/3%3 == 0 { // it costs a tenth of a run's time; seed%3 says how many nodes there are
		w.cacher = newCacher(w, seed)
		w.cacher.loop()
	}
	w.watch()
	w.exiles()
	if w.cfg.Faults {
		w.faults()
	}
	w.run(w.cfg.Duration)
	w.heal()
	w.quiet()
	w.settle()
	w.history.Finish()
	if w.history.Excused > 0 {
		w.acted["broken by wild clocks"] += w.history.Excused
	}
	w.cacher.count()
	if w.cfg.Second {
		w.acted["second opinion"] += w.history.Sample.Check(w.history, secondLimit).Fine
	}
	return Result{
		Seed: seed, Hash: w.hash, Events: w.events, Ops: w.history.Ops, Lost: w.history.Lost, Wiped: w.history.Wiped,
		Broken: w.history.Broken, Acted: w.acted, Log: w.lines(), Seconds: w.now.Seconds(), Oldest: w.history.Oldest,
	}
}

// drawShape makes some clusters unlike the usual one: with fewer or more copies, so
// that some voters are witnesses or some copies learners, with four shards to a
// group, with so little memory for rings that followers fall off, with many keys, or
// with more of them than there is memory for.
func (w *World) drawShape() {
	if w.cfg.Plain || !w.cfg.Faults {
		return
	}
	if w.rng.IntN(5) == 0 {
		w.cfg.Factor = [...]int{1, 2, 5}[w.rng.IntN(3)]
	}
	if w.rng.IntN(6) == 0 {
		w.cfg.Groups /= 4
	}
	if w.rng.IntN(4) == 0 {
		w.cfg.RingBytes >>= 3 + w.rng.IntN(4)
		w.cfg.BlockBytes, w.cfg.CompareBytes = int(w.cfg.RingBytes/64), 1
	}
	if w.rng.IntN(12) == 0 {
		w.cfg.Keys = 8
	}
	w.cfg.Evicts = !w.cfg.Second && w.rng.IntN(8) == 0
}

// slowFills is a pace at which a fill takes from a tenth of a second up to a few seconds.
const slowFills = 64 << 10

// scant gives the nodes so little memory that keys are evicted: 48 KiB a shard, room
// for one long value and what a store needs for itself, at a node with a tenth more
// groups than its share. Which they are stands in the records of writes only as long
// as budgets stay, and by that the placement of groups.
func (w *World) scant() {
	w.cfg.Nodes, w.cfg.Keys = w.target, 3
	groups := (w.cfg.Groups*min(w.cfg.Factor, w.target) + w.target - 1) / w.target
	groups += (groups + 9) / 10
	w.cfg.DataBytes = longArg * 3 / 2 * int64(groups*w.layout().ShardsPerGroup())
	w.kinds = slices.DeleteFunc(slices.Clone(w.kinds), func(k fault) bool { return k.name == "join" || k.name == "lost disk" || k.name == "decommission" })
	if len(w.kinds) == 0 {
		w.kinds = plainFaults
	}
}

func (w *World) layout() shardmap.Layout {
	return shardmap.Layout{Shards: w.cfg.Shards, Groups: w.cfg.Groups}
}

// found makes the nodes of a cluster that was founded together.
func (w *World) found() {
	w.makeKeys()
	f := w.founding(w.cfg.Nodes)
	if w.cfg.Evicts {
		w.hashKeys(f.Settings.HashKey)
	}
	for range w.cfg.Nodes {
		w.blank().founded = f
	}
	for _, p := range w.nodes {
		p.start()
	}
}

const (
	// quietLimit bounds the end of a run: an empty replica may wait ten seconds for
	// one that is down, and leases a cap.
	quietLimit = 40 * time.Second
	// placedLimit is until when everything must be where group 0 wants it: leases go
	// back to nodes that were away after half a minute.
	placedLimit = 100 * time.Second
)

// restFor is how long a cluster must stay at rest: longer than the leases of a node
// that is cut off.
const restFor = 2 * time.Second

// quiet lets the cluster come to rest and looks whether it stays there.
func (w *World) quiet() {
	w.awaitService()
	for _, end := range [...]struct {
		limit time.Duration
		look  func() string
	}{{quietLimit, w.unserved}, {placedLimit, w.unrest}} {
		for since := w.now; w.now < since+restFor; w.run(w.now + 500*time.Millisecond) {
			why := end.look()
			if why != "" {
				since = w.now
			}
			if w.now > w.healedAt+end.limit {
				w.describe()
				w.broke("P13", "%v after the faults ended: %s", end.limit, why)
				return
			}
		}
	}
}

// unserved says what is not served, or not held alike, in a cluster without faults.
func (w *World) unserved() string {
	for g := 1; g <= w.cfg.Groups; g++ {
		if why := w.restless(shardmap.GroupID(g)); why != "" && !w.inExchange(shardmap.GroupID(g)) {
			return why
		}
	}
	return ""
}

// unrest says in addition what is not where it should be.
func (w *World) unrest() string {
	if why := w.unserved(); why != "" {
		return why
	}
	for g := range w.cfg.Groups + 1 {
		switch why := w.misplaced(shardmap.GroupID(g)); {
		case w.inExchange(shardmap.GroupID(g)):
			return "" // nobody is replaced either, as long as it stands
		case why != "":
			return why
		}
	}
	return w.unreplaced()
}

// restless says why a group is not served by one node, with equal copies.
func (w *World) restless(id shardmap.GroupID) string {
	served := 0
	for _, p := range w.nodes {
		if !p.up {
			continue
		}
		now := p.clock()
		if p.core.Raft().Lease(id).Check(now.Mono, now.SuspendOffset) {
			served++
		}
	}
	if served != 1 {
		return fmt.Sprintf("group %d is served by %d nodes", id, served)
	}
	return w.unequal(id)
}

// unequal compares the copies of a group (P10): equal positions must mean equal
// digests, and in the end every copy is whole.
func (w *World) unequal(id shardmap.GroupID) string {
	type position struct {
		at   shardmap.Version
		time int64
	}
	type seen struct {
		digest uint64
		node   shardmap.NodeID
	}
	at := map[position]seen{}
	first := w.layout().FirstShard(id)
	for s := first; s < first+shardmap.ShardID(w.layout().ShardsPerGroup()); s++ {
		clear(at)
		for _, p := range w.nodes {
			r := p.copyOf(s)
			if r == nil {
				continue
			}
			d, v, t, whole := r.CopyDigest(s)
			if !whole && !w.strays(id) {
				return fmt.Sprintf("shard %d at node %d is not whole", s, p.id)
			}
			if !whole { // nobody but its holder could fill it
				continue
			}
			k := position{v, t}
			if o, ok := at[k]; ok && o.digest != d {
				w.broke("P10", "shard %d at version %v and time %d: nodes %d and %d differ", s, v, t, o.node, p.id)
			}
			at[k] = seen{d, p.id}
		}
	}
	return ""
}
