package lru

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// naive is what a store should do, said as simply as possible: a map, and two
// queues that are slices. It knows the policy and nothing of memory; what the store
// remembers of evicted hashes it is told.
type naive struct {
	policy Policy
	keys   map[string]*item
	inline int // longer values have an extent
	queues [queues][]*item
}

// item is an entry of the model.
type item struct {
	key, value string
	version    uint64
	deadline   int64
	hits       int
	queue      int
	size       int // of the record, slack included
	expires    bool
	extended   bool
}

func (it *item) meta() meta {
	e := Entry{Key: []byte(it.key), Value: []byte(it.value)}
	m := metaOf(&e, len(e.Value))
	if it.extended {
		m |= extentFlag
	}
	if it.expires {
		m |= expiresFlag
	}
	return m
}

// weight is what the item counts in its queue.
func (it *item) weight() int {
	if it.extended {
		return it.size + extentBytes(len(it.value))
	}
	return it.size
}

func (n *naive) set(e Entry, remembered bool) {
	it := n.keys[string(e.Key)]
	if it == nil {
		it = &item{key: string(e.Key), value: string(e.Value), expires: e.Deadline != 0, extended: len(e.Value) > n.inline}
		it.size = align(it.meta().used())
		if remembered || e.Protected {
			it.queue = protected
		}
		n.keys[it.key] = it
		n.queues[it.queue] = append(n.queues[it.queue], it)
	} else {
		n.resize(it, string(e.Value), it.expires || e.Deadline != 0)
	}
	it.version, it.deadline = e.Version, e.Deadline
}

// resize keeps an item's place when the new value fits there and wastes little.
func (n *naive) resize(it *item, value string, expires bool) {
	old, pages := it.meta(), extentBytes(len(it.value))
	had := it.expires
	it.value, it.expires, it.extended = value, expires, len(value) > n.inline
	need := align(it.meta().used())
	slack := it.size - need
	same := expires == had && old.extended() == it.meta().extended() && (!old.extended() || pages == extentBytes(len(value)))
	if same && slack >= 0 && slack <= 127*8 && slack <= max(64, it.size/4) {
		return
	}
	it.size = need
	n.push(it, it.queue)
}

// hit is what a Get does.
func (n *naive) hit(it *item) {
	switch n.policy {
	case LRU:
		n.push(it, it.queue)
	case SLRU:
		n.push(it, protected)
	default:
		it.hits = min(3, it.hits+1)
	}
}

// push moves an item to the head of a queue.
func (n *naive) push(it *item, queue int) {
	n.drop(it)
	it.queue = queue
	n.queues[queue] = append(n.queues[queue], it)
}

func (n *naive) drop(it *item) {
	q := n.queues[it.queue]
	n.queues[it.queue] = slices.Delete(q, slices.Index(q, it), slices.Index(q, it)+1)
}

func (n *naive) remove(it *item) {
	n.drop(it)
	delete(n.keys, it.key)
}

func (n *naive) bytes(queue int) (sum int) {
	for _, it := range n.queues[queue] {
		sum += it.weight()
	}
	return sum
}

// percent is how much may be protected.
func (n *naive) percent() int {
	if n.policy == SLRU || len(n.keys) >= 128 && len(n.keys) < 512 {
		return 80
	}
	return 90
}

// victim is the policy.
func (n *naive) victim(keep uint64) *item {
	moved := 0
	var kept [queues]int
	for moves := 0; ; {
		pro, prot := n.bytes(probation), n.bytes(protected)
		q := probation
		if pro == 0 || prot*100 > (pro+prot)*n.percent() {
			q = protected
		}
		if kept[q] == n.bytes(q) && kept[1-q] < n.bytes(1-q) {
			q = 1 - q
		}
		it := n.queues[q][0]
		to, free := protected, moves < movesMax && moved < moveBytesMax
		switch {
		case it.version == keep && kept[q] < n.bytes(q):
			kept[q] += it.weight()
			n.push(it, q)
			continue
		case free && n.policy == SLRU && q == protected:
			to = probation
		case n.policy != Segmented:
			return it
		case free && q == probation && it.hits >= 2:
			it.hits = 0
		case free && q == protected && it.hits > 0:
			it.hits--
		default:
			return it
		}
		moves, moved, kept[to] = moves+1, moved+it.size, 0
		it.size = align(it.meta().used())
		n.push(it, to)
	}
}

