package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Sentinels of locks, for errors.Is.
var (
	// ErrLocked: TryLock found that somebody else holds the lock.
	ErrLocked = errors.New("client: the lock is held by somebody else")
	// ErrLockLost: the lock was lost before it was given up: it could not be renewed in
	// time, or somebody removed it.
	ErrLockLost = errors.New("client: the lock was lost")
)

// Lock is a lock that this process holds until Unlock, or until Lost.
//
// The holder believes in it for a shorter time than the server does, and renews it
// long before. It is the key "lock:"+name with the holder's name in it, written with
// majority acknowledgements whatever Config.Durability says, so that one node can die without
// the lock changing hands.
//
// What a lock in a cache cannot promise: that nobody deletes or flushes its key, that a
// shard which lost most of its replicas at once remembers it, and that a holder does
// nothing in the moment between Held and its work. For what must not happen twice, hand
// Token to the resource and let it refuse a token lower than the highest it has seen.
type Lock struct {
	claim *claim // of the keeper goroutine, then of Unlock
	token Version
	lost  chan struct{}
	stop  context.CancelFunc // of the keeper
	done  chan struct{}      // closed behind the keeper

	mu    sync.Mutex // guards everything below
	sent  time.Time  // of the last renewal
	ended bool       // given up or lost
	off   bool       // Unlock was called
	why   error      // of the loss, for Unlock
}

// LockTTLMin is the shortest time to live of a lock: see lockSlack.
const LockTTLMin = 3 * time.Second

// lockSlack is how much earlier than the server the holder stops to believe. A
// takeover may put a shard's clock ahead by the lease length + 200 ms, and by how much
// the clocks of two nodes differ: 0.8 s with the default lease, and the same again for
// the clocks. Two per cent are for rates.
func lockSlack(ttl time.Duration) time.Duration { return 1600*time.Millisecond + ttl/50 }

// lockKey is where a lock lives.
func lockKey(name string) string { return "lock:" + name }

// Lock waits until it holds the lock, or until the context ends. ttl is how long the lock
// outlives a holder that dies; it is renewed while the holder lives. At least
// LockTTLMin; 5 s and more outlast a failover.
func (c *Client) Lock(ctx context.Context, name string, ttl time.Duration) (*Lock, error) {
	k, err := c.lockClaim(name, ttl)
	if err != nil {
		return nil, err
	}
	for pauses := 0; ; pauses++ {
		l, err := c.lockOnce(ctx, k)
		if errors.Is(err, ErrLocked) {
			err = c.idle(ctx, pollPause(pauses, rand.Float64()))
		} else if err == nil || ctx.Err() == nil || pauses == 0 {
			return l, err
		}
		if err != nil { // the last that was heard is that somebody has it
			return nil, &OpError{Op: "LOCK", Key: name, Attempts: pauses + 1, Err: because(ErrLocked, err)}
		}
	}
}

// TryLock is Lock that does not wait for another holder: ErrLocked.
func (c *Client) TryLock(ctx context.Context, name string, ttl time.Duration) (*Lock, error) {
	k, err := c.lockClaim(name, ttl)
	if err != nil {
		return nil, err
	}
	return c.lockOnce(ctx, k)
}

func (c *Client) lockClaim(name string, ttl time.Duration) (*claim, error) {
	if ttl < LockTTLMin {
		return nil, c.mistake("LOCK", name, fmt.Errorf("client: time to live is %v, a lock needs at least %v", ttl, LockTTLMin))
	}
	return c.newClaim(lockKey(name), ttl, laneMajority), nil
}

func (c *Client) lockOnce(ctx context.Context, k *claim) (*Lock, error) {
	sent, err := k.take(ctx)
	switch {
	case errors.Is(err, errTaken):
		return nil, &OpError{Op: "LOCK", Key: k.key, Attempts: 1, Err: ErrLocked}
	case err != nil:
		k.withdraw()
		return nil, err
	}
	l := &Lock{claim: k, token: k.version, sent: sent, lost: make(chan struct{}), done: make(chan struct{})}
	kept, stop := context.WithCancel(c.ctx)
	l.stop = stop
	if !c.start(func(context.Context) { l.keep(kept) }) {
		stop()
		return nil, ErrClosed
	}
	return l, nil
}

