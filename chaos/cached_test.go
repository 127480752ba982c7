package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestHitsOfCaches: what is answered from a cache, later in the history, and which
// property that breaks when the bound is 100 ms.
func TestHitsOfCaches(t *testing.T) {
	const bound = 100 * time.Millisecond
	for name, c := range map[string]struct {
		before, after func(s *script)
		version       shardmap.Version // of the reading, 0 = absent
		later         time.Duration    // after all that
		seen          shardmap.Version
		want          string
	}{
		"the newest": {version: v(1, 1), later: time.Hour, seen: v(1, 9)},
		"replaced, within the bound": {
			after: func(s *script) { s.set(1, v(1, 2), "b", true) }, version: v(1, 1), later: bound - step,
		},
		"replaced, beyond the bound": {
			after: func(s *script) { s.set(1, v(1, 2), "b", true) }, version: v(1, 1), later: bound + step, want: "P19",
		},
		"deleted, beyond the bound": {
			after: func(s *script) { s.del(1, v(1, 2)) }, version: v(1, 1), later: bound + step, want: "P19",
		},
		"replaced, and the client has seen more of the shard": {
			after: func(s *script) { s.set(1, v(1, 2), "b", true) }, version: v(1, 1), seen: v(1, 2), want: "P20",
		},
		"lost by an Open, within the bound": {
			after: func(s *script) { s.open(2, 0, false, true) }, version: v(1, 1), later: bound - step,
		},
		"lost by an Open, beyond the bound": {
			after: func(s *script) { s.open(2, 0, false, true) }, version: v(1, 1), later: bound + step, want: "P19",
		},
		"what replaced it is lost": {
			after:   func(s *script) { s.set(1, v(1, 2), "b", true); s.open(2, v(1, 1), false, true) },
			version: v(1, 1), later: time.Hour,
		},
		"absent, and still so": {before: func(s *script) { s.del(1, v(1, 2)) }, later: time.Hour},
		"absent, and written long ago": {
			before: func(s *script) { s.del(1, v(1, 2)) }, after: func(s *script) { s.set(1, v(1, 3), "c", false) }, later: bound + step, want: "P19",
		},
	} {
		s := newScript()
		s.set(1, v(1, 1), "a", false)
		if c.before != nil {
			c.before(s)
		}
		reading := s.h.Cached(s.key, c.version)
		if c.after != nil {
			c.after(s)
		}
		s.h.Broken = nil
		s.h.Hit(reading, s.now+c.later, bound, c.seen)
		if got := strings.Join(s.h.Broken, "\n"); (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
