package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// declareGone has operators say at a node that others are gone for good, and waits for
// the answer.
func (s *stage) declareGone(at role, accept bool, gone []role) (a node.Answer) {
	q := struct {
		Gone   []shardmap.NodeID `json:"gone"`
		Accept bool              `json:"accept"`
	}{Accept: accept}
	for _, r := range gone {
		q.Gone = append(q.Gone, s.cast[r].id)
	}
	body, err := json.Marshal(q)
	if err != nil {
		panic(err)
	}
	p, answered := s.cast[at], false
	p.core.Ask(p.id, "recover", body, p.clock(), func(got node.Answer) { a, answered = got, true })
	p.flush()
	s.must(s.proceed(10*sec, func() bool { return answered }), "P13", "no answer to a recovery at %v", at)
	s.note("... %s %s", a.Body, a.Err)
	return a
}

// recover goes on without nodes.
func (verbs) recover(at role, gone ...role) Step {
	return Step{fmt.Sprint("aegis recover at ", at, ": ", gone, " are gone for good"), func(s *stage) {
		a := s.declareGone(at, true, gone)
		s.must(a.Err == "", "P13", "the recovery is refused: %s", a.Err)
	}}
}

// recoverUntil says it, and lets things happen until the answer comes. Whatever that is,
// it must come.
func (verbs) recoverUntil(at role, what string, until func(s *stage) bool, gone ...role) Step {
	return Step{fmt.Sprint("aegis recover at ", at, ": ", gone, " are gone for good; ", what), func(s *stage) {
		var ids []shardmap.NodeID
		for _, r := range gone {
			ids = append(ids, s.cast[r].id)
		}
		given, happened := s.says(s.cast[at], ids), false
		s.must(s.proceed(15*sec, func() bool {
			happened = happened || until(s)
			return given()
		}), "P13", "no answer to a recovery at %v", at)
		s.must(s.proceed(sec, func() bool { return happened || until(s) }), "script", "never: %s", what)
	}}
}

// says puts operators' word to a node, and does not wait.
func (s *stage) says(p *process, gone []shardmap.NodeID) (given func() bool) {
	body, err := json.Marshal(struct {
		Gone   []shardmap.NodeID `json:"gone"`
		Accept bool              `json:"accept"`
	}{gone, true})
	if err != nil {
		panic(err)
	}
	answered := false
	p.core.Ask(p.id, "recover", body, p.clock(), func(got node.Answer) {
		s.note("... at node %d: %s %s", p.id, got.Body, got.Err)
		answered = true
	})
	p.flush()
	return func() bool { return answered }
}

// slowDisk lets each write of a node's raft.db take up to so much longer.
func (verbs) slowDisk(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("the disk of %v takes up to %v for a write", r, d), func(s *stage) { s.cast[r].drive.stall = d }}
}

// twoSurvivors casts five nodes of which C votes in the group and E has no replica of it.
// Who leads group 0 has a low id, and of two that know as much the lower one goes on with it.
func (verbs) twoSurvivors(lower, higher role) Step {
	return Step{fmt.Sprint("A, B and C vote, and ", lower, " has a lower id than ", higher), func(s *stage) {
		do.member(nodeB).do(s)
		if s.cast[lower].id > s.cast[higher].id {
			s.cast[lower], s.cast[higher] = s.cast[higher], s.cast[lower]
		}
	}}
}

// noRecovery wants a recovery refused, with a reason, and nothing changed by it.
func (verbs) noRecovery(at role, reason string, gone ...role) Step {
	return Step{fmt.Sprint("aegis recover at ", at, " of ", gone, " is refused: ", reason), func(s *stage) {
		a := s.declareGone(at, true, gone)
		s.must(strings.Contains(a.Err, reason), "recover", "a recovery is not refused with %q: %q", reason, a.Err)
	}}
}

// wouldRecover asks what a recovery would do, which does nothing.
func (verbs) wouldRecover(at role, gone ...role) Step {
	return Step{fmt.Sprint("what would aegis recover do at ", at, " without ", gone), func(s *stage) {
		a := s.declareGone(at, false, gone)
		s.must(a.Err == "", "P13", "refused: %s", a.Err)
		s.proceed(3*sec, nil)
		s.must(s.serving() == nil, "recover", "a dry run has let a node serve")
	}}
}

// unwanted wants a node that comes back to be told that it was declared gone.
func (verbs) unwanted(r role) Step {
	return Step{fmt.Sprint(r, " comes back and is refused"), func(s *stage) {
		p := s.cast[r]
		p.gone = false
		p.start()
		s.proceed(5*sec, nil)
		if p.up {
			s.broke("recover", "%v, which was declared gone, runs again", r)
		}
	}}
}

// unheard lets the time pass for which nobody may have heard a node that is gone.
func (verbs) unheard() Step { return do.sleep(12 * time.Second) }

// ifUnserved says it again where the first word was lost with the process.
func (verbs) ifUnserved(at role, gone ...role) Step {
	return Step{fmt.Sprint("aegis recover at ", at, " again, if nobody serves"), func(s *stage) {
		if s.serving() == nil {
			a := s.declareGone(at, true, gone)
			s.must(a.Err == "", "P13", "the recovery is refused: %s", a.Err)
		}
	}}
}

// member calls a node r, other than A, that has a vote in the group, and C another one.
func (verbs) member(r role) Step {
	return Step{fmt.Sprint("A and ", r, " are two of the three voters"), func(s *stage) {
		st, _ := s.serving().core.Raft().Group(theGroup)
		next := int(r)
		for i := next; i < len(s.cast); i++ {
			for _, v := range st.Config.Voters {
				if v.Node == s.cast[i].id {
					s.cast[i], s.cast[next] = s.cast[next], s.cast[i]
					next++
					break
				}
			}
		}
		s.must(next == int(r)+2, "script", "the voters are %v", st.Config)
	}}
}

// witness calls a node r that votes in the group and has no copy.
func (verbs) witness(r role) Step {
	return Step{fmt.Sprint(r, " is a witness"), func(s *stage) {
		st, _ := s.serving().core.Raft().Group(theGroup)
		for i, p := range s.cast {
			if d, _ := st.Config.On(p.id); d.Role == multiraft.RoleWitness {
				s.cast[i], s.cast[r] = s.cast[r], s.cast[i]
				return
			}
		}
		s.must(false, "script", "the voters are %v", st.Config)
	}}
}
