package client

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/lru"
)

// nearStore holds values of a near cache, each with the source that promised to tell
// when it changes. It is cut into stripes so that readers of different keys do not
// meet.
type nearStore struct {
	seed    maphash.Seed
	stripes [16]nearStripe
}

// nearStripe is the part of one sixteenth of the keys.
type nearStripe struct {
	mu    sync.Mutex
	store *lru.Store // an entry's version is its source, its deadline on the client's clock
	fills map[string]*nearFill
}

// nearFill is the reads of one key that are on their way to the store. A change that is
// heard meanwhile spoils them: what they bring may be older than the change.
type nearFill struct {
	readers int
	spoiled bool
}

func newNearStore(bytes int64) *nearStore {
	s := &nearStore{seed: maphash.MakeSeed()}
	for i := range s.stripes {
		s.stripes[i].store = lru.New(lru.Config{BudgetBytes: bytes / int64(len(s.stripes))})
		s.stripes[i].fills = map[string]*nearFill{}
	}
	return s
}

func (s *nearStore) at(key string) (*nearStripe, uint64) {
	h := maphash.String(s.seed, key)
	return &s.stripes[h%uint64(len(s.stripes))], h
}

// get appends a key's value to dst, if its source is good and it is not too old.
func (s *nearStore) get(dst []byte, key string, now time.Duration, good func(source uint64) bool) ([]byte, bool) {
	st, h := s.at(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	e, ok := st.store.Get(h, []byte(key))
	if !ok || e.Deadline <= int64(now) || !good(e.Version) {
		return dst, false
	}
	if dst == nil {
		dst = make([]byte, 0, len(e.Value)) // an empty value is not nil
	}
	return append(dst, e.Value...), true
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
func (s *nearStore) finish(f *nearFill, key string, value []byte, source uint64, deadline time.Duration, keep bool) {
	st, h := s.at(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if f.readers--; f.readers == 0 && st.fills[key] == f {
		delete(st.fills, key)
	}
	if !keep || f.spoiled {
		return
	}
	st.store.Set(lru.Entry{Hash: h, Version: source, Deadline: int64(deadline), Key: []byte(key), Value: value})
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
