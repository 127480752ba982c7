package sim

import (
	"slices"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/metrics"
)

// TestElsewhereNamesPlaces keeps the list of exceptions from outliving its places.
func TestElsewhereNamesPlaces(t *testing.T) {
	for name, why := range Elsewhere {
		if why == "" || !slices.ContainsFunc(metrics.Probes(), func(p metrics.Visits) bool { return p.Name == name }) {
			t.Errorf("%s: no such place, or no reason: %q", name, why)
		}
	}
}
