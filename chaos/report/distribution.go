package report

import (
	"slices"
	"time"
)

// Distribute sums up durations; the p99 of few is their largest.
func Distribute(all []time.Duration) Distribution {
	if len(all) == 0 {
		return Distribution{}
	}
	s := slices.Sorted(slices.Values(all))
	return Distribution{Count: len(s), P50: quantile(s, 0.5), P99: quantile(s, 0.99), Max: s[len(s)-1]}
}

// quantile is the smallest value that the part q of all does not exceed.
func quantile[T any](sorted []T, q float64) T {
	n := int(q * float64(len(sorted)))
	if float64(n) < q*float64(len(sorted)) {
		n++
	}
	return sorted[max(n, 1)-1]
}

// Read is the distribution of the affected groups' gaps in reading.
func (u *Unavailability) Read() Distribution {
	return u.distribution(true, func(g *Gap) time.Duration { return g.Read })
}

// Write is the distribution of the affected groups' gaps in writing.
func (u *Unavailability) Write() Distribution {
	return u.distribution(true, func(g *Gap) time.Duration { return g.Write })
}

// Others is the distribution of the longer gap of the groups that were not hit.
func (u *Unavailability) Others() Distribution {
	return u.distribution(false, func(g *Gap) time.Duration { return max(g.Read, g.Write) })
}

func (u *Unavailability) distribution(affected bool, of func(*Gap) time.Duration) Distribution {
	var all []time.Duration
	for i := range u.Gaps {
		if g := &u.Gaps[i]; g.Affected == affected {
			all = append(all, of(g))
		}
	}
	return Distribute(all)
}

// Unreported is how many lost writes nobody was told of.
func (l *Losses) Unreported() int64 { return max(0, l.Lost+l.LostMajority-l.Reported) }

// Sizes sums up how many writes single takeovers lost of a shard.
type Sizes struct{ P50, P99, Max int64 }

// Sizes is the distribution of the number of writes that one takeover lost of a
// shard, over those that lost any.
func (l *Losses) Sizes() Sizes {
	var all []int64
	for _, w := range l.Windows {
		all = append(all, w.Writes)
	}
	if len(all) == 0 {
		return Sizes{}
	}
	slices.Sort(all)
	return Sizes{quantile(all, 0.5), quantile(all, 0.99), all[len(all)-1]}
}

// Spans is the distribution of the time in which lost writes were written.
func (l *Losses) Spans() Distribution {
	var all []time.Duration
	for _, w := range l.Windows {
		all = append(all, w.Span)
	}
	return Distribute(all)
}

// LongestGap is the longest time between two successes that touches a window, and
// when it began. Successes are in order; before the first one and after the last
// the window's own ends count.
func LongestGap(successes []time.Duration, from, to time.Duration) (at, gap time.Duration) {
	last := from
	for _, s := range append(slices.Clip(successes), to) {
		if s < from {
			last = s
			continue
		}
		if last >= to && last > from {
			break
		}
		if s-last > gap {
			at, gap = last, s-last
		}
		last = s
	}
	return at, gap
}
