package load

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// run is a plan under way.
type run struct {
	plan    Plan
	callers []caller
	cluster *cluster // nil with the Go client
	close   func()
	zipf    *zipf
	values  Values
	bells   []chan struct{} // wake the workers when they are due
	tallies []*tally        // worker i counts in tallies[i%len]: histograms are large
	begun   time.Time
	left    atomic.Int64 // operations that may still begin, with a limit
	unsent  atomic.Int64
}

// talliesMax bounds the memory of the histograms.
const talliesMax = 8

// Second is what one second of a run brought.
type Second struct {
	At     int     `json:"second"` // from 1
	Ops    int64   `json:"operations"`
	P50    float64 `json:"p50us"`
	P99    float64 `json:"p99us"`
	Max    float64 `json:"maxus"`
	Errors int     `json:"errors"`
	length time.Duration
}

// Live is what a watcher sees once a second.
type Live struct {
	Second
	Rate        float64 // operations a second, of this second
	MaxSoFar    float64 // microseconds
	ErrorsSoFar int
}

// open connects all workers.
func open(ctx context.Context, p Plan) (*run, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	r := &run{plan: p, close: func() {}, values: NewValues(rand.New(rand.NewPCG(p.Seed, 0)), p.SizeMax)}
	for range min(talliesMax, p.workers()) {
		r.tallies = append(r.tallies, newTally())
	}
	c, err := discover(p.Addrs) // the Go client would try for longer, and hide the reason
	if err != nil {
		return nil, fmt.Errorf("no server answers: %w", err)
	}
	if p.Native {
		return r, r.openNative(ctx)
	}
	r.cluster = c
	for range p.workers() {
		c := newRESPCaller(r.cluster)
		r.callers = append(r.callers, c)
		if err := c.connect(); err != nil {
			r.end()
			return nil, err
		}
	}
	return r, nil
}

func (r *run) openNative(ctx context.Context) error {
	c, err := client.New(client.DefaultConfig(r.plan.Addrs))
	if err != nil {
		return err
	}
	r.close = func() { _ = c.Close() }
	if _, err := c.Get(ctx, string(AppendKey(nil, r.plan.Prefix, 0))); err != nil && err != client.ErrNotFound {
		r.close()
		return err
	}
	for range r.plan.workers() {
		r.callers = append(r.callers, &nativeCaller{context.WithoutCancel(ctx), c})
	}
	return nil
}

func (r *run) end() {
	for _, c := range r.callers {
		c.close()
	}
	r.close()
}

func (r *run) clock() int64 { return int64(time.Since(r.begun)) }

// Preload writes every key once and says from time to time how many it has written.
func Preload(ctx context.Context, p Plan, progress func(done int)) error {
	p.Depth = max(p.Depth, 50)
	r, err := open(ctx, p)
	if err != nil {
		return err
	}
	defer r.end()
	r.begun = time.Now()
	var done atomic.Int64
	var failed atomic.Pointer[string]
	var wg sync.WaitGroup
	for i, c := range r.callers {
		wg.Go(func() { r.preload(ctx, i, c, &done, &failed) })
	}
	go func() { wg.Wait(); done.Store(-1) }()
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		n := done.Load()
		if n < 0 {
			tick.Stop()
			break
		}
		progress(int(n))
	}
	if why := failed.Load(); why != nil {
		return fmt.Errorf("writing the keys: the server answers %s", *why)
	}
	return ctx.Err()
}

// preloadTries is how often a key is tried that could not be written.
const preloadTries = 100

// oomTries is the same where the server says OOM: a value that no node takes, or memory
// that nothing can be evicted from, is so for good, and large values are slow to send.
const oomTries = 5