// Token is the fencing token: the version of the write that took the lock. A later holder
// has a higher one, over failovers too, because versions are never used twice.
func (l *Lock) Token() Version { return l.token }

// Lost is closed when the lock may belong to somebody else, and after Unlock. It can
// be late by as much as the process was stopped: ask Held before work that counts.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Held says whether the lock is surely ours at this moment.
func (l *Lock) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended && l.leftLocked() > 0
}

// leftLocked is how long the last renewal is good for. Where the wall clock
// has gone further than the monotonic one the machine was suspended, or
// somebody set its clock, and the lock may be gone.
func (l *Lock) leftLocked() time.Duration {
	now := time.Now()
	gone := max(now.Sub(l.sent), now.Round(0).Sub(l.sent.Round(0)))
	return l.claim.ttl - lockSlack(l.claim.ttl) - gone
}

func (l *Lock) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leftLocked()
}

// Unlock gives the lock up. ErrLockLost when it was lost before: then what was done under it may
// have overlapped with another holder's work.
func (l *Lock) Unlock(ctx context.Context) error {
	l.mu.Lock()
	if l.off {
		l.mu.Unlock()
		return nil
	}
	l.off = true
	l.mu.Unlock()
	l.stop()
	<-l.done
	held := l.Held()
	why := l.end(nil)
	err := l.claim.release(ctx)
	switch {
	case !held || errors.Is(err, errGone), errors.Is(err, errTaken):
		return &OpError{Op: "UNLOCK", Key: l.claim.key, Err: because(ErrLockLost, orElse(why, err))}
	case err != nil:
		return err
	}
	return nil
}

// end closes Lost, once, and gives the reason of the first time.
func (l *Lock) end(why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended, l.why = true, why
		close(l.lost)
	}
	return l.why
}

// keep renews the lock until Unlock, or until it is lost.
func (l *Lock) keep(ctx context.Context) {
	defer close(l.done)
	defer l.stop()
	for {
		left := l.left()
		if left <= 0 {
			l.end(errLate)
			return
		}
		t := time.NewTimer(l.untilRenewal(left))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			l.abandon()
			return
		}
		if err := l.renew(ctx); errors.Is(err, errGone) || errors.Is(err, errTaken) {
			l.end(err)
			return
		}
	}
}

// abandon ends a lock whose client was closed: nobody renews it any more.
func (l *Lock) abandon() {
	l.mu.Lock()
	off := l.off
	l.mu.Unlock()
	if !off {
		l.end(ErrClosed)
	}
}

// errLate is the end of a lock whose renewals found nobody to answer them.
var errLate = errors.New("client: not renewed in time")

// untilRenewal is the pause before the next renewal: a third of what a renewal is
// good for, and after a failed one a tenth, as long as some is left.
func (l *Lock) untilRenewal(left time.Duration) time.Duration {
	good := l.claim.ttl - lockSlack(l.claim.ttl)
	if left > good*2/3 {
		return left - good*2/3
	}
	return min(left, good/10)
}

func (l *Lock) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.left())
	defer cancel()
	sent, err := l.claim.extend(ctx)
	if err == nil {
		l.mu.Lock()
		l.sent = sent
		l.mu.Unlock()
	}
	return err
}

// Pauses of those who wait for a claim of somebody else: from 5 ms on, doubled up to
// 160 ms, of which a random half.
func pollPause(pauses int, rnd float64) time.Duration {
	span := 5 * time.Millisecond << min(pauses, 5)
	return span/2 + time.Duration(rnd*float64(span/2))
}

// idle waits for d, less when the context ends or the client is closed.
func (c *Client) idle(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return ErrClosed
	}
}
