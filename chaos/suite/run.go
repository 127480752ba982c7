package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Options say what is run.
type Options struct {
	Scenarios []string      `json:"scenarios"`
	Seed      uint64        `json:"seed"`
	Duration  time.Duration `json:"durationNs"` // of the faults of each scenario
	Nodes     int           `json:"nodes"`
	Ack       string        `json:"ack"`
	WAL       string        `json:"wal"`
	Out       string        `json:"-"`
	Aegis     string        `json:"-"`
	Budgets   bool          `json:"budgets"`          // missed budgets of time are a verdict
	AtOnce    int           `json:"atOnce,omitempty"` // scenarios side by side
	Mutant    string        `json:"mutant,omitempty"` // a bug seeded in the nodes
	Cycles    int           `json:"cycles,omitempty"` // faults of each scenario, however long they take; 0: as many as Duration has room for
	Rate      int           `json:"rate,omitempty"`   // operations a second that clients are there for; 0: one crew
}

// The layout that scenarios run with: failovers are of groups, and a probe for each group
// must leave the machine room for what it measures.
var layout = shardmap.Layout{Shards: 64, Groups: 16}

const (
	memoryEach = 256 << 20       // bytes
	before     = 2 * time.Second // of traffic, without a fault
	beforeMax  = 8 * time.Second // more of it where it is slow
	after      = 2 * time.Second
	healMax    = 60 * time.Second
	serveMax   = 30 * time.Second // P13
	cyclesMax  = 60
)

// run is one scenario while it runs.
type run struct {
	o      Options
	sc     Scenario
	seed   uint64
	rng    *rand.Rand
	dir    string
	layout shardmap.Layout
	tell   func(Progress)

	c    *cluster.Cluster
	l    *load
	p    *probes
	w    *witness
	ctx  context.Context
	stop func() // ends clients, probes and witness

	res    report.Scenario
	gaps   report.Unavailability
	peak   peak
	usage  cluster.Usage // before the first fault
	found  []*found      // logs, each read before its node did
	harmed map[int]bool  // nodes whose logs were damaged since their end
	noisy  int           // windows that the machine disturbed
	broken []string
	vague  []string // why this is no pass
	force  string   // the fault in force
}

// Progress is where a scenario is.
type Progress struct {
	Scenario     string
	Fault        string // in force; "" = none
	OK, Errors   int64
	Unserved     time.Duration // the group that waits longest
	Worst        time.Duration // the longest gap of a group so far
	Cycle        int
	Begun, Until time.Duration
}

// span is a duration between two, by chance.
func (r *run) span(least, most time.Duration) time.Duration {
	return least + time.Duration(r.rng.Int64N(int64(most-least)+1))
}

// wait lets time pass; false when the run was called off.
func (r *run) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.ctx.Done():
		return false
	}
}

// play runs a scenario from an empty directory to its judgement.
func play(ctx context.Context, o Options, sc Scenario, dir string, tell func(Progress)) (report.Scenario, error) {
	begun := time.Now()
	seed := seedOf(o.Seed, sc.Name)
	r := &run{o: o, sc: sc, seed: seed, rng: rand.New(rand.NewPCG(seed, 11)), dir: dir, layout: layout, tell: tell, ctx: ctx, harmed: map[int]bool{}}
	r.res = report.Scenario{Name: sc.Name, About: sc.About, Seed: o.Seed, Repro: o.command(sc.Name)}
	defer func() {
		if r.c != nil {
			r.c.Close()
		}
	}()
	if _, err := exec.LookPath(r.program()); err != nil {
		r.vague = append(r.vague, "the program cannot be run (make chaos builds all that is needed): "+err.Error())
		r.conclude()
		return r.res, nil
	}
	err := r.up()
	if err == nil {
		err = r.strikeAll()
	}
	if err == nil {
		err = r.rest()
	}
	if r.stop != nil {
		r.stop()
	}
	if r.l != nil && r.res.Quiet == 0 {
		r.res.Quiet = r.l.now()
	}
	if err != nil && ctx.Err() != nil {
		return r.res, ctx.Err()
	}
	if err != nil {
		r.broken = append(r.broken, err.Error())
	}
	if r.l != nil {
		r.judge()
	}
	r.res.Took = time.Since(begun)
	r.conclude()
	return r.res, nil
}

