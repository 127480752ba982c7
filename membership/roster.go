package membership

import (
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// membersMax bounds the names that are kept: without a cluster secret anybody can
// invent some.
const membersMax = 4096

// roster makes one hint per node out of what memberlist says of names. A node has
// several names after a restart, of which the old one dies later: what is told is
// the newest start that is alive, else the newest.
type roster struct {
	mu    sync.Mutex // guards the rest
	names map[string]Member
	at    map[string]memberlist.Address // where memberlist meets a name
	told  map[shardmap.NodeID]Member    // what was taken last
	due   map[shardmap.NodeID]struct{}
	wake  chan struct{} // capacity 1: something is due
}

func newRoster() *roster {
	return &roster{
		names: make(map[string]Member), at: make(map[string]memberlist.Address), told: make(map[shardmap.NodeID]Member),
		due: make(map[shardmap.NodeID]struct{}), wake: make(chan struct{}, 1),
	}
}

// room reports whether a name may be taken in. The dead make place for the living.
func (r *roster) room(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.names[name]; known || len(r.names) < membersMax {
		return true
	}
	for n, m := range r.names {
		if m.State.Gone() {
			delete(r.names, n)
			delete(r.told, m.Node)
		}
	}
	return len(r.names) < membersMax
}

// alive takes word that a name is there, where, and what it says of itself.
func (r *roster) alive(m Meta, at memberlist.Address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := memberName(m)
	r.at[name] = at
	for n, old := range r.names {
		if old.Node == m.Node && n != name && old.State.Gone() {
			delete(r.names, n)
		}
	}
	r.names[name] = Member{Meta: m, State: Alive}
	r.changedLocked(m.Node)
}

// said takes what a member that is known says of itself outside memberlist's own
// messages; its goodbye may have come first.
func (r *roster) said(m Meta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.names[memberName(m)]
	if !ok {
		return
	}
	if old.State == Dead && m.Draining {
		old.State = Left
	}
	r.names[memberName(m)] = Member{Meta: m, State: old.State}
	r.changedLocked(m.Node)
}

// gone takes word that a name has gone. memberlist does not say how: who was
// leaving has left, who was not has died.
func (r *roster) gone(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, name)
	m, ok := r.names[name]
	if !ok || m.State.Gone() {
		return
	}
	m.State = Dead
	if m.Draining {
		m.State = Left
	}
	r.names[name] = m
	for n, other := range r.names {
		if other.Node == m.Node && n != name && !other.State.Gone() {
			delete(r.names, name)
		}
	}
	r.changedLocked(m.Node)
}

// repeat makes everything due again.
func (r *roster) repeat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.told)
	for _, m := range r.names {
		r.changedLocked(m.Node)
	}
}

// forget turns everybody into a suspect: a memberlist that knew them has ended, and
// the next one has not met them yet.
func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.at)
	for n, m := range r.names {
		if m.State == Alive {
			m.State = Suspect
			r.names[n] = m
			r.changedLocked(m.Node)
		}
	}
}

// living is where memberlist meets those who are there. Its own list is of no use for
// that: it goes on changing what the list points to.
func (r *roster) living() []memberlist.Address {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.at))
}

// bestLocked is what to tell of a node; the zero Member when nothing is known.
func (r *roster) bestLocked(node shardmap.NodeID) (best Member) {
	for _, m := range r.names {
		if m.Node != node {
			continue
		}
		switch {
		case best.State == 0,
			best.State.Gone() && !m.State.Gone(),
			best.State.Gone() == m.State.Gone() && m.Incarnation > best.Incarnation:
			best = m
		}
	}
	return best
}

func (r *roster) changedLocked(node shardmap.NodeID) {
	if r.bestLocked(node) == r.told[node] {
		delete(r.due, node)
		return
	}
	r.due[node] = struct{}{}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// tell passes what is due on; a hint that take refuses stays due.
func (r *roster) tell(take func(Member) bool) (all bool) {
	r.mu.Lock()
	nodes := make([]shardmap.NodeID, 0, len(r.due))
	for n := range r.due {
		nodes = append(nodes, n)
	}
	r.mu.Unlock()
	for _, n := range nodes {
		r.mu.Lock()
		m := r.bestLocked(n)
		r.mu.Unlock()
		if m.State != 0 && !take(m) {
			return false
		}
		r.mu.Lock()
		if m.State == 0 {
			delete(r.told, n)
		} else {
			r.told[n] = m
		}
		r.changedLocked(n)
		r.mu.Unlock()
	}
	return true
}

// here reports whether a node is alive as far as is known.
func (r *roster) here(node shardmap.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bestLocked(node).State == Alive
}
