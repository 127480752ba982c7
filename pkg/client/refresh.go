package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// refresher asks for the map, one round at a time however many callers want one.
type refresher struct {
	wake chan struct{} // one token: a round is wanted

	mu     sync.Mutex    // guards everything below
	round  chan struct{} // closed when the round that runs, or comes next, is over
	err    error         // of the last round
	same   int           // rounds in a row that brought nothing new
	urgent bool          // a MOVED came since the last round began: the map did change
	over   bool          // the client is closed: round stays closed
}

func (r *refresher) init() {
	r.wake = make(chan struct{}, 1)
	r.round = make(chan struct{})
}

// wantMap asks for a refresh soon; urgent when a MOVED proved the map old.
func (c *Client) wantMap(urgent bool) {
	if urgent {
		c.refresh.mu.Lock()
		c.refresh.urgent = true
		c.refresh.mu.Unlock()
	}
	c.start(func(context.Context) {}) // the loops run from the first need on
	select {
	case c.refresh.wake <- struct{}{}:
	default:
	}
}

// awaitMap waits for the end of a round and answers its error when there is still no map.
func (c *Client) awaitMap(w *patience) error {
	c.refresh.mu.Lock()
	round := c.refresh.round
	c.refresh.mu.Unlock()
	c.wantMap(false)
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if c.view.Load() != nil {
		return nil
	}
	if err := w.wait(round); err != nil {
		return err
	}
	if c.view.Load() != nil {
		return nil
	}
	c.refresh.mu.Lock()
	defer c.refresh.mu.Unlock()
	return c.refresh.err
}

