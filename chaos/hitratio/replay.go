package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// percents of a trace's objects are the capacities.
var percents = []int{1, 5, 10}

// job is one replay.
type job struct {
	trace *Trace
	row   *Row
	contestant
}

// measure replays everything.
func measure(o Options) (*Report, error) {
	traces, err := gather(o)
	if err != nil {
		return nil, err
	}
	published, err := published(o.Traces)
	if err != nil {
		return nil, err
	}
	r, jobs := &Report{Spare: o.Spare}, []job(nil)
	all := contestants(o)
	for _, c := range all {
		r.Contestants = append(r.Contestants, c.name)
	}
	for _, t := range traces {
		for _, p := range percents {
			row := &Row{Trace: t.Name, Requests: len(t.Asked), Objects: t.Objects, Capacity: t.Objects * p / 100, Hits: map[string]float64{}}
			if row.Capacity == 0 || o.Large && !row.large() {
				continue
			}
			row.Published = published[row.name()]
			row.Judged = row.Published > 0 || row.large() || len(published) == 0
			r.Rows = append(r.Rows, row)
			for _, c := range all {
				jobs = append(jobs, job{t, row, c})
			}
		}
	}
	replay(jobs, o)
	r.judge()
	return r, nil
}

// gather loads the traces, several at a time.
func gather(o Options) ([]*Trace, error) {
	paths, err := files(o.Traces)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if only := strings.Split(o.Only, ","); o.Only != "" {
		paths = slices.DeleteFunc(paths, func(p string) bool { return !slices.Contains(only, nameOf(p)) })
	}
	if len(paths) == 0 {
		fmt.Fprintf(o.Log, "no traces in %q: synthetic ones\n", o.Traces)
		return synthetic(300_000), nil
	}
	traces, errs := make([]*Trace, len(paths)), make([]error, len(paths))
	each(len(paths), o.Workers, func(i int) { traces[i], errs[i] = load(paths[i]) })
	return traces, errors.Join(errs...)
}

// each calls do for 0..n-1, several at a time.
func each(n, workers int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// replay runs the jobs, the longest ones first, and says how far it is.
func replay(jobs []job, o Options) {
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(len(b.trace.Asked), len(a.trace.Asked)) })
	total := int64(0)
	for _, j := range jobs {
		total += int64(len(j.trace.Asked))
	}
	var done atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		progress(o, &done, total, stop)
	}()
	var mu sync.Mutex
	each(len(jobs), o.Workers, func(i int) {
		j := jobs[i]
		hits := j.hits(j.trace, j.row.Capacity, func(i int) {
			if i&0xffff == 0xffff {
				done.Add(0x10000)
			}
		})
		mu.Lock()
		j.row.Hits[j.name] = 100 * float64(hits) / float64(len(j.trace.Asked))
		mu.Unlock()
	})
	close(stop)
	<-stopped
}

// progress says every few seconds how much is done.
func progress(o Options, done *atomic.Int64, total int64, stop chan struct{}) {
	begin, tick := time.Now(), time.NewTicker(5*time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			share, passed := float64(done.Load())/float64(total), time.Since(begin)
			left := time.Duration(float64(passed) * (1 - share) / max(share, 0.001))
			fmt.Fprintf(o.Log, "%3.0f %% of %d million requests after %v, about %v left\n", 100*share, total/1e6, passed.Round(time.Second), left.Round(time.Second))
		}
	}
}

// published reads the hit ratios of S3-FIFO that stand beside the traces: the bars
// are relative to them.
func published(dir string) (map[string]float64, error) {
	f, err := os.Open(filepath.Join(dir, "measured-hit-ratios.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := csv.NewReader(f)
	c.Comma = '\t'
	table, err := c.ReadAll()
	if err != nil || len(table) == 0 {
		return nil, err
	}
	column, ratios := slices.Index(table[0], nameS3), map[string]float64{}
	for _, line := range table[1:] {
		ratios[line[0]+" "+line[1]], err = strconv.ParseFloat(line[column], 64)
		if err != nil {
			return nil, err
		}
	}
	return ratios, nil
}
