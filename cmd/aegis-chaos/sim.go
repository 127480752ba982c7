package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/sim"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// simOptions are the flags of `aegis-chaos sim`.
type simOptions struct {
	seeds  string
	seed   uint64
	twice  int
	mutant string
	jobs   int
	json   bool
	hashes bool
	cpu    string
	apart  bool // what ends this process does not end its children
	cfg    sim.Config
}

func newSim() *cobra.Command {
	o := simOptions{cfg: sim.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run whole clusters in one goroutine, from seeds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("seed") {
				o.seeds = fmt.Sprintf("%d-%d", o.seed, o.seed)
			}
			return o.run()
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.seeds, "seeds", "1-100", "range of seeds")
	f.Uint64Var(&o.seed, "seed", 0, "one seed")
	f.DurationVar(&o.cfg.Duration, "duration", 60*time.Second, "simulated time with faults, per seed")
	f.IntVar(&o.cfg.Nodes, "nodes", 0, "nodes; 3 to 5 by the seed when 0")
	f.IntVar(&o.twice, "twice", 5, "how many seeds to run twice, with equal event hashes")
	f.StringVar(&o.mutant, "mutant", "", "seeded bug (only in a binary built with -tags mutants)")
	f.BoolVar(&o.cfg.Plain, "plain", false, "only crashes, cuts, pauses, loss, delay and wall jumps")
	f.BoolVar(&o.cfg.Second, "porcupine", false, "judge some keys by search as well; for short runs")
	f.BoolVar(&o.cfg.Trace, "trace", false, "print what happens")
	f.IntVarP(&o.jobs, "jobs", "j", 2, "processes; one simulates one seed at a time")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
	f.BoolVar(&o.hashes, "hashes", false, "print each seed's event hash; two builds with equal hashes behave alike (with -j 1)")
	f.StringVar(&o.cpu, "cpuprofile", "", "write a profile of the CPU to this file (with -j 1)")
	return cmd
}

// summary is what a range of seeds showed.
type summary struct {
	Seeds    int            `json:"seeds"`
	Ops      int            `json:"operations"`
	Lost     int            `json:"lostAndReported"`
	Wiped    int            `json:"lostWithTheLastCopy"`
	Oldest   time.Duration  `json:"oldestCachedNs"`
	Seconds  float64        `json:"clusterSeconds"`
	CPU      float64        `json:"cpuSeconds"`
	Acted    map[string]int `json:"acted"`
	Visits   visits         `json:"visits"`
	Scripts  visits         `json:"-"` // of the scripts that were played beside
	Failures []string       `json:"failures"`
}

func (o *simOptions) run() error {
	lo, hi, err := parseRange(o.seeds)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return err
	}
	if o.mutant != "" {
		if !mutant.Enabled {
			return errors.New("--mutant needs a binary built with -tags mutants")
		}
		mutant.Set(o.mutant)
	}
	s := summary{Acted: map[string]int{}, Visits: visits{}, Scripts: visits{}}
	if hi-lo >= manySeeds-1 && !o.json {
		s.Failures = playBeside()
		s.Scripts.add(visited())
	}
	if o.jobs > 1 && hi > lo && !o.cfg.Trace {
		return o.spread(lo, hi, s)
	}
	runtime.GOMAXPROCS(1) // a collector on another processor would cost the run what its caches hold
	stop, err := o.profile()
	if err != nil {
		return err
	}
	defer stop()
	begun, told := cpuSeconds(), time.Now()
	for seed := lo; seed <= hi; seed++ {
		r := sim.Run(o.cfg, seed)
		s.add(r)
		if o.hashes {
			fmt.Printf("seed %d: hash %016x, %d events, %d operations\n", seed, r.Hash, r.Events, r.Ops)
		}
		if len(r.Broken) > 0 {
			o.explain(r, &s)
			break
		}
		if seed < lo+uint64(o.twice) {
			again := sim.Run(o.cfg, seed)
			s.Seconds += again.Seconds // its CPU counts as well
			if again.Hash != r.Hash {
				s.Failures = append(s.Failures, fmt.Sprintf("seed %d: two runs differ: %x and %x", seed, r.Hash, again.Hash))
			}
		}
		if !o.json && time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Printf("seed %d of %d, %d operations, %.0f cluster-seconds per CPU-second\n", seed, hi, s.Ops, s.Seconds/(cpuSeconds()-begun))
		}
	}
	s.CPU = cpuSeconds() - begun
	s.Visits.add(visited().since(s.Scripts))
	return o.report(s)
}

// check refuses what cannot be run.
func (o *simOptions) check() error {
	switch {
	case o.cfg.Duration <= 0:
		return usagef("--duration %v: give a time above 0, like 100s", o.cfg.Duration)
	case o.jobs < 1:
		return usagef("-j %d: give a number of processes, 1 or more", o.jobs)
	case o.cfg.Nodes < 0:
		return usagef("--nodes %d: give a number of nodes, 0 for 3 to 5 by the seed", o.cfg.Nodes)
	case o.twice < 0:
		return usagef("--twice %d: give a number of seeds, 0 for none", o.twice)
	}
	return nil
}

// playBeside plays every script, in the process that reports, and says what failed.
func playBeside() (failures []string) {
	for _, sc := range sim.Scripts() {
		if r := sim.RunScript(sc); len(r.Broken) > 0 {
			failures = append(failures, fmt.Sprintf("script %q: %s", sc.Name, strings.Join(r.Broken, "\n  ")))
		}
	}
	return failures
}

