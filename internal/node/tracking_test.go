package node

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// tracked is a client that keeps what it is pushed.
type tracked struct {
	t    testing.TB
	nc   net.Conn
	r    *bufio.Reader
	gone []string // keys that were taken back; "*" for all
}

func dialTracked(t testing.TB, addr string, options ...string) *tracked {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	c := &tracked{t: t, nc: nc, r: bufio.NewReader(nc)}
	c.do("HELLO", "3")
	if v := c.do(append([]string{"CLIENT", "TRACKING", "ON"}, options...)...); v.IsError() {
		t.Fatalf("%s", v.Text)
	}
	return c
}

func (c *tracked) do(args ...string) resp.Reply {
	c.t.Helper()
	if _, err := c.nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		c.t.Fatal(err)
	}
	for {
		if v := c.read(); v.Kind != '>' {
			return v
		}
	}
}

// read takes one frame.
func (c *tracked) read() resp.Reply {
	c.t.Helper()
	v, err := resp.ReadReply(c.r)
	if err != nil {
		c.t.Fatal(err)
	}
	if v.Kind == '>' && string(v.Items[0].Text) == "invalidate" {
		if v.Items[1].IsNull() {
			c.gone = append(c.gone, "*")
		}
		for _, k := range v.Items[1].Items {
			c.gone = append(c.gone, string(k.Text))
		}
	}
	return v
}

// loses waits for pushes until a key is taken back.
func (c *tracked) loses(key string) {
	c.t.Helper()
	for !slices.Contains(c.gone, key) {
		if v := c.read(); v.Kind != '>' {
			c.t.Fatalf("%q came", v.Text)
		}
	}
	c.gone = nil
}

func TestWhateverChangesAKeyTakesItBack(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	w := dialRaw(t, n.cfg.ClientAddr)
	w.pipeline(1, "", "SET", "k", "v")
	w.until(t, "+OK\r\n")
	c, all := dialTracked(t, n.cfg.ClientAddr), dialTracked(t, n.cfg.ClientAddr, "BCAST")
	say := func(words ...string) {
		t.Helper()
		w.pipeline(1, "", words...)
		if a := w.answer(t); strings.HasPrefix(a, "-") {
			t.Fatalf("%v: %s", words, a)
		}
	}
	for _, change := range [][]string{{"SET", "k", "w"}, {"APPEND", "k", "x"}, {"EXPIRE", "k", "100"}, {"PERSIST", "k"}, {"MSET", "k", "2", "{k}2", "3"}, {"DEL", "k"}} {
		c.do("GET", "k")
		say(change...)
		c.loses("k")
		all.loses("k")
	}
	say("SET", "k", "v", "PX", "100") // nobody asks for it again: the sweep tells
	c.do("GET", "k")
	c.loses("k")
	all.loses("k")
	say("SET", "k", "v")
	c.do("MGET", "k", "{k}2")
	say("FLUSHALL")
	c.loses("*")
	say("SET", "{k}cold", strings.Repeat("v", 1000))
	c.do("STRLEN", "{k}cold")
	for i := 0; !slices.Contains(c.gone, "{k}cold"); i++ {
		say("SET", fmt.Sprintf("{k}%d", i), strings.Repeat("v", 1000))
		if i%100 == 0 {
			c.do("PING")
		}
		if i > 1e6 {
			t.Fatal("a key that must have been evicted was not taken back")
		}
	}
}

// TestAMovedLeaseTakesBackWhatWasReadThere: the next holder does not know who read
// what at this one.
func TestAMovedLeaseTakesBackWhatWasReadThere(t *testing.T) {
	nodes := startNodes(t, 3, 64<<20)
	replicated(t, nodes)
	holder := slices.IndexFunc(nodes, func(n *Node) bool { return n.rightful(t, allocKey) })
	c, all := dialTracked(t, nodes[holder].cfg.ClientAddr), dialTracked(t, nodes[holder].cfg.ClientAddr, "BCAST")
	if v := c.do("GET", allocKey); string(v.Text) != "value" {
		t.Fatalf("GET: %q", v.Text)
	}
	told := dialTracked(t, nodes[holder].cfg.ClientAddr)
	if v := told.do("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "external-ip"); v.IsError() {
		t.Fatalf("%s", v.Text)
	}
	if err := nodes[holder].host.Do(context.Background(), func(now multiraft.Instant) { nodes[holder].core.Drain(now) }); err != nil {
		t.Fatal(err)
	}
	c.loses(allocKey)
	all.loses("*")
	// The lease may come back once when the other node does not stand up in time: it is
	// handed over again then.
	until(t, "another node serves the key", func() bool { return strings.HasPrefix(string(c.do("GET", allocKey).Text), "MOVED") })
	told.hearsOfMoves(nodes[holder].cfg.ClientAddr, int(shardmap.SlotOf([]byte(allocKey))))
}

// hearsOfMoves waits until a slot was said to migrate and to have migrated from a node.
func (c *tracked) hearsOfMoves(from string, slot int) {
	c.t.Helper()
	covers := func(ranges string) bool {
		for r := range strings.SplitSeq(ranges, ",") {
			var lo, hi int
			if n, _ := fmt.Sscanf(r, "%d-%d", &lo, &hi); n == 2 && lo <= slot && slot <= hi {
				return true
			}
		}
		return false
	}
	leaving, last := false, int64(0)
	for {
		v := c.read()
		switch string(v.Items[0].Text) {
		case "SMIGRATING":
			leaving = leaving || covers(string(v.Items[2].Text))
		case "SMIGRATED":
			if v.Items[1].Int <= last {
				c.t.Errorf("sequence %d after %d", v.Items[1].Int, last)
			}
			last = v.Items[1].Int
			for _, m := range v.Items[2].Items {
				if string(m.Items[0].Text) != from || string(m.Items[1].Text) == from {
					c.t.Errorf("from %s to %s; the move is from %s", m.Items[0].Text, m.Items[1].Text, from)
				}
				if covers(string(m.Items[2].Text)) {
					if !leaving {
						c.t.Error("nothing said before that the slot would move")
					}
					return
				}
			}
		}
	}
}

