package client

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"

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
		r, err := s.ask(ctx, own, cursor)
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

// scanPatience is how long an answer may take before somebody looks whether the node still
// has anything to say.
const scanPatience = 500 * time.Millisecond

// ask puts one SCAN to a node, until the time of a call is over or the node has none of
// the slots left that it is asked for.
func (s *scan) ask(ctx context.Context, own *tenure, cursor string) (Reply, error) {
	one, cancel := context.WithTimeout(ctx, s.client.cfg.Timeout)
	defer cancel()
	looked := make(chan struct{})
	late := time.AfterFunc(scanPatience, func() {
		defer close(looked)
		s.await(one, own)
		cancel()
	})
	r, err := s.client.DoNode(one, own.addr, s.words(cursor)...)
	cancel()
	if !late.Stop() {
		<-looked
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = because(ErrUnavailable, errLeft)
	}
	return r, err
}

// errLeft is the end of a SCAN at a node whose slots another one has by now.
var errLeft = errors.New("client: the node has none of the slots any more")

// await asks for maps until one gives the node none of the slots, or the context ends.
func (s *scan) await(ctx context.Context, own *tenure) {
	for holds := true; holds && s.client.idle(ctx, scanPatience/5) == nil; {
		t, err := s.client.freshTable(ctx)
		if err != nil {
			continue
		}
		holds = false
		for i, held := range own.slots {
			at, _ := t.addrOf(shardmap.Slot(i))
			holds = holds || held && at == own.addr
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
	if _, err := c.refreshOnce(ctx); err != nil {
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
