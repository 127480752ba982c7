package node

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// BenchmarkPipeline is what a node does for the commands of fifty deep pipelines in turn,
// without sockets and parsing: a million keys of 100 B, of which no cache holds much.
func BenchmarkPipeline(b *testing.B) {
	const keys, conns, depth, ahead = 1_000_000, 50, 64, 16
	n := startNodes(b, 1, 512<<20)[0]
	visit(b, n.cfg.ClientAddr).must("SET k v")
	be := backend{n}
	var sessions [conns]redis.Session
	for i := range sessions {
		be.Open(&sessions[i])
		defer be.Closed(&sessions[i])
	}
	var names [ahead][]byte
	var res redis.Result
	value := make([]byte, 100)
	name := func(i int, key uint64) []byte {
		names[i] = strconv.AppendUint(append(names[i][:0], "bench:100:"...), key, 10)
		return names[i]
	}
	set := func(s *redis.Session, key []byte) {
		op := redis.Op{Kind: redis.OpSet, Slot: shardmap.SlotOf(key), Key: key, Value: value}
		if err := be.Do(s, &op, &res); err != nil {
			b.Fatal(err)
		}
	}
	for key := range uint64(keys) {
		set(&sessions[0], name(0, key))
		if key%depth == 0 {
			if err := be.Commit(&sessions[0]); err != nil {
				b.Fatal(err)
			}
		}
	}
	get := func(s *redis.Session, key []byte) {
		v, found, err := be.Get(s, shardmap.SlotOf(key), key, res.Value[:0])
		if err != nil || !found {
			b.Fatal(found, err)
		}
		res.Value = v
	}
	for _, c := range []struct {
		name string
		run  func(s *redis.Session, key []byte)
	}{{"GET", get}, {"SET", set}} {
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			rng := rand.New(rand.NewPCG(1, 2))
			begun := threadTime(b)
			for i := 0; i < b.N; i += ahead {
				s := &sessions[i/depth%conns]
				for j := range names {
					name(j, rng.Uint64N(keys))
				}
				be.Warm(names[:])
				for _, key := range names {
					c.run(s, key)
				}
				if (i+ahead)%depth == 0 {
					if err := be.Commit(s); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(threadTime(b)-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// threadTime is the CPU time of this thread, which others on the machine do not add to.
func threadTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
