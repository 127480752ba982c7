package redis

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// tracker knows which connection may have cached which key. What is noted of a read,
// and what is heard of a change, come in the order in which they happened to the
// shard: the Backend calls both in the same hold of its mutex.
type tracker struct {
	keysMax  atomic.Int64
	bytesMax int64
	srv      *Server
	tables   []trackTable // by shard
	keys     atomic.Int64
	bytes    atomic.Int64
	debts    debts

	turn    sync.Mutex   // one join or leave at a time, with what follows from it
	mu      sync.RWMutex // guards the next two
	clients map[int64]*conn
	bcast   []broadcast
}

// trackTable is what was read of one shard.
type trackTable struct {
	mu      sync.Mutex
	keys    map[string]idSet
	bytes   int64
	readers int64 // of all its keys
}

// broadcast is a connection that wants to hear of every key with a prefix.
type broadcast struct {
	c      *conn
	prefix []byte
}

const (
	// trackedBytes is what a tracked key costs beside its bytes, with few readers.
	trackedBytes = 120
	// lostKeys is how many keys of a lost lease are named; beyond it everybody is told
	// that all keys are invalid.
	lostKeys = 4096
)

func newTracker(s *Server) *tracker {
	t := &tracker{
		srv: s, bytesMax: s.cfg.BuffersMax / 4,
		tables: make([]trackTable, s.backend.Map().Layout().Shards), clients: make(map[int64]*conn),
	}
	t.keysMax.Store(s.cfg.TrackedMax)
	return t
}

// idSet is a set of connection ids: few as a rule.
type idSet struct {
	few  []int64
	many map[int64]struct{}
}

// fewIDs is how many ids are looked through one by one.
const fewIDs = 16

func (s *idSet) add(id int64) bool {
	if s.many != nil {
		n := len(s.many)
		s.many[id] = struct{}{}
		return len(s.many) > n
	}
	if slices.Contains(s.few, id) {
		return false
	}
	if s.few = append(s.few, id); len(s.few) > fewIDs {
		s.many = make(map[int64]struct{}, 2*fewIDs)
		for _, id := range s.few {
			s.many[id] = struct{}{}
		}
		s.few = nil
	}
	return true
}

func (s *idSet) each(visit func(id int64)) {
	for _, id := range s.few {
		visit(id)
	}
	for id := range s.many {
		visit(id)
	}
}

func (s *idSet) len() int { return len(s.few) + len(s.many) }

// cost is what a key counts against bytesMax.
func (s *idSet) cost(keyLen int) int64 {
	return int64(trackedBytes + keyLen + 8*s.len() + 24*len(s.many))
}

// join lets a connection track, with the prefixes it wants to hear of.
func (t *tracker) join(c *conn, prefixes []string) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.trackers() == 0 { // mu is not held for Watch: it waits for locks that Changed is called under
		if err := t.srv.backend.Watch(true); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients[c.sess.ID] = c
	next := slices.Clone(t.bcast) // those who read it hold no lock
	for _, p := range prefixes {
		next = append(next, broadcast{c, []byte(p)})
	}
	t.bcast = next
	return nil
}

// leave ends that. What the connection has read is forgotten as the keys change, or
// when nobody tracks any more.
func (t *tracker) leave(c *conn) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.mu.Lock()
	known := t.clients[c.sess.ID] != nil
	delete(t.clients, c.sess.ID)
	t.bcast = slices.DeleteFunc(slices.Clone(t.bcast), func(b broadcast) bool { return b.c == c })
	last := known && len(t.clients) == 0
	t.mu.Unlock()
	if !last {
		return
	}
	_ = t.srv.backend.Watch(false)
	for i := range t.tables {
		t.clear(shardmap.ShardID(i))
	}
}

// trackers is how many connections track.
func (t *tracker) trackers() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.clients)
}

// items is how many readers all tracked keys have together.
func (t *tracker) items() (n int64) {
	for i := range t.tables {
		tb := &t.tables[i]
		tb.mu.Lock()
		n += tb.readers
		tb.mu.Unlock()
	}
	return n
}

// prefixes is how many different prefixes connections want to hear of.
func (t *tracker) prefixes() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	different := make(map[string]struct{})
	for _, b := range t.bcast {
		different[string(b.prefix)] = struct{}{}
	}
	return len(different)
}

func (t *tracker) client(id int64) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.clients[id]
}

// remember notes that a connection has read a key. When there are too many keys
// another one of the shard is taken back for it.
func (t *tracker) remember(shard shardmap.ShardID, key []byte, id int64) {
	tb := &t.tables[shard]
	tb.mu.Lock()
	set, known := tb.keys[string(key)]
	before := int64(0)
	if known {
		before = set.cost(len(key))
	}
	if !set.add(id) {
		tb.mu.Unlock()
		return
	}
	if tb.keys == nil {
		tb.keys = make(map[string]idSet)
	}
	tb.keys[string(key)] = set
	tb.readers++
	if !known {
		t.keys.Add(1)
	}
	t.charge(tb, set.cost(len(key))-before)
	victim, readers := t.overfull(tb, key)
	tb.mu.Unlock()
	t.tell(&readers, []byte(victim), 0)
}

func (t *tracker) charge(tb *trackTable, n int64) {
	tb.bytes += n
	t.bytes.Add(n)
	t.srv.buffered.Add(n)
}

