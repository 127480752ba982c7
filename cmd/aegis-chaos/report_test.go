package main

import (
	"slices"
	"testing"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

// TestSidesOfOneServerAreNamedByTheirDirectories: else nobody can tell them apart.
func TestSidesOfOneServerAreNamedByTheirDirectories(t *testing.T) {
	of := func(server string) *report.Report {
		return &report.Report{Scenarios: []report.Scenario{{Cluster: report.Cluster{Server: server, Note: "1s; clients: many"}}}}
	}
	if sameServer([]*report.Report{of("aegis"), of("redis")}) || !sameServer([]*report.Report{of("aegis"), of("redis"), of("aegis")}) {
		t.Error("servers are not told apart")
	}
	if got := of("redis").Server(); got != "redis 1s" {
		t.Errorf("%q", got)
	}
	for _, c := range []struct{ paths, want []string }{
		{[]string{"bin/one", "bin/two/"}, []string{"one", "two"}},
		{[]string{"bin/one/report.json", "two.json"}, []string{"one", "two.json"}},
		{[]string{"a/run", "b/run"}, []string{"a/run", "b/run"}},
	} {
		if got := directories(c.paths); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
