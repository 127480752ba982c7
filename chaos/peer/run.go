package peer

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Options say how a scenario is run.
type Options struct {
	Cycles int           // faults, one after the other
	Fault  time.Duration // how long each lasts
	Rest   time.Duration // between them, once the cluster is whole again
	Seed   uint64
	Tell   func(string) // progress, one line at a time
}

const (
	warmUp     = 2 * time.Second
	healthyMax = 90 * time.Second
	waitMax    = 600 * time.Millisecond // before each fault: it hits any phase of a lease
	fewestOps  = 200                    // that each phase needs, or nothing was shown
)

// run is one scenario under way.
type run struct {
	opts  Options
	begun time.Time
	tally tally

	mu     sync.Mutex
	faults []report.Fault
	cycles []cycle
}

// cycle is one fault and the time until the next.
type cycle struct {
	from, mended, to time.Duration
	hit              [ranges]bool
}

func (r *run) now() time.Duration { return time.Since(r.begun) }

// note counts an operation of a writer.
func (r *run) note(kind string, begun time.Duration, a answer) {
	ended := r.now()
	r.tally.Lock()
	defer r.tally.Unlock()
	r.tally.sampler.Add(report.Point{At: begun, Took: ended - begun, Outcome: a.outcome, Kind: kind})
	r.tally.throughput.Add(ended, a.outcome)
	if a.word != "" {
		r.tally.errors[a.word]++
	}
	c := r.phase(begun)
	switch a.outcome {
	case report.OK:
		c.OK++
	case report.Refused:
		c.Refused++
	default:
		c.Unknown++
	}
}

// phase is where an operation counts: before the first fault, after the last, or
// between.
func (r *run) phase(at time.Duration) *report.Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n := len(r.cycles); {
	case n == 0 || at < r.cycles[0].from:
		return &r.tally.phases.Before
	case n == r.opts.Cycles && r.cycles[n-1].mended > 0 && at > r.cycles[n-1].mended:
		return &r.tally.phases.After
	}
	return &r.tally.phases.During
}

// Run does one scenario: the same fault to the node that serves one of the ranges, as
// often as asked, and judges what clients saw.
func Run(ctx context.Context, sys System, fault Fault, o Options) (report.Scenario, error) {
	r := &run{opts: o, begun: time.Now(), tally: tally{sampler: report.NewSampler(o.Seed), errors: map[string]int64{}}}
	routes := newRoutes(sys)
	if err := until(joinLimit, "a map of all slots", routes.whole); err != nil {
		return report.Scenario{}, err
	}
	load, end := context.WithCancel(ctx)
	defer end()
	writers, probes, naps, ended := r.begin(load, routes)
	err := r.hurt(ctx, sys, routes, fault)
	end()
	ended.Wait()
	if err != nil {
		return report.Scenario{}, err
	}
	late := report.Distribute(*naps)
	s := report.Scenario{
		Name: names[fault], About: abouts[fault], Seed: o.Seed, Took: r.now(), Cluster: sys.Cluster(),
		Faults: r.faults, Operations: r.tally.phases, Errors: r.tally.errors, Latency: r.tally.sampler.Samples(), Throughput: r.tally.throughput,
		Witness: report.Witness{P50: late.P50, P99: late.P99, Max: late.Max}, Unavailability: []report.Unavailability{r.unavailability(fault, probes)},
	}
	s.Groups.Step = cellStep
	for i, p := range probes {
		s.Groups.Rows = append(s.Groups.Rows, report.Row{Name: rangeName(i), Cells: string(p.cells)})
	}
	if err := r.losses(&s, writers); err != nil {
		return s, err
	}
	s.Verdict, s.Reason = judge(&s)
	return s, nil
}

// names are the scenarios'.
var names = map[Fault]string{
	Kill: "kill a node that serves", Pause: "pause a node that serves", Partition: "cut off a node that serves", Nothing: "watch",
}

// abouts say what is done.
var abouts = map[Fault]string{
	Nothing:   "Nothing is done to the cluster: it is written to, read, and watched.",
	Kill:      "The node that serves one of the ranges is killed (SIGKILL) and started again, empty.",
	Pause:     "The node that serves one of the ranges is stopped (SIGSTOP) and goes on later.",
	Partition: "The node that serves one of the ranges is cut off from all other nodes; clients reach every node.",
}

