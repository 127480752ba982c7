package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// GetOrLoad and its one filler
//
// A key that is missing is loaded once: in this process by the first caller, whom the
// others join, and in the cluster by whoever claims the key's lease, a key of its own
// beside the value, while the others look again and again. The lease is short and renewed while
// the loader runs, so that a filler that dies is replaced soon.
//
// What was loaded is stored only where the key still has the version that was seen
// before the load, and the lease is given up behind it. Whoever changes the
// key meanwhile wins. Forget deletes the lease first and the key then: a filler that
// stored what it had loaded before the change finds its lease gone and takes the
// value back. A plain Delete while a loader runs does not do that: with it, what the
// loader read before the change may stay for its time to live.
//
// A marker inside the key itself was the simpler way and needs no second key; every
// client that does not know it, redis-cli included, would take it for the value.

// Loader gives the value of a missing key. Its context ends when nobody waits for the
// value any more.
type Loader func(ctx context.Context) ([]byte, error)

// LoadOption changes one call of GetOrLoad.
type LoadOption func(*loadOptions)

type loadOptions struct {
	stale time.Duration
}

// StaleFor lets a value be used for d after its time to live: such a value is answered
// at once, and loaded anew in the background, once in the cluster.
func StaleFor(d time.Duration) LoadOption { return func(o *loadOptions) { o.stale = d } }

// PanicError is the error of everyone who waited for a loader that panicked, or
// ended its goroutine.
type PanicError struct {
	Value any    // what it panicked with, nil when it called runtime.Goexit
	Stack []byte // of the loader
}

// Error is the panic and where it happened.
func (e *PanicError) Error() string {
	return fmt.Sprintf("client: the loader panicked: %v\n%s", e.Value, e.Stack)
}

// leaseTTL is how long the cluster waits for a filler that has died.
const leaseTTL = 2 * time.Second

// leaseKey is where the lease of a key lives: in the key's slot, unless a "}" in a
// key without a tag prevents that, which changes nothing but the place.
func leaseKey(key string) string {
	const suffix = ":aegis-lease"
	if open := strings.IndexByte(key, '{'); open >= 0 && strings.IndexByte(key[open:], '}') > 1 {
		return key + suffix
	}
	return "{" + key + "}" + suffix
}

// flights are the loads under way in this process.
type flights struct {
	mu sync.Mutex // guards by and the waiters of every flight
	by map[flightKey]*flight
}

// flightKey is what a flight is for. Who misses a key needs its value and waits for
// it; a refresh leaves the work to whoever has the lease, so the two do not mix.
type flightKey struct {
	key     string
	missing bool
}

// flight is one load that its callers wait for.
type flight struct {
	key     flightKey
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int    // a refresh waits for itself
	value   []byte // set before done
	err     error  // set before done
}

// GetOrLoad gives the value of a key, and where there is none lets load bring it and
// keeps it for ttl, a positive number of milliseconds. Of all callers in the
// cluster that miss a key at the same time one runs its loader; the others get what
// it stored. The value is shared with other callers: it must not be written to.
//
// An error of the loader is answered to this process's callers and not kept. The context
// bounds the caller's wait; the loader goes on while another caller waits. When the
// cluster does not answer, neither does GetOrLoad: the loader would run everywhere
// at once. A near cache answers it as it answers Get, but not with StaleFor, which needs
// to know how long the value has to live.
func (c *Client) GetOrLoad(ctx context.Context, key string, ttl time.Duration, load Loader, opts ...LoadOption) ([]byte, error) {
	l := &loading{c: c, key: key, ttl: ttl, load: load}
	for _, o := range opts {
		o(&l.loadOptions)
	}
	if ttl < time.Millisecond || l.stale < 0 {
		return nil, c.mistake("GETORLOAD", key, fmt.Errorf("client: time to live is %v and StaleFor %v: the first must be positive, the second not negative", ttl, l.stale))
	}
	if l.stale == 0 && c.near.keeps(key) {
		value, err := c.near.read(ctx, key, nil)
		if errors.Is(err, ErrNotFound) {
			return l.join(ctx)
		}
		return value, err
	}
	at, err := l.read(ctx)
	switch {
	case err != nil:
		return nil, err
	case at.version == 0:
		return l.join(ctx)
	case l.old(at):
		l.refresh()
	}
	return at.value, nil
}

// Forget deletes a key that GetOrLoad fills: a loader that runs at this moment anywhere
// does not bring back what it read before.
func (c *Client) Forget(ctx context.Context, key string) error {
	if err := c.Delete(ctx, leaseKey(key)); err != nil {
		return err
	}
	return c.Delete(ctx, key)
}

// loading is one call of GetOrLoad.
type loading struct {
	loadOptions
	c    *Client
	key  string
	ttl  time.Duration
	load Loader
}

// stored is a value with what is left of its life.
type stored struct {
	versioned
	left time.Duration // with StaleFor only
}

// old says that only the time after the time to live is left.
func (l *loading) old(at stored) bool { return l.stale > 0 && at.left <= l.stale }

