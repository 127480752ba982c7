package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/bench"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/chaos/suite"
)

// newRun is `aegis-chaos run`: scenarios on real processes.
func newRun() *cobra.Command {
	o := suite.Options{}
	var scenarios string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run faults against real nodes and judge what clients saw (exit code 0 pass, 1 violation, 2 inconclusive, 3 budget missed)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			o.Scenarios = chosenScenarios(scenarios)
			if o.Seed == 0 {
				o.Seed = uint64(time.Now().UnixNano())
			}
			if o.Out == "" {
				o.Out = filepath.Join("chaos-runs", time.Now().Format("20060102-150405"))
			}
			return runSuite(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&scenarios, "scenario", "all", "names of scenarios (aegis-chaos list), comma-separated; all, smoke for a short choice, or timed for those whose times have a bar")
	f.Uint64Var(&o.Seed, "seed", 0, "of everything that is left to chance; 0 takes one by the clock")
	f.DurationVar(&o.Duration, "duration", 20*time.Second, "for how long faults strike in each scenario")
	f.IntVar(&o.Cycles, "cycles", 0, "faults of each scenario, one after the other, instead of a duration")
	f.IntVar(&o.Rate, "rate", 0, "operations a second that there are clients for, beyond the 1,300 of eight clients; all are kept in memory, 1 GiB for each million")
	f.IntVar(&o.Nodes, "nodes", 3, "nodes")
	f.StringVar(&o.Ack, "ack", "async", "what most writes wait for: async or majority")
	f.StringVar(&o.WAL, "wal", "off", "the nodes' log: off, write or fsync")
	f.StringVar(&o.Out, "out", "", "directory of the report, the histories, logs and data (default chaos-runs/TIME)")
	f.StringVar(&o.Aegis, "aegis", "", "the aegis program (default: beside this one)")
	f.StringVar(&o.Mutant, "mutant", "", "a seeded bug of the nodes, by its name (aegis built with -tags mutants)")
	f.IntVar(&o.AtOnce, "at-once", 1, "scenarios that run side by side; more than one needs --budgets=false")
	f.BoolVar(&o.Budgets, "budgets", true, "a missed budget of time is a verdict; false only reports it, for machines that do other work")
	return cmd
}

// chosenScenarios are the names that a word means.
func chosenScenarios(text string) (names []string) {
	which := map[string]func(*suite.Scenario) bool{
		"all":   func(*suite.Scenario) bool { return true },
		"smoke": func(s *suite.Scenario) bool { return s.Smoke }, "timed": func(s *suite.Scenario) bool { return s.Timed },
	}[text]
	if which == nil {
		return strings.Split(text, ",")
	}
	for _, s := range suite.Scenarios() {
		if which(&s) {
			names = append(names, s.Name)
		}
	}
	return names
}

func runSuite(o suite.Options) error {
	if o.Aegis == "" {
		o.Aegis = bench.Binary()
	}
	if err := runnable(&o); err != nil {
		return &usageError{err.Error()}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := newScreen(os.Stderr, len(o.Scenarios), o.Duration, o.AtOnce)
	rep, err := suite.Run(ctx, o, s.progress, s.done)
	s.clear()
	switch {
	case ctx.Err() != nil:
		return errors.New("called off; all processes were ended")
	case err != nil:
		return err
	}
	fmt.Printf("%s: %s\nreport: %s\n", rep.Verdict(), rep.Headline(), filepath.Join(o.Out, report.HTMLName))
	return verdictOf(rep)
}

// verdictOf makes the verdict the end of the program; the last line is the command that
// repeats the worst scenario.
func verdictOf(rep *report.Report) error {
	worst := rep.Verdict()
	if worst == report.Pass {
		return nil
	}
	for _, s := range rep.Scenarios {
		if s.Verdict == worst {
			fmt.Fprintf(os.Stderr, "%s: %s\n", s.Name, s.Reason)
			return &verdictError{worst, s.Repro}
		}
	}
	return &verdictError{worst, rep.Repro}
}

// newList is `aegis-chaos list`.
func newList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Name the scenarios of run", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			for _, s := range suite.Scenarios() {
				fmt.Printf("%-22s %s\n", s.Name, s.About)
			}
		},
	}
}

// newReplay is `aegis-chaos replay`: the same options, seed and scenarios again.
func newReplay() *cobra.Command {
	var aegis, out, only string
	cmd := &cobra.Command{
		Use:   "replay DIR",
		Short: "Run the scenarios of a run again with its seed: the same faults, but not the same moments",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := suite.Saved(args[0])
			if err != nil {
				return err
			}
			if o.Out = out; out == "" {
				o.Out = strings.TrimRight(args[0], "/") + "-again"
			}
			if o.Aegis = aegis; only != "" {
				o.Scenarios = strings.Split(only, ",")
			}
			return runSuite(o)
		},
	}
	cmd.Flags().StringVar(&aegis, "aegis", "", "the aegis program (default: beside this one)")
	cmd.Flags().StringVar(&out, "out", "", "directory of the new run (default DIR-again)")
	cmd.Flags().StringVar(&only, "scenario", "", "only these")
	return cmd
}

// newCheck is `aegis-chaos check`: histories are judged again, and nothing else.
func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Judge the histories of a run again",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := filepath.Glob(filepath.Join(args[0], "*", suite.HistoryFile))
			if one := filepath.Join(args[0], suite.HistoryFile); len(files) == 0 && err == nil {
				if _, e := os.Stat(one); e == nil {
					files = []string{one}
				}
			}
			if err != nil || len(files) == 0 {
				return errors.Join(fmt.Errorf("%s holds no history", args[0]), err)
			}
			return checkAll(files, "aegis-chaos check "+args[0])
		},
	}
}

func checkAll(files []string, again string) error {
	worst, why := report.Pass, ""
	for _, f := range files {
		rec, err := chaos.ReadRecorded(f)
		if err != nil {
			return err
		}
		j := rec.Judge()
		fmt.Printf("%s: %d operations (%d reads), %d leases, %d copies, %d acknowledged writes lost and declared, search: %v\n",
			f, j.Ops, j.Reads, j.Leases, j.Copies, j.Lost, j.Opinion)
		for _, b := range append(j.Broken, j.Undecided...) {
			fmt.Println("  " + b)
		}
		switch {
		case len(j.Broken) > 0:
			worst, why = report.Violated, j.Broken[0]
		case len(j.Undecided) > 0 && worst == report.Pass:
			worst, why = report.Inconclusive, j.Undecided[0]
		}
	}
	if worst == report.Pass {
		fmt.Printf("pass: nothing is wrong in %d histories; budgets of time, memory and descriptors are judged by run alone\n", len(files))
		return nil
	}
	fmt.Fprintln(os.Stderr, why)
	return &verdictError{worst, again}
}
