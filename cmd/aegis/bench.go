package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/internal/load"
)

const benchHelp = `Offers load to a running cluster, or to any Redis server, and measures how it is answered.

Without --rate every connection sends as soon as it was answered: this shows throughput.
With --rate every operation has an intended time, and latency counts from there, whether
or not the server was ready: this shows what users would see.

The keys bench:000000000 and on are written first; nothing removes them (give --ttl).

  aegis bench                                        ten seconds, as fast as answered
  aegis bench --rate 10000 --duration 30s            latency at 10,000 op/s
  aegis bench --resp --addr localhost:6379           a redis-server, by plain RESP
  aegis bench --ratio 1:1 --keys 1000000 --dist uniform --size 64-1024 --ttl 1h
  aegis bench --resp --pipeline 16 --connections 100 --ops 5000000
  aegis bench --rate 5000 --json a.json --hdr a.hgrm --svg a.svg
  aegis bench --compare a.json b.json --svg both.svg

Exit codes: 0 done, 1 it could not run, 2 operations failed, 64 wrong usage.`

// exitErrors says that a bench ran and some operations failed.
const exitErrors = 2

// benchTool is one run of aegis bench.
type benchTool struct {
	plan                      load.Plan
	addr, ratio, dist, size   string
	format                    string
	resp, keep, compare       bool
	hdrFile, jsonFile, svgOut string
	out, err                  io.Writer
}

func newBench() *cobra.Command {
	b := &benchTool{plan: load.DefaultPlan()}
	cmd := &cobra.Command{
		Use: "bench [flags]", Short: "Offer load and measure it", Long: benchHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.out, b.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			switch {
			case b.format != "text" && b.format != "json":
				return usageError("unknown output format %q: use text or json", b.format)
			case b.compare:
				return b.comparison(args)
			case len(args) > 0:
				return usageError("what is %q? files are given with --compare only", args[0])
			}
			if cmd.Flags().Changed("ops") && !cmd.Flags().Changed("duration") {
				b.plan.Duration = 0
			}
			if err := b.read(); err != nil {
				return usageError("%v", err)
			}
			return b.run()
		},
	}
	b.declare(cmd)
	return cmd
}

func (b *benchTool) declare(cmd *cobra.Command) {
	f, p := cmd.Flags(), &b.plan
	f.SortFlags = false
	declareAddr(f, &b.addr)
	f.BoolVar(&b.resp, "resp", false, "plain RESP instead of the Go client; any server, a cluster or not")
	f.DurationVar(&p.Duration, "duration", p.Duration, "how long")
	f.IntVar(&p.Ops, "ops", 0, "how many operations, instead of --duration or whichever ends first")
	f.IntVar(&p.Rate, "rate", 0, "operations a second at intended times (0 = as fast as answered)")
	f.IntVar(&p.Conns, "connections", p.Conns, "connections; with the Go client, goroutines that call it")
	f.IntVar(&p.Depth, "pipeline", p.Depth, "requests a connection sends at once")
	f.IntVar(&p.Keys, "keys", p.Keys, "number of keys")
	f.StringVar(&b.dist, "dist", "zipf", "choice of keys: uniform, zipf or zipf:EXPONENT (below 1)")
	f.StringVar(&b.ratio, "ratio", "9:1", "GETs to SETs")
	f.StringVar(&b.size, "size", "100", "bytes of a value, or a range like 64-1024")
	f.DurationVar(&p.TTL, "ttl", 0, "time to live of what is written (0 = none)")
	f.StringVar(&p.Prefix, "prefix", p.Prefix, "how keys begin")
	f.Uint64Var(&p.Seed, "seed", p.Seed, "of keys and values: the same seed asks for the same")
	f.BoolVar(&b.keep, "no-preload", false, "do not write the keys first")
	f.StringVarP(&b.format, "output", "o", "text", "text or json")
	f.StringVar(&b.jsonFile, "json", "", "also write the result to this file, for --compare")
	f.StringVar(&b.hdrFile, "hdr", "", "write the distribution to this file, as HdrHistogram's text")
	f.StringVar(&b.svgOut, "svg", "", "write a plot to this file")
	f.BoolVar(&b.compare, "compare", false, "compare two files of --json instead of running")
}