func (l *loading) read(ctx context.Context) (stored, error) {
	if l.stale == 0 {
		at, err := l.keeper().look(ctx, l.key)
		return stored{versioned: at}, err
	}
	jobs := []job{{cmd: command{op: opGet, key: l.key}}, {cmd: command{op: opPTTL, key: l.key}}}
	l.c.doAll(ctx, jobs)
	if err := cmp.Or(jobs[0].err, jobs[1].err); err != nil {
		return stored{}, err
	}
	at, err := versionedOf(l.key, jobs[0].answer)
	left := time.Duration(jobs[1].answer.Int) * time.Millisecond
	if left < 0 { // without an end, or gone since
		left = l.stale + l.ttl
	}
	return stored{at, left}, err
}

func (l *loading) keeper() keeper { return keeper{c: l.c} }

// join waits for the load of this process, and begins it if there is none.
func (l *loading) join(ctx context.Context) ([]byte, error) {
	f, err := l.board(context.WithoutCancel(ctx), true)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		l.c.flights.leave(f)
		return nil, &OpError{Op: "GETORLOAD", Key: l.key, Err: ctx.Err()}
	}
}

// refresh loads an old value anew, beside. A closed client refreshes nothing.
func (l *loading) refresh() { _, _ = l.board(l.c.ctx, false) }

// board finds the key's flight or starts it.
func (l *loading) board(ctx context.Context, missing bool) (*flight, error) {
	fs := &l.c.flights
	key := flightKey{l.key, missing}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.by[key]; f != nil {
		f.waiters++
		return f, nil
	}
	f := &flight{key: key, done: make(chan struct{}), waiters: 1}
	ctx, f.cancel = context.WithCancel(ctx)
	if !l.c.start(func(closing context.Context) { l.fly(ctx, closing, f) }) {
		f.cancel()
		return nil, ErrClosed
	}
	if fs.by == nil {
		fs.by = map[flightKey]*flight{}
	}
	fs.by[key] = f
	return f, nil
}

// leave ends a flight that nobody waits for any more; who comes now starts another.
func (fs *flights) leave(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		fs.landLocked(f)
	}
}

func (fs *flights) landLocked(f *flight) {
	if fs.by[f.key] == f {
		delete(fs.by, f.key)
	}
}

// fly is the goroutine of a flight.
func (l *loading) fly(ctx, closing context.Context, f *flight) {
	stop := context.AfterFunc(closing, f.cancel)
	defer stop()
	defer f.cancel()
	f.value, f.err = l.fill(ctx, f.key.missing)
	fs := &l.c.flights
	fs.mu.Lock()
	fs.landLocked(f)
	fs.mu.Unlock()
	close(f.done)
}

// fill gives the key's value once somebody has brought it: another process, or this one
// when it gets the lease. A refresh does not wait for another.
func (l *loading) fill(ctx context.Context, missing bool) ([]byte, error) {
	lease := l.c.newClaim(leaseKey(l.key), leaseTTL, laneUsual)
	for pauses := 0; ; pauses++ {
		_, err := lease.take(ctx)
		if err == nil {
			return l.fillUnder(ctx, lease)
		}
		if !errors.Is(err, errTaken) {
			return nil, err
		}
		if !missing {
			return nil, nil
		}
		if err := l.c.idle(ctx, pollPause(pauses, rand.Float64())); err != nil {
			return nil, err
		}
		if at, err := l.read(ctx); err != nil || at.version != 0 {
			return at.value, err
		}
	}
}

// fillUnder loads under the lease, unless somebody else was faster.
func (l *loading) fillUnder(ctx context.Context, lease *claim) (value []byte, err error) {
	at, err := l.read(ctx)
	if err != nil || at.version != 0 && !l.old(at) {
		l.giveUp(lease)
		return at.value, err
	}
	kept := l.keepLease(lease)
	value, err = l.run(ctx)
	still := kept()
	if err != nil || !still {
		l.giveUp(lease)
		return value, err
	}
	version, err := l.keeper().swap(ctx, l.key, value, l.ttl+l.stale, at.version)
	if err != nil { // somebody changed the key, or nobody knows: the value is good, its place is not
		l.giveUp(lease)
		return value, nil
	}
	if errors.Is(l.giveUp(lease), errGone) {
		_ = l.keeper().drop(context.WithoutCancel(ctx), l.key, version) // Forget came between; if that fails, the time to live ends it
	}
	return value, nil
}

// run runs the loader, on a goroutine of its own: one that ends it (runtime.Goexit, as
// t.FailNow does) must not take the flight along.
func (l *loading) run(ctx context.Context) (value []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				err = &PanicError{recover(), debug.Stack()}
			}
		}()
		value, err = l.load(ctx)
		returned = true
	}()
	<-done
	return value, err
}

// keepLease renews the lease while the loader runs; the function it gives ends that
// and says whether the lease was kept.
func (l *loading) keepLease(lease *claim) (still func() bool) {
	ctx, cancel := context.WithCancel(l.c.ctx)
	ok := true
	var wg sync.WaitGroup
	wg.Go(func() {
		for ok && l.c.idle(ctx, leaseTTL/3) == nil {
			_, err := lease.extend(ctx)
			ok = !errors.Is(err, errGone) && !errors.Is(err, errTaken)
		}
	})
	return func() bool { cancel(); wg.Wait(); return ok }
}

// giveUp gives the lease back, whatever became of the caller.
func (l *loading) giveUp(lease *claim) error {
	ctx, cancel := context.WithTimeout(l.c.ctx, leaseTTL)
	defer cancel()
	err := lease.release(ctx)
	if errors.Is(err, errTaken) {
		return errGone
	}
	return err
}