// seedOf gives each scenario a seed of its own.
func seedOf(seed uint64, name string) uint64 {
	for _, c := range []byte(name) {
		seed = (seed ^ uint64(c)) * 1099511628211
	}
	return seed
}

// wal is the log mode of the run, off where nobody asks for one.
func (r *run) wal() string {
	modes := []string{"off", "write", "fsync"}
	return modes[max(0, slices.Index(modes, r.sc.WAL), slices.Index(modes, r.o.WAL))]
}

// memory is the limit of each node, in bytes.
func (r *run) memory() int64 {
	if r.sc.Memory != 0 {
		return r.sc.Memory
	}
	return memoryEach
}

// Faulty is the name of the program that takes orders to be faulty, beside aegis.
const Faulty = "aegis-faulty"

// program is what nodes run: beside aegis lies the build of it that takes orders.
func (r *run) program() string {
	if r.sc.Seam {
		return filepath.Join(filepath.Dir(r.o.Aegis), Faulty)
	}
	return r.o.Aegis
}

// up starts the cluster, then the clients.
func (r *run) up() (err error) {
	args := []string{
		"--num-shards", fmt.Sprint(r.layout.Shards), "--num-groups", fmt.Sprint(r.layout.Groups),
		"--max-memory-bytes", fmt.Sprint(r.memory()), "--wal", r.wal(),
	}
	r.tell(Progress{Scenario: r.sc.Name, Fault: "starting"})
	if err := os.RemoveAll(r.dir); err != nil { // what an earlier run left here would be judged as this one's
		return err
	}
	r.c, err = cluster.New(cluster.Config{
		Aegis: r.program(), Dir: r.dir, Nodes: r.o.Nodes, Args: append(args, r.sc.Args...), Seed: r.seed,
		Fronted: r.sc.Fronted, Env: []string{"AEGIS_TEST_MUTANT=" + r.o.Mutant}, Spare: r.sc.Spare, Orders: r.sc.Seam,
	})
	if err != nil {
		return err
	}
	if err := r.c.Start(); err != nil {
		return err
	}
	if err := r.healthy("before the first fault"); err != nil {
		return err
	}
	r.l = newLoad(r.c.Addrs(), r.seed)
	if r.sc.prepare != nil {
		if err := r.sc.prepare(r); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	r.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	r.w = startWitness(ctx, &wg, r.l.now)
	if r.p, err = startProbes(ctx, &wg, r.layout, r.c.Addrs(), r.l.now); err != nil {
		return err
	}
	if err := r.l.run(ctx, &wg, r.o.Ack, r.o.crews(), r.seed); err != nil {
		return err
	}
	wg.Go(func() { r.watch(ctx) })
	r.wait(before)
	for end := r.l.now() + beforeMax; r.l.ok.Load() < opsBefore && r.l.now() < end && r.wait(probeEvery); { // a slow disk, a busy machine
	}
	r.res.Operations.Before = r.counts(report.Counts{})
	r.usage = r.used()
	return nil
}

// watch tells how it goes.
func (r *run) watch(ctx context.Context) {
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		r.peak.look(r.c)
		r.tell(Progress{
			Scenario: r.sc.Name, Fault: r.force, OK: r.l.ok.Load(), Errors: r.l.refused.Load() + r.l.unknown.Load(),
			Unserved: r.p.worst(r.l.now()), Cycle: r.gaps.Cycles,
		})
	}
}

// counts are the operations since some others.
func (r *run) counts(since report.Counts) report.Counts {
	return report.Counts{OK: r.l.ok.Load() - since.OK, Refused: r.l.refused.Load() - since.Refused, Unknown: r.l.unknown.Load() - since.Unknown}
}

func (r *run) healthy(when string) error {
	err := cluster.Await(healMax, "a healthy cluster "+when, func() bool { return r.ctx.Err() != nil || r.well() })
	if err == nil {
		return r.ctx.Err()
	}
	status, why := r.c.Status()
	return errors.Join(fmt.Errorf("P13: %w: %s", err, status.Verdict), why)
}

