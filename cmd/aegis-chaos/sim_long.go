package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/chaos/sim"
)

// simLongOptions are the flags of `aegis-chaos sim-long`.
type simLongOptions struct {
	sim    simOptions
	limit  time.Duration
	hours  float64
	record string
	anew   bool
	first  uint64
	chunk  uint64
	commit string                                 // of this program
	child  func(from, to uint64) (summary, error) // simulates seeds in a process of its own
}

// newSimLong is `aegis-chaos sim-long`: seeds for as long as there is time, on record.
func newSimLong() *cobra.Command {
	o := simLongOptions{sim: simOptions{cfg: sim.DefaultConfig(), twice: 1, apart: true}}
	cmd := &cobra.Command{
		Use:   "sim-long",
		Short: "Simulate seeds that were never run before, for a time, and add what was seen to a record",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.sim.check(); err != nil {
				return err
			}
			return o.run()
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.limit, "for", time.Hour, "how long to go on; a call that is ended goes on where its record ends")
	f.Float64Var(&o.hours, "hours", 0, "cluster-hours on record that are enough; 0: no end but that of --for")
	f.StringVar(&o.record, "record", "docs/chaos/simulator/record.json", "the record that is added to; it is of one commit")
	f.BoolVar(&o.anew, "anew", false, "begin the record anew, with the seeds behind those of the old one")
	f.DurationVar(&o.sim.cfg.Duration, "duration", 300*time.Second, "simulated time with faults, per seed")
	f.IntVarP(&o.sim.jobs, "jobs", "j", runtime.NumCPU(), "processes")
	f.Uint64Var(&o.first, "first", 100_001, "where a new record begins, behind the seeds that every gate runs")
	f.Uint64Var(&o.chunk, "chunk", 25, "seeds between two looks at the clock, of each process")
	return cmd
}

// record is what all long runs have shown, and which seeds are next.
type record struct {
	Schema       int            `json:"schema"`
	Next         uint64         `json:"nextSeed"`
	Seeds        int            `json:"seeds"`
	ClusterHours float64        `json:"clusterHours"`
	CPUHours     float64        `json:"cpuHours"`
	Operations   int            `json:"operations"`
	Lost         int            `json:"lostAndReported"`
	Violations   int            `json:"violations"`
	Faults       int            `json:"faults"`
	Acted        map[string]int `json:"acted"`
	Visits       visits         `json:"visits"`
	Unvisited    []string       `json:"unvisited"` // rare places that are to be come to, and were not
	Runs         []longRun      `json:"runs"`
}

// longRun is one call.
type longRun struct {
	Begun        time.Time      `json:"begun"`
	Commit       string         `json:"commit"`
	Machine      report.Machine `json:"machine"`
	Duration     string         `json:"duration"` // of each seed's faults
	First        uint64         `json:"firstSeed"`
	Last         uint64         `json:"lastSeed"`
	Seeds        int            `json:"seeds"`
	ClusterHours float64        `json:"clusterHours"`
	CPUHours     float64        `json:"cpuHours"`
	Failures     []string       `json:"failures"`
}

// recordSchema is the version of the file.
const recordSchema = 1

// newRecord begins one.
func newRecord(first uint64) *record {
	return &record{Schema: recordSchema, Next: first, Acted: map[string]int{}, Visits: visits{}}
}

// openRecord reads a record, or begins one. What it sums up is of one commit: hours of a
// program say nothing of another, so one of another commit is not added to.
func (o *simLongOptions) openRecord() (*record, error) {
	r := newRecord(o.first)
	b, err := os.ReadFile(o.record)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, r)
	}
	if err == nil && r.Schema != recordSchema {
		err = fmt.Errorf("it has schema %d, and this program writes %d", r.Schema, recordSchema)
	}
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", o.record, err)
	}
	if o.anew {
		return newRecord(r.Next), nil
	}
	for i := range r.Runs {
		if of := r.Runs[i].Commit; of != o.commit {
			return nil, usagef("record %s is of commit %.12s, and this program of %.12s: go on with that one's program, give another --record, or begin --anew", o.record, of, o.commit)
		}
	}
	return r, nil
}

