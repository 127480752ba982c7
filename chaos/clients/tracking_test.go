package clients

import (
	"bufio"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// tracker is a connection in RESP3 that tracks what it reads, and a cache as clients
// keep one: a value stays until its node takes it back or the connection ends.
type tracker struct {
	t     *testing.T
	nc    net.Conn
	r     *bufio.Reader
	cache map[string]string
}

func newTracker(t *testing.T, addr string, keys []string) *tracker {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &tracker{t: t, nc: nc, r: bufio.NewReader(nc), cache: map[string]string{}}
	c.do("HELLO", "3")
	c.do("CLIENT", "TRACKING", "ON")
	for _, k := range keys {
		if v := c.do("GET", k); v.Kind == '$' {
			c.cache[k] = string(v.Text)
		}
	}
	if len(c.cache) != len(keys) {
		t.Fatalf("%d of %d keys could be read at %s", len(c.cache), len(keys), addr)
	}
	return c
}

func (c *tracker) do(args ...string) resp.Reply {
	c.t.Helper()
	_ = c.nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		c.t.Fatal(err)
	}
	for {
		v, err := resp.ReadReply(c.r)
		if err != nil {
			c.t.Fatal(err)
		}
		if v.Kind != '>' {
			return v
		}
		c.hear(v)
	}
}

func (c *tracker) hear(v resp.Reply) {
	if string(v.Items[0].Text) != "invalidate" {
		return
	}
	if v.Items[1].IsNull() {
		clear(c.cache)
	}
	for _, k := range v.Items[1].Items {
		delete(c.cache, string(k.Text))
	}
}

// listen hears pushes until the cache is empty or the limit has passed.
func (c *tracker) listen(limit time.Duration) (left int) {
	_ = c.nc.SetDeadline(time.Now().Add(limit))
	for len(c.cache) > 0 {
		v, err := resp.ReadReply(c.r)
		if err != nil {
			break
		}
		c.hear(v)
	}
	return len(c.cache)
}

// keysOf are the probe keys that a node serves, set to a value.
func keysOf(t *testing.T, n *restartable) (keys []string) {
	t.Helper()
	for _, g := range holders(n.addr)[n.name] {
		k := groupKeys()[g]
		if a := ask(n.addr, "set", k, "old"); a != "OK" {
			t.Fatalf("SET %s: %s", k, a)
		}
		keys = append(keys, k)
	}
	return keys
}

// TestALeaseThatCannotBeRenewedTakesItsKeysBack stops both other nodes: the leases of
// the third run out, and nobody can know what is written elsewhere from then on. What
// was read there must be taken back by the end of the lease, though the node is never
// told that it lost anything.
func TestALeaseThatCannotBeRenewedTakesItsKeysBack(t *testing.T) {
	nodes, w := launch(t, 3, "256MiB"), startWitness(t)
	for try := 1; ; try++ {
		until(t, time.Minute, "three healthy nodes", func() bool { return healthy(nodes[0].addr) })
		var c *tracker
		until(t, time.Minute, "the node leads something", func() bool {
			c = newTracker(t, nodes[0].addr, keysOf(t, nodes[0]))
			return len(c.cache) > 0
		})
		tracked, from := len(c.cache), time.Now()
		for _, n := range nodes[1:] {
			n.signal(syscall.SIGSTOP)
			defer n.signal(syscall.SIGCONT)
		}
		left := c.listen(2 * leaseLength)
		took := time.Since(from)
		disturbed := w.disturbed(from, time.Now(), leaseLength/6)
		for _, n := range nodes[1:] {
			n.signal(syscall.SIGCONT)
		}
		t.Logf("%d keys were taken back within %v, %d were not", tracked-left, took.Round(time.Millisecond), left)
		switch {
		case left == 0 && took <= leaseLength:
			return
		case !disturbed:
			t.Fatalf("%d of %d keys stay cached %v after the last renewal, a lease being %v", left, tracked, took, leaseLength)
		case try == tries:
			t.Fatal("inconclusive as often as it was tried: this machine is too noisy to judge, run again")
		}
	}
}

// TestADrainedNodeTakesItsKeysBack: leases that move by plan.
func TestADrainedNodeTakesItsKeysBack(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "256MiB")
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(nodes[0].addr) })
	keys := keysOf(t, nodes[0])
	c := newTracker(t, nodes[0].addr, keys)
	nodes[0].signal(syscall.SIGTERM)
	if left := c.listen(5 * time.Second); left > 0 {
		t.Errorf("%d of %d keys were not taken back", left, len(keys))
	}
}
