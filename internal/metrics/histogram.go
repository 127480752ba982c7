package metrics

import (
	"math/bits"
	"sync/atomic"
)

// A histogram's buckets are log-linear: every octave is cut into subBuckets equal
// parts, so a bucket is never wider than 1/subBuckets of its value (3.2 %). Values
// below subBuckets have a bucket each.
//
//	index = octave * 32 + the five bits below the leading one
//
// Fixed arrays were chosen over buckets made on demand: an observation then needs
// neither a lock nor a check, for 15 KiB per histogram.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// Histogram counts values by size. Values are what the name's unit says
// (nanoseconds, bytes); negative ones count as zero. The zero value is ready.
type Histogram struct {
	sum    atomic.Uint64
	counts [buckets]atomic.Uint64
}

// Observe counts one value.
func (h *Histogram) Observe(v int64) {
	u := uint64(max(v, 0))
	h.counts[bucketOf(u)].Add(1)
	h.sum.Add(u)
}

// bucketOf finds the bucket of a value.
func bucketOf(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	octave := bits.Len64(v) - subBits // 1 for [32, 64)
	return octave*subBuckets + int(v>>(octave-1)) - subBuckets
}

// upper is the largest value of a bucket.
func upper(bucket int) uint64 {
	if bucket < subBuckets {
		return uint64(bucket)
	}
	octave := bucket / subBuckets
	return uint64(bucket%subBuckets+subBuckets+1)<<(octave-1) - 1
}

// Distribution is a copy of a histogram at one moment. Observations that arrive
// while it is made may be in it or not.
type Distribution struct {
	Count  uint64
	Sum    uint64
	counts [buckets]uint64
}

// Snapshot copies the histogram.
func (h *Histogram) Snapshot() *Distribution {
	d := &Distribution{Sum: h.sum.Load()}
	for i := range h.counts {
		d.counts[i] = h.counts[i].Load()
		d.Count += d.counts[i]
	}
	return d
}

// Quantile is an upper bound, at most 3.2 % high, of the value that the share q
// (0..1) of all observations does not exceed; 0 when there are none.
func (d *Distribution) Quantile(q float64) uint64 {
	if d.Count == 0 {
		return 0
	}
	rank := uint64(min(max(q, 0), 1) * float64(d.Count))
	rank = min(max(rank, 1), d.Count)
	for i, n := range d.counts {
		if n >= rank {
			return upper(i)
		}
		rank -= n
	}
	return upper(buckets - 1)
}
