package redis

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestGatewayCountsAndListsWhileGroupsMove: a group that moves while a command about all
// keys is under way is neither left out nor counted twice, nor left full by a flush.
func TestGatewayCountsAndListsWhileGroupsMove(t *testing.T) {
	const keys, rounds = 300, 8
	p := startPair(t)
	c := dial(t, p.addr)
	fill := func() {
		cmd := []string{"MSET"}
		for i := range keys {
			cmd = append(cmd, fmt.Sprint("key", i), "x")
		}
		if v := c.do(cmd...); v.IsError() {
			t.Fatalf("%s", v.Text)
		}
	}
	fill()
	// An answer that is given up after the time that commands are parked for says nothing:
	// this machine was too busy to ask as often as groups move.
	ask := func(words ...string) resp.Reply {
		for {
			begun := time.Now()
			v := c.do(words...)
			if !v.IsError() || time.Since(begun) < forwardPark {
				return v
			}
		}
	}
	var turn, on atomic.Int64
	p.link.turns = new(sync.Mutex)
	p.link.before = func([]*Call) error { // between what was sent and what is run
		for n := turn.Add(1); on.Load() == 1 && n%5 < 3; n++ {
			p.handGroup(int(n*7) % shardmap.DefaultLayout.Groups)
		}
		return nil
	}
	on.Store(1)
	for round := range rounds {
		if v := ask("DBSIZE"); v.Int != keys {
			t.Fatalf("round %d: %d keys are counted, there are %d (%s)", round, v.Int, keys, v.Text)
		}
		if n := different(ask("KEYS", "*")); n != keys {
			t.Fatalf("round %d: %d keys are listed, there are %d", round, n, keys)
		}
		if n := different(ask("KEYS", "key7?")); n != 10 {
			t.Fatalf("round %d: %d keys are found, there are 10", round, n)
		}
		if v := ask("RANDOMKEY"); !strings.HasPrefix(string(v.Text), "key") {
			t.Fatalf("round %d: the random key is %q", round, v.Text)
		}
	}
	for round := range rounds {
		if v := ask("FLUSHALL"); string(v.Text) != "OK" {
			t.Fatalf("round %d: %s", round, v.Text)
		}
		on.Store(0)
		if v := ask("DBSIZE"); v.Int != 0 {
			t.Fatalf("round %d: %d keys are left (%s)", round, v.Int, v.Text)
		}
		fill()
		on.Store(1)
	}
}

// different counts the different items of an array.
func different(v resp.Reply) int {
	seen := map[string]bool{}
	for _, k := range v.Items {
		seen[string(k.Text)] = true
	}
	if len(seen) != len(v.Items) {
		return -len(v.Items)
	}
	return len(seen)
}

// TestGatewaySaysWhatItCannotReach: an answer about all keys that lacks some would be a
// lie; there is none, but an error.
func TestGatewaySaysWhatItCannotReach(t *testing.T) {
	for _, x := range []struct{ in, out string }{
		{"DBSIZE", "-CLUSTERDOWN Hash slot not served\r\n"},
		{"KEYS *", "-CLUSTERDOWN Hash slot not served\r\n"},
		{"SCAN 0 COUNT 10000", "-CLUSTERDOWN Hash slot not served\r\n"},
		{"RANDOMKEY", "-CLUSTERDOWN Hash slot not served\r\n"},
		{"FLUSHALL", "-ERR only a part of the keys was removed, because 128 of 256 shards are not served: repeat the command\r\n"},
	} {
		t.Run(x.in, func(t *testing.T) {
			p := startPair(t)
			c := dial(t, p.addr)
			c.do("SET", p.keysOf(1, 1)[0], "x")
			p.link.down = 2
			c.send(x.in + "\r\nPING\r\n")
			c.want(x.out + "+PONG\r\n")
		})
	}
}
