package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// readers ask the holder for keys of a Zipf distribution and store those that it lacks,
// as users of a cache do. No history is kept of it: a miss is no loss.
type readers struct {
	zipf   *rand.Zipf
	value  [200]byte
	ratios map[string]float64
}

const (
	readersEvery = 10 * ms
	readersAsk   = 20 // keys, each time
	readersKeys  = 10_000
	warmMargin   = 0.02
)

// readThrough reads 2,000 keys a second for some time.
func (verbs) readThrough(d time.Duration) Step {
	return Step{fmt.Sprintf("more than fits is read for %v", d), func(s *stage) { s.readSome(d) }}
}

// hitRatio does the same and keeps the share of hits under a name.
func (verbs) hitRatio(name string, d time.Duration) Step {
	return Step{fmt.Sprintf("more than fits is read for %v: hit ratio %q", d, name), func(s *stage) {
		hits, all := s.readSome(d)
		s.readers.ratios[name] = float64(hits) / float64(all)
		s.note("hit ratio %s: %.3f", name, s.readers.ratios[name])
	}}
}

// asWarm compares two hit ratios: two points may be lost.
func (verbs) asWarm(before, after string) Step {
	return Step{fmt.Sprintf("as warm %s as %s", after, before), func(s *stage) {
		was, is := s.readers.ratios[before], s.readers.ratios[after]
		s.must(was > 0.3 && was < 0.95, "script", "a hit ratio of %.3f shows nothing", was)
		s.must(is > was-warmMargin, "P21", "hit ratio %.3f after %.3f", is, was)
	}}
}

func (s *stage) readSome(d time.Duration) (hits, all int) {
	r := &s.readers
	if r.zipf == nil {
		r.zipf = rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.01, 1, readersKeys)
		r.ratios = map[string]float64{}
	}
	var res statemachine.Result
	for end := s.now + d; s.now < end; s.proceed(readersEvery, nil) {
		p := s.node(holder)
		for range readersAsk {
			key := fmt.Sprint("read:", r.zipf.Uint64())
			shard := s.shardOf(key)
			rep := p.core.Data().ReplicaOf(shard)
			_, found, _, err := rep.Get(shard, []byte(key), nil, false, p.clock())
			s.must(err == nil, "script", "GET at the holder: %v", err)
			if all++; found {
				hits++
				continue
			}
			c := &statemachine.Command{Kind: statemachine.Set, Key: []byte(key), Value: r.value[:]}
			_, err = rep.Do(shard, c, shardgroup.Async, &res, p.clock())
			s.must(err == nil, "script", "SET at the holder: %v", err)
		}
		p.flush()
	}
	return hits, all
}