// write replaces the record as a whole: a call may be ended at any time.
func (r *record) write(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// add takes what some seeds have shown, into the sum and into the call under way.
func (r *record) add(p *summary) {
	now := &r.Runs[len(r.Runs)-1]
	hours, cpu := p.Seconds/3600, p.CPU/3600
	r.Seeds, now.Seeds = r.Seeds+p.Seeds, now.Seeds+p.Seeds
	r.ClusterHours, now.ClusterHours = r.ClusterHours+hours, now.ClusterHours+hours
	r.CPUHours, now.CPUHours = r.CPUHours+cpu, now.CPUHours+cpu
	r.Operations += p.Ops
	r.Lost += p.Lost
	for k, n := range p.Acted {
		r.Acted[k] += n
	}
	r.Visits.add(p.Visits)
	r.Faults = 0
	for _, k := range sim.Faults(false) {
		r.Faults += r.Acted[k]
	}
	if len(p.Failures) > 0 {
		r.Violations++
		now.Failures = append(now.Failures, p.Failures...)
	}
}

func (o *simLongOptions) run() error {
	o.commit = report.Commit()
	r, err := o.openRecord()
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	o.child = func(from, to uint64) (summary, error) { return o.sim.child(exe, from, to) }
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks twice does not wait for the seeds under way
	scripts := summary{Failures: playBeside()}
	if len(scripts.Failures) > 0 {
		return errors.New(strings.Join(scripts.Failures, "\n"))
	}
	return o.call(ctx, r, visited())
}

// call simulates rounds of seeds until there were enough or it is to end, and keeps the
// record of them after each: one that is killed loses a round, and the next call runs
// its seeds. played is where scripts have been.
func (o *simLongOptions) call(ctx context.Context, r *record, played visits) error {
	begun := time.Now()
	r.Runs = append(r.Runs, longRun{Begun: begun.UTC(), Commit: o.commit, Machine: machine(), Duration: o.sim.cfg.Duration.String(), First: r.Next})
	now := &r.Runs[len(r.Runs)-1]
	for ctx.Err() == nil && time.Since(begun) < o.limit && (o.hours == 0 || r.ClusterHours < o.hours) {
		failures := len(now.Failures)
		o.round(r)
		r.Unvisited = nil
		if r.Seeds >= rareSeeds {
			r.Unvisited = unvisited(r.Visits, played)
		}
		if err := r.write(o.record); err != nil {
			return err
		}
		for _, f := range now.Failures[failures:] {
			fmt.Println(f)
		}
		fmt.Printf("%8s  up to seed %d: %.1f cluster-hours of this call, %.1f on record, %.0f for each CPU-hour, %d violations\n",
			time.Since(begun).Round(time.Second), r.Next-1, now.ClusterHours, r.ClusterHours, r.ClusterHours/r.CPUHours, r.Violations)
	}
	fmt.Printf("%d seeds of this call, %d on record: %.1f cluster-hours, %d operations, %d faults, %d violations; %s\n",
		now.Seeds, r.Seeds, r.ClusterHours, r.Operations, r.Faults, r.Violations, o.record)
	if len(now.Failures) > 0 {
		return errors.New(strings.Join(now.Failures, "\n"))
	}
	return nil
}

// round simulates a few seeds in each process. A process ends at the first seed that
// fails; those behind it are taken up by the same goroutine.
func (o *simLongOptions) round(r *record) {
	var mu sync.Mutex
	var all sync.WaitGroup
	from := r.Next
	for range o.sim.jobs {
		at, to := from, from+o.chunk-1
		all.Go(func() {
			for at <= to {
				part, err := o.child(at, to)
				if err != nil && len(part.Failures) == 0 {
					part.Failures = append(part.Failures, fmt.Sprintf("seeds %d-%d: %v", at, to, err))
					part.Seeds = int(to - at + 1) // nobody knows which
				}
				at += uint64(part.Seeds)
				mu.Lock()
				r.add(&part)
				mu.Unlock()
			}
		})
		from = to + 1
	}
	all.Wait()
	r.Next = from
	r.Runs[len(r.Runs)-1].Last = from - 1
}
