package metrics

import (
	"cmp"
	"slices"
	"sync"
)

// Probe counts the visits of one rare place of the code.
type Probe struct {
	name  string
	count Counter
}

// probes is every Probe of the process, by name. It is written while packages
// initialise and read by reports, never on a hot path.
var probes struct {
	sync.Mutex
	byName map[string]*Probe
}

// NewProbe registers a place under a name like "lease.expired.mid_write". It is
// meant for package variables; asking for a name again gives the same Probe.
func NewProbe(name string) *Probe {
	probes.Lock()
	defer probes.Unlock()
	if p := probes.byName[name]; p != nil {
		return p
	}
	if probes.byName == nil {
		probes.byName = make(map[string]*Probe)
	}
	p := &Probe{name: name}
	probes.byName[name] = p
	return p
}

// Hit counts one visit.
func (p *Probe) Hit() { p.count.Inc() }

// Name is the name the place was registered under.
func (p *Probe) Name() string { return p.name }

// Count is the number of visits so far.
func (p *Probe) Count() uint64 { return p.count.Value() }

// Visits is one line of the report about rare places.
type Visits struct {
	Name  string
	Count uint64
}

// Probes lists every registered place with its visits, sorted by name.
func Probes() []Visits {
	probes.Lock()
	defer probes.Unlock()
	all := make([]Visits, 0, len(probes.byName))
	for name, p := range probes.byName {
		all = append(all, Visits{name, p.Count()})
	}
	slices.SortFunc(all, func(a, b Visits) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
