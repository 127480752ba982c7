package client

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// NearConfig makes the client keep values that it read, and answer Get, GetInto, GetItem and
// MGet from them for as long as the server promises to tell when they change (CLIENT
// TRACKING). A server without RESP3 or tracking is asked every time, as without a
// near cache. Sessions, Client.Reads and batches ask the nodes.
//
// How old can an answer be? A change is told on the connection the value came by,
// before any later answer on it. Each such connection is asked for a sign of life
// several times within MaxStale; without one, nothing that came by it is used, and what
// comes late ends it. A node that is cut off stops to serve, and tells, when its lease
// ends. So no answer is older than the lease length (600 ms by default) + MaxStale,
// whatever fails, and about one way through the network while nothing does.
type NearConfig struct {
	// MaxBytes is the memory for keys and values, overhead included. 0 turns the near
	// cache off.
	MaxBytes int64
	// MaxTTL is how long a value is used at most: 1 minute by default. A key's own time to
	// live counts besides, as the server tells when a key expires.
	MaxTTL time.Duration
	// MaxStale is the configured part of the bound above: 1 s by default. Shorter costs
	// more signs of life: about six in that time on every connection.
	MaxStale time.Duration
	// Prefixes are the keys that are kept; none = all.
	Prefixes []string
}

// filled is the configuration with defaults in its zero fields, or why it is refused.
func (n NearConfig) filled() (NearConfig, error) {
	if n.MaxTTL == 0 {
		n.MaxTTL = time.Minute
	}
	if n.MaxStale == 0 {
		n.MaxStale = time.Second
	}
	if n.MaxBytes < 0 || n.MaxTTL < 0 || n.MaxStale < 0 {
		return n, fmt.Errorf("%w: Near.MaxBytes, MaxTTL and MaxStale must not be negative", ErrConfig)
	}
	return n, nil
}

// NearStats counts what a near cache did since the client was made.
type NearStats struct {
	Hits          int64 // reads answered without a node; MGet counts each key
	Misses        int64 // reads of keys that may be kept, answered by a node
	Invalidations int64 // keys that a node said had changed
	Flushes       int64 // times that all values of a connection, or all values, were dropped
	Entries       int
	Bytes         int64 // of MaxBytes
}

// near is the near cache of a client.
type near struct {
	c     *Client
	cfg   NearConfig
	store *nearStore

	hits, misses, told, flushes atomic.Int64

	sources atomic.Pointer[nearSources]

	mu   sync.Mutex // held by who changes sources; guards everything below
	last uint64
}

// nearSources are the sources of a moment: few, and looked at by every Get, so that a
// change makes new maps. A read lock around them was the simpler way and took a third of a
// Get's time: 596 ns became 359 with two cores on one key.
type nearSources struct {
	byID   map[uint64]*nearSource
	byConn map[*conn]*nearSource
}

// nearSource is one connection between two gaps. Values that came by it are good as long as
// it is in nearSources and has given a sign of life lately.
type nearSource struct {
	id    uint64
	proof atomic.Int64 // when the last ping that was answered in time was sent; client's clock
}

func newNear(c *Client, cfg NearConfig) *near {
	n := &near{c: c, cfg: cfg, store: newNearStore(cfg.MaxBytes)}
	n.sources.Store(&nearSources{})
	return n
}

// NearStats says what the near cache did; all zero when it is off.
func (c *Client) NearStats() NearStats {
	n := c.near
	if n == nil {
		return NearStats{}
	}
	s := NearStats{Hits: n.hits.Load(), Misses: n.misses.Load(), Invalidations: n.told.Load(), Flushes: n.flushes.Load()}
	s.Entries, s.Bytes = n.store.size()
	return s
}

// silence is how long a connection may give no sign of life. Half of the bound: a
// node that was stopped meanwhile may give one before it notices what it missed.
func (n *near) silence() time.Duration { return n.cfg.MaxStale / 2 }

