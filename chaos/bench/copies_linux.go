package bench

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// copies measures what a write costs a leaseholder and its followers: all keys are stored
// on three nodes, and those that one of them leads are written.
func (s *system) copies(o Options, cells []Cell) (rows []Copies, err error) {
	fmt.Fprintf(o.Log, "leaseholder and followers: filling\n")
	most, keys := 0, s.divide([]int{o.Keys, 0})
	for a, addr := range s.addrs {
		if len(keys[a][0]) == 0 {
			continue
		}
		if err := fill(addr, keys[a], len(s.addrs)-1); err != nil {
			return nil, err
		}
		if len(keys[a][0]) > len(keys[most][0]) {
			most = a
		}
	}
	g, err := newGenerator(s.addrs[most:most+1], o.Conns, func(int) [][]int { return keys[most] })
	if err != nil {
		return nil, err
	}
	defer g.close()
	leaderFirst := append([]*process{s.procs[most]}, s.procs[:most]...)
	leaderFirst = append(leaderFirst, s.procs[most+1:]...)
	for _, c := range cells {
		row, err := copiesUnder(g, c, o, leaderFirst)
		if err != nil {
			return nil, fmt.Errorf("leaseholder and followers at pipeline %d: %w", c.Depth, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// copiesUnder is one cell: the CPU time of each process is what it had at the end less
// what it had when the window opened.
func copiesUnder(g *generator, c Cell, o Options, procs []*process) (Copies, error) {
	cpu := make([]time.Duration, len(procs))
	t := turn{g: g, latency: load.NewHistogram(), cpu: func() (sum time.Duration, err error) {
		for i := range procs {
			d, err := cpuOf(procs[i : i+1])
			if err != nil {
				return 0, err
			}
			cpu[i] = d - cpu[i]
			sum += d
		}
		return sum, nil
	}}
	if err := t.run(c, o.rate(c), o.Warm, copiesWindows*o.Window); err != nil {
		return Copies{}, err
	}
	return copiesOf(c, o.rate(c), t.sample, cpu), nil
}