// profile begins a CPU profile if one is asked for; stop ends it.
func (o *simOptions) profile() (stop func(), err error) {
	if o.cpu == "" {
		return func() {}, nil
	}
	f, err := os.Create(o.cpu)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

func (s *summary) add(r sim.Result) {
	s.Seeds++
	s.Ops += r.Ops
	s.Lost += r.Lost
	s.Wiped += r.Wiped
	s.Seconds += r.Seconds
	s.Oldest = max(s.Oldest, r.Oldest)
	for k, v := range r.Acted {
		s.Acted[k] += v
	}
}

func (o *simOptions) explain(r sim.Result, s *summary) {
	for _, l := range r.Log {
		fmt.Fprintln(os.Stderr, l)
	}
	s.Failures = append(s.Failures, r.Broken...)
	line := fmt.Sprintf("reproduce: aegis-chaos sim --seed %d --duration %v --nodes %d", r.Seed, o.cfg.Duration, o.cfg.Nodes)
	if o.mutant != "" {
		line += " --mutant " + o.mutant
	}
	if o.cfg.Plain {
		line += " --plain"
	}
	if o.cfg.Second {
		line += " --porcupine"
	}
	s.Failures = append(s.Failures, line)
}

// expected is what clients must have met in many seeds, beside the faults.
var expected = []string{
	"opened", "unknown outcome", "reply withheld", "rolled back", "gave up", "flush", "waited", "wait unblocked",
	"verdict durable", "verdict lost", "verdict pending",
	"cached reading", "key taken back", "keys taken back with a lease", "cached connection silent", "caching client stopped",
}

const (
	// manySeeds is how many seeds must have seen every kind of fault act.
	manySeeds = 50
	// rareSeeds is how many seeds of rareDuration must have come to every rare place.
	rareSeeds    = 500
	rareDuration = 300 * time.Second
)

// idle says what never happened although there was time enough for it.
func (o *simOptions) idle(s *summary) (failures []string) {
	if s.Seeds >= manySeeds {
		for _, k := range append(sim.Faults(o.cfg.Plain), expected...) {
			if s.Acted[k] == 0 {
				failures = append(failures, "never acted: "+k)
			}
		}
	}
	if s.Seeds >= rareSeeds && o.cfg.Duration >= rareDuration && !o.cfg.Plain {
		for _, name := range unvisited(s.Visits, s.Scripts) {
			failures = append(failures, "never visited: "+name)
		}
	}
	return failures
}

func (o *simOptions) report(s summary) error {
	if len(s.Failures) == 0 && !o.json {
		s.Failures = o.idle(&s)
	}
	if o.json {
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	} else {
		var names []string
		for k := range s.Acted {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			fmt.Printf("%-22s %d\n", k, s.Acted[k])
		}
		s.Visits.print(s.Scripts)
		fmt.Printf("the oldest answer from a cache had not been true for %v; the bound is %v\n", s.Oldest.Round(time.Millisecond), sim.CachedLimit)
		fmt.Printf("%d seeds, %d operations, %d acknowledged writes lost and reported (%d with the last copy of their shard), %.0f cluster-seconds in %.1f CPU-seconds: %.0f per CPU-second\n",
			s.Seeds, s.Ops, s.Lost, s.Wiped, s.Seconds, s.CPU, s.Seconds/s.CPU)
	}
	if len(s.Failures) > 0 {
		return errors.New(strings.Join(s.Failures, "\n"))
	}
	return nil
}

func parseRange(s string) (lo, hi uint64, err error) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		b = a
	}
	lo, err1 := strconv.ParseUint(a, 10, 64)
	hi, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || hi < lo {
		return 0, 0, usagef("--seeds %q: give one number, or A-B with A not above B, like 1-100", s)
	}
	return lo, hi, nil
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// spread gives each of several processes a part of the seeds: a run replaces the
// process-wide random source, so one process simulates one seed at a time.
func (o *simOptions) spread(lo, hi uint64, total summary) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	jobs := min(uint64(o.jobs), hi-lo+1)
	size := (hi - lo + jobs) / jobs
	for from := lo; from <= hi; from += size {
		to := min(from+size-1, hi)
		wg.Add(1)
		go func() {
			defer wg.Done()
			part, err := o.child(exe, from, to)
			mu.Lock()
			defer mu.Unlock()
			total.merge(part)
			if err != nil && len(part.Failures) == 0 {
				total.Failures = append(total.Failures, fmt.Sprintf("seeds %d-%d: %v", from, to, err))
			}
		}()
	}
	wg.Wait()
	return o.report(total)
}

func (o *simOptions) child(exe string, from, to uint64) (part summary, err error) {
	args := []string{
		"sim", "--jobs", "1", "--json", "--seeds", fmt.Sprintf("%d-%d", from, to),
		"--duration", o.cfg.Duration.String(), "--nodes", strconv.Itoa(o.cfg.Nodes), "--twice", strconv.Itoa((o.twice + o.jobs - 1) / o.jobs),
	}
	if o.mutant != "" {
		args = append(args, "--mutant", o.mutant)
	}
	if o.cfg.Plain {
		args = append(args, "--plain")
	}
	if o.cfg.Second {
		args = append(args, "--porcupine")
	}
	cmd := exec.Command(exe, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: o.apart}
	out, err := cmd.Output()
	if e := json.Unmarshal(out, &part); e != nil && err == nil {
		err = e
	}
	return part, err
}

func (s *summary) merge(p summary) {
	s.Seeds += p.Seeds
	s.Ops += p.Ops
	s.Lost += p.Lost
	s.Wiped += p.Wiped
	s.Seconds += p.Seconds
	s.Oldest = max(s.Oldest, p.Oldest)
	s.CPU += p.CPU
	s.Visits.add(p.Visits)
	s.Failures = append(s.Failures, p.Failures...)
	for k, v := range p.Acted {
		s.Acted[k] += v
	}
}
