package lru

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// The benchmarks of a store that is larger than any cache of the processor.
// AEGIS_BENCH_ENTRIES says how many entries; the bars are stated for 5,000,000:
//
//	AEGIS_BENCH_ENTRIES=5000000 go test ./lru -run '^$' -bench 'Beside|Fill' -benchtime 1x
func benchEntries() int {
	if n, err := strconv.Atoi(os.Getenv("AEGIS_BENCH_ENTRIES")); err == nil {
		return n
	}
	return 200_000
}

const (
	benchKeyBytes   = 16
	benchValueBytes = 100
	benchPayload    = benchKeyBytes + benchValueBytes
)

// benchKey writes the i-th key.
func benchKey(dst []byte, i int) []byte {
	copy(dst, "key:000000000000")
	for p := benchKeyBytes - 1; i > 0; p-- {
		dst[p] = byte('0' + i%10)
		i /= 10
	}
	return dst
}

// clockOf reads a CPU clock: 2 of the process, 3 of the thread.
func clockOf(id uintptr) time.Duration {
	var ts syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

func processCPU() time.Duration { return clockOf(2) }
func threadCPU() time.Duration  { return clockOf(3) }

// residentBytes is the process's memory as the system counts it.
func residentBytes() int64 { return procBytes("/proc/self/status", "VmRSS:") }

// quietBytes is residentBytes when the memory of earlier benchmarks is gone: pools
// end some time after a collection.
func quietBytes() int64 {
	for last := int64(0); ; {
		debug.FreeOSMemory()
		time.Sleep(50 * time.Millisecond)
		now := residentBytes()
		if last != 0 && now > last-1<<20 {
			return now
		}
		last = now
	}
}

// hugeBytes is how much of it lies in huge pages.
func hugeBytes() int64 { return procBytes("/proc/self/smaps_rollup", "AnonHugePages:") }

func procBytes(file, field string) (n int64) {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n << 10
}

// filled makes a store of n entries.
func filled(n int, deadline int64, pool *Pool) *Store {
	s := New(Config{BudgetBytes: 1 << 40, Secret: 1, Pool: pool})
	key, value := make([]byte, benchKeyBytes), make([]byte, benchValueBytes)
	for i := range n {
		k := benchKey(key, i)
		s.Set(Entry{Hash: Hash(1, k), Version: uint64(i + 1), Deadline: deadline, Key: k, Value: value})
	}
	return s
}

// BenchmarkBesideMap compares a store with a Go map of byte slices: GET of random
// keys with the value copied out. The two take turns in rounds, so that a machine
// that slows down for a while slows both; shown are the medians.
func BenchmarkBesideMap(b *testing.B) {
	runtime.LockOSThread()
	n := benchEntries()
	key := make([]byte, benchKeyBytes)
	before := quietBytes()
	pool := NewPool(0)
	defer pool.Close()
	s := filled(n, 0, pool)
	debug.FreeOSMemory()
	ours := float64(residentBytes()-before)/float64(n) - benchPayload
	before = residentBytes()
	m := make(map[string][]byte)
	value := bytes.Repeat([]byte{'v'}, benchValueBytes)
	for i := range n {
		m[string(benchKey(key, i))] = bytes.Clone(value)
	}
	debug.FreeOSMemory()
	theirs := float64(residentBytes()-before)/float64(n) - benchPayload

	small := filled(n, 0, nil) // the Go heap has no huge pages
	r, dst := rand.New(rand.NewPCG(1, 2)), make([]byte, 0, 128)
	const round, batch = 200_000, 16
	ways := []struct {
		name string
		run  func()
	}{
		{"map-ns", func() {
			for range round {
				dst = append(dst[:0], m[string(benchKey(key, r.IntN(n)))]...)
			}
		}},
		{"get-ns", func() {
			for range round {
				k := benchKey(key, r.IntN(n))
				e, _ := s.Get(Hash(1, k), k)
				dst = append(dst[:0], e.Value...)
			}
		}},
		{"batch-ns", func() {
			var keys [batch][benchKeyBytes]byte
			var hashes [batch]uint64
			for range round / batch {
				for i := range keys {
					hashes[i] = Hash(1, benchKey(keys[i][:], r.IntN(n)))
				}
				var slots [batch]uint64
				for step := range WarmSteps {
					for i, h := range hashes {
						s.Warm(h, step, &slots[i])
					}
				}
				for i := range keys {
					e, _ := s.Get(hashes[i], keys[i][:])
					dst = append(dst[:0], e.Value...)
				}
			}
		}},
		{"heap-ns", func() {
			for range round {
				k := benchKey(key, r.IntN(n))
				e, _ := small.Get(Hash(1, k), k)
				dst = append(dst[:0], e.Value...)
			}
		}},
	}
	costs := make([][]float64, len(ways))
	b.ResetTimer()
	for range b.N {
		for range 15 {
			for i, w := range ways {
				at := threadCPU()
				w.run()
				costs[i] = append(costs[i], float64(threadCPU()-at)/round)
			}
		}
	}
	for i, w := range ways {
		b.ReportMetric(median(costs[i]), w.name)
	}
	for i, w := range []string{"get/map", "batch/map", "heap/map"} {
		b.ReportMetric(median(costs[i+1])/median(costs[0]), w)
	}
	b.ReportMetric(ours, "overhead-B")
	b.ReportMetric(theirs, "map-overhead-B")
	b.ReportMetric(float64(hugeBytes())/float64(residentBytes()), "huge-share")
	runtime.KeepAlive([]*Store{s, small})
}

// BenchmarkFill fills a store, without and with deadlines, and shows what an entry
// costs beside its key and value, what one garbage collection costs, and how long
// single calls keep the thread: in CPU time, which another process on the machine
// does not lengthen, and on the wall.
func BenchmarkFill(b *testing.B) {
	for _, w := range []struct {
		name     string
		deadline int64
	}{{"plain", 0}, {"ttl", 1 << 41}} {
		b.Run(w.name, func(b *testing.B) {
			for range b.N {
				benchmarkFill(b, w.deadline)
			}
		})
	}
}

func benchmarkFill(b *testing.B, deadline int64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := benchEntries()
	var cpu, wall pauses
	before := quietBytes()
	pool := NewPool(0)
	defer pool.Close()
	s := New(Config{BudgetBytes: 1 << 40, Secret: 1, Pool: pool})
	key, value := make([]byte, benchKeyBytes), make([]byte, benchValueBytes)
	for i := range n {
		k := benchKey(key, i)
		e := Entry{Hash: Hash(1, k), Version: uint64(i + 1), Deadline: deadline, Key: k, Value: value}
		at, began := threadCPU(), time.Now()
		s.Set(e)
		wall.add(time.Since(began))
		cpu.add(threadCPU() - at)
	}
	debug.FreeOSMemory()
	b.ReportMetric(float64(residentBytes()-before)/float64(n)-benchPayload, "overhead-B")
	b.ReportMetric(float64(s.Held())/float64(n)-benchPayload, "counted-B")
	at := processCPU()
	runtime.GC()
	b.ReportMetric(float64(processCPU()-at)/1e6, "gc-cpu-ms")
	cpu.report(b, n, "cpu")
	wall.report(b, n, "wall")
	runtime.KeepAlive(s)
}

// pauses keeps the longest durations.
type pauses struct{ longest []time.Duration }

func (p *pauses) add(d time.Duration) {
	if d < 5*time.Microsecond {
		return
	}
	p.longest = append(p.longest, d)
}

// report shows the longest pause and the one that one call in 100,000 exceeds.
func (p *pauses) report(b *testing.B, calls int, clock string) {
	slices.Sort(p.longest)
	at := func(above int) float64 {
		if i := len(p.longest) - 1 - above; i >= 0 {
			return float64(p.longest[i]) / 1e3
		}
		return 5
	}
	b.ReportMetric(at(calls/100_000), clock+"-p99.999-us")
	b.ReportMetric(at(0), clock+"-max-us")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
