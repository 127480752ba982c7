package client

import "time"

// HedgePolicy sends a read a second time when its answer is late, on another connection
// and to whoever the map names by then, and takes the answer that comes first. It helps
// against a connection that stands still (a lost packet, a large answer in front); a
// node that is slow as a whole answers the second one no sooner.
type HedgePolicy struct {
	// After is how late an answer must be: about the 95th percentile of the usual time.
	// 0 switches hedging off. Shorter sends more reads twice, up to MaxExtra.
	After time.Duration
	// MaxExtra bounds the second sendings: a part of all calls; 0.05 unless set.
	MaxExtra float64
}

// defaultMaxExtra is one read in twenty.
const defaultMaxExtra = 0.05

// mayHedge counts a second sending when there is room for one more.
func (c *Client) mayHedge() bool {
	limit := uint64(c.cfg.Hedge.MaxExtra * float64(c.calls.Load()))
	n := c.counts.hedged.Load()
	return n < limit && c.counts.hedged.CompareAndSwap(n, n+1)
}

// hedged is roundTrip with a second sending of a read whose answer is late.
func (c *Client) hedged(w *patience, cmd *command, slot int, n *node) (answer, error) {
	first, k, err := n.begin(w, cmd, slot)
	if err != nil {
		return answer{}, err
	}
	if w.waitFor(k.done, c.cfg.Hedge.After) || !c.mayHedge() {
		return first.await(w, k, cmd)
	}
	second, k2 := c.beginAgain(cmd, slot)
	if k2 == nil {
		c.counts.hedged.Add(^uint64(0)) // nothing was sent
		return first.await(w, k, cmd)
	}
	won, err := w.either(k.done, k2.done)
	switch {
	case err != nil:
		k.release()
		k2.release()
		return answer{}, &brokenError{err}
	case won == 1 && k.err == nil:
		k2.release()
		return first.await(w, given(k), cmd)
	case won == 1:
		k.release()
		return second.await(w, k2, cmd)
	case k2.err == nil:
		c.counts.hedgeWins.Add(1)
		k.release()
		return second.await(w, given(k2), cmd)
	}
	k2.release()
	return first.await(w, k, cmd)
}

// given puts back the token of a call that is done, for await to take.
func given(k *call) *call {
	k.done <- struct{}{}
	return k
}

// beginAgain sends a read on another connection that stands, without waiting for
// anything; nil when there is none.
func (c *Client) beginAgain(cmd *command, slot int) (*conn, *call) {
	v := c.view.Load()
	at := v.table.slots[slot]
	if at == noNode {
		return nil, nil
	}
	k := v.nodes[at].line(slot+1, cmd.lane).live.Load()
	if k == nil {
		return nil, nil
	}
	again, _, err := k.send(cmd)
	if err != nil {
		return nil, nil
	}
	return k, again
}
