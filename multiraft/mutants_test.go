//go:build mutants

package multiraft

import (
	"testing"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// Each seeded bug must make two nodes serve at once, or a lower ballot after a
// higher one, in some storm.
func TestSeededBugsAreNoticed(t *testing.T) {
	for _, name := range []string{"M05", "nowait", "keepbits", "ackfirst"} {
		t.Run(name, func(t *testing.T) {
			mutant.Set(name)
			defer mutant.Set("")
			for seed := range uint64(400) {
				if c := storm(t, seed); len(c.overlaps) > 0 {
					t.Logf("seed %d: %s", seed, c.overlaps[0])
					return
				}
			}
			t.Error("not noticed in 400 storms")
		})
	}
}