// begin starts the clients.
func (r *run) begin(ctx context.Context, routes *routes) ([]*writer, []*probe, *[]time.Duration, *sync.WaitGroup) {
	ended := new(sync.WaitGroup)
	_, err := ask(routes.sys.Seeds()[0], "AEGIS.TOKEN")
	tokens := err == nil
	var ws []*writer
	for i := range writers {
		w := &writer{run: r, worker: i, client: newClient(routes, writeLimit), tokens: tokens}
		ws = append(ws, w)
		ended.Go(func() { w.work(ctx) })
	}
	var ps []*probe
	for i := range ranges {
		p := &probe{run: r, of: i, client: newClient(routes, probeLimit)}
		ps = append(ps, p)
		ended.Go(func() { p.work(ctx) })
	}
	late := new([]time.Duration)
	ended.Go(func() { witness(ctx, late) })
	return ws, ps, late, ended
}

// witness only sleeps, and notes how late it wakes up.
func witness(ctx context.Context, late *[]time.Duration) {
	for ctx.Err() == nil {
		const nap = 10 * time.Millisecond
		begun := time.Now()
		time.Sleep(nap)
		*late = append(*late, time.Since(begun)-nap)
	}
}

// hurt runs the cycles.
func (r *run) hurt(ctx context.Context, sys System, routes *routes, f Fault) error {
	random := rand.New(rand.NewPCG(r.opts.Seed, uint64(len(f))))
	if err := pause(ctx, warmUp); err != nil {
		return err
	}
	r.enough(func(p *report.Phases) int64 { return p.Before.OK })
	for i := range r.opts.Cycles {
		if err := pause(ctx, time.Duration(random.Int64N(int64(waitMax)))); err != nil {
			return err
		}
		victim := routes.owner(random.IntN(ranges))
		if victim < 0 {
			return fmt.Errorf("cycle %d: nobody knows who serves a range", i)
		}
		r.tell("%s of node %d, cycle %d of %d", f, victim+1, i+1, r.opts.Cycles)
		if err := r.once(ctx, sys, routes, f, victim); err != nil {
			return fmt.Errorf("cycle %d, %s of node %d: %w", i, f, victim+1, err)
		}
	}
	r.enough(func(p *report.Phases) int64 { return p.After.OK })
	return nil
}

// enough waits for as much traffic as a phase needs; on a busy machine that takes
// longer. What does not come in time makes the scenario inconclusive.
func (r *run) enough(of func(*report.Phases) int64) {
	_ = until(healthyMax, "traffic", func() bool {
		r.tally.Lock()
		defer r.tally.Unlock()
		return of(&r.tally.phases) >= fewestOps
	})
}

// once is one cycle.
func (r *run) once(ctx context.Context, sys System, routes *routes, f Fault, victim int) error {
	c := cycle{from: r.now()}
	for k := range ranges {
		c.hit[k] = f == Nothing || routes.owner(k) == victim
	}
	r.mu.Lock()
	r.cycles = append(r.cycles, c)
	r.mu.Unlock()
	if err := sys.Inject(f, victim); err != nil {
		return err
	}
	err := pause(ctx, r.opts.Fault)
	evidence, acted, mended := sys.Mend(f, victim)
	r.mu.Lock()
	now := &r.cycles[len(r.cycles)-1]
	now.mended = r.now()
	r.faults = append(r.faults, report.Fault{Kind: string(f), Target: fmt.Sprint("node ", victim+1), Start: c.from, End: now.mended, Acted: acted, Evidence: evidence})
	r.mu.Unlock()
	if err := cmp.Or(err, mended); err != nil {
		return err
	}
	if err := until(healthyMax, "the cluster is whole again", func() bool { return ctx.Err() != nil || sys.Healthy() }); err != nil {
		return err
	}
	err = pause(ctx, r.opts.Rest)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cycles[len(r.cycles)-1].to = r.now()
	return err
}

func (r *run) tell(format string, args ...any) {
	if r.opts.Tell != nil {
		r.opts.Tell(fmt.Sprintf(format, args...))
	}
}

