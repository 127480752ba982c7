package client

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Stats is what a client did since it was made, and how it stands.
type Stats struct {
	Calls     uint64 // operations begun; one on many keys counts as one per key
	InFlight  uint64 // of them, those that are not over
	Retries   uint64 // attempts beyond the first, redirects excluded
	Redirects uint64 // MOVED and ASK followed
	Pauses    uint64 // of the retries, those that found the retry budget empty
	Maps      uint64 // maps that changed something
	Hedged    uint64 // reads sent twice
	HedgeWins uint64 // of them, those that the second answered
	Followed  uint64 // reads that followers answered
	Refused   uint64 // reads that a follower was asked for and the leaseholder answered
	Epoch     uint64 // of the map
	Nodes     []NodeStats
}

// NodeStats is one node as the client sees it.
type NodeStats struct {
	Addr     string
	Slots    int    // that the map gives it
	Conns    int    // connections that stand
	InFlight int    // commands that wait for its answers
	Down     string // why it did not answer last; "" while it does
}

// counts are the counters behind Stats.
type counts struct {
	retries, redirects, pauses, maps, hedged, hedgeWins, followed, unfollowed atomic.Uint64
}

// Stats gives a snapshot.
func (c *Client) Stats() Stats {
	s := Stats{
		Retries: c.counts.retries.Load(), Redirects: c.counts.redirects.Load(), Pauses: c.counts.pauses.Load(),
		Maps: c.counts.maps.Load(), Hedged: c.counts.hedged.Load(), HedgeWins: c.counts.hedgeWins.Load(),
		Followed: c.counts.followed.Load(), Refused: c.counts.unfollowed.Load(),
	}
	ended := c.ended.Load() // before Calls: the difference is never negative
	s.Calls = c.calls.Load()
	s.InFlight = s.Calls - ended
	v := c.view.Load()
	if v == nil {
		return s
	}
	s.Epoch = v.table.epoch
	slots := make([]int, len(v.nodes))
	for _, at := range v.table.slots {
		if at != noNode {
			slots[at]++
		}
	}
	for i, n := range v.nodes {
		s.Nodes = append(s.Nodes, n.stats(slots[i]))
	}
	return s
}

func (n *node) stats(slots int) NodeStats {
	s := NodeStats{Addr: n.addr, Slots: slots}
	if err := n.down.Load(); err != nil {
		s.Down = (*err).Error()
	}
	for _, lines := range append([][]line{n.lines}, n.apart[:]...) {
		for i := range lines {
			if k := lines[i].live.Load(); k != nil {
				s.Conns++
				s.InFlight += k.owed()
			}
		}
	}
	return s
}

func (c *conn) owed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight()
}

// ShardMap is which node answers for which slots.
type ShardMap struct {
	Epoch  uint64
	Ranges []SlotRange // in order; neighbours of one node are joined
}

// SlotRange is a run of slots, its ends included, that one node answers for.
type SlotRange struct {
	First, Last shardmap.Slot
	Addr        string // "" when no node is known
}

// AddrOf is the node that answers for a key, "" when it is not known.
func (m ShardMap) AddrOf(key string) string {
	slot := shardmap.SlotOfString(key)
	i, found := slices.BinarySearchFunc(m.Ranges, slot, func(r SlotRange, s shardmap.Slot) int {
		switch {
		case r.Last < s:
			return -1
		case r.First > s:
			return 1
		}
		return 0
	})
	if !found {
		return ""
	}
	return m.Ranges[i].Addr
}

// ShardMap gives the client's map, asking for one when it has none yet.
func (c *Client) ShardMap(ctx context.Context) (ShardMap, error) {
	v, err := c.someView(ctx)
	if err != nil {
		return ShardMap{}, err
	}
	m := ShardMap{Epoch: v.table.epoch}
	for s := range v.table.slots {
		addr, _ := v.table.addrOf(shardmap.Slot(s))
		if n := len(m.Ranges); n > 0 && m.Ranges[n-1].Addr == addr {
			m.Ranges[n-1].Last = shardmap.Slot(s)
		} else {
			m.Ranges = append(m.Ranges, SlotRange{shardmap.Slot(s), shardmap.Slot(s), addr})
		}
	}
	return m, nil
}

// someView is the map, fetched when there is none yet.
func (c *Client) someView(ctx context.Context) (*view, error) {
	if c.refused != nil {
		return nil, c.refused
	}
	var w patience
	w.begin(ctx, c.cfg.Timeout)
	defer w.end()
	if _, err := c.nodeFor(&w, 0, ""); err != nil {
		return nil, because(ErrUnavailable, err)
	}
	return c.view.Load(), nil
}

// Ping asks every node of the map for an answer. Its error names the nodes that gave none.
func (c *Client) Ping(ctx context.Context) error {
	v, err := c.someView(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(v.nodes))
	var all sync.WaitGroup
	for i, n := range v.nodes {
		all.Go(func() {
			_, errs[i] = c.DoNode(ctx, n.addr, "PING")
		})
	}
	all.Wait()
	return silentNodes(errs)
}

// silentNodes is the errors of several nodes in one; nil when there is none.
func silentNodes(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	return because(ErrUnavailable, &manyErrors{"a node does not answer", errs})
}
