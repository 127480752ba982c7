package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/bench"
	"github.com/baxromumarov/aegisKV/chaos/peer"
	"github.com/baxromumarov/aegisKV/chaos/report"
)

// blackboxOptions are the flags of `aegis-chaos blackbox`.
type blackboxOptions struct {
	target  string
	start   string
	timeout time.Duration
	faults  []string
	out     string
	opts    peer.Options
}

// newBlackbox is `aegis-chaos blackbox`: what clients see of any cluster.
func newBlackbox() *cobra.Command {
	o := blackboxOptions{}
	cmd := &cobra.Command{
		Use:   "blackbox",
		Short: "Look at a cluster as its clients do: Redis, Valkey or AegisKV, the same faults, the same judgement",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.target, "target", "", "watch this cluster and touch nothing, like redis://127.0.0.1:7000")
	f.StringVar(&o.start, "start-peer", "", "start one and hurt it: redis or valkey, from what is installed, or aegis")
	f.DurationVar(&o.timeout, "node-timeout", 15*time.Second, "cluster-node-timeout of redis or valkey")
	f.StringSliceVar(&o.faults, "fault", nil, "kill, pause, partition; all when none is given")
	f.IntVar(&o.opts.Cycles, "cycles", 2, "faults of each kind, one after the other")
	f.DurationVar(&o.opts.Fault, "lasting", 22*time.Second, "how long each fault lasts")
	f.DurationVar(&o.opts.Rest, "rest", 5*time.Second, "between faults, once all nodes are back")
	f.Uint64Var(&o.opts.Seed, "seed", 1, "of which nodes are hit, and when")
	f.StringVar(&o.out, "out", "chaos-blackbox", "directory of the report")
	return cmd
}

// check refuses what cannot be run.
func (o *blackboxOptions) check() error {
	switch {
	case (o.target == "") == (o.start == ""):
		return usagef("give --target redis://host:port or --start-peer redis|valkey|aegis")
	case o.start != "" && !slices.Contains([]string{"redis", "valkey", "aegis"}, o.start):
		return usagef("--start-peer %q: give redis, valkey or aegis", o.start)
	case o.opts.Cycles < 1 || o.opts.Fault <= 0 || o.opts.Rest < 0 || o.timeout < time.Millisecond:
		return usagef("--cycles, --lasting and --node-timeout must be above 0")
	}
	for _, f := range o.faults {
		if !slices.Contains(peer.Faults, peer.Fault(f)) {
			return usagef("--fault %q: give kill, pause or partition", f)
		}
	}
	return nil
}

func (o *blackboxOptions) run(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	begun := time.Now()
	o.opts.Tell = func(line string) { fmt.Printf("%6.1f s  %s\n", time.Since(begun).Seconds(), line) }
	r := &report.Report{Schema: report.Schema, Suite: strings.TrimSpace("blackbox " + o.start + o.target), Repro: said(os.Args[1:]), Begun: begun, Seed: o.opts.Seed, Commit: report.Commit(), Machine: machine()}
	err := o.scenarios(ctx, r)
	r.Took = time.Since(begun)
	return errors.Join(err, finish(r, o.out))
}

// said is the command again, without where its report went.
func said(args []string) string {
	words := []string{"aegis-chaos"}
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--out":
			i++
		case !strings.HasPrefix(args[i], "--out="):
			words = append(words, args[i])
		}
	}
	return strings.Join(words, " ")
}

// scenarios runs each fault on a cluster of its own: what one left behind is not the
// next one's.
func (o *blackboxOptions) scenarios(ctx context.Context, r *report.Report) error {
	faults := peer.Faults
	if len(o.faults) > 0 {
		faults = nil
		for _, f := range o.faults {
			faults = append(faults, peer.Fault(f))
		}
	}
	if o.target != "" {
		faults = []peer.Fault{peer.Nothing}
	}
	for _, f := range faults {
		s, err := o.one(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		s.Repro = r.Repro
		r.Scenarios = append(r.Scenarios, s)
	}
	return nil
}

func (o *blackboxOptions) one(ctx context.Context, f peer.Fault) (report.Scenario, error) {
	if o.target != "" {
		t, err := peer.NewTarget(o.target)
		if err != nil {
			return report.Scenario{}, err
		}
		return peer.Run(ctx, t, f, o.opts)
	}
	dir := filepath.Join(o.out, "nodes", string(f))
	if err := os.RemoveAll(dir); err != nil { // an older cluster's memory of itself
		return report.Scenario{}, err
	}
	if o.start == "aegis" {
		c, err := startAegis(bench.Binary(), dir, o.opts.Seed)
		if err != nil {
			return report.Scenario{}, err
		}
		defer c.c.Close()
		return peer.Run(ctx, c, f, o.opts)
	}
	c, err := peer.NewRedis(peer.RedisConfig{Program: o.start + "-server", Dir: dir, Masters: 3, NodeTimeout: o.timeout})
	if err != nil {
		return report.Scenario{}, err
	}
	defer c.Close()
	return peer.Run(ctx, c, f, o.opts)
}

// finish writes the report and says in a few lines what it says.
func finish(r *report.Report, dir string) error {
	if err := r.WriteDir(dir); err != nil {
		return err
	}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		fmt.Printf("%-14s %-30s %s\n", s.Verdict, s.Name, s.Reason)
	}
	fmt.Println(filepath.Join(dir, report.HTMLName))
	if v := r.Verdict(); v != report.Pass {
		return &verdictError{v, r.Repro}
	}
	return nil
}

// verdictError is a verdict that is no pass, for the exit code.
type verdictError struct {
	verdict report.Verdict
	repro   string
}

// Error is the verdict and the command that repeats it.
func (e *verdictError) Error() string { return fmt.Sprintf("%s\nreproduce: %s", e.verdict, e.repro) }

func machine() report.Machine {
	return report.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
}
