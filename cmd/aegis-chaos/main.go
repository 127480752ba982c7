package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/sim"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

func main() {
	root := &cobra.Command{Use: "aegis-chaos", Short: "Check AegisKV's word", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(newSim())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "aegis-chaos:", err)
		os.Exit(1)
	}
}

// simOptions are the flags of `aegis-chaos sim`.
type simOptions struct {
	seeds  string
	seed   uint64
	twice  int
	mutant string
	json   bool
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
	f.BoolVar(&o.cfg.Trace, "trace", false, "print what happens")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
	return cmd
}

// summary is what a range of seeds showed.
type summary struct {
	Seeds    int            `json:"seeds"`
	Ops      int            `json:"operations"`
	Lost     int            `json:"lostAndReported"`
	Seconds  float64        `json:"clusterSeconds"`
	CPU      float64        `json:"cpuSeconds"`
	Acted    map[string]int `json:"acted"`
	Failures []string       `json:"failures"`
}

func (o *simOptions) run() error {
	lo, hi, err := parseRange(o.seeds)
	if err != nil {
		return err
	}
	if o.mutant != "" {
		if !mutant.Enabled {
			return errors.New("--mutant needs a binary built with -tags mutants")
		}
		mutant.Set(o.mutant)
	}
	s := summary{Acted: map[string]int{}}
	begun, told := cpuSeconds(), time.Now()
	for seed := lo; seed <= hi; seed++ {
		r := sim.Run(o.cfg, seed)
		s.add(r)
		if len(r.Broken) > 0 {
			o.explain(r, &s)
			break
		}
		if seed < lo+uint64(o.twice) {
			if again := sim.Run(o.cfg, seed); again.Hash != r.Hash {
				s.Failures = append(s.Failures, fmt.Sprintf("seed %d: two runs differ: %x and %x", seed, r.Hash, again.Hash))
			}
		}
		if !o.json && time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Printf("seed %d of %d, %d operations, %.0f cluster-seconds per CPU-second\n", seed, hi, s.Ops, s.Seconds/(cpuSeconds()-begun))
		}
	}
	s.CPU = cpuSeconds() - begun
	return o.report(s)
}

func (s *summary) add(r sim.Result) {
	s.Seeds++
	s.Ops += r.Ops
	s.Lost += r.Lost
	s.Seconds += r.Seconds
	for k, v := range r.Acted {
		s.Acted[k] += v
	}
}

func (o *simOptions) explain(r sim.Result, s *summary) {
	if !o.json {
		for _, l := range r.Log {
			fmt.Println(l)
		}
	}
	s.Failures = append(s.Failures, r.Broken...)
	line := fmt.Sprintf("reproduce: aegis-chaos sim --seed %d --duration %v --nodes %d", r.Seed, o.cfg.Duration, o.cfg.Nodes)
	if o.mutant != "" {
		line += " --mutant " + o.mutant
	}
	s.Failures = append(s.Failures, line)
}

// expected are the faults and rare places that a range of some size must have seen.
var expected = []string{"crash", "isolate", "one-way cut", "pause", "packet loss", "no UDP", "slow link", "wall jump", "slow disk", "opened", "unknown outcome", "reply withheld", "rolled back"}

func (o *simOptions) report(s summary) error {
	if s.Seeds >= 50 && len(s.Failures) == 0 {
		for _, k := range expected {
			if s.Acted[k] == 0 {
				s.Failures = append(s.Failures, "never acted: "+k)
			}
		}
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
			fmt.Printf("%-18s %d\n", k, s.Acted[k])
		}
		fmt.Printf("%d seeds, %d operations, %d acknowledged writes lost and reported, %.0f cluster-seconds in %.1f CPU-seconds: %.0f per CPU-second\n",
			s.Seeds, s.Ops, s.Lost, s.Seconds, s.CPU, s.Seconds/s.CPU)
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
		return 0, 0, fmt.Errorf("seeds %q: write A-B or one number", s)
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
