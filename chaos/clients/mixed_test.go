package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	mixedEvery = 2 * time.Millisecond // of each of three clients: 1,500 operations a second in all
	mixedLimit = 5 * time.Second      // of a call
	mixedTold  = 100 * time.Millisecond
	// pauseP99 is how long a group may stand still when its lease or its copies move.
	pauseP99 = 20 * time.Millisecond
	// mixedWindow is what is left out at least when the witness was late.
	mixedWindow = 100 * time.Millisecond
)

// doing is a call of one client: a read where the value is empty.
type doing func(ctx context.Context, key, value string) error

// mixedRoles are the clients of the load, each a process of its own.
var mixedRoles = []string{"go-redis", "rueidis", "our-client"}

func goRedisMain() {
	redis.SetLogger(silent{})
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: roleSeeds()})
	mixedMain("go-redis", func(ctx context.Context, key, value string) error {
		if value == "" {
			return c.Get(ctx, key).Err()
		}
		return c.Set(ctx, key, value, 0).Err()
	})
}

func rueidisMain() {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: roleSeeds(), DisableCache: true})
	if err != nil {
		panic(err)
	}
	mixedMain("rueidis", func(ctx context.Context, key, value string) error {
		if value == "" {
			return c.Do(ctx, c.B().Get().Key(key).Build()).Error()
		}
		return c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error()
	})
}

func ourClientMain() {
	c := roleClient()
	mixedMain("our-client", func(ctx context.Context, key, value string) error {
		if value == "" {
			_, err := c.Get(ctx, key)
			return err
		}
		return c.Set(ctx, key, []byte(value))
	})
}

// mixedCall is one call: who made it, when, how long it took, the group it was for (from
// 1), and why it failed.
type mixedCall struct {
	client string
	at     time.Time
	took   time.Duration
	group  int
	why    string

	done chan struct{} // where it is made
}

func (c mixedCall) String() string {
	return fmt.Sprintf("%s, group %d, at %s, after %v: %s", c.client, c.group, c.at.UTC().Format("15:04:05.000"), c.took, c.why)
}

// mixedMain makes calls at a pace, whether earlier ones have ended or not, and tells of them
// in the order in which they began.
func mixedMain(name string, do doing) {
	calls := make(chan *mixedCall, 1<<16)
	go tellCalls(calls)
	next := time.Now()
	for i := 0; os.Getppid() != 1; i++ {
		next = next.Add(mixedEvery)
		<-time.After(time.Until(next))
		key, value := fmt.Sprintf("%s:%d", name, i*7919%10_000), ""
		if i%4 == 0 {
			value = fmt.Sprint("value of ", i)
		}
		c := &mixedCall{at: time.Now(), group: int(shardmap.DefaultLayout.GroupOf(shardOf(key))), done: make(chan struct{})}
		calls <- c
		go c.run(do, key, value)
	}
}

func (c *mixedCall) run(do doing, key, value string) {
	ctx, cancel := context.WithTimeout(context.Background(), mixedLimit)
	defer cancel()
	err := do(ctx, key, value)
	c.took = time.Since(c.at)
	if err != nil && !errors.Is(err, redis.Nil) && !rueidis.IsRedisNil(err) && !errors.Is(err, client.ErrNotFound) {
		c.why = err.Error()
	}
	close(c.done)
}

// tellCalls writes a line per call.
func tellCalls(calls <-chan *mixedCall) {
	out, told := bufio.NewWriterSize(os.Stdout, 64<<10), time.Now()
	for c := range calls {
		<-c.done
		fmt.Fprintln(out, c.at.UnixNano(), int64(c.took), c.group, strconv.Quote(c.why))
		if time.Since(told) > mixedTold {
			_ = out.Flush()
			told = time.Now()
		}
	}
}

// mixed is a load of reads and writes by three clients.
type mixed struct {
	w *witness

	mu    sync.Mutex
	calls []mixedCall
	last  map[string]time.Time // when the newest call of a client began of which it told
}

// startMixed begins the load.
func startMixed(t *testing.T, w *witness, addrs []string) *mixed {
	t.Helper()
	l := &mixed{w: w, last: map[string]time.Time{}}
	for _, role := range mixedRoles {
		r, out := io.Pipe()
		startRoleAt(t, role, addrs, nil, out)
		t.Cleanup(func() { _ = out.Close() })
		go l.listen(role, r)
	}
	return l
}

// listen takes what a client tells.
func (l *mixed) listen(client string, r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.SplitN(lines.Text(), " ", 4)
		if len(f) != 4 {
			continue
		}
		at, _ := strconv.ParseInt(f[0], 10, 64)
		took, _ := strconv.ParseInt(f[1], 10, 64)
		group, _ := strconv.Atoi(f[2])
		why, _ := strconv.Unquote(f[3])
		c := mixedCall{client: client, at: time.Unix(0, at), took: time.Duration(took), group: group, why: why}
		l.mu.Lock()
		l.calls, l.last[client] = append(l.calls, c), c.at
		l.mu.Unlock()
	}
}

// stretch is what the clients saw between two moments; the disturbed windows are left out of
// the times.
type stretch struct {
	windows, disturbed int
	calls              map[string]int
	excused            int // calls in the window of a failover
	took               []time.Duration
	pauses             []time.Duration // of each group, its slowest call
	failed             []mixedCall
}

// inconclusive says that too much had to be left out.
func (s *stretch) inconclusive() bool { return s.disturbed*20 > s.windows }

func (s *stretch) String() string {
	return fmt.Sprintf("p50 %v p99 %v, pauses of groups p50 %v p99 %v; calls %v, %d in a failover, errors %d; %d of %d windows disturbed",
		quantile(s.took, .5), quantile(s.took, .99), quantile(s.pauses, .5), quantile(s.pauses, .99), s.calls, s.excused, len(s.failed), s.disturbed, s.windows)
}

// between gathers what began between two moments, once all of that was told. What the
// failover after a death made slow or fail is no part of it.
func (l *mixed) between(t *testing.T, from, to, death time.Time, failover time.Duration) *stretch {
	t.Helper()
	until(t, 2*mixedLimit, "every client has told of its calls", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !slices.ContainsFunc(mixedRoles, func(r string) bool { return l.last[r].Before(to) })
	})
	s := &stretch{calls: map[string]int{}, pauses: make([]time.Duration, groups)}
	var left []bool
	for at := from; at.Before(to); at = at.Add(mixedWindow) {
		late := l.w.disturbed(at, at.Add(mixedWindow), pauseP99)
		if left = append(left, late); late {
			s.disturbed++
		}
	}
	s.windows = len(left)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.calls {
		switch {
		case c.at.Before(from) || !c.at.Before(to):
			continue
		case c.at.Add(c.took).After(death) && c.at.Before(death.Add(failover)):
			s.excused++
			continue
		}
		if s.calls[c.client]++; c.why != "" {
			s.failed = append(s.failed, c)
		}
		if !left[c.at.Sub(from)/mixedWindow] {
			s.took = append(s.took, c.took)
			s.pauses[c.group-1] = max(s.pauses[c.group-1], c.took)
		}
	}
	return s
}
