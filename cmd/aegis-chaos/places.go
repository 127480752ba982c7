package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/baxromumarov/aegisKV/chaos/sim"
	"github.com/baxromumarov/aegisKV/internal/metrics"
)

// visits are how often rare places were visited, by name.
type visits map[string]uint64

// visited are the visits of this process so far.
func visited() visits {
	v := visits{}
	for _, p := range metrics.Probes() {
		v[p.Name] = p.Count
	}
	return v
}

// since are the visits that came after some others.
func (v visits) since(before visits) visits {
	d := visits{}
	for name, n := range v {
		d[name] = n - before[name]
	}
	return d
}

func (v visits) add(o visits) {
	for name, n := range o {
		v[name] += n
	}
}

// unvisited are the places that neither seeds nor scripts have come to, without
// those of which it is said why.
func unvisited(seeds, scripts visits) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(seeds)) {
		if _, why := sim.Elsewhere[name]; seeds[name]+scripts[name] == 0 && !why {
			names = append(names, name)
		}
	}
	return names
}

// print writes a line for every place.
func (v visits) print(scripts visits) {
	fmt.Println("rare places visited, by seeds and by scripts:")
	for _, name := range slices.Sorted(maps.Keys(v)) {
		fmt.Printf("%-36s %9d %6d  %s\n", name, v[name], scripts[name], sim.Elsewhere[name])
	}
}
