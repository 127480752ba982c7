package suite

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

// load is clients at work, and what they were told.
type load struct {
	addrs []string
	base  time.Duration // the clock that leases run on, at time 0
	wall  int64         // unix ms at time 0
	keys  *keyring
	pace  time.Duration // of each client, between two operations
	big   atomic.Int64  // bytes that one value in eight is filled up to

	mu   sync.Mutex
	told []chaos.Told

	ok, refused, unknown atomic.Int64
	values               atomic.Int64
	large                atomic.Int64 // writes of values longer than a history keeps
}

// clientsMax keeps searches decidable: no more clients than so many use a key.
const clientsMax = 8

func newLoad(addrs []string, seed uint64) *load {
	return &load{addrs: addrs, base: cluster.Now(), wall: time.Now().UnixMilli(), keys: newKeyring(seed, ""), pace: 6 * time.Millisecond}
}

// now is the time since the run began.
func (l *load) now() time.Duration { return cluster.Now() - l.base }

// levels are what the writes of each client wait for.
func levels(ack string) []string {
	if ack == "majority" {
		return []string{"majority", "majority", "majority", "majority", "majority", "majority", "all", "majority"}
	}
	return []string{"async", "async", "async", "async", "majority", "async", "all", "majority"}
}

// run lets all clients work until the context ends.
func (l *load) run(ctx context.Context, wg *sync.WaitGroup, ack string, crews int, seed uint64) error {
	shared := newPipes()
	if crews > 1 {
		l.keys.spread(keysLive)
	}
	var workers sync.WaitGroup
	for i, level := range levels(ack) {
		h, err := l.hand(i, level, shared, seed+uint64(i))
		if err != nil {
			return err
		}
		w := &worker{l: l, n: i, keys: l.keys, hand: h, durable: level != "async", stale: i == clientsMax-1, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		workers.Add(1)
		wg.Go(func() { defer workers.Done(); defer h.close(); w.run(ctx) })
	}
	for crew := 1; crew < crews; crew++ {
		for _, w := range l.crew(crew, ack, shared, seed) {
			workers.Add(1)
			wg.Go(func() { defer workers.Done(); defer w.hand.close(); w.run(ctx) })
		}
	}
	wg.Go(func() { workers.Wait(); shared.close() })
	return nil
}

// hand is the client of a number: one is go-redis, one rueidis, two are pkg/client, two
// share one pipelined connection to each node between them, and two know nothing but MOVED.
func (l *load) hand(i int, level string, shared *pipes, seed uint64) (hand, error) {
	switch i {
	case 1:
		return newGoRedisHand(l.addrs, level), nil
	case 4:
		return newRueidisHand(l.addrs, level)
	case 2, 5:
		return newClientHand(l.addrs, level)
	}
	h := newPlainHand(l.addrs, level, i == clientsMax-1, seed)
	if i == 0 || i == 3 {
		h.table, h.pipes = true, shared
	}
	return h, nil
}

// clientsAtWork says who the clients are, those of others with their versions.
func clientsAtWork() string {
	version := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			version[m.Path] = m.Version
		}
	}
	return fmt.Sprintf("clients: 2 pkg/client, 4 of the suite's own, go-redis %s, rueidis %s", version["github.com/redis/go-redis/v9"], version["github.com/redis/rueidis"])
}

// worker is one client: it waits for the answer before it asks again.
type worker struct {
	l       *load
	n       int
	keys    *keyring
	hand    hand
	durable bool
	stale   bool // it reads from followers
	eager   bool // it writes three times in four
	rng     *rand.Rand
}

func (w *worker) run(ctx context.Context) {
	for next := time.Now(); ctx.Err() == nil; {
		if next = next.Add(w.l.pace/2 + time.Duration(w.rng.Int64N(int64(w.l.pace)))); time.Until(next) > 0 {
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
				return
			}
		} else {
			next = time.Now()
		}
		if w.rng.IntN(40) == 0 && !w.stale {
			w.several()
		} else {
			w.one()
		}
	}
}

