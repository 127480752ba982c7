package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

// command repeats a run with one scenario, or all of them.
func (o *Options) command(scenario string) string {
	budgets := ""
	if o.Mutant != "" {
		budgets = " --mutant " + o.Mutant + " --aegis " + o.Aegis
	}
	if !o.Budgets {
		budgets += " --budgets=false"
	}
	long := "--duration " + o.Duration.String()
	if o.Cycles > 0 {
		long = fmt.Sprint("--cycles ", o.Cycles)
	}
	if o.Rate > 0 {
		long += fmt.Sprint(" --rate ", o.Rate)
	}
	return fmt.Sprintf("aegis-chaos run --scenario %s --seed %d %s --nodes %d --ack %s --wal %s%s", scenario, o.Seed, long, o.Nodes, o.Ack, o.WAL, budgets)
}

// Check says what is wrong with the options.
func (o *Options) Check() error {
	for _, n := range o.Scenarios {
		if _, ok := ByName(n); !ok {
			return fmt.Errorf("no scenario is called %q: %ssee aegis-chaos list", n, nearScenario(n))
		}
	}
	switch {
	case len(o.Scenarios) == 0:
		return fmt.Errorf("no scenario")
	case o.Nodes < 3 || o.Nodes > 7:
		return fmt.Errorf("--nodes %d: 3 to 7 nodes can fail over", o.Nodes)
	case o.AtOnce > 1 && o.Budgets:
		return fmt.Errorf("--at-once %d: budgets of time are judged of one scenario at a time; add --budgets=false", o.AtOnce)
	case o.Duration < 0 || o.Duration == 0 && o.Cycles == 0:
		return fmt.Errorf("--duration %v: faults need some time", o.Duration)
	case o.Cycles < 0 || o.Rate < 0 || o.Rate > rateMost:
		return fmt.Errorf("--cycles %d --rate %d: neither is below 0, and a rate is not above %d", o.Cycles, o.Rate, rateMost)
	case o.Ack != "async" && o.Ack != "majority":
		return fmt.Errorf("--ack %q: use async or majority", o.Ack)
	case o.WAL != "off" && o.WAL != "write" && o.WAL != "fsync":
		return fmt.Errorf("--wal %q: use off, write or fsync", o.WAL)
	}
	return nil
}

// nearScenario names the scenario whose name shares most pairs of letters with a word, if
// it shares half of them.
func nearScenario(word string) string {
	best, most := "", 0
	for _, s := range table {
		shared := 0
		for i := 1; i < len(word); i++ {
			if strings.Contains(s.Name, word[i-1:i+1]) {
				shared++
			}
		}
		if shared > most {
			best, most = s.Name, shared
		}
	}
	if most*2 < len(word) {
		return ""
	}
	return fmt.Sprintf("%q is near; ", best)
}

// optionsFile keeps what was asked for, so that it can be run again.
const optionsFile = "run.json"

// Run runs the scenarios one after the other, and writes a directory with a report. tell is
// told how it goes, done what came out of each scenario.
func Run(ctx context.Context, o Options, tell func(Progress), done func(report.Scenario)) (*report.Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	if err := o.save(); err != nil {
		return nil, err
	}
	rep := &report.Report{
		Schema: report.Schema, Begun: time.Now().UTC(), Seed: o.Seed, Commit: report.Commit(), Repro: o.command(o.which()),
		Machine: report.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), Version: kernel()},
	}
	if o.AtOnce > 1 {
		rep.Repro += fmt.Sprintf(" --at-once %d", o.AtOnce)
	}
	rep.Suite = strings.TrimPrefix(rep.Repro, "aegis-chaos ")
	return rep, o.playAll(ctx, rep, tell, done)
}

// playAll plays the scenarios, as many at once as there are to be. The report has them in
// the order in which they were asked for, whichever ended first.
func (o *Options) playAll(ctx context.Context, rep *report.Report, tell func(Progress), done func(report.Scenario)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var failed error
	ended := make([]*report.Scenario, len(o.Scenarios))
	end := func(i int, s report.Scenario, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			ended[i] = &s
			rep.Scenarios = nil
			for _, s := range ended {
				if s != nil {
					rep.Scenarios = append(rep.Scenarios, *s)
				}
			}
			rep.Took = time.Since(rep.Begun)
			err = rep.WriteDir(o.Out)
			done(s)
		}
		if err != nil && failed == nil {
			failed = err
			stop()
		}
	}
	var all sync.WaitGroup
	next := make(chan int)
	for range max(1, o.AtOnce) {
		all.Go(func() {
			for i := range next {
				sc, _ := ByName(o.Scenarios[i])
				s, err := play(ctx, *o, sc, filepath.Join(o.Out, sc.Name), tell)
				end(i, s, err)
			}
		})
	}
	for i := range o.Scenarios {
		next <- i
	}
	close(next)
	all.Wait()
	return failed
}

// which is how the scenarios of a run are asked for.
func (o *Options) which() string {
	if len(o.Scenarios) == len(table) {
		return "all"
	}
	return strings.Join(o.Scenarios, ",")
}

func (o *Options) save() error {
	b, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Out, optionsFile), append(b, '\n'), 0o644)
}

// Saved are the options of a run that is in a directory.
func Saved(dir string) (o Options, err error) {
	b, err := os.ReadFile(filepath.Join(dir, optionsFile))
	if err != nil {
		return o, fmt.Errorf("%s is no directory of a run: %w", dir, err)
	}
	return o, json.Unmarshal(b, &o)
}

func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}
