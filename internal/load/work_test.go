package load

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestZipfIsZipf(t *testing.T) {
	const n, theta, draws = 1000, 0.9, 400_000
	z := newZipf(n, theta)
	rng := rand.New(rand.NewPCG(1, 2))
	var seen [n]int
	for range draws {
		seen[z.rank(rng.Float64())]++
	}
	share := func(from, to int) (got, want float64) {
		for i := from; i < to; i++ {
			got += float64(seen[i]) / draws
			want += math.Pow(float64(i+1), -theta) / z.zetaN
		}
		return got, want
	}
	for _, r := range [][2]int{{0, 1}, {1, 2}, {2, 10}, {10, 100}, {100, n}} {
		if got, want := share(r[0], r[1]); math.Abs(got-want) > 0.1*want+0.002 {
			t.Errorf("ranks %d to %d are %.4f of all, want %.4f", r[0], r[1]-1, got, want)
		}
	}
	if newZipf(1, theta).rank(0.999999) != 0 || newZipf(2, theta).rank(0.999999) != 1 {
		t.Error("one or two keys")
	}
}

func TestWordsOfAPlan(t *testing.T) {
	var p Plan
	for _, c := range []struct {
		read func(string) error
		word string
		good bool
	}{
		{p.ParseRatio, "9:1", true},
		{p.ParseRatio, "0:1", true},
		{p.ParseRatio, "0:0", false},
		{p.ParseRatio, "1", false},
		{p.ParseRatio, "-1:2", false},
		{p.ParseChoice, "uniform", true},
		{p.ParseChoice, "zipf", true},
		{p.ParseChoice, "zipf:0.5", true},
		{p.ParseChoice, "zipf:1", false},
		{p.ParseChoice, "zipf:x", false},
		{p.ParseChoice, "normal", false},
		{p.ParseSize, "100", true},
		{p.ParseSize, "64-1024", true},
		{p.ParseSize, "10-5", false},
		{p.ParseSize, "x", false},
		{p.ParseSize, "-5", false},
	} {
		if err := c.read(c.word); (err == nil) != c.good {
			t.Errorf("%q: %v", c.word, err)
		}
	}
	if p.Gets != 0 || p.Sets != 1 || p.Theta != 0.5 || p.SizeMin != 64 || p.SizeMax != 1024 {
		t.Errorf("%+v", p)
	}
}

// TestPickedOperations: ratio and sizes are those of the plan, and a seed repeats.
func TestPickedOperations(t *testing.T) {
	p := DefaultPlan()
	p.Gets, p.Sets, p.SizeMin, p.SizeMax, p.TTL = 3, 1, 10, 20, 1500*time.Millisecond
	values := NewValues(rand.New(rand.NewPCG(1, 1)), p.SizeMax)
	a, b := newPicker(&p, nil, values, 7), newPicker(&p, nil, values, 7)
	var x, y op
	sets, sizes := 0, map[int]bool{}
	for range 10_000 {
		a.next(&x)
		b.next(&y)
		if x.set != y.set || string(x.key) != string(y.key) || string(x.value) != string(y.value) {
			t.Fatal("one seed gives two sequences")
		}
		if x.set {
			sets++
			sizes[len(x.value)] = true
			if x.ttl != "1500" {
				t.Fatalf("ttl %q", x.ttl)
			}
		}
	}
	if sets < 2300 || sets > 2700 || len(sizes) != 11 || !sizes[10] || !sizes[20] {
		t.Errorf("%d of 10000 are SETs, of sizes %v", sets, sizes)
	}
}

// TestIntendedTimes: the batches of all workers lie on one grid, and what was due is known.
func TestIntendedTimes(t *testing.T) {
	p := DefaultPlan()
	p.Conns, p.Depth, p.Rate = 4, 2, 1000 // a batch each 2 ms, of one worker each 8 ms
	seen := map[int64]bool{}
	for w := range 4 {
		k := newPacer(&p, w)
		for range 10 {
			seen[k.next()] = true
		}
	}
	for i := range int64(40) {
		if at := i * int64(2*time.Millisecond); !seen[at] {
			t.Errorf("nothing is due at %v", time.Duration(at))
		}
	}
	k := newPacer(&p, 1)
	for range 4 { // due at 2, 10, 18, 26 ms; the last did not leave
		k.next()
	}
	for _, c := range []struct{ now, limit, want int }{{20, 0, 0}, {27, 0, 2}, {100, 0, 20}, {100, 30, 2}, {1, 0, 0}} {
		if got := k.unsent(int64(c.now)*int64(time.Millisecond), time.Duration(c.limit)*time.Millisecond, 2); got != int64(c.want) {
			t.Errorf("at %d ms, limit %d ms: %d unsent, want %d", c.now, c.limit, got, c.want)
		}
	}
}
