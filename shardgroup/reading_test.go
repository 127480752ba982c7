package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// TestUntilWhenANodeReads: it stops the clocks of a takeover as long as it is heard of and
// gets on; one that stands, or begins again and again, does so for ten seconds only.
func TestUntilWhenANodeReads(t *testing.T) {
	const sec = time.Second
	type word struct {
		at   time.Duration
		done uint64 // 0: it takes part
	}
	for name, c := range map[string]struct {
		words []word
		until time.Duration
	}{
		"nothing was heard":           {nil, 0},
		"it gets on":                  {[]word{{sec, 1}, {20 * sec, 2}, {29 * sec, 3}, {38 * sec, 3}}, 38 * sec},
		"it stands":                   {[]word{{sec, 5}, {5 * sec, 5}, {9 * sec, 5}, {30 * sec, 5}}, 11 * sec},
		"it begins again and again":   {[]word{{sec, 5}, {4 * sec, 1}, {8 * sec, 5}, {12 * sec, 1}, {16 * sec, 5}}, 11 * sec},
		"it has read":                 {[]word{{sec, 5}, {2 * sec, 6}, {3 * sec, 0}}, 2 * sec},
		"it reads once more":          {[]word{{sec, 5}, {2 * sec, 6}, {3 * sec, 0}, {30 * sec, 1}}, 30 * sec},
		"it was silent for long":      {[]word{{sec, 5}, {2 * sec, 6}, {90 * sec, 1}}, 90 * sec},
		"it stood, and gets on again": {[]word{{sec, 5}, {30 * sec, 5}, {40 * sec, 6}}, 40 * sec},
	} {
		n := &Node{}
		for _, w := range c.words {
			if w.done == 0 {
				n.Recovered(2)
			} else {
				n.Recovering(2, w.done, multiraft.Instant{Mono: w.at})
			}
		}
		if got := n.ReadUntil(2); got != c.until || n.ReadUntil(3) != 0 {
			t.Errorf("%s: until %v, want %v", name, got, c.until)
		}
	}
}