// keeps says whether values of the key are kept. A nil near keeps none.
func (n *near) keeps(key string) bool {
	if n == nil {
		return false
	}
	for _, p := range n.cfg.Prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return len(n.cfg.Prefixes) == 0
}

// read gives a value, kept or from a node, behind dst; on an error dst itself.
func (n *near) read(ctx context.Context, key string, dst []byte) ([]byte, error) {
	if v, ok := n.get(dst, key, false); ok {
		n.hits.Add(1)
		return v.data, nil
	}
	n.misses.Add(1)
	f := n.store.begin(key)
	a, err := n.c.do(ctx, &command{op: opGet, key: key, near: true})
	n.keep(f, key, a, endsUnknown, err == nil && !a.IsNull())
	switch {
	case err != nil:
		return dst, err
	case a.IsNull():
		return dst, ErrNotFound
	case dst == nil:
		return a.Text, nil
	}
	return append(dst, a.Text...), nil
}

// item is read for Client.GetItem. The node tells of a change to the time to live as of
// one to the value, so that what PTTL answered is kept as long.
func (n *near) item(ctx context.Context, key string) (Item, error) {
	if v, ok := n.get(nil, key, true); ok {
		n.hits.Add(1)
		return n.itemOf(key, v), nil
	}
	n.misses.Add(1)
	f := n.store.begin(key)
	var a answer
	ends := endsUnknown
	item, err := itemBy(key, func() (value, ttl answer, err error) {
		jobs := []job{{cmd: command{op: opGet, key: key, near: true}}, {cmd: command{op: opPTTL, key: key}}}
		n.c.doAll(ctx, jobs)
		a, ends = jobs[0].answer, n.ends(jobs[0].answer, jobs[1].answer)
		return jobs[0].answer, jobs[1].answer, orElse(jobs[0].err, jobs[1].err)
	})
	n.keep(f, key, a, ends, err == nil)
	return item, err
}

// ends is when a value's time to live is over, by the answers to GET and PTTL: known
// when they are of one version and came by one connection.
func (n *near) ends(value, ttl answer) time.Duration {
	switch {
	case value.conn != ttl.conn || value.version != ttl.version || ttl.Kind != ':' || ttl.Int == noSuchKey:
		return endsUnknown
	case ttl.Int == noExpiry:
		return endsNever
	}
	return n.c.now() + time.Duration(ttl.Int)*time.Millisecond
}

// itemOf is what a kept value is to the caller.
func (n *near) itemOf(key string, v nearValue) Item {
	item := Item{Key: key, Value: v.data, Version: v.version, Found: true, FromNear: true}
	if v.ends != endsNever && v.ends != endsUnknown {
		item.ExpiresAt = time.Now().Add(v.ends - n.c.now())
	}
	return item
}

// items is read for Client.MGet: what is not kept is asked for together.
func (n *near) items(ctx context.Context, keys []string) ([]Item, error) {
	items := make([]Item, len(keys))
	var jobs []job
	var fills []*nearFill // of jobs; nil where the key's values are not kept
	var at []int          // of jobs, in keys
	for i, key := range keys {
		cmd, f := n.c.usual().get(key), (*nearFill)(nil)
		if n.keeps(key) {
			if v, ok := n.get(nil, key, false); ok {
				n.hits.Add(1)
				items[i] = n.itemOf(key, v)
				items[i].ExpiresAt = time.Time{} // nobody asked
				continue
			}
			n.misses.Add(1)
			cmd, f = command{op: opGet, key: key, near: true}, n.store.begin(key)
		}
		jobs, fills, at = append(jobs, job{cmd: cmd}), append(fills, f), append(at, i)
	}
	if len(jobs) == 0 {
		return items, nil
	}
	n.c.doAll(ctx, jobs)
	for i, item := range itemsOf(jobs) {
		items[at[i]] = item
		if fills[i] != nil {
			n.keep(fills[i], item.Key, jobs[i].answer, endsUnknown, item.Found)
		}
	}
	return items, n.c.keysErrorAt(jobs, at, len(keys))
}

