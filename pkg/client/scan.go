package client

import (
	"context"
	"errors"
	"iter"
	"strconv"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// ScanOption says what Scan looks for.
type ScanOption func(*scan)

// ScanMatch gives only keys that match a glob pattern, as KEYS takes it.
func ScanMatch(pattern string) ScanOption { return func(s *scan) { s.match = pattern } }

// ScanCount is how many keys a node looks at for one answer; 1000 unless told.
func ScanCount(n int) ScanOption { return func(s *scan) { s.count = n } }

// scan is one walk over the keys of the cluster.
type scan struct {
	client *Client
	match  string
	count  int

	left [shardmap.Slots]bool // slots whose keys were not all given yet
}

// Scan walks over the keys of all nodes, one after the other:
//
//	for key, err := range c.Scan(ctx, client.ScanMatch("user:*")) {
//
// It stops at the first error. A key that is there all the time is given at least once, also
// when its slot moves to another node meanwhile, which is then asked for it; only a slot
// that leaves a node and is back before the client sees a map may be missed. A key may come
// more than once, as with SCAN. Keys that come or go during the walk may be given or not. The timeout of
// the client holds for each answer, ctx for the whole walk.
func (c *Client) Scan(ctx context.Context, options ...ScanOption) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s := &scan{client: c, count: 1000}
		for _, o := range options {
			o(s)
		}
		for i := range s.left {
			s.left[i] = true
		}
		for {
			addr, err := s.next(ctx)
			if err == nil && addr == "" {
				return
			}
			if err == nil {
				var goOn bool
				if goOn, err = s.node(ctx, addr, yield); !goOn {
					return
				}
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

// next is the node that has most slots left, "" when none is left.
func (s *scan) next(ctx context.Context) (string, error) {
	v, err := s.client.someView(ctx)
	if err != nil {
		return "", err
	}
	slots := make([]int, len(v.nodes))
	best := -1
	for i, left := range s.left {
		at := v.table.slots[i]
		if !left || at == noNode {
			continue
		}
		if slots[at]++; best < 0 || slots[at] > slots[best] {
			best = int(at)
		}
	}
	if best < 0 {
		return "", nil
	}
	return v.nodes[best].addr, nil
}

// node gives the keys of one node and says whether the walk goes on. Slots that were its
// own all the time are done; what moved away meanwhile is asked for where it is then.
func (s *scan) node(ctx context.Context, addr string, yield func(string, error) bool) (bool, error) {
	t, err := s.client.freshTable(ctx)
	if err != nil {
		return true, err
	}
	own := tenure{addr: addr, slots: s.left}
	own.see(t)
	goOn, scanErr := s.keys(ctx, &own, yield)
	if !goOn {
		return false, nil
	}
	if t, err = s.client.freshTable(ctx); err != nil {
		return true, err
	}
	own.see(t)
	for i, held := range own.slots {
		if !held {
			continue
		}
		if scanErr != nil {
			return true, scanErr // it is still the one to ask
		}
		s.left[i] = false
	}
	return true, nil
}

// tenure is the slots that one address answers for in all maps seen.
type tenure struct {
	addr  string
	slots [shardmap.Slots]bool
	last  *table
}

func (o *tenure) see(t *table) {
	if t == o.last {
		return
	}
	o.last = t
	for i := range o.slots {
		if o.slots[i] {
			at, _ := t.addrOf(shardmap.Slot(i))
			o.slots[i] = at == o.addr
		}
	}
}

// keys gives what one node answers, and looks after each answer whether the map changed.
func (s *scan) keys(ctx context.Context, own *tenure, yield func(string, error) bool) (bool, error) {
	for cursor := "0"; ; {
		r, err := s.client.DoNode(ctx, own.addr, s.words(cursor)...)
		if err != nil {
			return true, err
		}
		keys, next, ok := scanned(r)
		if !ok {
			return true, errScan
		}
		for _, k := range keys {
			if s.left[shardmap.SlotOf(k.Text)] && !yield(string(k.Text), nil) {
				return false, nil
			}
		}
		own.see(s.client.view.Load().table)
		if cursor = next; cursor == "0" {
			return true, nil
		}
	}
}

// errScan is an answer to SCAN that is none.
var errScan = errors.New("client: answer to SCAN is not understood")

// scanned takes an answer to SCAN apart.
func scanned(r Reply) (keys []Reply, cursor string, ok bool) {
	if len(r.Items) != 2 || len(r.Items[0].Text) == 0 {
		return nil, "", false
	}
	return r.Items[1].Items, string(r.Items[0].Text), true
}

// freshTable asks for the map now.
func (c *Client) freshTable(ctx context.Context) (*table, error) {
	if _, err := c.refreshOnce(); err != nil {
		return nil, because(ErrUnavailable, err)
	}
	return c.view.Load().table, ctx.Err()
}

func (s *scan) words(cursor string) []any {
	words := []any{"SCAN", cursor, "COUNT", strconv.Itoa(s.count)}
	if s.match != "" {
		words = append(words, "MATCH", s.match)
	}
	return words
}
