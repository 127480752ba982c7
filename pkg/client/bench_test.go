package client

import (
	"fmt"
	"testing"
)

// BenchmarkGet runs against a redis-server of its own: what the client costs, beside a
// server that is known. Parallelism is 32 goroutines per core.
func BenchmarkGet(b *testing.B) {
	addr := redisServer(b)
	c, err := New(DefaultConfig([]string{addr}))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = fmt.Sprint("key:", i)
		if err := c.Set(ctx, keys[i], make([]byte, 100)); err != nil {
			b.Fatal(err)
		}
	}
	for _, parallel := range []int{0, 1, 32} {
		b.Run(fmt.Sprint("parallel=", parallel), func(b *testing.B) {
			b.ReportAllocs()
			if parallel == 0 {
				for i := range b.N {
					_, _ = c.Get(ctx, keys[i%len(keys)])
				}
				return
			}
			b.SetParallelism(parallel)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := c.Get(ctx, keys[i%len(keys)]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