// refreshLoop is the goroutine that runs the rounds.
func (c *Client) refreshLoop() {
	defer c.endRound(ErrClosed, false)
	for {
		periodic := time.NewTimer(c.cfg.RefreshEvery/2 + time.Duration(c.random()*float64(c.cfg.RefreshEvery)))
		select {
		case <-c.ctx.Done():
		case <-c.refresh.wake:
		case <-periodic.C:
		}
		periodic.Stop()
		if c.ctx.Err() != nil {
			return
		}
		changed, err := c.refreshOnce(c.ctx)
		if changed && c.losses != nil {
			c.judgeNewest()
		}
		pause := time.NewTimer(c.endRound(err, changed))
		select {
		case <-c.ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// endRound tells who waits that the round is over and gives the pause before the next.
func (c *Client) endRound(err error, changed bool) time.Duration {
	r := &c.refresh
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if r.same++; changed || r.urgent {
		r.same = 0
	}
	r.urgent = false
	if r.over {
		return 0
	}
	close(r.round)
	if r.over = c.ctx.Err() != nil; !r.over {
		r.round = make(chan struct{})
	}
	return refreshPause(r.same, c.random())
}

// hedgeAfter is how long a node may think about the map before the next one is
// asked as well.
const hedgeAfter = 100 * time.Millisecond

// refreshOnce asks nodes in random order, the next whenever one failed or is slow,
// until one answers. It reports whether the map changed.
func (c *Client) refreshOnce(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.cfg.DialTimeout)
	defer cancel()
	type result struct {
		f   fetched
		err error
	}
	addrs := c.candidates()
	results := make(chan result, len(addrs))
	asked, failed := 0, 0
	var errs []error
	ask := func() {
		if asked < len(addrs) {
			addr := addrs[asked]
			asked++
			moves := c.knownMoves()
			if !c.start(func(context.Context) {
				f, err := c.fetch(ctx, addr)
				f.moves = moves
				results <- result{f, err}
			}) {
				results <- result{err: ErrClosed}
			}
		}
	}
	ask()
	hedge := time.NewTicker(hedgeAfter)
	defer hedge.Stop()
	for failed < len(addrs) {
		select {
		case r := <-results:
			if r.err == nil {
				return c.merge(r.f), nil
			}
			errs = append(errs, r.err)
			failed++
			ask()
		case <-hedge.C:
			ask()
		case <-ctx.Done():
			return false, orElse(errors.Join(errs...), ctx.Err())
		}
	}
	return false, &manyErrors{"no node gave a map", errs}
}

// manyErrors is one error per node asked, in one line.
type manyErrors struct {
	what string
	errs []error
}

func (m *manyErrors) Unwrap() []error { return m.errs }

func (m *manyErrors) Error() string {
	lines := make([]string, len(m.errs))
	for i, e := range m.errs {
		lines[i] = e.Error()
	}
	return m.what + ": " + strings.Join(lines, "; ")
}

// candidates are the addresses to ask: those of the map, shuffled, also of nodes that lead
// nothing, the silent ones last, then the seeds. A node that is cut off from the others answers with the map
// that it had: where it led everything, and only leaders were asked, it was asked again and again
// until the cut healed. Where a map names leaders only, as CLUSTER SLOTS does, seeds come first in
// every other round that follows one without news.
func (c *Client) candidates() []string {
	var addrs, silent, seeds []string
	if v := c.view.Load(); v != nil {
		for _, i := range rand.Perm(len(v.copies)) {
			if n := v.copies[i]; n.silent() {
				silent = append(silent, n.addr)
			} else {
				addrs = append(addrs, n.addr)
			}
		}
	}
	addrs = append(addrs, silent...)
	for _, i := range rand.Perm(len(c.cfg.Seeds)) {
		if s := c.cfg.Seeds[i]; !slices.Contains(addrs, s) && !slices.Contains(seeds, s) {
			seeds = append(seeds, s)
		}
	}
	if c.refresh.doubts() {
		return append(seeds, addrs...)
	}
	return append(addrs, seeds...)
}

// doubts says that rounds brought nothing new, every other time.
func (r *refresher) doubts() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.same > 0 && r.same%2 == 0
}

func (c *Client) knownMoves() int {
	if v := c.view.Load(); v != nil {
		return len(v.table.moves)
	}
	return 0
}

// fetch asks one node. Where it takes two questions the epoch is asked for first, so that it never claims
// more than the map that follows holds.
func (c *Client) fetch(ctx context.Context, addr string) (fetched, error) {
	n, err := c.node(addr)
	if err != nil {
		return fetched{}, err
	}
	var w patience
	w.begin(ctx, c.cfg.Timeout)
	defer w.end()
	if f, ok, err := n.fetchOwn(&w); ok || err != nil {
		return f, err
	}
	info, err := n.roundTrip(&w, &command{op: opControl, words: []string{"CLUSTER", "INFO"}}, 0)
	if err != nil {
		return fetched{}, err
	}
	slots, err := n.roundTrip(&w, &command{op: opControl, words: []string{"CLUSTER", "SLOTS"}}, 0)
	if err != nil {
		return fetched{}, err
	}
	if e := errorOf(slots.Reply); e != nil {
		if standalone(e) {
			return single(addr), nil
		}
		return fetched{}, fmt.Errorf("%s: %w", addr, &unsentError{e})
	}
	spans, ok := parseSlots(slots.Reply, addr)
	if !ok {
		return fetched{}, fmt.Errorf("%s: answer to CLUSTER SLOTS is not understood", addr)
	}
	return fetched{spans: spans, epoch: parseEpoch(info.Text), from: addr}, nil
}

// fetchOwn asks with AEGIS.MAP: epoch and map from one moment, in one answer a tenth the
// size of CLUSTER SLOTS. A node that does not know it is not asked so again.
func (n *node) fetchOwn(w *patience) (f fetched, ok bool, err error) {
	if n.foreign.Load() {
		return fetched{}, false, nil
	}
	a, err := n.roundTrip(w, &command{op: opControl, words: []string{"AEGIS.MAP"}}, 0)
	if err != nil {
		return fetched{}, false, err
	}
	if f, ok = parseMap(a.Reply, n.addr); !ok {
		e := errorOf(a.Reply)
		n.foreign.Store(e == nil || errors.Is(e, ErrUnsupported))
	}
	return f, ok, nil
}

// standalone says that a server without cluster mode answered: all slots are its own.
func standalone(e *ServerError) bool {
	return e.Code == "ERR" && (strings.Contains(e.Text, "cluster support disabled") || strings.Contains(e.Text, "unknown command"))
}

// merge takes an answer into the map and reports whether that changed a slot.
func (c *Client) merge(f fetched) bool {
	c.mu.Lock()
	var old *table
	if v := c.view.Load(); v != nil {
		old = v.table
	}
	t, taken := old.merge(f)
	c.showLocked(t)
	c.mu.Unlock()
	changed := taken && (old == nil || !t.same(old))
	if changed {
		c.counts.maps.Add(1)
		c.tellMap(t)
	}
	return changed
}