// overfull takes some key but keep, nil = any, out of a table when all tables together hold too
// much. A table with nothing else is let be: so many keys more than the limit there
// may be as there are shards.
func (t *tracker) overfull(tb *trackTable, keep []byte) (victim string, readers idSet) {
	if t.keys.Load() <= t.keysMax.Load() && t.bytes.Load() <= t.bytesMax {
		return "", idSet{}
	}
	for k, set := range tb.keys {
		if keep == nil || k != string(keep) {
			t.drop(tb, k, &set)
			return k, set
		}
	}
	return "", idSet{}
}

// shrink takes keys back until there are no more than the limit, which was lowered.
func (t *tracker) shrink() {
	for i := range t.tables {
		tb := &t.tables[i]
		for over := true; over && t.keys.Load() > t.keysMax.Load(); {
			tb.mu.Lock()
			victim, readers := t.overfull(tb, nil)
			over = readers.len() > 0
			tb.mu.Unlock()
			t.tell(&readers, []byte(victim), 0)
		}
	}
}

func (t *tracker) drop(tb *trackTable, key string, set *idSet) {
	delete(tb.keys, key)
	tb.readers -= int64(set.len())
	t.keys.Add(-1)
	t.charge(tb, -set.cost(len(key)))
}

// changed takes a key back from all who read it, and from those who listen to its prefix.
func (t *tracker) changed(shard shardmap.ShardID, key []byte, origin int64) {
	tb := &t.tables[shard]
	tb.mu.Lock()
	set, known := tb.keys[string(key)]
	if known {
		t.drop(tb, string(key), &set)
	}
	tb.mu.Unlock()
	t.tell(&set, key, origin)
	t.mu.RLock()
	listeners := t.bcast
	t.mu.RUnlock()
	for _, b := range listeners { // prefixes of one connection do not overlap: it is told once
		switch {
		case !bytes.HasPrefix(key, b.prefix):
		case b.c.redirect.Load() == nil || origin == 0:
			b.c.invalidate(key, origin)
		case b.c.sess.ID != origin || !b.c.tracking.noLoop:
			t.debts.owe(b, key, origin)
		}
	}
}

// tell pushes one key to connections.
func (t *tracker) tell(to *idSet, key []byte, origin int64) {
	to.each(func(id int64) {
		if c := t.client(id); c != nil && !c.bcast.Load() { // else its prefixes are what it wants to hear of
			c.invalidate(key, origin)
		}
	})
}

// invalidate pushes one key to the connection. What a connection changed itself
// follows the reply of its command, as in Redis, or is not told at all.
func (c *conn) invalidate(key []byte, origin int64) {
	switch {
	case c.sess.ID != origin:
		c.forget(invalidation(key), false)
	case c.tracking.noLoop: // the goroutine that runs here is the connection's
	case c.redirect.Load() != nil:
		c.forget(invalidation(key), false)
	default:
		c.pushes.own = append(c.pushes.own, invalidation(key)...)
	}
}

// flushed takes back all that anybody read.
func (t *tracker) flushed(shard shardmap.ShardID, origin int64) {
	t.clear(shard)
	t.takeAllBack(origin)
}

// takeAllBack tells every connection that nothing it has read holds.
func (t *tracker) takeAllBack(origin int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, c := range t.clients {
		switch {
		case id != origin || c.redirect.Load() != nil:
			c.forget([]byte(invalidateAll), true)
		case !bytes.HasSuffix(c.pushes.own, []byte(invalidateAll)):
			c.pushes.own = append(c.pushes.own, invalidateAll...)
		}
	}
}

// clear empties the table of a shard and gives what was in it.
func (t *tracker) clear(shard shardmap.ShardID) map[string]idSet {
	tb := &t.tables[shard]
	tb.mu.Lock()
	defer tb.mu.Unlock()
	keys := tb.keys
	tb.keys, tb.readers = nil, 0
	t.keys.Add(-int64(len(keys)))
	t.charge(tb, -tb.bytes)
	return keys
}

// lost takes back what was read of shards that this node does not serve any more:
// the next holder does not know the readers. It is called with locks of the data
// plane held, so beyond lostKeys the keys are not named.
func (t *tracker) lost(shards []shardmap.ShardID) {
	if t.trackers() == 0 {
		return
	}
	tables := make([]map[string]idSet, len(shards))
	keys := 0
	for i, shard := range shards {
		tables[i] = t.clear(shard)
		keys += len(tables[i])
	}
	if keys > lostKeys {
		t.takeAllBack(0)
		return
	}
	of := make(map[int64][]string)
	for _, table := range tables {
		for k, set := range table {
			set.each(func(id int64) { of[id] = append(of[id], k) })
		}
	}
	for id, keys := range of {
		if c := t.client(id); c != nil {
			c.forget(invalidation(keys...), false)
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, b := range t.bcast { // nobody knows what they read
		b.c.forget([]byte(invalidateAll), true)
	}
}

// Changed says that what was read of a key may not be true any more; origin is the id
// of the session that changed it, 0 for nobody. The Backend calls it between Watch(true)
// and Watch(false), in the same hold of a lock as the change itself. It does not wait.
func (s *Server) Changed(shard shardmap.ShardID, key []byte, origin uint64) {
	s.tracker.changed(shard, key, int64(origin))
}

// Flushed says so of all keys of a shard.
func (s *Server) Flushed(shard shardmap.ShardID, origin uint64) {
	s.tracker.flushed(shard, int64(origin))
}

// Untrack tells those who read keys of shards that these are invalid: this node does
// not, or must not, serve the shards any more. It does not wait.
func (s *Server) Untrack(shards []shardmap.ShardID) { s.tracker.lost(shards) }

// Tracked is the number of keys that somebody may have cached.
func (s *Server) Tracked() int64 { return s.tracker.keys.Load() }
