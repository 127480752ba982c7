package client

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// nearStore holds values of a near cache, each with the source that promised to tell
// when it changes. It is cut into stripes so that readers of different keys do not
// meet.
type nearStore struct {
	secret  uint64 // of the hash that places keys
	stripes []nearStripe
}

// nearStripe is the part of one of them.
type nearStripe struct {
	mu    sync.Mutex
	store *lru.Store // an entry's version is its source, its deadline on the client's clock
	fills map[string]*nearFill
	entry []byte // memory to put an entry together
}

// nearValue is what is kept of a key. Times are on the client's clock.
type nearValue struct {
	data    []byte
	version shardmap.Version // 0 when the node did not tell
	ends    time.Duration    // of its time to live: endsNever, or endsUnknown where nobody asked
	source  uint64
	until   time.Duration // it is used no longer
}

const (
	endsUnknown time.Duration = math.MinInt64
	endsNever   time.Duration = math.MaxInt64
)

// deadline is when the store may let go of it.
func (v *nearValue) deadline() time.Duration {
	if v.ends == endsUnknown {
		return v.until
	}
	return min(v.until, v.ends)
}

// nearHead is how many bytes stand before the value in an entry: version and ends.
const nearHead = 16

func (v *nearValue) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(v.version))
	b = binary.LittleEndian.AppendUint64(b, uint64(v.ends))
	return append(b, v.data...)
}

// nearFill is the reads of one key that are on their way to the store. A change that is
// heard meanwhile spoils them: what they bring may be older than the change.
type nearFill struct {
	readers int
	spoiled bool
}

// A cache has up to stripesMax stripes, none of them smaller than stripeBytes: what a
// store needs for itself would be most of it.
const (
	stripesMax  = 16
	stripeBytes = 64 << 10
)

func newNearStore(bytes int64) *nearStore {
	n := min(max(1, bytes/stripeBytes), stripesMax)
	s := &nearStore{secret: maphash.String(maphash.MakeSeed(), ""), stripes: make([]nearStripe, n)}
	for i := range s.stripes {
		s.stripes[i].store = lru.New(lru.Config{BudgetBytes: bytes / int64(len(s.stripes)), Secret: s.secret})
		s.stripes[i].fills = map[string]*nearFill{}
	}
	return s
}

func (s *nearStore) at(key string) (*nearStripe, uint64) {
	h := lru.Hash(s.secret, []byte(key))
	return &s.stripes[h%uint64(len(s.stripes))], h
}

// get appends a key's value to dst, if its source is good and it is not too old; timed
// wants one whose end is known.
func (s *nearStore) get(dst []byte, key string, now time.Duration, timed bool, good func(source uint64) bool) (v nearValue, ok bool) {
	st, h := s.at(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	v.data = dst
	e, ok := st.store.Get(h, []byte(key))
	if !ok || e.Deadline <= int64(now) || !good(e.Version) {
		return v, false
	}
	v.version = shardmap.Version(binary.LittleEndian.Uint64(e.Value))
	v.ends = time.Duration(binary.LittleEndian.Uint64(e.Value[8:]))
	if timed && v.ends == endsUnknown {
		return v, false
	}
	if dst == nil {
		v.data = make([]byte, 0, len(e.Value)-nearHead) // an empty value is not nil
	}
	v.data = append(v.data, e.Value[nearHead:]...)
	return v, true
}

// begin announces a read of a key.
func (s *nearStore) begin(key string) *nearFill {
	st, _ := s.at(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	f := st.fills[key]
	if f == nil || f.spoiled { // who begins after a change may store what it reads
		f = &nearFill{}
		st.fills[key] = f
	}
	f.readers++
	return f
}

// finish ends a read, and stores its value when keep says so and no change came
// between.
func (s *nearStore) finish(f *nearFill, key string, v nearValue, keep bool) {
	st, h := s.at(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if f.readers--; f.readers == 0 && st.fills[key] == f {
		delete(st.fills, key)
	}
	if !keep || f.spoiled {
		return
	}
	st.entry = v.append(st.entry[:0])
	st.store.Set(lru.Entry{Hash: h, Version: v.source, Deadline: int64(v.deadline()), Key: []byte(key), Value: st.entry})
	if cap(st.entry) > intoMax {
		st.entry = nil
	}
	for st.store.Over() > 0 {
		e, ok := st.store.Victim(0)
		if ok {
			_, ok = st.store.Evict(e.Hash, e.Version)
		}
		if !ok {
			return
		}
	}
}

// forget drops a key that has changed.
func (s *nearStore) forget(key string) {
	st, h := s.at(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.store.Delete(h, []byte(key))
	if f := st.fills[key]; f != nil {
		f.spoiled = true
	}
}

// clear drops everything.
func (s *nearStore) clear() {
	for i := range s.stripes {
		st := &s.stripes[i]
		st.mu.Lock()
		st.store.Clear()
		for _, f := range st.fills {
			f.spoiled = true
		}
		st.mu.Unlock()
	}
}

// size is the number of entries and the bytes that they count.
func (s *nearStore) size() (entries int, bytes int64) {
	for i := range s.stripes {
		st := &s.stripes[i]
		st.mu.Lock()
		entries += st.store.Len()
		bytes += st.store.Held()
		st.mu.Unlock()
	}
	return entries, bytes
}