// dice is where a run has its choices from: a seed, or the bytes of a fuzzer.
type dice interface {
	below(n int) int
	over() bool
}

type seeded struct {
	*rand.Rand
	left int
}

func (d *seeded) below(n int) int { d.left--; return d.IntN(n) }
func (d *seeded) over() bool      { return d.left <= 0 }

type fuzzed struct{ b []byte }

func (d *fuzzed) over() bool { return len(d.b) == 0 }

func (d *fuzzed) below(n int) int {
	var w [4]byte
	k := 1
	for n > 1<<(8*k) {
		k++
	}
	copy(w[:k], d.b)
	d.b = d.b[min(k, len(d.b)):]
	return int(binary.LittleEndian.Uint32(w[:])) % n
}

// trial is a store beside its model.
type trial struct {
	testing.TB
	dice
	s       *Store
	n       naive
	version uint64
	now     int64
	keys    int
	values  []int
	budgets []int64
	hash    func([]byte) uint64
	evicted int
	expired int
	past    map[string]*item // what the walk of the past has not brought yet
	walk    *Frozen
	walked  int
}

func newTrial(t testing.TB, d dice, pool *Pool) *trial {
	tr := &trial{TB: t, dice: d, n: naive{keys: map[string]*item{}, inline: inlineMax}, now: 1 << 40}
	kinds := []struct {
		keys    int
		values  []int
		budgets []int64
	}{
		{30, []int{0, 1, 8, 20, 21, 300}, []int64{2600, 4000, 9000}},
		{200, []int{3, 40, 100, 101, 160}, []int64{10_000, 25_000, 60_000}},
		{60, []int{10, 1000, inlineMin + 900, inlineMax, inlineMax + 1, 30_000}, []int64{60_000, 400_000}},
	}
	k := kinds[tr.below(len(kinds))]
	tr.keys, tr.values, tr.budgets = k.keys, k.values, k.budgets
	variant := []Config{{}, {}, {}, {Policy: LRU}, {Policy: SLRU}, {Admission: AdmitTinyLFU}}[tr.below(6)]
	tr.n.policy = variant.Policy
	tr.s = New(Config{BudgetBytes: k.budgets[0], Secret: 7, Pool: pool, Policy: variant.Policy, Admission: variant.Admission})
	hashes := []func(uint64) uint64{
		func(h uint64) uint64 { return h },
		func(h uint64) uint64 { return h % 3 },                     // three hashes in one bucket
		func(h uint64) uint64 { return h&^(1<<32-1) | h&1 },        // upper halves differ
		func(h uint64) uint64 { return h>>60<<60 | h&(1<<34-1)%5 }, // a few of everything
	}
	tr.n.inline = inlineFor(k.budgets[0])
	fold := hashes[tr.below(8)/2%len(hashes)]
	tr.hash = func(key []byte) uint64 { return fold(Hash(7, key)) }
	tr.s.hash = tr.hash
	return tr
}

// run plays until the dice are over.
func (t *trial) run() {
	steps := []func(){
		t.set, t.set, t.set, t.set, t.set, t.set, t.get, t.get, t.get, t.get,
		t.delete, t.meta, t.meta, t.merge, t.protect, t.tick, t.budget, t.rare, t.several, t.thaw, t.thaw,
	}
	for !t.over() {
		steps[t.below(len(steps))]()
		t.settle()
		t.compare()
	}
}

