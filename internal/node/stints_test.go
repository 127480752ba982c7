package node

import (
	"errors"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// TestAMoveWaitsForStints: a lease is not handed over under a command that was run and
// whose reply was not checked; what is parked for the move is not waited for.
func TestAMoveWaitsForStints(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "SET", allocKey, "v")
	r.until(t, "+OK\r\n")
	b, slot := backend{n}, shardmap.SlotOf([]byte(allocKey))
	layout := n.routes.Load().Layout()
	replica := n.core.Data().Replica(layout.GroupOf(layout.ShardOf(slot)))
	session := func() *redis.Session {
		s := &redis.Session{}
		b.Open(s)
		t.Cleanup(func() { b.Closed(s) })
		return s
	}
	get := func(s *redis.Session) error {
		_, _, err := b.Get(s, slot, []byte(allocKey), nil)
		return err
	}
	one, other, gone, late := session(), session(), session(), session()
	for _, s := range []*redis.Session{one, other, gone} {
		if err := get(s); err != nil {
			t.Fatal(err)
		}
	}
	if !replica.Park(multiraft.Now()) {
		t.Fatal("the node does not lead")
	}
	over := n.stints.underWay()
	if err := get(late); !errors.Is(err, redis.ErrAgain) {
		t.Fatal(err)
	}
	for i, end := range []func() error{
		func() error { return b.Commit(one) },
		func() error { b.Closed(gone); return nil },
		func() error { return b.Commit(other) },
	} {
		if over() {
			t.Errorf("after %d of 3 ends all stints are over", i)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	if !over() {
		t.Error("stints that ended are waited for")
	}
	if !n.stints.underWay()() {
		t.Error("what is parked is waited for")
	}
	replica.Unpark(multiraft.Now())
	if err := get(one); err != nil {
		t.Error(err)
	}
	if !over() {
		t.Error("a new stint is taken for the old one")
	}
}