// read turns the words of the flags into the plan.
func (b *benchTool) read() (err error) {
	p := &b.plan
	p.Native = !b.resp
	if p.Addrs, err = addresses(b.addr); err != nil {
		return err
	}
	for _, read := range []func() error{
		func() error { return p.ParseRatio(b.ratio) },
		func() error { return p.ParseChoice(b.dist) },
		func() error { return p.ParseSize(b.size) },
		p.Check,
		b.writable,
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// writable looks for the directories of the files before the run, not behind it.
func (b *benchTool) writable() error {
	for _, name := range []string{b.jsonFile, b.hdrFile, b.svgOut} {
		if st, err := os.Stat(filepath.Dir(name)); name != "" && (err != nil || !st.IsDir()) {
			return fmt.Errorf("%s cannot be written: there is no directory %s", name, filepath.Dir(name))
		}
	}
	return nil
}

func (b *benchTool) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l := newLiveLine(b.err)
	fmt.Fprintln(b.err, b.plan.String())
	if !b.keep {
		if err := load.Preload(ctx, b.plan, l.preload(b.plan.Keys)); err != nil {
			return err
		}
		l.clear()
	}
	res, err := load.Run(ctx, b.plan, l.second)
	l.clear()
	if err != nil {
		return err
	}
	if err := b.write(res); err != nil {
		return err
	}
	if len(res.Errors) > 0 {
		return &exitError{exitErrors, ""}
	}
	return nil
}

// write gives the result to the terminal and to the files that were asked for.
func (b *benchTool) write(res *load.Result) error {
	print := res.Text
	if b.format == "json" {
		print = res.JSON
	}
	if err := print(b.out); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{b.jsonFile, res.JSON},
		{b.hdrFile, res.WriteHDR},
		{b.svgOut, func(w io.Writer) error { return load.Plot(w, res) }},
	} {
		if err := toFile(f.name, f.write); err != nil {
			return err
		}
	}
	return nil
}

func toFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Close()
}

func (b *benchTool) comparison(files []string) error {
	if len(files) != 2 {
		return usageError("--compare needs two files that --json wrote: aegis bench --compare a.json b.json")
	}
	var runs []*load.Result
	for _, name := range files {
		r, err := load.ReadResult(name)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	if err := toFile(b.svgOut, func(w io.Writer) error { return load.Plot(w, runs...) }); err != nil {
		return err
	}
	if b.format == "json" {
		return json.NewEncoder(b.out).Encode(runs)
	}
	return load.Compare(b.out, runs[0], runs[1])
}

// liveLine shows how a run goes: one line that is written over on a terminal, else a line
// every few seconds, for logs.
type liveLine struct {
	w     io.Writer
	onTTY bool
}

// logEvery is how many seconds apart lines are where they stay.
const logEvery = 5

func newLiveLine(w io.Writer) *liveLine {
	f, ok := w.(*os.File)
	return &liveLine{w: w, onTTY: ok && terminal(f)}
}

func (l *liveLine) preload(keys int) func(int) {
	return func(done int) {
		if l.onTTY {
			fmt.Fprintf(l.w, "\r\x1b[Kwriting keys: %d of %d", done, keys)
		}
	}
}

func (l *liveLine) second(s load.Live) {
	text := fmt.Sprintf("%4d s  %8.0f op/s   p50 %s   p99 %s   max %s   errors %d", s.At, s.Rate, micros(s.P50), micros(s.P99), micros(s.MaxSoFar), s.ErrorsSoFar)
	switch {
	case l.onTTY:
		fmt.Fprintf(l.w, "\r\x1b[K%s", text)
	case s.At%logEvery == 0:
		fmt.Fprintln(l.w, text)
	}
}

func (l *liveLine) clear() {
	if l.onTTY {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

func micros(us float64) time.Duration {
	return time.Duration(us * float64(time.Microsecond)).Round(time.Microsecond)
}