func (t *trial) key() []byte {
	i := t.below(t.keys)
	return fmt.Appendf(nil, "%0*d", 1+i%23, i)
}

func (t *trial) value() []byte {
	return bytes.Repeat([]byte{byte('a' + t.version%26)}, t.values[t.below(len(t.values))])
}

func (t *trial) deadline() int64 {
	spans := []int64{0, 0, 0, 5, 100, 3000, 90_000, 1 << 28, 1 << 38}
	d := spans[t.below(len(spans))]
	if d == 0 {
		return 0
	}
	return t.now - 3 + d + int64(t.below(50))
}

func (t *trial) entry() Entry {
	t.version++
	key := t.key()
	return Entry{Hash: t.hash(key), Version: t.version, Deadline: t.deadline(), Key: key, Value: t.value(), Protected: t.below(16) == 0}
}

func (t *trial) set() {
	e := t.entry()
	was := t.n.keys[string(e.Key)]
	remembered := was == nil && t.s.returns(e.Hash)
	before, ok := t.s.Set(e)
	if ok != (was != nil) || ok && (before.Version != was.version || before.Deadline != was.deadline) {
		t.Fatalf("Set of %q answered %+v %v, the model has %+v", e.Key, before, ok, was)
	}
	t.n.set(e, remembered)
}

// several are entries of one version, as a transaction writes them.
func (t *trial) several() {
	e := t.entry()
	for range 1 + t.below(8) {
		key := t.key()
		e.Hash, e.Key = t.hash(key), key
		was := t.n.keys[string(key)]
		remembered := was == nil && t.s.returns(e.Hash)
		t.s.Set(e)
		t.n.set(e, remembered)
	}
}

func (t *trial) merge() {
	e := t.entry()
	e.Version = uint64(1 + t.below(int(min(t.version, 200))))
	was := t.n.keys[string(e.Key)]
	if was == nil || t.walk != nil && t.below(8) != 0 {
		e.Version = t.version
	}
	want := was == nil || e.Version >= was.version
	remembered := was == nil && t.s.returns(e.Hash)
	if _, _, applied := t.s.Merge(e); applied != want {
		t.Fatalf("Merge of %q at %d: applied %v, the model has %+v", e.Key, e.Version, applied, was)
	}
	if want {
		t.n.set(e, remembered)
	}
}

func (t *trial) get() {
	key := t.key()
	e, ok := t.s.Get(t.hash(key), key)
	it := t.n.keys[string(key)]
	if ok != (it != nil) || ok && string(e.Value) != it.value {
		t.Fatalf("Get of %q: %v", key, ok)
	}
	if ok {
		t.n.hit(it)
	}
}

func (t *trial) delete() {
	key := t.key()
	it := t.n.keys[string(key)]
	if m, ok := t.s.Delete(t.hash(key), key); ok != (it != nil) || ok && m.Version != it.version {
		t.Fatalf("Delete of %q: %v", key, ok)
	}
	if it != nil {
		t.n.remove(it)
	}
}

func (t *trial) meta() {
	key, d := t.key(), t.deadline()
	t.version++
	it := t.n.keys[string(key)]
	m, ok := t.s.SetMeta(t.hash(key), key, t.version, d)
	if ok != (it != nil) || ok && (m.Version != it.version || m.Deadline != it.deadline) {
		t.Fatalf("SetMeta of %q: %+v %v", key, m, ok)
	}
	if !ok {
		return
	}
	if d != 0 && !it.expires {
		it.expires = true
		it.size = align(it.meta().used())
		t.n.push(it, it.queue)
	}
	it.version, it.deadline = t.version, d
}

// protect does what the owner of another copy saw.
func (t *trial) protect() {
	key := t.key()
	it := t.n.keys[string(key)]
	if it == nil || !t.named(it) {
		return
	}
	t.s.Protect(t.hash(key), it.version)
	if it.queue == probation {
		it.hits = 0
	}
	it.size = align(it.meta().used())
	t.n.push(it, protected)
}

