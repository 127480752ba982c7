package membership

import "slices"

// prefer puts the host first that should hold a group's lease. As many as possible
// stay where they are.
func (p *planner) prefer() {
	leads := p.leads()
	load := make([]int, len(p.hosts))
	for n := range leads {
		load[n] = len(leads[n])
	}
	f := flow{load: load, want: p.leaseQuota(leads), step: func(from, to int) int {
		for _, g := range leads[from] {
			if p.hosts[to].Leases && slices.Contains(p.copies[g], to) {
				return g
			}
		}
		return 0
	}, move: func(g, from, to int) {
		leads[from] = slices.DeleteFunc(leads[from], func(h int) bool { return h == g })
		leads[to] = append(leads[to], g)
		p.first(g, to)
	}}
	f.run()
}

// leads are the groups that each host is preferred for, those included that it gets
// because no preferred host is left.
func (p *planner) leads() [][]int {
	leads := make([][]int, len(p.hosts))
	var orphans []int
	for g := 1; g <= p.shape.Groups; g++ {
		if n := p.copies[g][0]; p.hosts[n].Leases {
			leads[n] = append(leads[n], g)
		} else {
			orphans = append(orphans, g)
		}
	}
	for _, g := range orphans {
		to := -1
		for _, n := range p.copies[g] {
			if p.hosts[n].Leases && (to < 0 || len(leads[n])*len(p.on[to]) < len(leads[to])*len(p.on[n])) {
				to = n
			}
		}
		if to >= 0 {
			leads[to] = append(leads[to], g)
			p.first(g, to)
		}
	}
	return leads
}

// first makes a copy the preferred one; the others keep their order.
func (p *planner) first(g, n int) {
	rest := slices.DeleteFunc(slices.Clone(p.copies[g]), func(m int) bool { return m == n })
	p.copies[g] = append([]int{n}, rest...)
}

// leaseQuota divides the leases among the hosts that take any, by their copies.
func (p *planner) leaseQuota(leads [][]int) []span {
	total := 0
	parts := make([]part, len(p.hosts))
	for n, h := range p.hosts {
		total += len(leads[n])
		parts[n] = part{weight: 1}
		if h.Leases {
			parts[n] = part{weight: max(int64(len(p.on[n])), 1), most: int64(len(p.on[n])) * milli}
		}
	}
	spans := make([]span, len(p.hosts))
	for n, q := range divide(int64(total)*milli, parts) {
		spans[n] = around(q)
	}
	return spans
}

// witness gives groups with fewer copies than voters the voters that they lack.
func (p *planner) witness() {
	lack := 0
	if len(p.hosts) >= p.shape.Voters {
		lack = max(p.shape.Voters-p.shape.Copies, 0)
	}
	by := make([][]int, len(p.hosts))
	for g := 1; g <= p.shape.Groups; g++ {
		keep := slices.DeleteFunc(p.witnesses[g], func(n int) bool { return slices.Contains(p.copies[g], n) })
		p.witnesses[g] = keep[:min(len(keep), lack)]
		for _, n := range p.witnesses[g] {
			by[n] = append(by[n], g)
		}
	}
	for g := 1; g <= p.shape.Groups; g++ {
		for len(p.witnesses[g]) < lack {
			n := p.onlooker(g, by)
			p.witnesses[g] = append(p.witnesses[g], n)
			by[n] = append(by[n], g)
		}
	}
	if !p.shape.Still {
		p.levelWitnesses(by, lack)
	}
}

// onlooker is the host for one more witness of a group: in a zone with few of it, with
// few witnesses.
func (p *planner) onlooker(g int, by [][]int) int {
	best, worth := -1, [3]int{}
	for n := range p.hosts {
		if p.stands(g, n) {
			continue
		}
		away := 0
		if p.hosts[n].Away {
			away = 1
		}
		if w := [3]int{away, p.votersIn(g, p.zone[n]), len(by[n])}; best < 0 || slices.Compare(w[:], worth[:]) < 0 {
			best, worth = n, w
		}
	}
	return best
}

func (p *planner) stands(g, n int) bool {
	return slices.Contains(p.copies[g], n) || slices.Contains(p.witnesses[g], n)
}

// votersIn counts what a group has in a zone, witnesses included.
func (p *planner) votersIn(g, zone int) int {
	voters := p.inZone(g, zone)
	for _, n := range p.witnesses[g] {
		if p.zone[n] == zone {
			voters++
		}
	}
	return voters
}

// levelWitnesses spreads witnesses evenly where zones allow it.
func (p *planner) levelWitnesses(by [][]int, lack int) {
	load, parts := make([]int, len(p.hosts)), make([]part, len(p.hosts))
	for n := range p.hosts {
		load[n] = len(by[n])
		parts[n] = part{weight: 1, most: int64(p.shape.Groups) * milli}
	}
	want := make([]span, len(p.hosts))
	for n, q := range divide(int64(p.shape.Groups*lack)*milli, parts) {
		want[n] = around(q)
	}
	f := flow{load: load, want: want, step: func(from, to int) int {
		for _, g := range by[from] {
			if !p.stands(g, to) && !p.hosts[to].Away && (p.zone[from] == p.zone[to] || p.votersIn(g, p.zone[to]) < p.votersIn(g, p.zone[from])) {
				return g
			}
		}
		return 0
	}, move: func(g, from, to int) {
		by[from] = slices.DeleteFunc(by[from], func(h int) bool { return h == g })
		by[to] = append(by[to], g)
		p.witnesses[g][slices.Index(p.witnesses[g], from)] = to
	}}
	f.run()
}
