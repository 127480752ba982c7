package client

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// follower is what is known of a node as one that answers reads which may be stale.
type follower struct {
	waiting atomic.Int32 // reads under way
	took    atomic.Int64 // what answers take, smoothed, in ns
	at      atomic.Int64 // when that was measured last, on the client's clock
	late    atomic.Int64 // until then it is passed over for all shards, on the client's clock
	shuns   atomic.Pointer[[]shun]
}

// shun is until when a node is passed over for one shard, in ms on the client's clock,
// above 8 bits with how often in a row it refused.
type shun struct{ atomic.Int64 }

const (
	// followerPatience is how long a follower may take before the leaseholder is asked
	// instead: much longer than an answer takes, much shorter than it takes to find
	// out that a node is gone.
	followerPatience = 50 * time.Millisecond
	// lateFor is how long a follower is passed over that took longer.
	lateFor = time.Second
	// behindFor is how long a follower is passed over that lacks what a session saw.
	behindFor = 20 * time.Millisecond
	// staleMost is the longest bound that nodes take.
	staleMost = time.Hour
)

// begin counts a read and gives the time, for end.
func (f *follower) begin(c *Client) time.Duration {
	f.waiting.Add(1)
	return c.now()
}

func (f *follower) end(c *Client, begun time.Duration) {
	now := c.now()
	f.waiting.Add(-1)
	f.took.Store(int64(smoothed(time.Duration(f.took.Load()), now-begun))) // one that is overwritten counts less, no more
	f.at.Store(int64(now))
}

func (f *follower) burden(now time.Duration) time.Duration {
	return burden(time.Duration(f.took.Load()), now-time.Duration(f.at.Load()), int(f.waiting.Load()))
}

// shun is the place of a shard, made for all shards when the first refuses.
func (f *follower) shun(l shardmap.Layout, shard shardmap.ShardID) *shun {
	for {
		if all := f.shuns.Load(); all != nil && int(shard) < len(*all) {
			return &(*all)[shard]
		}
		made := make([]shun, l.Shards)
		f.shuns.CompareAndSwap(f.shuns.Load(), &made)
	}
}

// shunned says whether the node is passed over for a shard.
func (f *follower) shunned(shard shardmap.ShardID, now time.Duration) bool {
	all := f.shuns.Load()
	return all != nil && int(shard) < len(*all) && int64(now/time.Millisecond) < (*all)[shard].Load()>>8
}

// refused notes that the node did not answer. One that was asked for a version may just
// not have it yet.
func (f *follower) refused(l shardmap.Layout, shard shardmap.ShardID, now time.Duration, least shardmap.Version) {
	s := f.shun(l, shard)
	streak, until := s.Load()&0xff, now+behindFor
	if least == 0 {
		streak = min(streak+1, 0xff)
		until = now + shunFor(uint8(streak))
	}
	s.Store(int64(until/time.Millisecond)<<8 | streak)
}

func (f *follower) answered(shard shardmap.ShardID) {
	if all := f.shuns.Load(); all != nil && int(shard) < len(*all) && (*all)[shard].Load() != 0 {
		(*all)[shard].Store(0)
	}
}

// copyFor is the node to ask for a read that may be stale: leader, the slot's own, or
// one that may follow. It waits for nothing: a node without a connection is dialed
// beside, for the reads that come after.
func (c *Client) copyFor(slot shardmap.Slot, leader *node) *node {
	v := c.view.Load()
	if v == nil || v.table.layout.Shards == 0 {
		return leader // nobody who knows READONLY's bound
	}
	shard, now := v.table.layout.ShardOf(slot), c.now()
	var best *node
	first := rand.IntN(len(v.copies))
	for i := range v.copies {
		n := v.copies[(first+i)%len(v.copies)]
		if n.down.Load() != nil || int64(now) < n.follower.late.Load() || n != leader && !n.mayFollow(slot, shard, now) {
			continue
		}
		if best == nil {
			best = n
			continue
		}
		if n.follower.burden(now) < best.follower.burden(now) {
			best = n
		}
		break
	}
	if best == nil {
		return leader
	}
	return best
}

func (n *node) mayFollow(slot shardmap.Slot, shard shardmap.ShardID, now time.Duration) bool {
	if n.foreign.Load() || n.follower.shunned(shard, now) {
		return false
	}
	l := n.line(int(slot), laneCopies)
	if l.live.Load() == nil {
		_, _ = n.startDial(l) // its end is told to whoever comes then
		return false
	}
	return true
}

// errSlow is the end of a read at a follower that took too long; the leaseholder is asked.
var errSlow = errors.New("client: the follower took too long")

// fromFollower reads at a node that may follow. Unless it says done the leaseholder
// is to be asked.
func (c *Client) fromFollower(w *patience, cmd *command, slot shardmap.Slot, n *node) (a answer, done bool, err error) {
	k := n.line(int(slot), laneCopies).live.Load()
	if k == nil {
		return a, false, nil
	}
	cmd.lane, cmd.begun, cmd.until = laneCopies, w.begun, w.until
	begun := n.follower.begin(c)
	defer n.follower.end(c, begun)
	call, _, err := k.send(cmd)
	if err != nil {
		return a, false, nil
	}
	if c.tooLate(w, call, followerPatience) {
		call.release()
		c.judgeFollower(n, slot, cmd.least, errSlow)
		return a, false, nil
	}
	a, err = k.await(w, call, cmd)
	a.node = n.addr
	if err == nil {
		err = plain(errorOf(a.Reply))
	}
	c.judgeFollower(n, slot, cmd.least, err)
	return a, err == nil || w.over() != nil, err
}

// tooLate says whether a follower's answer is not there within limit, and the retry
// budget allows to ask somebody else.
func (c *Client) tooLate(w *patience, k *call, limit time.Duration) bool {
	return !w.waitFor(k.done, limit) && w.over() == nil && c.takeRetry()
}

// judgeFollower takes note of how a read at a follower ended.
func (c *Client) judgeFollower(n *node, slot shardmap.Slot, least shardmap.Version, err error) {
	if err == nil {
		c.counts.followed.Add(1)
	} else {
		c.counts.unfollowed.Add(1)
	}
	v := c.view.Load()
	shard := v.table.layout.ShardOf(slot)
	var server *ServerError
	switch {
	case err == nil:
		n.follower.answered(shard)
	case errors.Is(err, errSlow):
		n.follower.late.Store(int64(c.now() + lateFor))
	case errors.As(err, &server):
		n.follower.refused(v.table.layout, shard, c.now(), least)
	}
}

// readMode is what READONLY said last on a connection.
type readMode struct {
	stale time.Duration
	least shardmap.Version
}

// sayModeLocked lets a READONLY go before a read whose bound or version is another than
// that of the reads before it.
func (c *conn) sayModeLocked(k *call, cmd *command) {
	want := readMode{cmd.stale, cmd.least}
	if c.mode == want {
		return
	}
	c.mode = want
	if want.least == 0 {
		c.pending = append(c.pending, "*2\r\n$8\r\nREADONLY\r\n"...)
	} else {
		c.pending = append(c.pending, "*3\r\n$8\r\nREADONLY\r\n"...)
	}
	c.pending = appendBulkInt(c.pending, want.stale.Milliseconds()) // rounded down: a promise is never longer
	if want.least != 0 {
		c.pending = appendBulkInt(c.pending, int64(want.least))
	}
	k.skip++
}