// tick lets time pass and removes the dead.
func (t *trial) tick() {
	spans := []int64{0, 1, 16, 200, 5000, 100_000, 1 << 29, 1 << 39}
	t.now += spans[t.below(len(spans))]
	limits := []int{1, 5, 64, 1000}
	more := t.s.Expired(t.now, limits[t.below(len(limits))], func(e Entry) {
		it := t.n.keys[string(e.Key)]
		if it == nil || it.deadline == 0 || it.deadline > t.now || it.version != e.Version || e.Hash != t.hash(e.Key) {
			t.Fatalf("%q with deadline %d expired at %d, the model has %+v", e.Key, e.Deadline, t.now, it)
		}
		t.n.remove(it)
		t.expired++
	})
	for k, it := range t.n.keys {
		if !more && it.deadline != 0 && it.deadline <= t.now {
			t.Fatalf("%q with deadline %d survived %d", k, it.deadline, t.now)
		}
	}
}

func (t *trial) budget() {
	bytes := t.budgets[t.below(len(t.budgets))]
	t.s.SetBudget(bytes)
	t.n.inline = inlineFor(bytes)
}

func (t *trial) rare() {
	switch t.below(8) {
	case 0:
		t.s.Clear()
		t.n = naive{policy: t.n.policy, keys: map[string]*item{}, inline: t.n.inline}
	case 1: // everything but a few
		for _, k := range slices.Sorted(maps.Keys(t.n.keys)) {
			if t.below(8) != 0 {
				t.s.Delete(t.hash([]byte(k)), []byte(k))
				t.n.remove(t.n.keys[k])
			}
		}
	case 2:
		for _, k := range slices.Sorted(maps.Keys(t.n.keys)) {
			if it := t.n.keys[k]; t.below(3) == 0 && t.named(it) {
				if _, ok := t.s.DeleteVersion(t.hash([]byte(k)), it.version); !ok {
					t.Fatalf("DeleteVersion of %q", k)
				}
				t.n.remove(it)
			}
		}
	case 3: // for nothing
		lo := uint64(t.below(1<<16)) << 48
		t.s.Reserve(lo, lo|(1<<48-1), int(t.version%40))
	}
}

// named says whether hash and version name this item and no other.
func (t *trial) named(it *item) bool {
	for _, other := range t.n.keys {
		if other != it && other.version == it.version && t.hash([]byte(other.key)) == t.hash([]byte(it.key)) {
			return false
		}
	}
	return true
}

// thaw goes on with a walk of the past, or begins one.
func (t *trial) thaw() {
	if t.walk == nil {
		t.walk, t.past = t.s.Freeze(t.version, t.s.Budget()/8), map[string]*item{}
		for k, it := range t.n.keys {
			then := *it
			t.past[k] = &then
		}
		return
	}
	more, err := t.walk.Step(1+t.below(30), int64(1+t.below(2000)), func(e Entry) {
		it := t.past[string(e.Key)]
		if it == nil || it.value != string(e.Value) || it.version != e.Version || it.deadline != e.Deadline || e.Hash != t.hash(e.Key) {
			t.Fatalf("a walk brought %q at %d, the model had %+v", e.Key, e.Version, it)
		}
		delete(t.past, string(e.Key))
	})
	if err == nil && !more {
		if t.walked++; len(t.past) > 0 {
			t.Fatalf("a walk is over and did not bring %d entries", len(t.past))
		}
	}
	if !more {
		t.walk = nil
	}
}

