package client

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func TestLedgerJudges(t *testing.T) {
	l := newLedger()
	v := shardmap.MakeVersion
	if lost := l.judge([]mark{{3, v(1, 5), verdictDurable}, {4, v(1, 9), verdictPending}}); len(lost) != 0 {
		t.Fatal(lost)
	}
	lost := l.judge([]mark{{3, v(1, 8), verdictLost}, {4, v(1, 9), verdictLost}})
	if len(lost) != 2 || *lost[0] != (LostWritesError{3, v(1, 5), v(1, 8)}) || *lost[1] != (LostWritesError{4, 0, v(1, 9)}) {
		t.Fatal(lost)
	}
	if lost = l.judge([]mark{{3, v(1, 8), verdictLost}}); len(lost) != 0 {
		t.Fatal("a loss was told twice")
	}
	lost = l.judge([]mark{{3, v(1, 9), verdictLost}})
	if len(lost) != 1 || lost[0].After != v(1, 5) {
		t.Fatal(lost)
	}
}

func TestStrongestWordCounts(t *testing.T) {
	got := merged([]mark{{2, 7, verdictPending}, {1, 5, verdictUnknown}, {2, 7, verdictDurable}, {1, 5, verdictLost}, {1, 5, verdictDurable}})
	if want := []mark{{1, 5, verdictLost}, {2, 7, verdictDurable}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatal(got)
	}
}

func TestVerdictsAreParsed(t *testing.T) {
	row := func(shard, version int64, word string) resp.Reply {
		return resp.Reply{Kind: '*', Items: []resp.Reply{{Kind: ':', Int: shard}, {Kind: ':', Int: version}, {Kind: '$', Text: []byte(word)}}}
	}
	m, ok := parseVerdicts(resp.Reply{Kind: '*', Items: []resp.Reply{row(1, 2, "lost"), row(3, 4, "pending")}})
	if !ok || fmt.Sprint(m) != fmt.Sprint([]mark{{1, 2, verdictLost}, {3, 4, verdictPending}}) {
		t.Fatal(m)
	}
	for _, r := range []resp.Reply{
		{Kind: '-', Text: []byte("ERR")},
		{Kind: '*', Items: []resp.Reply{row(-1, 2, "lost")}},
		{Kind: '*', Items: []resp.Reply{row(1, -2, "lost")}},
		{Kind: '*', Items: []resp.Reply{row(1, 2, "gone")}},
		{Kind: '*', Items: []resp.Reply{{Kind: ':'}}},
	} {
		if m, ok := parseVerdicts(r); ok {
			t.Errorf("%v was taken: %v", r, m)
		}
	}
}

// aegis makes the nodes of a world answer AEGIS.TOKEN with the number of SETs on the
// connection, and AEGIS.CHECK with a word that may change.
func aegis(w *world, word *atomic.Value) {
	for _, n := range w.nodes {
		var mu sync.Mutex
		sets := map[*peer]int64{}
		n.on(func(p *peer, args []string) bool {
			mu.Lock()
			defer mu.Unlock()
			switch args[0] {
			case "SET":
				sets[p]++
			case "AEGIS.TOKEN":
				p.say(resp.AppendBulk(nil, fmt.Sprint("1:c:0.", sets[p])))
				return true
			case "AEGIS.CHECK":
				var version int64
				_, _ = fmt.Sscanf(args[1], "1:c:0.%d", &version)
				b := resp.AppendArray(resp.AppendArray(nil, 1), 3)
				b = resp.AppendInt(resp.AppendInt(b, 0), version)
				p.say(resp.AppendBulk(b, word.Load().(string)))
				return true
			case "CONFIG":
				p.say(resp.AppendBulk(resp.AppendBulk(resp.AppendArray(nil, 2), "numShards"), "2"))
				return true
			}
			return false
		})
	}
}

func TestLossesAreReported(t *testing.T) {
	w := newWorld(t, 2)
	var word atomic.Value
	word.Store("pending")
	aegis(w, &word)
	cfg := quick(w.seeds())
	told := make(chan *LostWritesError, 10)
	cfg.Losses, cfg.OnLost = true, func(e *LostWritesError) { told <- e }
	c := open1(t, cfg)
	low := keyOn(w, 0, "low") // shard 0 of 2
	high := keyOn(w, 1, "high")
	for range 3 {
		if err := c.Set(ctx, low, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the token of the last write is known", func() bool {
		for _, k := range c.conns() {
			if k.newestToken() == "1:c:0.3" {
				return true
			}
		}
		return false
	})
	w.nodes[0].hangUp()
	until(t, "the token is being judged", func() bool { return c.losses.waiting() == 1 })
	if err := c.Set(ctx, high, nil); err != nil {
		t.Fatal("while the verdict is open:", err)
	}
	word.Store("lost")
	if e := <-told; *e != (LostWritesError{0, 0, 3}) {
		t.Fatal(e)
	}
	if err := c.Set(ctx, high, nil); err != nil {
		t.Error("another shard answers the loss:", err)
	}
	_, err := c.Get(ctx, low)
	var lost *LostWritesError
	if !errors.Is(err, ErrLostWrites) || !errors.As(err, &lost) || lost.Last != 3 {
		t.Error(err)
	}
	if v, err := c.Get(ctx, low); string(v) != "v" || err != nil {
		t.Error("a loss is answered once:", err)
	}
	until(t, "the token is forgotten", func() bool { return c.losses.waiting() == 0 })
	if len(told) != 0 {
		t.Error("a loss was told twice")
	}
}

func TestServersWithoutTokensAreAskedOnce(t *testing.T) {
	w := newWorld(t, 1)
	var asked atomic.Int32
	w.nodes[0].on(isWord("AEGIS.TOKEN", func(p *peer, _ []string) bool {
		asked.Add(1)
		p.say([]byte("-ERR unknown command 'AEGIS.TOKEN'\r\n"))
		return true
	}))
	cfg := quick(w.seeds())
	cfg.Losses, cfg.ConnsPerNode = true, 1
	c := open1(t, cfg)
	for range 20 {
		if err := c.Set(ctx, "k", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, "k"); err != nil { // its answer comes behind the token's
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