func (w *worker) one() {
	key, kind := w.keys.pick()
	o := chaos.Told{Client: w.n, Key: key, Kind: kindsOf(kind, w.die()), Durable: w.durable}
	if _, own := w.hand.(*clientHand); own && o.Kind != chaos.Read && o.Kind != chaos.Set {
		o.Kind = chaos.Read // Delete and Increment of pkg/client tell no version
	}
	if w.stale {
		o.Kind, o.Stale = chaos.Read, true
	}
	if o.Kind == chaos.Set {
		w.value(&o, kind)
		if kind == 'r' && w.rng.IntN(4) == 0 { // a swap, of what it reads first
			look := chaos.Told{Client: w.n, Key: key, Kind: chaos.Read}
			w.do(&look)
			if look.Outcome != chaos.OK {
				return
			}
			o.If, o.IfIs = true, look.Version
		}
	}
	w.do(&o)
}

// die is what decides of the kind of an operation.
func (w *worker) die() int {
	if w.eager {
		return eagerFrom + w.rng.IntN(100-eagerFrom)
	}
	return w.rng.IntN(100)
}

// do has an operation done, and keeps what was told.
func (w *worker) do(o *chaos.Told) {
	o.Start = w.l.now()
	w.hand.do(o)
	o.End = w.l.now()
	w.l.add(*o)
}

// value makes a Set's value, which nothing else in the run has, and its conditions.
func (w *worker) value(o *chaos.Told, kind byte) {
	o.Arg = fmt.Appendf(nil, "%s client %d value %d", o.Key, w.n, w.l.values.Add(1))
	if n := int(w.l.big.Load()); n > 0 && w.rng.IntN(8) == 0 {
		for len(o.Arg) < n {
			o.Arg = append(o.Arg, byte('a'+w.rng.IntN(26)))
		}
	}
	if kind == 't' {
		o.Deadline = time.Now().UnixMilli() + 800 + w.rng.Int64N(4000)
	}
}

// several reads some keys of one slot by one command: they share a hash tag.
func (w *worker) several() {
	key, _ := w.keys.pick()
	tag := fmt.Sprintf("{%s}", key)
	keys := []string{tag + "a", tag + "b"}
	if w.rng.IntN(2) == 0 {
		o := chaos.Told{Client: w.n, Key: keys[w.rng.IntN(2)], Kind: chaos.Set, Durable: w.durable}
		w.value(&o, 'r')
		w.do(&o)
	}
	os := []*chaos.Told{}
	for _, k := range keys {
		os = append(os, &chaos.Told{Client: w.n, Key: k, Kind: chaos.Read, Start: w.l.now()})
	}
	w.hand.many(os)
	for _, o := range os {
		o.End = w.l.now()
		w.l.add(*o)
	}
}

// shortMax is the longest value that a history keeps whole.
const shortMax = 256

// short stands for a long value in the history: its beginning, which is unique, its length
// and a sum over all of it.
func short(b []byte) []byte {
	if len(b) <= shortMax {
		return b
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	return fmt.Appendf(slices.Clone(b[:shortMax/2]), " ... %d bytes, %x", len(b), h.Sum64())
}

func (l *load) add(o chaos.Told) {
	if len(o.Arg) > shortMax && o.Outcome == chaos.OK {
		l.large.Add(1)
	}
	o.Arg, o.Value = short(o.Arg), short(o.Value)
	switch o.Outcome {
	case chaos.OK:
		l.ok.Add(1)
	case chaos.Refused:
		l.refused.Add(1)
	case chaos.Unknown:
		l.unknown.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, o)
}

// operations are those that ended so far.
func (l *load) operations() []chaos.Told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

// readAll reads every key once, at rest: what cannot be read says so.
func (l *load) readAll(level string, seed uint64) (unread int) {
	h := newPlainHand(l.addrs, level, false, seed)
	defer h.close()
	done := map[string]bool{}
	for _, was := range l.operations() {
		if done[was.Key] {
			continue
		}
		done[was.Key] = true
		o := l.readOnce(h, was.Key)
		for end := l.now() + restMax; o.Outcome != chaos.OK && l.now() < end; { // one late reply of a busy machine proves nothing
			o = l.readOnce(h, was.Key)
		}
		if o.Outcome != chaos.OK {
			unread++
		}
		l.add(o)
	}
	return unread
}

// restMax is for how long a key is read again at rest until somebody answers.
const restMax = 5 * time.Second

func (l *load) readOnce(h hand, key string) chaos.Told {
	o := chaos.Told{Client: atRest, Key: key, Kind: chaos.Read, Start: l.now()}
	h.do(&o)
	o.End = l.now()
	return o
}