// TestAMoveThatDoesNotHappenIsClosed: clients wait longer for answers from SMIGRATING on,
// until a push closes it.
func TestAMoveThatDoesNotHappenIsClosed(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	c := dialTracked(t, n.cfg.ClientAddr)
	if v := c.do("CLIENT", "MAINT_NOTIFICATIONS", "ON"); v.IsError() {
		t.Fatalf("%s", v.Text)
	}
	for parked := false; !parked; { // until the group is served
		if err := n.host.Do(context.Background(), func(now multiraft.Instant) {
			r := n.core.Data().Replica(1)
			if parked = r.Park(now); parked {
				r.Unpark(now)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	var slots []string
	for _, want := range []string{"SMIGRATING", "MIGRATED"} {
		v := c.read()
		if v.Kind != '>' || len(v.Items) != 3 || string(v.Items[0].Text) != want {
			t.Fatalf("%+v, not %s", v, want)
		}
		slots = append(slots, string(v.Items[2].Text))
	}
	if slots[0] != slots[1] {
		t.Errorf("%s leave, %s stay", slots[0], slots[1])
	}
}

// TestWritesByVersionExcludeEachOther: many clients add one to a number that they read,
// if its version is still the one they read; none of the additions may be lost.
func TestWritesByVersionExcludeEachOther(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	w := dialRaw(t, n.cfg.ClientAddr)
	w.pipeline(1, "", "SET", "k", "0")
	w.until(t, "+OK\r\n")
	const clients, each = 4, 50
	done := make(chan int, clients)
	for range clients {
		c := dialTracked(t, n.cfg.ClientAddr)
		c.do("CLIENT", "CAPA", "aegis")
		go func() {
			lost := 0
			for added := 0; added < each; {
				value, version := c.valueAndVersion("k")
				v := c.do("SET", "k", strconv.Itoa(value+1), "IFVER", strconv.FormatInt(version, 10))
				if v.IsError() {
					lost++
				} else if added++; v.Int <= version {
					t.Errorf("version %d after %d", v.Int, version)
				}
			}
			done <- lost
		}()
	}
	lost := 0
	for range clients {
		lost += <-done
	}
	c := dialTracked(t, n.cfg.ClientAddr)
	if v := c.do("GET", "k"); string(v.Text) != strconv.Itoa(clients*each) || lost == 0 {
		t.Errorf("%d clients added %d each, %d tries were refused: %q", clients, each, lost, v.Text)
	}
}

// valueAndVersion reads a number and, from the attribute, its version.
func (c *tracked) valueAndVersion(key string) (value int, version int64) {
	if _, err := c.nc.Write(resp.AppendCommand(nil, "GET", key)); err != nil {
		c.t.Error(err)
	}
	for {
		if head, err := c.r.Peek(1); err == nil && head[0] == '>' {
			c.read()
			continue
		}
		kind, pairs, err := resp.ReadHead(c.r)
		if err != nil || kind != '|' || pairs != 2 {
			c.t.Errorf("%c %d %v, not an attribute", kind, pairs, err)
			return 0, 0
		}
		var told [4]resp.Reply
		for i := range told {
			told[i], _ = resp.ReadReply(c.r)
		}
		v, _ := resp.ReadReply(c.r)
		value, _ = strconv.Atoi(string(v.Text))
		return value, told[3].Int
	}
}

// TestFollowersReadForWhoAllowsIt: READONLY with a bound; without it, and for keys
// that are tracked, the holder is named.
func TestFollowersReadForWhoAllowsIt(t *testing.T) {
	nodes := startNodes(t, 3, 64<<20)
	replicated(t, nodes)
	follower := nodes[slices.IndexFunc(nodes, func(n *Node) bool { return !n.rightful(t, allocKey) })]
	r := dialRaw(t, follower.cfg.ClientAddr)
	say := func(words ...string) string {
		r.pipeline(1, "", words...)
		return r.answer(t)
	}
	moved := func(a string) bool { return strings.HasPrefix(a, "-MOVED") }
	if a := say("GET", allocKey); !moved(a) {
		t.Fatalf("without READONLY: %q", a)
	}
	say("READONLY", "0")
	if a := say("GET", allocKey); !moved(a) {
		t.Errorf("with a bound of nothing: %q", a)
	}
	for _, bound := range [][]string{{"READONLY"}, {"READONLY", "2000"}} {
		say(bound...)
		r.pipeline(1, "", "GET", allocKey)
		r.until(t, "$5\r\n")
		if a := say("SET", allocKey, "x"); !moved(a) {
			t.Errorf("a write after %v: %q", bound, a)
		}
	}
	c := dialTracked(t, follower.cfg.ClientAddr)
	c.do("READONLY", "2000")
	if v := c.do("GET", allocKey); !strings.HasPrefix(string(v.Text), "MOVED") {
		t.Errorf("a tracked read at a follower: %q", v.Text)
	}
	say("READWRITE")
	if a := say("GET", allocKey); !moved(a) {
		t.Errorf("after READWRITE: %q", a)
	}
}
