package main

import "math/rand/v2"

// synthetic makes traces of a known nature, for machines without recorded ones:
// skewed requests whose favourites change, with keys that are asked for once; the same
// between scans; and beside a loop. They are the same in every run.
func synthetic(requests int) []*Trace {
	rnd := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rnd, 1.05, 1, uint64(requests)/2)
	scanned, fresh := uint64(0), uint64(2<<40)
	drift := func(i int) uint64 {
		if rnd.IntN(6) == 0 {
			fresh++
			return fresh
		}
		return (zipf.Uint64() + uint64(i/(requests/8))*100) % uint64(requests)
	}
	kinds := []struct {
		name string
		key  func(i int) uint64
	}{
		{"drift", drift},
		{"scans", func(i int) uint64 {
			if i%(requests/10) < requests/50 {
				scanned++
				return 1<<40 + scanned%uint64(requests/12)
			}
			return drift(i)
		}},
		{"loop", func(i int) uint64 {
			if i%4 != 0 {
				return drift(i)
			}
			return 1<<40 + uint64(i)/4%uint64(requests/20)
		}},
	}
	traces := make([]*Trace, len(kinds))
	for k, kind := range kinds {
		traces[k], _ = enter(kind.name, func(yield func(uint64)) error {
			for i := range requests {
				yield(kind.key(i))
			}
			return nil
		})
	}
	return traces
}
