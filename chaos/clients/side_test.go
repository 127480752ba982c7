package clients

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

const (
	sideWorkers = 64
	sideKeys    = 10_000
	sideBytes   = 100
	sideRounds  = 5
	sideTime    = 250 * time.Millisecond
)

// call is one operation of one client.
type call func(ctx context.Context, key string) error

// contender is one client with the calls that are compared.
type contender struct {
	name     string
	get, set call
}

// pace is what one client did in one round.
type pace struct {
	perSecond float64
	cpu       time.Duration // of this process, per operation
}

// TestClientsSideBySide drives the same three nodes with our client, go-redis and
// rueidis, each as its own defaults have it, from 64 goroutines. Rounds alternate, and
// each client's best one counts: what else the machine does takes from a round and never
// adds to it. The table is the result; that ours does more operations and takes no more
// CPU for one is what the test wants.
func TestClientsSideBySide(t *testing.T) {
	addrs := addresses(launch(t, 3, fmt.Sprint(rigMemory)))
	awaitMap(t, addrs)
	all := contenders(t, addrs)
	compareSide(t, "GET", all, func(c contender) call { return c.get })
	compareSide(t, "SET", all, func(c contender) call { return c.set })
}

// compareSide runs one call of all contenders in alternating rounds.
func compareSide(t *testing.T, what string, all []contender, pick func(contender) call) {
	t.Helper()
	paces := make([][]pace, len(all))
	for range sideRounds {
		for i, c := range all {
			paces[i] = append(paces[i], drive(t, pick(c)))
		}
	}
	judgeSide(t, what, all, paces)
}

// contenders are connected, and the keys are there.
func contenders(t *testing.T, addrs []string) []contender {
	t.Helper()
	value := strings.Repeat("x", sideBytes)
	ours := newClient(t, addrs)
	goRedis := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { _ = goRedis.Close() })
	ruei, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ruei.Close)
	bytes := []byte(value)
	for i := range sideKeys {
		if err := ours.Set(t.Context(), sideKey(i), bytes); err != nil {
			t.Fatal(err)
		}
	}
	return []contender{
		{
			"pkg/client",
			func(ctx context.Context, key string) error { _, err := ours.Get(ctx, key); return err },
			func(ctx context.Context, key string) error { return ours.Set(ctx, key, bytes) },
		},
		{
			"rueidis",
			func(ctx context.Context, key string) error {
				_, err := ruei.Do(ctx, ruei.B().Get().Key(key).Build()).AsBytes()
				return err
			},
			func(ctx context.Context, key string) error {
				return ruei.Do(ctx, ruei.B().Set().Key(key).Value(value).Build()).Error()
			},
		},
		{
			"go-redis",
			func(ctx context.Context, key string) error { _, err := goRedis.Get(ctx, key).Bytes(); return err },
			func(ctx context.Context, key string) error { return goRedis.Set(ctx, key, bytes, 0).Err() },
		},
	}
}

func sideKey(i int) string { return fmt.Sprint("side:", i) }

// drive lets all goroutines call for a while.
func drive(t *testing.T, do call) pace {
	t.Helper()
	keys := make([]string, sideKeys)
	for i := range keys {
		keys[i] = sideKey(i)
	}
	var stop atomic.Bool
	var done atomic.Int64
	var wg sync.WaitGroup
	run := func(g int) {
		n := 0
		for i := g * 131; !stop.Load(); i++ {
			if err := do(context.Background(), keys[i%sideKeys]); err != nil {
				t.Error(err)
				return
			}
			n++
		}
		done.Add(int64(n))
	}
	begun, before := time.Now(), usedCPU()
	for g := range sideWorkers {
		wg.Go(func() { run(g) })
	}
	<-time.After(sideTime)
	stop.Store(true)
	wg.Wait()
	took, cpu := time.Since(begun), usedCPU()-before
	n := max(done.Load(), 1)
	return pace{float64(n) / took.Seconds(), cpu / time.Duration(n)}
}

// usedCPU is the CPU time of this process, user and system.
func usedCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // of oneself it never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// judgeSide prints one table and compares the others with the first.
func judgeSide(t *testing.T, what string, all []contender, paces [][]pace) {
	t.Helper()
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s, %d goroutines\toperations/s\tclient CPU per operation\t\n", what, sideWorkers)
	best := make([]pace, len(all))
	for i, c := range all {
		best[i] = bestPace(paces[i])
		fmt.Fprintf(w, "%s\t%.0f\t%v\t\n", c.name, best[i].perSecond, best[i].cpu)
	}
	_ = w.Flush()
	fmt.Println(out.String())
	for i, m := range best[1:] {
		if m.perSecond >= best[0].perSecond || m.cpu < best[0].cpu {
			t.Errorf("%s: %s is not behind in speed or takes less CPU", what, all[i+1].name)
		}
	}
}

// bestPace is the highest rate and the least CPU of all rounds.
func bestPace(all []pace) pace {
	best := all[0]
	for _, p := range all[1:] {
		best.perSecond, best.cpu = max(best.perSecond, p.perSecond), min(best.cpu, p.cpu)
	}
	return best
}
