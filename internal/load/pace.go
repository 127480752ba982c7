package load

import (
	"context"
	"math"
	"runtime"
	"time"
)

// pacer gives the intended times of one worker's batches: those of all workers together
// are evenly spread.
type pacer struct {
	interval float64 // ns between two batches of this worker, 0 = no pace
	first    float64
	n        int64 // batches that were due
}

// between is the time from one batch to the next, of all workers together, in ns.
func (p *Plan) between() float64 { return float64(time.Second) * float64(p.batch()) / float64(p.Rate) }

func newPacer(p *Plan, worker int) *pacer {
	if p.Rate <= 0 {
		return &pacer{}
	}
	return &pacer{interval: p.between() * float64(p.workers()), first: p.between() * float64(worker)}
}

func (p *pacer) next() int64 {
	p.n++
	return int64(p.first + p.interval*float64(p.n-1))
}

// unsent is how many operations were due before now, or the limit if that came first, and
// have not left; the batch that next gave last is one that did not.
func (p *pacer) unsent(now int64, limit time.Duration, batch int) int64 {
	if p.interval == 0 {
		return 0
	}
	end := float64(now)
	if limit > 0 {
		end = min(end, float64(limit))
	}
	due := int64(math.Ceil(max(0, end-p.first) / p.interval))
	return max(0, due-(p.n-1)) * int64(batch)
}

// sleepMax is how soon the ringer notices that the run is over.
const sleepMax = 50 * time.Millisecond

// ring wakes each worker at the times of its batches, from one thread, until ended. A
// worker that is busy keeps one bell at most: it looks at the clock itself.
func (r *run) ring(ended <-chan struct{}) {
	runtime.LockOSThread() // never unlocked: the thread ends with its timer slack
	exactSleeps()
	for n := 0; ; n++ {
		due := int64(float64(n) * r.plan.between())
		for {
			select {
			case <-ended:
				return
			default:
			}
			wait := time.Duration(due - r.clock())
			if wait <= 0 {
				break
			}
			sleep(min(wait, sleepMax))
		}
		select {
		case r.bells[n%len(r.bells)] <- struct{}{}:
		default:
		}
	}
}

// await sleeps until a time of the clock; false when ctx ends first.
func (r *run) await(ctx context.Context, worker int, due int64) bool {
	for r.clock() < due {
		select {
		case <-r.bells[worker]:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