// settle evicts as an owner does, and compares who leaves.
func (t *trial) settle() {
	for t.s.Over() > 0 && len(t.n.keys) > 1 {
		want := t.n.victim(t.version)
		got, ok := t.s.Victim(t.version)
		if ok && got.Version == t.version && want.version == t.version {
			return // nothing but what was just written
		}
		if !ok || string(got.Key) != want.key || string(got.Value) != want.value || got.Version != want.version {
			t.Fatalf("the store evicts %q of version %d, the model %q of version %d", got.Key, got.Version, want.key, want.version)
		}
		if _, ok := t.s.Evict(got.Hash, got.Version); !ok {
			t.Fatalf("%q cannot be evicted", want.key)
		}
		t.n.remove(want)
		t.evicted++
	}
	if t.s.Held() > t.s.Budget() && len(t.n.keys) > 1 {
		t.Fatalf("%d bytes held of %d", t.s.Held(), t.s.Budget())
	}
}

// compare looks at everything.
func (t *trial) compare() {
	if err := t.s.check(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	t.s.Range(0, ^uint64(0), func(e Entry) bool {
		seen++
		it := t.n.keys[string(e.Key)]
		if it == nil || string(e.Value) != it.value || e.Version != it.version || e.Deadline != it.deadline || e.Hash != t.hash(e.Key) || e.Protected != (it.queue == protected) {
			t.Fatalf("%q is at %d, the model has %+v", e.Key, e.Version, it)
		}
		return true
	})
	lo := t.version * 0x9e3779b97f4a7c15 &^ (1<<48 - 1)
	for _, hi := range []uint64{lo | (1<<48 - 1), lo | (1<<62 - 1)} {
		part := 0
		t.s.Range(lo, hi, func(Entry) bool { part++; return true })
		for k := range t.n.keys {
			if h := t.hash([]byte(k)); lo <= h && h <= hi {
				part--
			}
		}
		if part != 0 {
			t.Fatalf("%d entries too many between %x and %x", part, lo, hi)
		}
	}
	if seen != len(t.n.keys) || t.s.Len() != seen {
		t.Fatalf("%d entries are walked, %d counted, %d in the model", seen, t.s.Len(), len(t.n.keys))
	}
}

// returns says whether a new entry of this hash is protected at once.
func (s *Store) returns(hash uint64) bool { return s.ghost.holds(hash) && s.welcome(hash) }

// holds is take without forgetting.
func (g *ghost) holds(hash uint64) bool {
	if g.lines == 0 {
		return false
	}
	i := g.place(hash)
	for _, m := range g.line(i) {
		if m != 0 && m&0xffff == uint32(hash>>32&0xffff) && g.age(m, g.unit(i)) < g.limit {
			return true
		}
	}
	return false
}

func TestStoreDoesWhatTheModelDoes(t *testing.T) {
	seeds, steps := 60, 6000
	if testing.Short() {
		seeds = 12
	}
	evicted, expired, walked := 0, 0, 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var pool *Pool
			if seed%3 == 0 {
				pool = NewPool(0)
				defer pool.Close()
			}
			tr := newTrial(t, &seeded{rand.New(rand.NewPCG(uint64(seed), 1)), steps}, pool)
			empty := tr.s.lent()
			tr.run()
			evicted, expired, walked = evicted+tr.evicted, expired+tr.expired, walked+tr.walked
			tr.s.SetBudget(tr.budgets[0])
			tr.s.Clear()
			if lent := tr.s.lent(); lent != empty || pool != nil && pool.LentBytes() != lent {
				t.Errorf("after Clear the pool lends %d, the store holds %d, and %d at first", pool.LentBytes(), lent, empty)
			}
		})
	}
	if evicted < 100*seeds || expired < 10*seeds || walked < 10*seeds {
		t.Errorf("only %d evictions, %d expirations and %d walks of the past", evicted, expired, walked)
	}
}

func FuzzStore(f *testing.F) {
	for seed := range 6 {
		b := make([]byte, 400) // short: a long one is minimised for a minute before it is of use
		for i := range b {
			b[i] = byte(rand.New(rand.NewPCG(uint64(seed), uint64(i))).Uint32())
		}
		b[0] = byte(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4000 {
			return
		}
		newTrial(t, &fuzzed{b}, nil).run()
	})
}
