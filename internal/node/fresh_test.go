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

// TestAnErrorThatDependsOnDataIsCheckedAfresh: "value is not an integer" says what
// the key holds. Like every reading it needs the fresh check before it leaves (C1,
// P3): here the lease ends between the command and its flush.
func TestAnErrorThatDependsOnDataIsCheckedAfresh(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "SET", allocKey, "text")
	r.until(t, "+OK\r\n")
	b := backend{n}
	slot := shardmap.SlotOf([]byte(allocKey))
	layout := n.routes.Load().Layout()
	group := layout.GroupOf(layout.ShardOf(slot))
	for name, op := range map[string]*redis.Op{
		"GET beside it": nil,
		"INCR":          {Kind: redis.OpIncrBy, Slot: slot, Key: []byte(allocKey), Delta: 1},
		"APPEND":        {Kind: redis.OpAppend, Slot: slot, Key: []byte(allocKey), Value: make([]byte, n.valueMax.Load()-1)},
	} {
		t.Run(name, func(t *testing.T) {
			var s redis.Session
			b.Open(&s)
			defer b.Closed(&s)
			var res redis.Result
			for begun := time.Now(); ; time.Sleep(time.Millisecond) {
				var err error
				if op == nil {
					_, _, err = b.Get(&s, slot, []byte(allocKey), nil)
				} else if err = b.Do(&s, op, &res); err == nil {
					t.Fatal("no error")
				}
				if !errors.Is(err, redis.ErrAgain) {
					break // answered from the data
				}
				if time.Since(begun) > time.Minute {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_ = n.host.Do(ctx, func(now multiraft.Instant) { n.core.raft.Release(group, "test", now) })
			if err := b.Commit(&s); !errors.Is(err, redis.ErrStale) {
				t.Errorf("the reply leaves although its lease is closed: Commit says %v", err)
			}
		})
	}
}
