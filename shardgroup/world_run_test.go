package shardgroup

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// run lets everything that can move, move, for a while: raft, seals, wires, ticks.
func (w *world) run(d time.Duration) {
	for end := w.now.Mono + d; w.now.Mono < end; {
		w.pass(5 * time.Millisecond)
		w.round()
	}
}

func (w *world) round() {
	for _, l := range w.nodes {
		if l.up && l.lead != nil {
			w.lead(l)
		}
	}
	for _, a := range w.nodes {
		if a.up {
			a.n.Tick(w.now)
			for w.applyNext(a) {
			}
		}
	}
	for range 3 {
		for _, a := range w.nodes {
			for _, b := range w.nodes {
				w.send(a, b)
				w.deliver(a, b)
			}
		}
	}
	w.check()
}

func (w *world) lead(l *member) {
	for _, f := range w.nodes {
		if l.lead != nil {
			w.replicate(l, f)
		}
	}
	if l.lead != nil {
		w.commit(l)
	}
	for w.applyNext(l) {
	}
	for _, f := range w.nodes {
		if l.lead != nil && w.reach(l, f) && l.lead.sealed[f.id] != f.proc {
			w.seal(l, f)
		}
	}
	if l.lead != nil && !l.lead.gate {
		w.openGate(l)
	}
}

func (w *world) settle(what string, done func() bool) {
	w.t.Helper()
	for range 4000 {
		if done() || w.fail != "" {
			break
		}
		w.pass(5 * time.Millisecond)
		w.round()
	}
	if w.fail != "" {
		w.t.Fatal(w.fail)
	}
	if !done() {
		w.t.Fatalf("never: %s\n%s", what, w.describe())
	}
}

func (w *world) holder() *member {
	for _, m := range w.nodes {
		if m.up && m.lead != nil && m.lead.ballot.Term == w.term && m.rep().leads.Load() && m.lease != nil && m.lease.valid {
			return m
		}
	}
	return nil
}

// hush stops data and acks between two nodes without cutting anything else.
func (w *world) hush(a, b int, on bool) {
	if w.mute == nil {
		w.mute = map[[2]shardmap.NodeID]bool{}
	}
	w.mute[[2]shardmap.NodeID{shardmap.NodeID(a), shardmap.NodeID(b)}] = on
	w.mute[[2]shardmap.NodeID{shardmap.NodeID(b), shardmap.NodeID(a)}] = on
}

// serve elects a node and waits until it serves.
func (w *world) serve(id int) *member {
	w.t.Helper()
	m := w.nodes[id-1]
	if !w.elect(m) {
		w.t.Fatalf("node %d is not elected", id)
	}
	w.settle(fmt.Sprintf("node %d serves", id), func() bool { return w.holder() == m })
	return m
}

// synced waits until every copy of the given nodes is whole and at the holder's head.
func (w *world) synced(ids ...int) {
	w.t.Helper()
	w.settle(fmt.Sprintf("nodes %v are in step", ids), func() bool {
		h := w.holder()
		if h == nil {
			return false
		}
		for _, id := range ids {
			m := w.nodes[id-1]
			for i, s := range m.rep().shards {
				if !m.up || !s.whole || s.m.Position() != h.rep().shards[i].m.Position() {
					return false
				}
			}
		}
		return true
	})
}

func (w *world) set(m *member, s int, key, value string) (Admission, error) {
	c := &statemachine.Command{Kind: statemachine.Set, Key: []byte(key), Value: []byte(value)}
	return w.do(m, s, c, Async)
}

func (w *world) must(m *member, s int, key, value string) shardmap.Version {
	w.t.Helper()
	a, err := w.set(m, s, key, value)
	if err != nil {
		w.t.Fatalf("set %s: %v", key, err)
	}
	return a.Version
}

func (w *world) get(m *member, s int, key string) string {
	v, ok, _, err := m.rep().Get(shardmap.ShardID(s), []byte(key), nil, false, w.now)
	if err != nil {
		return err.Error()
	}
	if !ok {
		return "-"
	}
	return string(v.Data)
}

func (w *world) bad(f string, a ...any) {
	if w.fail == "" {
		w.fail = fmt.Sprintf(f, a...)
	}
}

func (w *world) tracef(f string, a ...any) {
	if w.trace {
		fmt.Printf("  %v "+f+"\n", append([]any{w.now.Mono}, a...)...)
	}
}

func (w *world) describe() string {
	var b strings.Builder
	for _, m := range w.nodes {
		fmt.Fprintf(&b, "[%d up=%v inc=%d term=%d", m.id, m.up, m.inc.Counter, m.term)
		if m.up {
			r := m.rep()
			fmt.Fprintf(&b, " prom=%v phase=%v rows=%d seats=%v", r.promised, r.phase(), len(r.line.rows), r.line.seats)
			for _, s := range r.shards {
				fmt.Fprintf(&b, " %v/%v", s.m.Position(), s.whole)
				for _, f := range s.followers {
					fmt.Fprintf(&b, "(%d mode=%d acked=%v whole=%v)", f.lane.peer, f.mode, f.acked, f.whole)
				}
			}
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// dump is the contents of a shard copy as text: the oracle's form of a state.
func dump(s *shard) string {
	var list []string
	s.m.EachKey(func(k, v []byte, ver shardmap.Version, deadline int64) {
		list = append(list, fmt.Sprintf("%s=%s@%v/%d", k, v, ver, deadline))
	})
	sort.Strings(list)
	return strings.Join(list, " ")
}