// pause waits, or until there is no more time.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// unavailability is each range's longest gap in each cycle.
func (r *run) unavailability(f Fault, probes []*probe) report.Unavailability {
	u := report.Unavailability{Fault: string(f), Cycles: len(r.cycles)}
	for i, c := range r.cycles {
		for k, p := range probes {
			g := report.Gap{Cycle: i, Group: rangeName(k), Affected: c.hit[k]}
			at, read := report.LongestGap(p.reads, c.from, c.to)
			g.At, g.Write = report.LongestGap(p.writes, c.from, c.to)
			if g.Read = read; read > g.Write {
				g.At = at
			}
			u.Gaps = append(u.Gaps, g)
		}
	}
	return u
}

// losses reads everything that was acknowledged.
func (r *run) losses(s *report.Scenario, writers []*writer) error {
	l := &s.Losses
	windows := map[string][]write{}
	r.tell("reading every acknowledged write")
	for _, w := range writers {
		gone, err := w.missing()
		if err != nil {
			return err
		}
		l.Acked += int64(len(w.acked))
		l.Lost += int64(len(gone))
		l.Reported += w.told(gone)
		for _, g := range gone {
			at := r.cycleOf(g.at)
			name := fmt.Sprintf("%s, cycle %d", rangeName(g.of), at+1)
			windows[name] = append(windows[name], g)
		}
	}
	for name, all := range windows {
		slices.SortFunc(all, func(a, b write) int { return cmp.Compare(a.at, b.at) })
		l.Windows = append(l.Windows, report.LossWindow{Shard: name, At: all[0].at, Writes: int64(len(all)), Span: all[len(all)-1].at - all[0].at})
	}
	slices.SortFunc(l.Windows, func(a, b report.LossWindow) int { return cmp.Compare(a.At, b.At) })
	if l.Unreported() > 0 {
		s.Violations = pinned(l)
	}
	s.Checks = []report.Check{
		{Property: "loss", Name: "an acknowledged write is there, or its loss is reported", Judged: l.Acked, Of: "acknowledged writes", Broken: l.Unreported()},
		{Property: "faults", Name: "every fault is seen to act", Judged: int64(len(s.Faults)), Of: "faults"},
	}
	return nil
}

// pinnedMost bounds how many losses a page pins to their moments; the largest are.
const pinnedMost = 4

// pinned are the largest losses, as violations.
func pinned(l *report.Losses) (all []report.Violation) {
	largest := slices.Clone(l.Windows)
	slices.SortStableFunc(largest, func(a, b report.LossWindow) int { return cmp.Compare(b.Writes, a.Writes) })
	for _, w := range largest[:min(pinnedMost, len(largest))] {
		all = append(all, report.Violation{
			Property: "loss", At: w.At, Shard: w.Shard,
			What: fmt.Sprintf("%d writes that were acknowledged within %v are gone, and nobody was told", w.Writes, w.Span.Round(time.Millisecond)),
		})
	}
	return all
}

// cycleOf is the last cycle that had begun.
func (r *run) cycleOf(at time.Duration) int {
	n := 0
	for i, c := range r.cycles {
		if c.from <= at+waitMax {
			n = i
		}
	}
	return n
}

// judge gives the verdict. It asks the same of every server: no acknowledged write is
// lost without a word.
func judge(s *report.Scenario) (report.Verdict, string) {
	idle := slices.ContainsFunc(s.Faults, func(f report.Fault) bool { return !f.Acted })
	p := s.Operations
	switch {
	case s.Losses.Unreported() > 0:
		return report.Violated, fmt.Sprintf("%d acknowledged writes are gone and nobody was told", s.Losses.Unreported())
	case idle:
		return report.Inconclusive, "a fault was not seen to act"
	case min(p.Before.OK, p.During.OK, p.After.OK) < fewestOps:
		return report.Inconclusive, fmt.Sprintf("too little traffic: %d operations before, %d during, %d after the faults", p.Before.OK, p.During.OK, p.After.OK)
	}
	return report.Pass, ""
}

// flat is all words of a reply.
func flat(v resp.Reply) string {
	if len(v.Items) == 0 {
		return string(v.Text)
	}
	words := make([]string, len(v.Items))
	for i := range v.Items {
		words[i] = flat(v.Items[i])
	}
	return strings.Join(words, " ")
}
