package client

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

// attributed puts {e, v} before a reply, and what else a node might say there.
func attributed(epoch uint64, v shardmap.Version, reply string) []byte {
	b := resp.AppendAttribute(nil, 3)
	b = resp.AppendInt(resp.AppendBulk(b, "e"), int64(epoch))
	b = resp.AppendBulk(resp.AppendArray(resp.AppendBulk(b, "later"), 1), "x")
	b = resp.AppendInt(resp.AppendBulk(b, "v"), int64(v))
	return append(b, reply...)
}

func TestAnswersCarryVersionAndEpoch(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	w.nodes[0].on(isWord("GET", func(p *peer, args []string) bool {
		if args[1] == "plain" {
			return false
		}
		p.say(attributed(1, shardmap.MakeVersion(3, 9), "$1\r\nx\r\n"))
		return true
	}))
	a, err := c.do(ctx, &command{op: opGet, key: "k"})
	if err != nil || a.version != shardmap.MakeVersion(3, 9) || a.epoch != 1 || string(a.Text) != "x" || a.node != w.nodes[0].addr {
		t.Errorf("%+v %v", a, err)
	}
	w.nodes[0].on(isWord("DEL", func(p *peer, _ []string) bool {
		p.say([]byte("|1\r\n$1\r\nv\r\n*1\r\n:7\r\n:1\r\n"))
		return true
	}))
	if a, err = c.do(ctx, &command{op: opDel, key: "k"}); err != nil || a.version != 7 {
		t.Errorf("a command on a list of one key: %+v %v", a, err)
	}
	if a, err = c.do(ctx, &command{op: opGet, key: "plain"}); err != nil || a.version != 0 || a.epoch != 0 {
		t.Errorf("attributes of an answer before stick: %+v %v", a, err)
	}
}

// A node that knows a newer map makes the client ask for it, told by an attribute or by a push.
func TestNewerEpochFetchesTheMap(t *testing.T) {
	for name, say := range map[string]func(p *peer){
		"attribute": func(p *peer) { p.say(attributed(2, 0, "+x\r\n")) },
		"push":      func(p *peer) { p.say([]byte(">2\r\n+aegis-map\r\n:2\r\n+x\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			c := open1(t, quick(w.seeds()))
			if err := c.Set(ctx, "k", nil); err != nil {
				t.Fatal(err)
			}
			for _, n := range w.nodes {
				n.on(isWord("GET", func(p *peer, _ []string) bool { say(p); return true }))
			}
			w.set(func() { w.epoch, w.owner = 2, func(shardmap.Slot) int { return 1 } })
			if _, err := c.Get(ctx, "k"); err != nil {
				t.Fatal(err)
			}
			until(t, "the new map is taken", func() bool {
				v := c.view.Load()
				return v.table.epoch == 2 && len(v.table.nodes) == 1
			})
		})
	}
}

// Pushes of any kind and place are no answers, and calls beside them keep their order.
func TestPushesBetweenAnswers(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	var heard atomic.Int32
	c.pushes["invalidate"] = func(_ *conn, r resp.Reply) { heard.Add(int32(len(r.Items[1].Items))) }
	w.nodes[0].on(func(p *peer, args []string) bool {
		if args[0] != "GET" {
			return false
		}
		p.say([]byte(">0\r\n>2\r\n+invalidate\r\n*1\r\n+a\r\n" + fmt.Sprintf("$%d\r\n%s\r\n", len(args[1]), args[1]) + ">1\r\n+unknown\r\n"))
		return true
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprint(g, "-", i)
				if v, err := c.Get(ctx, key); string(v) != key || err != nil {
					t.Errorf("%s: %q %v", key, v, err)
				}
			}
		})
	}
	wg.Wait()
	if heard.Load() != 400 {
		t.Errorf("%d invalidations were heard", heard.Load())
	}
}

// What the reader took of the queue ends with the connection too.
func TestCallsTakenByTheReaderEndWithTheConnection(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.ConnsPerNode = 1
	c := open1(t, cfg)
	if err := c.Set(ctx, "k", nil); err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	w.nodes[0].on(isWord("SET", func(p *peer, args []string) bool {
		if got.Add(1) == 8 {
			p.say([]byte("+OK\r\n"))
			_ = p.Close()
		}
		return true
	}))
	errs := make(chan error, 8)
	for i := range 8 {
		go func() { errs <- c.Set(ctx, fmt.Sprint(i), nil) }()
	}
	ok := 0
	for range 8 {
		if err := <-errs; err == nil {
			ok++
		} else {
			wantIs(t, err, ErrAmbiguous)
		}
	}
	if ok > 1 {
		t.Errorf("%d calls were answered by one answer", ok)
	}
}

func TestGetInto(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	big := strings.Repeat("0123456789", 20_000)
	for _, value := range []string{"", "v", big, "w"} {
		if err := c.Set(ctx, "k", []byte(value)); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetInto(ctx, "k", []byte("before "))
		if string(got) != "before "+value || err != nil {
			t.Errorf("%d bytes, want %d: %v", len(got), len(value), err)
		}
	}
	if got, err := c.GetInto(ctx, "missing", []byte("x")); string(got) != "x" || err != ErrNotFound {
		t.Errorf("%q %v", got, err)
	}
	w.nodes[0].on(isWord("GET", func(p *peer, _ []string) bool { p.say([]byte("-ERR no\r\n")); return true }))
	if got, err := c.GetInto(ctx, "k", []byte("x")); string(got) != "x" || err == nil {
		t.Errorf("%q %v", got, err)
	}
}

// GetInto allocates nothing, and neither does Set; beside attributes too.
func TestGetIntoAllocatesNothing(t *testing.T) {
	if raceBuild {
		t.Log("the race detector allocates")
		return
	}
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.StallTimeout = time.Minute
	c := open1(t, cfg)
	echoOf(w.nodes[0], []byte("+OK\r\n"), []byte("|2\r\n$1\r\ne\r\n:1\r\n$1\r\nv\r\n:109951162777\r\n$5\r\nvalue\r\n"))
	if err := c.Set(ctx, "k", nil); err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 16)
	if n := leastAllocs(func() { dst, _ = c.GetInto(ctx, "k", dst[:0]) }); n > 0 || string(dst) != "value" {
		t.Errorf("GetInto allocates %v times: %q", n, dst)
	}
	value := []byte("value")
	if n := leastAllocs(func() { _ = c.Set(ctx, "k", value) }); n > 0 {
		t.Errorf("Set allocates %v times", n)
	}
}

// echoOf makes a node answer every SET and every GET on a connection, from its first SET
// on, with constants. It allocates nothing itself.
func echoOf(n *fakeNode, set, get []byte) {
	n.on(isWord("SET", func(p *peer, _ []string) bool {
		buf := make([]byte, 4096)
		p.say(set)
		for {
			n, err := p.Read(buf)
			if err != nil {
				return true
			}
			if n > 8 && buf[8] == 'S' {
				p.say(set)
			} else {
				p.say(get)
			}
		}
	}))
}
