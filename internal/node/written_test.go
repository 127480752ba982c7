package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// TestWrittenShardsIsAMapInOrder draws writes and compares with a map.
func TestWrittenShardsIsAMapInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w writtenShards
		want := map[shardmap.ShardID]shardmap.Version{}
		for range rapid.IntRange(0, 40).Draw(t, "writes") {
			shard := shardmap.ShardID(rapid.IntRange(0, 1023).Draw(t, "shard"))
			want[shard] = shardmap.Version(rapid.Uint64Min(1).Draw(t, "version"))
			w.note(shard, want[shard])
		}
		var ids []shardmap.ShardID
		for shard, s := range w.all {
			ids = append(ids, shard)
			if s.version != want[shard] {
				t.Fatalf("shard %d: %d, want %d", shard, s.version, want[shard])
			}
		}
		if wanted := slices.Sorted(maps.Keys(want)); !slices.Equal(ids, wanted) {
			t.Fatalf("%v, want %v", ids, wanted)
		}
	})
}

// TestWaitRemembersAWriteOfAnEarlierLease: what a connection wrote under a lease that ended
// may be lost, and a later write to the same shard does not make it safe. WAIT says so
// once, and counts what is written after that.
func TestWaitRemembersAWriteOfAnEarlierLease(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	c := visit(t, n.cfg.ClientAddr)
	c.must("SET {a}1 x")
	layout := n.routes.Load().Layout()
	group := layout.GroupOf(layout.ShardOf(shardmap.SlotOf([]byte("{a}1"))))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	release := func() {
		t.Helper()
		if err := n.host.Do(ctx, func(now multiraft.Instant) { n.core.raft.Release(group, "test", now) }); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what, start string) {
		t.Helper()
		v, err := c.do("WAIT", "0", "100")
		if got := string(v.Text); err != nil || v.IsError() != (start != "") || !strings.HasPrefix(got, start) {
			t.Errorf("%s: %s %v, want %q", what, got, err, start)
		}
	}
	want("the lease stands", "")
	release()
	want("the lease has ended", "UNBLOCKED")
	want("it was said", "")
	c.must("SET {a}2 x")
	want("a new write under the next lease", "")
	release()
	c.must("SET {a}1 y")
	want("a write under a lease that ended, and one since", "UNBLOCKED")
	want("it was said", "")
	token := string(c.must("AEGIS.TOKEN").Text)
	if !strings.Contains(token, ".") {
		t.Errorf("the token %q names no write any more", token)
	}
}

// TestALaterVersionThatIsLostSaysNothing: a gateway's token has the shard's newest version in
// place of the write's own, with a sign. When that is lost the write may have been kept.
func TestALaterVersionThatIsLostSaysNothing(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	c := visit(t, n.cfg.ClientAddr)
	c.must("SET {a}1 x")
	layout := n.routes.Load().Layout()
	shard := layout.ShardOf(shardmap.SlotOf([]byte("{a}1")))
	epoch := n.routes.Load().Route(layout.GroupOf(shard)).Epoch
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.host.Do(ctx, func(now multiraft.Instant) { n.core.raft.Release(layout.GroupOf(shard), "test", now) }); err != nil {
		t.Fatal(err)
	}
	c.must("SET {a}2 x") // under the next lease
	for sign, want := range map[string]string{"": "lost", "+": "unknown"} {
		token := fmt.Sprintf("1:%x:%d.%d%s", n.cluster[:], shard, shardmap.MakeVersion(uint32(epoch), 999), sign)
		if got := string(c.must("AEGIS.CHECK " + token).Items[0].Items[2].Text); got != want {
			t.Errorf("%s is %s, want %s", token, got, want)
		}
	}
}

// TestWaitLeavesOtherAcksToTheirReplies: within EXEC a WAIT may come behind a write whose
// own ack level has not been reached. What becomes of that is the write's answer.
func TestWaitLeavesOtherAcksToTheirReplies(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	visit(t, n.cfg.ClientAddr).must("SET k v")
	b := backend{n}
	var rs redis.Session
	b.Open(&rs)
	defer b.Closed(&rs)
	s := state(&rs)
	id, done := n.tickets.open()
	s.tickets, s.wrote = append(s.tickets, ticketWait{id, done}), true
	done <- shardgroup.Pending
	if _, err := b.Wait(&rs, 0, time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := b.Commit(&rs); !errors.Is(err, redis.ErrUnknown) {
		t.Errorf("the write is answered although nobody acked it: Commit says %v", err)
	}
}