// preload writes every key that is worker's by number.
func (r *run) preload(ctx context.Context, worker int, c caller, done *atomic.Int64, failed *atomic.Pointer[string]) {
	k := newPicker(&r.plan, nil, r.values, worker)
	ops := make([]op, r.plan.batch())
	for at := worker * len(ops); at < r.plan.Keys; at += len(r.callers) * len(ops) {
		batch := ops[:min(len(ops), r.plan.Keys-at)]
		for i := range batch {
			k.fill(&batch[i], at+i, true)
		}
		for tries := 0; ; tries++ {
			c.call(batch, r.clock)
			bad := ""
			for i := range batch {
				if batch[i].error != "" {
					bad, batch[i].error = batch[i].error, ""
				}
			}
			if bad == "" {
				break
			}
			if ctx.Err() != nil || tries >= preloadTries || failed.Load() != nil || bad == "OOM" && tries >= oomTries {
				failed.Store(&bad)
				return
			}
			time.Sleep(redialPause)
		}
		if failed.Load() != nil || ctx.Err() != nil {
			return
		}
		done.Add(int64(len(batch)))
	}
}

// Run offers the load of a plan until it is over or ctx is, and tells watch once a second
// how it goes.
func Run(ctx context.Context, p Plan, watch func(Live)) (*Result, error) {
	r, err := open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.end()
	if p.Theta > 0 {
		r.zipf = newZipf(p.Keys, p.Theta)
	}
	res := &Result{Plan: p, Server: ServerName(p.Addrs[0]), Started: time.Now().UTC()}
	r.left.Store(int64(p.Ops))
	for range r.callers {
		r.bells = append(r.bells, make(chan struct{}, 1))
	}
	r.begun = time.Now()
	var wg sync.WaitGroup
	for i, c := range r.callers {
		wg.Go(func() { r.work(ctx, i, c) })
	}
	ended := make(chan struct{})
	if p.Rate > 0 {
		go r.ring(ended)
	}
	go func() { wg.Wait(); close(ended) }()
	res.Seconds = r.gather(ended, watch)
	res.fill(r)
	return res, nil
}

// work is the life of one worker.
func (r *run) work(ctx context.Context, i int, c caller) {
	p := &r.plan
	k := newPicker(p, r.zipf, r.values, i)
	ops := make([]op, p.batch())
	t := r.tallies[i%len(r.tallies)]
	pace := newPacer(p, i)
	for {
		due, idle := r.clock(), false
		if p.Rate > 0 {
			due = pace.next()
			idle = due > r.clock()
		}
		if r.over(due, idle) || idle && !r.await(ctx, i, due) || ctx.Err() != nil {
			r.unsent.Add(pace.unsent(r.clock(), p.Duration, len(ops)))
			return
		}
		batch := ops[:r.admit(len(ops))]
		if len(batch) == 0 {
			return
		}
		for j := range batch {
			k.next(&batch[j])
		}
		left := r.clock()
		c.call(batch, r.clock)
		t.add(batch, due, left, idle)
	}
}

// over says that a batch of that time does not leave any more. One that an idle worker
// waits for does, even if the worker wakes up a little late.
func (r *run) over(due int64, idle bool) bool {
	d := int64(r.plan.Duration)
	return d > 0 && (due >= d || !idle && r.clock() >= d)
}

// admit says how many of n operations may still begin.
func (r *run) admit(n int) int {
	if r.plan.Ops <= 0 {
		return n
	}
	rest := r.left.Add(int64(-n)) + int64(n)
	return int(max(0, min(int64(n), rest)))
}

// gather takes the windows of all tallies once a second until the workers are over.
func (r *run) gather(ended <-chan struct{}, watch func(Live)) (all []Second) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	sum, before, since, most := NewHistogram(), 0, r.begun, 0.0
	for running := true; running; {
		select {
		case <-tick.C:
		case <-ended:
			running = false
		}
		now := time.Now()
		s := Second{At: len(all) + 1, length: now.Sub(since)}
		since = now
		errors := map[string]int{}
		sum.Reset()
		for _, t := range r.tallies {
			t.take(sum, errors)
		}
		total := 0
		for n := range maps.Values(errors) {
			total += n
		}
		s.Errors, before = total-before, total
		s.Ops, s.P50, s.P99, s.Max = sum.TotalCount(), micros(sum, 50), micros(sum, 99), float64(sum.Max())/1e3
		if s.length < time.Second/2 && len(all) > 0 {
			break // the last moments are no second
		}
		all = append(all, s)
		most = max(most, s.Max)
		watch(Live{Second: s, Rate: float64(s.Ops) / s.length.Seconds(), MaxSoFar: most, ErrorsSoFar: total})
	}
	return all
}

func micros(h *hdrhistogram.Histogram, q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
