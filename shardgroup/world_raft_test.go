package shardgroup

import (
	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func (m *member) lastTerm() uint64 {
	if len(m.log) == 0 {
		return 0
	}
	return m.log[len(m.log)-1].term
}

func (w *world) elect(m *member) bool {
	votes := 0
	for _, p := range w.nodes[:w.voters()] {
		if !w.reach(m, p) {
			continue
		}
		if mt, pt := m.lastTerm(), p.lastTerm(); mt > pt || mt == pt && len(m.log) >= len(p.log) {
			votes++
		}
	}
	if votes <= w.voters()/2 || int(m.id) > w.voters() {
		return false
	}
	w.term++
	for _, p := range w.nodes {
		if w.reach(m, p) {
			p.term = w.term
			w.depose(p)
		}
	}
	w.lastID++
	m.log = append(m.log, logEntry{term: w.term, id: w.lastID})
	m.lead = &raftLead{ballot: multiraft.Ballot{Term: w.term, Sub: 1}, noop: len(m.log), sealed: map[shardmap.NodeID]multiraft.Incarnation{}}
	w.tracef("elect %d term %d", m.id, w.term)
	return true
}

// depose ends a leader's claim.
func (w *world) depose(m *member) {
	if m.lead == nil {
		return
	}
	b := m.lead.ballot
	m.lead = nil
	if m.lease != nil {
		m.lease.closed = true
		m.lease = nil
	}
	m.n.LeaseClosed(worldGroup, b, "deposed", w.now)
	m.n.Pump(w.now)
}

// replicate copies the leader's log to one follower and commits what a majority holds.
func (w *world) replicate(l, f *member) {
	if !w.reach(l, f) || l == f {
		return
	}
	if f.term > l.lead.ballot.Term {
		w.depose(l)
		return
	}
	f.term = l.lead.ballot.Term
	w.depose(f)
	f.log = append(append([]logEntry{}, f.log[:f.commit]...), l.log[f.commit:]...)
	w.commit(l)
	f.commit = max(f.commit, l.commit)
}

func (w *world) commit(l *member) {
	for i := len(l.log); i > l.commit && l.log[i-1].term == l.lead.ballot.Term; i-- {
		have := 0
		for _, m := range w.nodes[:w.voters()] {
			if len(m.log) >= i && m.log[i-1].id == l.log[i-1].id {
				have++
			}
		}
		if have > w.voters()/2 {
			l.commit = i
			return
		}
	}
}

func (w *world) applyNext(m *member) bool {
	if !m.up || m.applied >= m.commit {
		return false
	}
	e := m.log[m.applied]
	m.applied++
	if e.data != nil {
		before := m.rep().line.epoch()
		m.n.Applied(worldGroup, uint64(m.applied), e.data, w.now)
		if r := m.rep().line.last(); r != nil && r.epoch > before {
			w.opened(m, r)
		}
	}
	m.snap = m.n.StateSnapshot(worldGroup)
	m.n.Pump(w.now)
	return true
}

// seal fences one replica for a leader.
func (w *world) seal(l, f *member) {
	if l.lead == nil || !w.reach(l, f) || l.applied < l.lead.noop && !mutant.Is("seal-before-term-entry") {
		return
	}
	if f.term > l.lead.ballot.Term {
		w.depose(l)
		return
	}
	if f != l {
		f.term = l.lead.ballot.Term
		w.depose(f)
	}
	state := f.n.Seal(worldGroup, l.lead.ballot, multiraft.Member{Node: l.id, Inc: l.proc}, w.now)
	if state == nil {
		return
	}
	l.lead.sealed[f.id] = f.proc
	w.tracef("seal %d by %d", f.id, l.id)
	l.n.Sealed(worldGroup, l.lead.ballot, multiraft.Member{Node: f.id, Inc: f.proc}, f.role, state, w.now)
	l.n.Pump(w.now)
}

func (w *world) openGate(l *member) {
	if l.lead == nil || len(l.lead.sealed) <= w.voters()/2 || l.lead.sealed[l.id] != l.proc {
		return
	}
	l.lead.gate = true
	l.n.GateOpen(worldGroup, l.lead.ballot, w.now)
	l.n.Pump(w.now)
}