// get is a kept value behind dst; timed wants one whose end is known.
func (n *near) get(dst []byte, key string, timed bool) (nearValue, bool) {
	now := n.c.now()
	oldest := int64(now - n.silence())
	sources := n.sources.Load()
	return n.store.get(dst, key, now, timed, func(source uint64) bool {
		s := sources.byID[source]
		return s != nil && s.proof.Load() > oldest
	})
}

// keep ends a read, and keeps what it brought when the node tells of changes.
func (n *near) keep(f *nearFill, key string, a answer, ends time.Duration, found bool) {
	v := nearValue{data: a.Text, version: a.version, ends: ends, until: n.c.now() + n.cfg.MaxTTL}
	s := n.sources.Load().byConn[a.conn]
	if s != nil {
		v.source = s.id
	}
	n.store.finish(f, key, v, found && s != nil)
}

// follow makes a source of a connection whose node took CLIENT TRACKING, until it ends.
func (n *near) follow(k *conn) {
	n.renew(k)
	if !n.c.start(func(ctx context.Context) { n.watch(ctx, k) }) {
		n.leave(k)
	}
}

// renew gives a connection a new source: what came by it before is gone.
func (n *near) renew(k *conn) *nearSource {
	s := &nearSource{}
	s.proof.Store(math.MinInt64 / 2) // none yet
	n.replace(k, s)
	return s
}

// leave forgets a connection that has ended.
func (n *near) leave(k *conn) { n.replace(k, nil) }

// replace puts s, nil for none, in the place of a connection's source.
func (n *near) replace(k *conn, s *nearSource) {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.sources.Load()
	now := &nearSources{maps.Clone(was.byID), maps.Clone(was.byConn)}
	if old := was.byConn[k]; old != nil {
		delete(now.byID, old.id)
		delete(now.byConn, k)
		n.flushes.Add(1)
	}
	if s != nil {
		n.last++
		s.id = n.last
		if now.byID == nil {
			now.byID, now.byConn = map[uint64]*nearSource{}, map[*conn]*nearSource{}
		}
		now.byID[s.id], now.byConn[k] = s, s
	}
	n.sources.Store(now)
}

// watch asks a connection for signs of life, one at a time. What keeps silent for
// too long may have kept silent about a change too.
func (n *near) watch(ctx context.Context, k *conn) {
	defer n.leave(k)
	for {
		sent := n.c.now()
		err := k.ping(ctx, n.silence())
		if took := n.c.now() - sent; err == nil && took <= n.silence() {
			n.sources.Load().byConn[k].proof.Store(int64(sent))
		} else {
			n.renew(k) // what came by it is dropped
		}
		t := time.NewTimer(n.silence() / 3)
		select {
		case <-t.C:
		case <-k.gone:
			t.Stop()
			return
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// hear takes the push "invalidate", of some keys or, with a null, of all.
func (n *near) hear(_ *conn, r resp.Reply) {
	if len(r.Items) < 2 || r.Items[1].IsNull() {
		n.store.clear()
		n.flushes.Add(1)
		return
	}
	for _, key := range r.Items[1].Items {
		n.store.forget(string(key.Text))
		n.told.Add(1)
	}
}

// ping sends a PING and waits for its answer, for as long as limit.
func (c *conn) ping(ctx context.Context, limit time.Duration) error {
	var w patience
	w.begin(ctx, limit)
	defer w.end()
	cmd := &command{op: opControl, words: []string{"PING"}}
	for {
		k, room, err := c.send(cmd)
		if err == nil {
			_, err = c.await(&w, k, cmd)
			return err
		}
		if room == nil {
			return err
		}
		if err := w.wait(room); err != nil {
			return err
		}
	}
}

// cachingYes asks a node to tell when what the next command reads changes.
const cachingYes = "*3\r\n$6\r\nCLIENT\r\n$7\r\nCACHING\r\n$3\r\nYES\r\n"
