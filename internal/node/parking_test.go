package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// TestARefusalIsForTheCommandThatWaited: the next command that meets the transition
// has not waited at all.
func TestARefusalIsForTheCommandThatWaited(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "SET", allocKey, "v")
	r.until(t, "+OK\r\n")
	b, slot := backend{n}, shardmap.SlotOf([]byte(allocKey))
	layout := n.routes.Load().Layout()
	group := layout.GroupOf(layout.ShardOf(slot))
	park := func(on bool) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = n.host.Do(ctx, func(now multiraft.Instant) {
			if rep := n.core.data.Replica(group); on {
				rep.Park(now)
			} else {
				rep.Unpark(now)
			}
		})
	}
	var s redis.Session
	b.Open(&s)
	defer b.Closed(&s)
	get := func() error {
		_, _, err := b.Get(&s, slot, []byte(allocKey), nil)
		return err
	}
	park(true)
	if err := get(); !errors.Is(err, redis.ErrAgain) {
		t.Fatal(err)
	}
	if err := b.Park(&s, time.Now().Add(-time.Second)); !errors.Is(err, redis.ErrDown) { // its time is over
		t.Fatal(err)
	}
	if err := get(); !errors.Is(err, redis.ErrAgain) {
		t.Errorf("a command that has not waited yet is refused: %v", err)
	}
}
