package metrics

import (
	"math"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCountersAddUpAcrossGoroutines(t *testing.T) {
	var c Counter
	var g Gauge
	var h Histogram
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range 1000 {
				c.Inc()
				g.Add(1)
				h.Observe(int64(i))
			}
		}()
	}
	all.Wait()
	if c.Value() != 8000 || g.Value() != 8000 || h.Snapshot().Count != 8000 {
		t.Fatalf("counter %d, gauge %d, histogram %d, want 8000 each", c.Value(), g.Value(), h.Snapshot().Count)
	}
}

func TestBucketsCoverEveryValueInOrder(t *testing.T) {
	last := -1
	for shift := range 63 {
		for _, d := range []uint64{0, 1} {
			v := uint64(1)<<shift + d*(uint64(1)<<shift>>1)
			b := bucketOf(v)
			if b < last || b >= buckets {
				t.Fatalf("value %d is in bucket %d after %d of %d", v, b, last, buckets)
			}
			last = b
			if upper(b) < v || float64(upper(b)-v) > float64(v)/subBuckets {
				t.Fatalf("bucket %d of value %d ends at %d", b, v, upper(b))
			}
			if b > 0 && upper(b-1) >= v {
				t.Fatalf("value %d also fits bucket %d, which ends at %d", v, b-1, upper(b-1))
			}
		}
	}
	if b := bucketOf(math.MaxInt64); b >= buckets {
		t.Fatalf("the largest value needs bucket %d of %d", b, buckets)
	}
}

func TestQuantilesAreNearTheTruth(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var h Histogram
	values := make([]int64, 10000)
	for i := range values {
		values[i] = int64(math.Exp(r.Float64() * 20))
		h.Observe(values[i])
	}
	slices.Sort(values)
	d := h.Snapshot()
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		truth := float64(values[int(q*float64(len(values)))-1])
		got := float64(d.Quantile(q))
		if got < truth || got > truth*1.033 {
			t.Errorf("quantile %v is %v, want within 3.3 %% above %v", q, got, truth)
		}
	}
	if (&Distribution{}).Quantile(0.5) != 0 {
		t.Error("an empty distribution has a quantile")
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	s := NewSet()
	c, g, h, p := s.Counter("c"), s.Gauge("g"), s.Histogram("h"), NewProbe("test.alloc")
	if n := testing.AllocsPerRun(100, func() { c.Inc(); g.Set(1); h.Observe(12345); p.Hit() }); n != 0 {
		t.Errorf("%v allocations per observation", n)
	}
}

func TestTextIsSorted(t *testing.T) {
	s := NewSet()
	s.Gauge("b_gauge").Set(-3)
	s.Counter("a_total").Add(7)
	s.Histogram("c_ns").Observe(1)
	want := "a_total 7\nb_gauge -3\nc_ns_count 1\nc_ns_sum 1\nc_ns_p50 1\nc_ns_p99 1\nc_ns_p999 1"
	if got := s.String(); got != want {
		t.Errorf("text is\n%s\nwant\n%s", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name was listed twice without a panic")
		}
	}()
	s.Counter("a_total")
}

func TestProbesAreSortedAndShared(t *testing.T) {
	NewProbe("test.z").Hit()
	NewProbe("test.a")
	NewProbe("test.z").Hit()
	var seen []string
	for _, v := range Probes() {
		if v.Name == "test.z" && v.Count != 2 {
			t.Errorf("test.z was visited %d times, want 2", v.Count)
		}
		if strings.HasPrefix(v.Name, "test.a") || v.Name == "test.z" {
			seen = append(seen, v.Name)
		}
	}
	if len(seen) < 2 || !slices.IsSorted(seen) {
		t.Errorf("probes are listed as %v", seen)
	}
}