// well says whether all groups are served and have the copies that they can have.
func (r *run) well() bool {
	if !r.sc.Newcomer || r.gaps.Cycles == 0 && r.force == "" {
		return r.c.Healthy()
	}
	s, err := r.c.Status()
	return err == nil && s.Served == s.Groups
}

// copies is how many copies of a shard there are at rest, at least.
func (r *run) copies() int {
	if r.sc.Newcomer {
		return 2
	}
	return min(3, r.o.Nodes)
}

// strikeAll lets one fault after the other strike until the time is over.
func (r *run) strikeAll() error {
	r.gaps = report.Unavailability{Fault: r.sc.Kind, Budget: r.sc.Bar, Bar: barText(r.sc.Bar)}
	start := r.counts(report.Counts{})
	for end := r.l.now() + r.o.Duration; r.more(end); {
		if !r.wait(r.span(0, lease)) { // anywhere in the life of a lease
			return r.ctx.Err()
		}
		if err := r.strike(); err != nil {
			return err
		}
	}
	r.res.Operations.During = r.counts(start)
	return nil
}

// more says whether the fault is to strike once more.
func (r *run) more(end time.Duration) bool {
	switch {
	case r.gaps.Cycles == 0:
		return true
	case r.sc.Once:
		return false
	case r.o.Cycles > 0:
		return r.gaps.Cycles < r.o.Cycles
	}
	return r.l.now() < end && r.gaps.Cycles < cyclesMax
}

// strike lets the fault strike once, and waits until all is well again.
func (r *run) strike() error {
	holders, err := r.c.Holders()
	if err != nil {
		return err
	}
	r.force = r.sc.Kind
	from := r.l.now()
	s := r.sc.strike(r)
	r.wait(s.hold)
	err = s.heal()
	healed := r.l.now()
	r.force = "healing"
	f := report.Fault{Kind: r.sc.Kind, Target: s.target, Start: from, End: healed}
	if err == nil {
		err = r.served(healed)
	}
	to := r.l.now()
	r.measure(holders, s.nodes, from, to)
	if err == nil {
		err = r.healthy("after " + r.sc.Name)
	}
	what, none := s.evidence()
	if f.Acted = none == nil; f.Acted {
		f.Evidence = what
	} else {
		f.Evidence = none.Error()
		r.vague = append(r.vague, "a fault was not seen to act: "+none.Error())
	}
	r.res.Faults = append(r.res.Faults, f)
	r.gaps.Cycles++
	r.force = ""
	return errors.Join(err, r.ctx.Err())
}

// served waits until every group was read and written again (P13).
func (r *run) served(since time.Duration) error {
	return cluster.Await(serveMax, "P13: every group served again", func() bool { return r.ctx.Err() != nil || r.p.servedSince(since) })
}

// measure takes the longest gaps of all groups in the window of a fault. What the machine
// disturbed itself does not count.
func (r *run) measure(holders, nodes []int, from, to time.Duration) {
	for i, p := range r.p.groups {
		g := report.Gap{Cycle: r.gaps.Cycles, Group: fmt.Sprint("group ", i+1)}
		g.Affected = r.sc.Whole || i+1 < len(holders) && slices.Contains(nodes, holders[i+1])
		bar := r.sc.Bar
		if !g.Affected {
			bar = othersBar
		}
		if bar != 0 && r.w.disturbed(from, to, bar) {
			r.noisy++
			continue
		}
		g.Read, g.Write, g.At = p.gaps(from, to)
		r.gaps.Gaps = append(r.gaps.Gaps, g)
	}
}

// rest heals everything and waits until nothing changes any more.
func (r *run) rest() error {
	quiet := r.counts(report.Counts{})
	r.wait(after)
	r.res.Operations.After = r.counts(quiet)
	r.res.Witness = r.w.summary()
	r.leaks()
	r.stop()
	r.res.Quiet = r.l.now()
	if err := r.healthy("at the end"); err != nil {
		return err
	}
	level := "async"
	if r.o.Ack == "majority" {
		level = "majority"
	}
	if n := r.l.readAll(level, r.seed); n > 0 {
		r.broken = append(r.broken, fmt.Sprintf("P13: %d keys could not be read at rest", n))
	}
	return r.ctx.Err()
}

// HistoryFile is where a scenario's history stands, below its directory.
const HistoryFile = "history.zst"

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }
