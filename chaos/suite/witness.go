package suite

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

// witness only sleeps, and takes note of when it was woken late: what this machine did to
// everybody, which no node is to blame for.
type witness struct {
	mu   sync.Mutex
	late []lateness
	all  []time.Duration
}

type lateness struct{ at, by time.Duration }

// lateMin is the least lateness that is kept.
const lateMin = 2 * time.Millisecond

func startWitness(ctx context.Context, wg *sync.WaitGroup, now func() time.Duration) *witness {
	w := &witness{}
	wg.Go(func() {
		for ctx.Err() == nil {
			before := now()
			time.Sleep(time.Millisecond)
			by := now() - before - time.Millisecond
			w.mu.Lock()
			w.all = append(w.all, by)
			if by > lateMin {
				w.late = append(w.late, lateness{before, by})
			}
			w.mu.Unlock()
		}
	})
	return w
}

// disturbed says whether it was late by more than a fifth of a bar in a window.
func (w *witness) disturbed(from, to, bar time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.late, func(l lateness) bool { return l.at < to && l.at+l.by > from && l.by > bar/5 })
}

// What of the lateness a report keeps: what a reader could take for a fault.
const (
	stallMin  = 20 * time.Millisecond
	stallsMax = 300
)

// longest are the stalls that a report keeps, by time.
func longest(late []lateness) (list []report.Stall) {
	for _, l := range late {
		if l.by >= stallMin {
			list = append(list, report.Stall{At: l.at, By: l.by})
		}
	}
	slices.SortStableFunc(list, func(a, b report.Stall) int { return cmp.Compare(b.By, a.By) })
	list = list[:min(stallsMax, len(list))]
	slices.SortStableFunc(list, func(a, b report.Stall) int { return cmp.Compare(a.At, b.At) })
	return list
}

func (w *witness) summary() report.Witness {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := report.Distribute(w.all)
	return report.Witness{P50: d.P50, P99: d.P99, Max: d.Max, Late: longest(w.late)}
}
