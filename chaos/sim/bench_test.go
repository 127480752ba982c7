package sim

import (
	"testing"
	"time"
)

// BenchmarkRun measures cluster-seconds per CPU-second: b.Loop runs one seed each.
func BenchmarkRun(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Duration = 20 * time.Second
	seed, seconds := uint64(0), 0.0
	for b.Loop() {
		seed++
		r := Run(cfg, seed)
		if len(r.Broken) > 0 {
			b.Fatal(r.Broken)
		}
		seconds += r.Seconds
	}
	b.ReportMetric(seconds/b.Elapsed().Seconds(), "cluster-s/s")
}
