package node

import (
	"sync"
	"sync/atomic"
)

// A lease that is handed over in peace must not end under commands that were admitted
// before: their replies are checked against it, so a read would be made again elsewhere and
// a write would have an unknown outcome, which closes its connection and, behind a gateway,
// those of all clients whose commands travel beside it. So a move lets no more commands
// in, and waits for the stints that were under way then. To count operations at each group
// was the other way: all connections would write to the same few counters.

// stint says whether a connection has run commands whose replies were not checked yet: odd
// while it has. Its connection alone changes it.
type stint struct{ n atomic.Uint64 }

func (t *stint) begin() {
	if t.n.Load()%2 == 0 {
		t.n.Add(1)
	}
}

func (t *stint) end() {
	if t.n.Load()%2 == 1 {
		t.n.Add(1)
	}
}

// stints are those of all connections.
type stints struct {
	mu  sync.Mutex
	all map[*stint]struct{}
}

func (ts *stints) join(t *stint) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.all == nil {
		ts.all = make(map[*stint]struct{})
	}
	ts.all[t] = struct{}{}
}

func (ts *stints) leave(t *stint) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.end()
	delete(ts.all, t)
}

// underWay notes the stints that are under way; the function tells whether all of them
// are over.
func (ts *stints) underWay() (over func() bool) {
	type seen struct {
		t *stint
		n uint64
	}
	var open []seen
	ts.mu.Lock()
	for t := range ts.all {
		if n := t.n.Load(); n%2 == 1 {
			open = append(open, seen{t, n})
		}
	}
	ts.mu.Unlock()
	return func() bool {
		for len(open) > 0 && open[0].t.n.Load() != open[0].n {
			open = open[1:]
		}
		return len(open) == 0
	}
}
