package redis

import (
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestGatewayWait counts what holds the writes of one connection, here and there, and
// says so when the lease that it wrote under is over.
func TestGatewayWait(t *testing.T) {
	p := startPair(t)
	here, far := p.keysOf(1, 1)[0], p.keysOf(2, 1)[0]
	p.a.epoch, p.b.epoch = 1, 1
	hold := func(h *half, n int) { h.mu.Lock(); h.holders = n; h.mu.Unlock() }
	hold(p.a, 2)
	hold(p.b, 1)
	c := dial(t, p.addr)
	for _, x := range []struct{ in, out string }{
		{"WAIT 1 0", ":2\r\n"}, // as many as there are
		{"WAIT x 0", "-ERR value is not an integer or out of range\r\n"},
		{"WAIT 1 -1", "-ERR timeout is negative\r\n"},
		{"SET " + here + " 1\r\nGET " + far + "\r\nWAIT 2 0", "+OK\r\n$-1\r\n:2\r\n"},
		{"SET " + far + " 1\r\nWAIT 1 0", "+OK\r\n:1\r\n"},
		{"WAIT 2 20", ":1\r\n"},
		{"MULTI\r\nWAIT 1 0\r\nDISCARD", "+OK\r\n-ERR 'wait' cannot be in a transaction on the gateway port\r\n+OK\r\n"},
	} {
		c.send(x.in + "\r\n")
		c.want(x.out)
	}
	c.send("WAIT 2 0\r\n")
	for asked := p.b.asked(); p.b.asked() < asked+3; {
	}
	hold(p.b, 2)
	c.want(":2\r\n")

	p.a.mu.Lock()
	p.a.epoch = 2
	p.a.mu.Unlock()
	p.move(shardmap.SlotOfString(far), 1, p.a, p.b)
	c.send("WAIT 1 0\r\nWAIT 1 0\r\n")
	c.want(lostLease + ":2\r\n") // once
	c.send("SET " + far + " 2\r\nWAIT 1 0\r\n")
	c.want("+OK\r\n:2\r\n")
	o := dial(t, p.addr)
	o.send("MSET " + far + " 1 " + p.keysOf(2, 1)[0] + " 1\r\nWAIT 1 0\r\nFLUSHALL\r\n")
	c.send("GET " + far + "\r\n")
	o.want("+OK\r\n:2\r\n+OK\r\n")
}

// TestGatewayWaitAfterAFlushThatWasRefused: a shard that a flush could not reach was not
// written there, so WAIT neither fails on it nor counts who holds it. One that was written
// before still counts.
func TestGatewayWaitAfterAFlushThatWasRefused(t *testing.T) {
	p := startPair(t)
	far := p.keysOf(2, 1)[0]
	p.a.epoch, p.b.epoch = 1, 1
	p.a.holders, p.b.holders = 2, 1
	p.link.down = 2
	const partly = "-ERR only a part of the keys was removed, because 128 of 256 shards are not served: repeat the command\r\n"
	c := dial(t, p.addr)
	c.send("FLUSHALL\r\nWAIT 2 0\r\n")
	c.want(partly + ":2\r\n")

	wrote := dial(t, p.addr)
	p.link.down = 0
	wrote.send("SET " + far + " 1\r\n")
	wrote.want("+OK\r\n")
	p.link.down = 2
	wrote.send("FLUSHALL\r\n")
	wrote.want(partly)
	p.link.down = 0
	wrote.send("WAIT 2 20\r\n")
	wrote.want(":1\r\n")
}

const lostLease = "-UNBLOCKED the lease of a shard written on this connection was lost; what was written may be lost, see AEGIS.CHECK\r\n"

// TestGatewayTokens: a token names the shards that other nodes hold, and when the lease is
// over that the client wrote under, it is told so in its place, once.
func TestGatewayTokens(t *testing.T) {
	p := startPair(t)
	p.a.epoch, p.b.epoch = 1, 1
	far := p.keysOf(2, 1)[0]
	shard := shardmap.DefaultLayout.ShardOf(shardmap.SlotOfString(far))
	token := fmt.Sprintf("1:0:3.7,%d.%d+", shard, shardmap.MakeVersion(1, 1))
	c := dial(t, p.addr)
	c.send("AEGIS.TOKEN\r\nSET " + far + " 1\r\nAEGIS.TOKEN\r\n")
	c.want(fmt.Sprintf("$7\r\n1:0:3.7\r\n+OK\r\n$%d\r\n%s\r\n", len(token), token))
	p.b.mu.Lock()
	p.b.epoch = 2
	p.b.mu.Unlock()
	c.send("AEGIS.TOKEN\r\nAEGIS.TOKEN\r\n")
	c.want(lostLease + "$7\r\n1:0:3.7\r\n")
}

func (h *half) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waits
}
