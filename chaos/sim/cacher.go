package sim

import (
	"math/rand/v2"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	// cacheTick is how often the caching client does something, and how often nodes
	// look for leases that have lapsed: the part of a lease that internal/node allows.
	cacheTick = promise / 24
	// maxStale is the part of the bound that the client has configured, and silence how
	// long a connection may give no sign of life, as pkg/client has it.
	maxStale = time.Second
	silence  = maxStale / 2
	// CachedLimit is the whole bound of what it answers from its cache.
	CachedLimit = promise + maxStale
)

// cacher is a client with a cache, by the rules of pkg/client: a value is good while
// nobody has taken it back and the connection that it came by has given a sign of life
// lately. It has a random source of its own, so that the rest of a run is the same with
// and without it. Its connections stall and break, and it is stopped itself.
type cacher struct {
	w       *World
	rng     *rand.Rand
	lines   []*line // by node
	cache   []cachedKey
	byName  map[string]int
	holds   []shardmap.NodeID // by group
	stopped time.Duration     // until when the client does nothing
	held    []func()          // what came meanwhile

	changed, lost, silent, stopsSeen int
}

// cachedKey is one key in the cache.
type cachedKey struct {
	line   *line // nil: it is not there
	source int   // of the line, when it came
	value  chaos.Cached
}

// line is the client's end of its connection to a node.
type line struct {
	c       *cacher
	p       *process
	end     *served // nil: there is none
	stalled time.Duration
	there   time.Duration // when the last question arrives: order is kept
	back    time.Duration // when the last frame arrives
	source  int           // rises when all that came by it is dropped
	proof   time.Duration // when the last ping was sent that was answered in time
	pinged  time.Duration // when the one under way was sent, 0 = none is
	ended   time.Duration // when the last one ended
	reads   bool          // a reading is under way
	seen    []shardmap.Version
}

func newCacher(w *World, seed uint64) *cacher {
	c := &cacher{w: w, rng: rand.New(rand.NewPCG(seed, 0xcac4e)), byName: map[string]int{}}
	c.cache = make([]cachedKey, len(w.keys))
	c.holds = make([]shardmap.NodeID, w.cfg.Groups+1)
	for i := range w.keys {
		c.byName[string(w.keys[i].name)] = i
	}
	return c
}

// loop lets the client live until the end of the run.
func (c *cacher) loop() {
	if c.w.closing {
		return
	}
	c.tick()
	c.w.after(cacheTick, c.loop)
}

func (c *cacher) tick() {
	for len(c.lines) < len(c.w.nodes) {
		c.lines = append(c.lines, &line{c: c, p: c.w.nodes[len(c.lines)], proof: -silence})
	}
	for _, l := range c.lines {
		if s := l.end; s != nil && s.p.served == s && s.p.runs() {
			s.look()
		}
	}
	if c.w.now < c.stopped {
		return
	}
	c.read() // what was in the cache before the client was stopped, before it hears anything
	for _, f := range c.held {
		f()
	}
	c.held = c.held[:0]
	for _, l := range c.lines {
		l.look()
	}
	c.trouble()
}

// trouble is what happens to the client and its connections.
func (c *cacher) trouble() {
	if c.w.healed || !c.w.cfg.Faults {
		return
	}
	l := c.lines[c.rng.IntN(len(c.lines))]
	switch c.rng.IntN(400) {
	case 0, 1:
		l.stalled = c.w.now + time.Duration(c.rng.Int64N(int64(3*time.Second)))
	case 2:
		l.drop()
	case 3:
		c.stopped = c.w.now + time.Duration(c.rng.Int64N(int64(2*time.Second)))
		c.stopsSeen++
	}
}

// replyIn is how long a reply waits at a node behind those of other commands.
func (c *cacher) replyIn() time.Duration {
	if c.rng.IntN(20) != 0 {
		return 0
	}
	return time.Duration(c.rng.Int64N(int64(200 * time.Millisecond)))
}

func (c *cacher) read() {
	for range 2 {
		k := c.rng.IntN(len(c.cache))
		if e := &c.cache[k]; e.line != nil && e.source == e.line.source && c.w.now-e.line.proof < silence {
			c.w.history.Hit(e.value, c.w.now, CachedLimit, e.line.seen[c.w.history.Shard(c.w.keys[k].key)])
			continue
		}
		l := c.lineFor(c.w.keys[k].group)
		if l.end != nil && !l.reads {
			l.reads = true
			l.ask(question{key: k})
		}
	}
}

