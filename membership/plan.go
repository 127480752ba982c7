package membership

import (
	"cmp"
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Host is a node as placement sees it.
type Host struct {
	Node   shardmap.NodeID
	Weight int64  // its memory for data, in bytes: the share of copies goes by it
	Zone   string // "" = a zone of its own
	Leases bool   // it may be preferred for leases
	Away   bool   // it is missed: it keeps what it has, and gets more only where no other can
}

// Places is where one group stands.
type Places struct {
	Copies    []shardmap.NodeID // the preferred leaseholder first
	Witnesses []shardmap.NodeID // vote without a copy
	// Former may have a copy still, of a move under way: going back is cheap. Input only.
	Former []shardmap.NodeID
}

// Shape is what every group should have.
type Shape struct {
	Groups int // groups 1..Groups
	Copies int // as far as there are hosts
	Voters int // witnesses make up for missing copies, as soon as there are so many hosts
	// Still keeps every copy and witness on a host that may have it where it is, however uneven
	// the load or the zones: only what is missing is added.
	Still bool
}

// Plan says where groups should stand, as a pure function of where they stand now, the
// hosts and the ring; index 0 is unused. It moves as little as makes the load even:
// every host has its share of copies by weight, rounded up or down, copies of a group
// stand in distinct zones as far as there are zones, and the preference for leases is
// spread like the copies. Planning what was planned changes nothing. A plan that is to be
// still only adds what is missing.
//
// A plan from the ring alone would need no present placement; it was refused because
// bounded load makes every node's arrival push copies around between all the others.
func (r *Ring) Plan(hosts []Host, shape Shape, present []Places) []Places {
	out := make([]Places, shape.Groups+1)
	if len(hosts) == 0 {
		return out
	}
	p := newPlanner(r, hosts, shape)
	p.takeOver(present)
	p.fill()
	if !shape.Still {
		p.spread()
		p.level()
	}
	p.prefer()
	p.witness()
	for g := 1; g <= shape.Groups; g++ {
		out[g] = Places{Copies: p.names(p.copies[g]), Witnesses: p.names(p.witnesses[g])}
	}
	return out
}

// planner is a plan in the making. Hosts are named by their index, in order of id.
type planner struct {
	ring   *Ring
	hosts  []Host
	index  map[shardmap.NodeID]int
	shape  Shape
	zone   []int // by host
	zones  []span
	quota  []span // copies, by host
	copies [][]int
	former [][]int
	on     [][]int // groups with a copy, by host

	witnesses [][]int
}

func newPlanner(r *Ring, hosts []Host, shape Shape) *planner {
	p := &planner{ring: r, hosts: slices.Clone(hosts), index: make(map[shardmap.NodeID]int), shape: shape}
	slices.SortFunc(p.hosts, func(a, b Host) int { return cmp.Compare(a.Node, b.Node) })
	for i, h := range p.hosts {
		p.index[h.Node] = i
	}
	p.shape.Copies = min(shape.Copies, len(hosts))
	p.copies, p.former, p.witnesses = make([][]int, shape.Groups+1), make([][]int, shape.Groups+1), make([][]int, shape.Groups+1)
	p.on = make([][]int, len(hosts))
	p.findZones()
	p.share()
	return p
}

// findZones says which zone each host is in and how many copies of a group a zone
// should have.
func (p *planner) findZones() {
	byName := make(map[string]int)
	sizes := []int{}
	for _, h := range p.hosts {
		z, known := byName[h.Zone]
		if !known || h.Zone == "" {
			z = len(sizes)
			sizes = append(sizes, 0)
			byName[h.Zone] = z
		}
		sizes[z]++
		p.zone = append(p.zone, z)
	}
	each, fits := 0, 0
	for fits < p.shape.Copies {
		each, fits = each+1, 0
		for _, k := range sizes {
			fits += min(k, each)
		}
	}
	for _, k := range sizes {
		p.zones = append(p.zones, span{min(k, each-1), min(k, each)})
	}
}

// share divides all copies among zones, and those of a zone among its hosts.
func (p *planner) share() {
	weights := make([]int64, len(p.hosts))
	for i, h := range p.hosts {
		weights[i] = h.Weight
	}
	weights = scaled(weights)
	groups := int64(p.shape.Groups) * milli
	parts := make([]part, len(p.zones))
	for z, s := range p.zones {
		parts[z] = part{least: groups * int64(s.least), most: groups * int64(s.most)}
	}
	for i, w := range weights {
		parts[p.zone[i]].weight += w
	}
	p.quota = make([]span, len(p.hosts))
	for z, total := range divide(groups*int64(p.shape.Copies), parts) {
		var in []int
		var inZone []part
		for i, w := range weights {
			if p.zone[i] == z {
				in, inZone = append(in, i), append(inZone, part{weight: w, most: groups})
			}
		}
		for i, q := range divide(total, inZone) {
			p.quota[in[i]] = around(q)
		}
	}
}

// takeOver begins with what there is, on the hosts that there are.
func (p *planner) takeOver(present []Places) {
	for g := 1; g <= p.shape.Groups && g < len(present); g++ {
		p.former[g] = p.known(present[g].Former)
		p.witnesses[g] = p.known(present[g].Witnesses)
		for _, n := range p.known(present[g].Copies) {
			p.add(g, n)
		}
		for len(p.copies[g]) > p.shape.Copies {
			p.drop(g, p.surplus(g))
		}
	}
}

func (p *planner) known(ids []shardmap.NodeID) (hosts []int) {
	for _, id := range ids {
		if i, ok := p.index[id]; ok && !slices.Contains(hosts, i) {
			hosts = append(hosts, i)
		}
	}
	return hosts
}

func (p *planner) names(hosts []int) (ids []shardmap.NodeID) {
	for _, i := range hosts {
		ids = append(ids, p.hosts[i].Node)
	}
	return ids
}

func (p *planner) add(g, n int) {
	p.copies[g] = append(p.copies[g], n)
	p.on[n] = append(p.on[n], g)
}

func (p *planner) drop(g, n int) {
	p.copies[g] = slices.DeleteFunc(p.copies[g], func(m int) bool { return m == n })
	p.on[n] = slices.DeleteFunc(p.on[n], func(h int) bool { return h == g })
}

// surplus is the copy of a group that is needed least: of the fullest zone, on the
// fullest host.
func (p *planner) surplus(g int) int {
	return slices.MaxFunc(p.copies[g], func(a, b int) int {
		return cmp.Or(
			cmp.Compare(p.inZone(g, p.zone[a]), p.inZone(g, p.zone[b])),
			cmp.Compare(len(p.on[a])-p.quota[a].most, len(p.on[b])-p.quota[b].most),
			cmp.Compare(a, b))
	})
}

// inZone counts the copies of a group in a zone.
func (p *planner) inZone(g, zone int) (copies int) {
	for _, n := range p.copies[g] {
		if p.zone[n] == zone {
			copies++
		}
	}
	return copies
}

// fill gives every group the copies that it lacks.
func (p *planner) fill() {
	for g := 1; g <= p.shape.Groups; g++ {
		for len(p.copies[g]) < p.shape.Copies {
			p.add(g, p.pick(g))
		}
	}
}

// pick is the host for one more copy of a group: one that has had it, else the first
// on the ring that is not full, else the one that is least too full.
func (p *planner) pick(g int) int {
	open := p.openZones(g)
	takes := func(n int) bool {
		return open(p.zone[n]) && !slices.Contains(p.copies[g], n) && !p.hosts[n].Away
	}
	for _, n := range p.former[g] {
		if takes(n) && len(p.on[n]) < p.quota[n].most {
			return n
		}
	}
	found := -1
	p.ring.Walk(shardmap.GroupID(g), func(id shardmap.NodeID) bool {
		if n, ok := p.index[id]; ok && len(p.on[n]) < p.quota[n].most && takes(n) {
			found = n
		}
		return found >= 0
	})
	if found >= 0 {
		return found
	}
	leastFull := func(takes func(int) bool) int {
		found := -1
		for n := range p.hosts {
			if takes(n) && (found < 0 || len(p.on[n])-p.quota[n].most < len(p.on[found])-p.quota[found].most) {
				found = n
			}
		}
		return found
	}
	if found = leastFull(takes); found >= 0 {
		return found
	}
	return leastFull(func(n int) bool { return open(p.zone[n]) && !slices.Contains(p.copies[g], n) })
}

// openZones tells the zones that may have one more copy of a group: those that lack
// one, if any do.
func (p *planner) openZones(g int) func(zone int) bool {
	for z, s := range p.zones {
		if s.least == 0 {
			continue
		}
		if p.inZone(g, z) < s.least {
			return func(zone int) bool { return p.inZone(g, zone) < p.zones[zone].least }
		}
	}
	return func(zone int) bool { return p.inZone(g, zone) < p.zones[zone].most }
}

// spread moves copies out of zones that have too many of a group.
func (p *planner) spread() {
	for g := 1; g <= p.shape.Groups; g++ {
		for {
			from := p.crowded(g)
			if from < 0 {
				break
			}
			p.drop(g, from)
			p.add(g, p.pick(g))
		}
	}
}

// crowded is a copy that should be in another zone, -1 when all are well.
func (p *planner) crowded(g int) int {
	n := p.surplus(g)
	here := p.inZone(g, p.zone[n])
	if here > p.zones[p.zone[n]].most {
		return n
	}
	if here == p.zones[p.zone[n]].least {
		return -1
	}
	for z, s := range p.zones {
		if s.least > 0 && p.inZone(g, z) < s.least {
			return n
		}
	}
	return -1
}

// level makes the load even.
func (p *planner) level() {
	load := make([]int, len(p.hosts))
	for n := range p.hosts {
		load[n] = len(p.on[n])
	}
	f := flow{load: load, want: p.quota, step: p.nearest, move: p.move}
	f.run()
}

// looksMax bounds the groups that are compared for one move: with thousands on a host
// the choice is good long before all have been looked at.
const looksMax = 256

// nearest is the group whose copy goes best from one host to another: one that the
// other has had, rather one whose lease is preferred elsewhere, rather one that the
// ring would have brought there. 0 when none can go.
func (p *planner) nearest(from, to int) int {
	if p.hosts[to].Away {
		return 0
	}
	best, worth, seen := 0, [3]uint64{}, 0
	for _, g := range p.on[from] {
		if seen == looksMax {
			break
		}
		if slices.Contains(p.copies[g], to) || !p.mayCross(g, p.zone[from], p.zone[to]) {
			continue
		}
		seen++
		w := [3]uint64{1, 0, 0}
		if slices.Contains(p.former[g], to) {
			w[0] = 0
		}
		if p.copies[g][0] == from {
			w[1] = 1
		}
		if best != 0 && (w[0] > worth[0] || w[0] == worth[0] && w[1] > worth[1]) {
			continue
		}
		w[2] = p.ring.distance(shardmap.GroupID(g), p.hosts[to].Node)
		if best == 0 || slices.Compare(w[:], worth[:]) < 0 || w == worth && g < best {
			best, worth = g, w
		}
	}
	return best
}

// mayCross reports whether a copy of a group may go from one zone to another.
func (p *planner) mayCross(g, from, to int) bool {
	return from == to || p.inZone(g, to) < p.zones[to].most && p.inZone(g, from) > p.zones[from].least
}

// move puts the newcomer last: it has nothing yet.
func (p *planner) move(g, from, to int) {
	p.drop(g, from)
	p.add(g, to)
}
