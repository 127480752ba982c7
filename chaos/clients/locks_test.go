package clients

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	lockName  = "the one"
	lockTTL   = 5 * time.Second
	tenureFor = 150 * time.Millisecond
)

// lockerMain takes a lock, holds it for a while and gives it up, again and again. While it
// holds the lock it tells, every few milliseconds: the token, when Held first was true
// at the latest, and when it last was true at the earliest, in Unix nanoseconds.
func lockerMain() {
	c := roleClient()
	for os.Getppid() != 1 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		l, err := c.Lock(ctx, lockName, lockTTL)
		if err == nil {
			tellTenure(l)
			_ = l.Unlock(ctx)
		}
		cancel()
	}
}

func tellTenure(l *client.Lock) {
	var first int64
	for from := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		before := time.Now().UnixNano()
		if !l.Held() {
			return
		}
		if first == 0 {
			first = time.Now().UnixNano()
		}
		fmt.Println(uint64(l.Token()), first, before)
		if time.Since(from) > tenureFor { // looked at last: who was stopped meanwhile has asked Held first
			return
		}
	}
}

// tenure is what is known of one holding of the lock.
type tenure struct {
	token       uint64
	first, last int64 // Unix ns: held at first or before, and still at last or behind
	holder      *exec.Cmd
}

// lockBook gathers the tenures that lockers tell.
type lockBook struct {
	mu      sync.Mutex
	tenures map[uint64]*tenure
	twice   []uint64 // tokens of two holders
	newest  *tenure
}

func (b *lockBook) listen(t *testing.T, seeds []string) *exec.Cmd {
	r, out := io.Pipe()
	cmd := startRoleAt(t, "locker", seeds, nil, out)
	t.Cleanup(func() { _ = out.Close() })
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			n := tenure{holder: cmd}
			if _, err := fmt.Sscan(lines.Text(), &n.token, &n.first, &n.last); err == nil {
				b.take(n)
			}
		}
	}()
	return cmd
}

func (b *lockBook) take(n tenure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.tenures[n.token]
	switch {
	case old == nil:
		b.tenures[n.token] = &n
		if b.newest == nil || n.token > b.newest.token {
			b.newest = &n
		}
	case old.holder != n.holder || old.first != n.first:
		b.twice = append(b.twice, n.token)
	default:
		old.last = n.last
	}
}

func (b *lockBook) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.tenures)
}

func (b *lockBook) holder() *exec.Cmd {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest.holder
}

// judge looks for two holders at a time: with a higher token somebody saw the lock held
// before the last time that somebody with a lower one did.
func (b *lockBook) judge(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, token := range b.twice {
		t.Errorf("token %v was given out twice", shardmap.Version(token))
	}
	var all []*tenure
	for _, n := range b.tenures {
		all = append(all, n)
	}
	slices.SortFunc(all, func(x, y *tenure) int { return cmp.Compare(x.token, y.token) })
	epochs := map[uint32]bool{}
	for i, n := range all {
		epochs[shardmap.Version(n.token).Epoch()] = true
		if i > 0 && all[i-1].last > n.first {
			t.Errorf("token %v was held %v after token %v was", shardmap.Version(all[i-1].token), time.Duration(all[i-1].last-n.first), shardmap.Version(n.token))
		}
		if i > 0 {
			n.last = max(n.last, all[i-1].last)
		}
	}
	t.Logf("%d tenures in %d epochs, no token twice, no two holders at a time", len(all), len(epochs))
	if len(epochs) < 3 {
		t.Errorf("the lock lived in %d epochs only: the faults missed it", len(epochs))
	}
}

// more waits until the lock has changed hands some times since.
func (b *lockBook) more(t *testing.T, n int) {
	t.Helper()
	from := b.count()
	until(t, time.Minute, "the lock changes hands", func() bool { return b.count() >= from+n })
}

// TestLocksUnderKillsAndPauses: processes fight for one lock while its leaseholder is killed and
// stopped, and while its holder is. Fencing tokens never repeat and never go back, and
// no two holders see theirs as current. AEGIS_TEST_LOCKS says how often.
func TestLocksUnderKillsAndPauses(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "256MiB")
	addrs := addresses(nodes)
	b := &lockBook{tenures: map[uint64]*tenure{}}
	for range 4 {
		b.listen(t, addrs)
	}
	b.more(t, 5)
	for range times(t, "AEGIS_TEST_LOCKS", 1) {
		victim := leaseholderOf(t, nodes, "lock:"+lockName)
		victim.kill()
		b.more(t, 5)
		victim.start(t)
		until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })

		victim = leaseholderOf(t, nodes, "lock:"+lockName)
		victim.signal(syscall.SIGSTOP)
		until(t, time.Minute, "the node stands still", victim.stopped)
		b.more(t, 5)
		victim.signal(syscall.SIGCONT)
		b.more(t, 5)
		until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })

		holder := b.holder() // stopped for longer than its lock lives without it
		_ = holder.Process.Signal(syscall.SIGSTOP)
		from := time.Now()
		b.more(t, 3)
		<-time.After(lockTTL + time.Second - time.Since(from))
		_ = holder.Process.Signal(syscall.SIGCONT)
		b.more(t, 3)
	}
	_ = b.holder().Process.Kill()
	b.more(t, 5)
	b.judge(t)
}

// leaseholderOf is the node that serves a key.
func leaseholderOf(t *testing.T, nodes []*restartable, key string) *restartable {
	t.Helper()
	group := int(shardmap.DefaultLayout.GroupOf(shardOf(key))) - 1
	var holder *restartable
	until(t, time.Minute, "somebody serves "+key, func() bool {
		for _, asked := range nodes {
			by := holders(asked.addr)
			for _, n := range nodes {
				if slices.Contains(by[n.name], group) {
					holder = n
					return true
				}
			}
		}
		return false
	})
	return holder
}

func healthyAny(addrs []string) bool { return slices.ContainsFunc(addrs, healthy) }