func (c *cacher) lineFor(g shardmap.GroupID) *line {
	if c.holds[g] == 0 {
		c.holds[g] = shardmap.NodeID(1 + c.rng.IntN(len(c.lines)))
	}
	l := c.lines[c.holds[g]-1]
	if l.end == nil {
		c.holds[g] = 0
	}
	return l
}

// hear takes a frame off a connection.
func (c *cacher) hear(l *line, f frame) {
	switch {
	case f.push && f.all:
		clear(c.cache)
	case f.push:
		for _, k := range f.keys {
			c.cache[k] = cachedKey{}
		}
	case f.ping:
		l.alive(f.sent)
	default:
		l.reads = false
		if f.refused {
			c.holds[c.w.keys[f.key].group] = f.holder
			return
		}
		shard := c.w.history.Shard(c.w.keys[f.key].key)
		l.seen[shard] = max(l.seen[shard], f.at)
		c.cache[f.key] = cachedKey{l, l.source, f.value}
	}
}

// look connects a line that is down, and asks for a sign of life when it is time.
func (l *line) look() {
	now := l.c.w.now
	switch {
	case l.end == nil:
		if now >= l.stalled && l.p.runs() {
			l.connect()
		}
	case l.pinged != 0 && now-l.pinged > silence:
		l.renew()
	case l.pinged == 0 && now-l.ended >= silence/3:
		l.pinged = now
		l.ask(question{ping: true, sent: now})
	}
}

func (l *line) connect() {
	l.p.accept(l)
	l.end = l.p.served
	l.reads, l.pinged = false, 0
	l.seen = make([]shardmap.Version, l.c.w.cfg.Shards)
	l.there, l.back = 0, 0
}

// alive takes the answer to a ping: late is as bad as never.
func (l *line) alive(sent time.Duration) {
	switch {
	case sent != l.pinged: // given up
	case l.c.w.now-sent > silence:
		l.renew()
	default:
		l.proof, l.pinged, l.ended = sent, 0, l.c.w.now
	}
}

// renew drops all that came by the line: what kept silent for too long may have kept
// silent about a change too.
func (l *line) renew() {
	l.source++
	l.pinged, l.ended = 0, l.c.w.now
	l.c.silent++
}

// drop ends the connection, at both ends.
func (l *line) drop() {
	if s := l.end; s != nil && s.p.served == s {
		s.p.served = nil
		if s.p.up {
			s.p.core.Data().Watch(nil)
		}
	}
	if l.end != nil {
		l.source++
	}
	l.end, l.reads, l.pinged = nil, false, 0
}

// died lets the client hear that a process has ended, in the reset that its machine
// answers with.
func (l *line) died() {
	end := l.end
	l.deliver(&l.back, func() {
		if l.end == end {
			l.drop()
		}
	})
}

// deliver lets something arrive after all that went the same way before.
func (l *line) deliver(last *time.Duration, f func()) {
	w := l.c.w
	*last = max(*last, l.stalled, w.now+50*time.Microsecond+time.Duration(l.c.rng.Int64N(int64(300*time.Microsecond))))
	w.at(*last, f)
}

// ask sends a question to the node.
func (l *line) ask(q question) {
	s := l.end
	l.deliver(&l.there, func() {
		s.p.when(s.life, func() {
			if s.p.served == s {
				s.ask(q)
			}
		})
	})
}

// carry sends a frame to the client, which may be stopped.
func (l *line) carry(s *served, f frame) {
	l.deliver(&l.back, func() {
		hear := func() {
			if l.end == s {
				l.c.hear(l, f)
			}
		}
		if l.c.w.now < l.c.stopped || len(l.c.held) > 0 {
			l.c.held = append(l.c.held, hear)
		} else {
			hear()
		}
	})
}

// count adds what the client met to what the run showed.
func (c *cacher) count() {
	if c == nil {
		return
	}
	for name, n := range map[string]int{
		"cached reading": c.w.history.Hits, "key taken back": c.changed, "keys taken back with a lease": c.lost,
		"cached connection silent": c.silent, "caching client stopped": c.stopsSeen,
	} {
		c.w.acted[name] += n
	}
}
