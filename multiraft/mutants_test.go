//go:build mutants

package multiraft

import (
	"testing"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// Storms find the common bugs without a script.
func TestStormsNoticeSeededBugs(t *testing.T) {
	for _, name := range []string{"nowait", "keepbits", "ackfirst"} {
		mutant.Set(name)
		found := false
		for seed := uint64(0); seed < 400 && !found; seed++ {
			found = len(storm(t, seed).overlaps) > 0
		}
		mutant.Set("")
		if !found {
			t.Errorf("%s: not noticed in 400 storms", name)
		}
	}
}
