package statemachine

import (
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// benchShards is how many shards are filled side by side, so that the caches of the
// processor hold no more of one than on a node.
const benchShards = 64

// benchPieces is a shard of values of so many bytes, and what a fill of it brings.
func benchPieces(tb testing.TB, entries, valueBytes int) (m *Machine, pieces []piece) {
	m = New(Config{HashKey: 7, BudgetBytes: 1 << 30})
	var res Result
	cmd := &Command{Kind: Set, Value: make([]byte, valueBytes)}
	for i := range entries {
		cmd.Key = fmt.Appendf(nil, "key:%012d", i)
		if err := m.Execute(cmd, shardmap.MakeVersion(1, uint64(i+1)), 5, &res); err != nil {
			tb.Fatal(err)
		}
	}
	for lo := uint64(0); ; {
		b, hi := m.Chunk(lo, 64<<10, nil)
		pieces = append(pieces, piece{lo, hi, b})
		if lo = hi + 1; lo == 0 {
			return m, pieces
		}
	}
}

type piece struct {
	lo, hi uint64
	b      []byte
}

// BenchmarkTakingIn is what entries of a fill cost who takes them in.
func BenchmarkTakingIn(b *testing.B) {
	for _, c := range []struct{ entries, bytes int }{{500, 100}, {1500, 100}, {30_000, 100}, {300_000, 100}, {4000, 1 << 10}, {1000, 4 << 10}} {
		b.Run(fmt.Sprintf("%d of %d", c.entries, c.bytes), func(b *testing.B) {
			entries := c.entries
			_, pieces := benchPieces(b, entries, c.bytes)
			shards := max(1, min(benchShards, 1_000_000/entries))
			pool := lru.NewPool(2 << 30)
			defer pool.Close()
			for b.Loop() {
				b.StopTimer()
				copies := make([]*Machine, shards)
				for i := range copies {
					copies[i] = New(Config{HashKey: 7, BudgetBytes: 1 << 30, Pool: pool})
				}
				b.StartTimer()
				for _, p := range pieces {
					for _, m := range copies {
						if m.ReplaceRange(p.lo, p.hi, p.b) != nil {
							b.Fatal("refused")
						}
					}
				}
				b.StopTimer()
				for _, m := range copies {
					m.Close()
				}
				b.StartTimer()
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N*shards*entries)
			b.ReportMetric(each, "ns/entry")
			b.ReportMetric(float64(c.bytes)/each*1e9/(1<<20), "MiB/s")
		})
	}
}

// BenchmarkComposing is what they cost who sends them.
func BenchmarkComposing(b *testing.B) {
	for _, entries := range []int{1500, 30_000, 300_000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			m, _ := benchPieces(b, entries, 100)
			var dst []byte
			for b.Loop() {
				for lo := uint64(0); ; {
					var hi uint64
					dst, hi = m.Chunk(lo, 64<<10, dst[:0])
					if lo = hi + 1; lo == 0 {
						break
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
		})
	}
}
