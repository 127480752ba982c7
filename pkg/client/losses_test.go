package client

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestAnOpenVerdictIsAskedForUntilThereIsOne: a token of a connection that ended
// stays open while nobody serves its shard, however often the map changes meanwhile:
// the write that is judged lost in the end must not be lost without a word.
func TestAnOpenVerdictIsAskedForUntilThereIsOne(t *testing.T) {
	w := newWorld(t, 2)
	var word atomic.Value
	word.Store("unknown") // nobody serves shard 0
	for i, n := range w.nodes {
		n.on(func(p *peer, args []string) bool {
			switch args[0] {
			case "AEGIS.TOKEN": // of shard 0 at node 0, of shard 1 at node 1
				p.say(resp.AppendBulk(nil, fmt.Sprintf("1:c:%d.1", i)))
			case "AEGIS.CHECK":
				b := resp.AppendArray(resp.AppendArray(nil, 1), 3)
				if args[1] == "1:c:0.1" {
					b = resp.AppendBulk(resp.AppendInt(resp.AppendInt(b, 0), 1), word.Load().(string))
				} else {
					b = resp.AppendBulk(resp.AppendInt(resp.AppendInt(b, 1), 1), "durable")
				}
				p.say(b)
			default:
				return false
			}
			return true
		})
	}
	cfg := quick(w.seeds())
	told := make(chan *LostWritesError, 10)
	cfg.Losses, cfg.OnLost = true, func(e *LostWritesError) { told <- e }
	c := open1(t, cfg)
	for i := range 2 {
		if err := c.Set(ctx, keyOn(w, i, "k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "both tokens are known", func() bool {
		known := 0
		for _, k := range c.conns() {
			if k.newestToken() != "" {
				known++
			}
		}
		return known == 2
	})
	waits := func() bool { return c.losses.waiting() > 0 }
	w.nodes[0].hangUp()
	until(t, "the token of shard 0 is being judged", waits)
	begun := time.Now()
	for i := 0; time.Since(begun) < 3*time.Second && waits(); i++ {
		w.set(func() { // groups change hands, as in a rolling restart
			w.epoch++
			w.owner = func(s shardmap.Slot) int { return (int(s)*2/shardmap.Slots + i) % 2 }
		})
		c.wantMap(true)
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(begun)
	word.Store("lost") // the new holder has opened
	select {
	case <-told:
	case <-time.After(2 * judgeRarely):
		t.Errorf("the token was given up after %v without an end; the write is lost and nobody is told", took)
	}
}

// A node that says that writes were lost makes the client ask for its own at once, while
// connections and map stay as they are.
func TestALossThatIsToldIsJudgedAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	told := make(chan *LostWritesError, 1)
	cfg.Losses, cfg.OnLost = true, func(e *LostWritesError) { told <- e }
	c := open1(t, cfg)
	w.nodes[0].on(func(p *peer, args []string) bool {
		switch args[0] {
		case "AEGIS.TOKEN":
			p.say(resp.AppendBulk(nil, "1:c:3.9"))
		case "AEGIS.CHECK":
			b := resp.AppendArray(resp.AppendArray(nil, 1), 3)
			p.say(resp.AppendBulk(resp.AppendInt(resp.AppendInt(b, 3), 9), "lost"))
		case "GET":
			p.say([]byte(">4\r\n$10\r\naegis-lost\r\n:3\r\n:5\r\n:9\r\n$1\r\nv\r\n"))
		default:
			return false
		}
		return true
	})
	must(t, c.Set(ctx, "k", nil))
	until(t, "the token is known", func() bool {
		for _, k := range c.conns() {
			if k.newestToken() != "" {
				return true
			}
		}
		return false
	})
	if _, err := c.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-told:
		if e.Shard != 3 || e.Last != 9 {
			t.Errorf("%+v", e)
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody was told")
	}
}

// TestOpenVerdictsAreBounded: however many tokens are added while nobody has a verdict, there
// is one open for each shard and epoch, of the highest version, and none for it once
// that has its word.
func TestOpenVerdictsAreBounded(t *testing.T) {
	l := newLosses(nil)
	version := func(epoch uint32, seq uint64) shardmap.Version { return shardmap.MakeVersion(epoch, seq) }
	for seq := range uint64(10_000) {
		for epoch := range uint32(3) {
			l.add(appendToken("c", []mark{{shard: 1, version: version(epoch+1, seq+1)}, {shard: 2, version: version(epoch+1, seq+2)}}))
		}
	}
	if n := l.waiting(); n != 6 {
		t.Fatalf("%d verdicts are open, of 2 shards in 3 epochs", n)
	}
	tokens := l.due(time.Now())
	want := appendToken("c", []mark{
		{shard: 1, version: version(1, 10_000)},
		{shard: 1, version: version(2, 10_000)},
		{shard: 1, version: version(3, 10_000)},
		{shard: 2, version: version(1, 10_001)},
		{shard: 2, version: version(2, 10_001)},
		{shard: 2, version: version(3, 10_001)},
	})
	if len(tokens) != 1 || tokens[0] != want {
		t.Errorf("asked with %q, want %q", tokens, want)
	}
	l.settle(want, []mark{{1, version(1, 10_000), verdictDurable}, {1, version(2, 9_999), verdictLost}, {1, version(3, 10_000), verdictPending}})
	if n := l.waiting(); n != 5 {
		t.Errorf("%d verdicts are open, want 5: one version has its final word", n)
	}
	l.add("no token")
	l.add("")
	if n := l.waiting(); n != 5 {
		t.Errorf("%d verdicts are open after words that are no tokens", n)
	}
}
