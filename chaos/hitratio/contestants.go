package main

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/Yiling-J/theine-go"
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"
)

// What is stored. The budget of a store is keys and values of as many objects as the
// capacity, and spareBytes for each: what an entry may cost beside them. The others
// count objects and pay for nothing. Options.Spare = 0 gives the store nothing either.
const (
	keyBytes   = 16
	valueBytes = 1024
	spareBytes = 45
	secret     = 0x243f6a8885a308d3
)

// contestant is a cache that traces are replayed through.
type contestant struct {
	name string
	hits func(t *Trace, capacity int, step func(int)) int
}

// Names of contestants that are read again elsewhere.
const (
	nameLRU   = "LRU"
	nameOPT   = "OPT"
	nameS3    = "S3-FIFO"
	nameOne   = "store"
	nameMany  = "store x64"
	manyParts = 64
)

// contestants are all that take part: without rivals only what the bars are about.
func contestants(o Options) []contestant {
	store := func(shards int, c lru.Config) func(*Trace, int, func(int)) int {
		return func(t *Trace, capacity int, step func(int)) int {
			c.BudgetBytes = int64(capacity) * int64(keyBytes+valueBytes+o.Spare) / int64(shards)
			return storeHits(t, shards, c, step)
		}
	}
	all := []contestant{
		{nameLRU, lruHits},
		{nameOne, store(1, lru.Config{})},
		{nameMany, store(manyParts, lru.Config{})},
		{nameS3, s3Hits},
		{nameOPT, optHits},
	}
	if !o.Rivals {
		return all
	}
	return slices.Insert(all, len(all)-1, []contestant{
		{"as LRU", store(1, lru.Config{Policy: lru.LRU})},
		{"as SLRU", store(1, lru.Config{Policy: lru.SLRU})},
		{"+TinyLFU", store(1, lru.Config{Admission: lru.AdmitTinyLFU})},
		{"otter", otterHits},
		{"theine", theineHits},
		{"ristretto", ristrettoHits},
	}...)
}

// mix spreads the numbers of objects over all keys.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// storeHits replays a trace as a node does: a miss is followed by a SET, and the
// owner evicts who the store names until it is within its budget.
func storeHits(t *Trace, shards int, c lru.Config, step func(int)) (hits int) {
	stores := make([]*lru.Store, shards)
	c.Secret = secret
	for i := range stores {
		stores[i] = lru.New(c)
	}
	key, value, version := make([]byte, keyBytes), make([]byte, valueBytes), uint64(0)
	for i, object := range t.Asked {
		m := mix(uint64(object) + 1)
		binary.BigEndian.PutUint64(key, m)
		binary.BigEndian.PutUint64(key[8:], uint64(object))
		s, hash := stores[m%uint64(shards)], lru.Hash(secret, key)
		if _, ok := s.Get(hash, key); ok {
			hits++
		} else {
			version++
			s.Set(lru.Entry{Hash: hash, Version: version, Key: key, Value: value})
		}
		settle(s, version) // after a hit as well: in order of use, it moves the entry
		step(i)
	}
	for _, s := range stores {
		if s.Held() > s.Budget() && s.Len() > 1 {
			panic(fmt.Sprintf("%d bytes held of %d", s.Held(), s.Budget()))
		}
		s.Clear()
	}
	return hits
}

// settle evicts until the store is within its budget, but never what was just written.
func settle(s *lru.Store, keep uint64) {
	for s.Over() > 0 {
		e, ok := s.Victim(keep)
		if !ok || e.Version == keep {
			return
		}
		s.Evict(e.Hash, e.Version)
	}
}

// Rivals count objects, and pay for nothing else. Each is waited for after every
// insert: how much they lose when they drop work is not what is measured here.

func otterHits(t *Trace, capacity int, step func(int)) (hits int) {
	c := otter.Must(&otter.Options[uint64, uint32]{MaximumSize: capacity, Executor: func(f func()) { f() }})
	for i, o := range t.Asked {
		if _, ok := c.GetIfPresent(mix(uint64(o) + 1)); ok {
			hits++
		} else {
			c.Set(mix(uint64(o)+1), o)
		}
		step(i)
	}
	return hits
}

func theineHits(t *Trace, capacity int, step func(int)) (hits int) {
	c, err := theine.NewBuilder[uint64, uint32](int64(capacity)).Build()
	if err != nil {
		panic(err) // of a capacity that is checked before
	}
	defer c.Close()
	for i, o := range t.Asked {
		if _, ok := c.Get(mix(uint64(o) + 1)); ok {
			hits++
		} else {
			c.Set(mix(uint64(o)+1), o, 1)
			c.Wait()
		}
		step(i)
	}
	return hits
}

func ristrettoHits(t *Trace, capacity int, step func(int)) (hits int) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, uint32]{
		NumCounters: 10 * int64(capacity), MaxCost: int64(capacity), BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for i, o := range t.Asked {
		if _, ok := c.Get(mix(uint64(o) + 1)); ok {
			hits++
		} else {
			c.Set(mix(uint64(o)+1), o, 1)
			c.Wait()
		}
		step(i)
	}
	return hits
}
