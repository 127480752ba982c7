package report

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// pointsKept bounds the quick and the slow points apart: a scenario has millions of
// operations, and a reader's screen some thousand columns.
const pointsKept = 3000

// slowFrom is where an operation counts as an outlier: far above what an operation
// on a quiet machine takes, far below any failover.
const slowFrom = 20 * time.Millisecond

// Sampler keeps latencies within bounds: of quick successes a fair choice (a
// reservoir), of slow and failed operations all, and a fair choice when there are
// more than there is room for. Not safe for concurrent use.
type Sampler struct {
	quick, slow   []Point
	quicks, slows int64
	random        *rand.Rand
}

// NewSampler makes a Sampler whose choice depends on the seed.
func NewSampler(seed uint64) *Sampler { return &Sampler{random: rand.New(rand.NewPCG(seed, 0))} }

// Add takes one operation.
func (s *Sampler) Add(p Point) {
	if p.Outcome == OK && p.Took < slowFrom {
		s.quick = s.keep(s.quick, &s.quicks, p)
	} else {
		s.slow = s.keep(s.slow, &s.slows, p)
	}
}

func (s *Sampler) keep(points []Point, seen *int64, p Point) []Point {
	*seen++
	if len(points) < pointsKept {
		return append(points, p)
	}
	if i := s.random.Int64N(*seen); i < pointsKept {
		points[i] = p
	}
	return points
}

// Samples is what was kept, by time.
func (s *Sampler) Samples() Samples {
	all := slices.Concat(s.quick, s.slow)
	slices.SortStableFunc(all, func(a, b Point) int { return cmp.Compare(a.At, b.At) })
	return Samples{Slow: slowFrom, Of: s.quicks + s.slows, Outliers: s.slows, Points: all}
}

// throughputStep is the step that Add counts in.
const throughputStep = 100 * time.Millisecond

// Add counts an operation that ended at a moment. Not safe for concurrent use.
func (t *Throughput) Add(ended time.Duration, o Outcome) {
	t.Step = throughputStep
	i := int(max(ended, 0) / t.Step)
	for len(t.OK) <= i {
		t.OK, t.Refused, t.Unknown = append(t.OK, 0), append(t.Refused, 0), append(t.Unknown, 0)
	}
	[...][]int64{t.OK, t.Refused, t.Unknown}[o][i]++
}
