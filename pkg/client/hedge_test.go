package client

import (
	"sync/atomic"
	"testing"
	"time"
)

func hedging(w *world) Config {
	cfg := quick(w.seeds())
	cfg.Hedge = HedgePolicy{After: 5 * time.Millisecond, MaxExtra: 0.5}
	return cfg
}

// warm opens both connections and earns some room for hedges.
func warm(t *testing.T, c *Client, w *world) {
	t.Helper()
	w.set(func() { w.data["k"] = "value" })
	for i := range 20 {
		_, _ = c.Get(ctx, "warm") // two keys on two connections
		_, _ = c.Get(ctx, "warm"+string(rune('a'+i)))
	}
}

// A read on a connection that stands still is answered on the other.
func TestALateReadTravelsTwice(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, hedging(w))
	warm(t, c, w)
	var asked atomic.Int32
	w.nodes[0].on(isWord("GET", func(*peer, []string) bool { return asked.Add(1) == 1 })) // the first has no answer
	within(t, time.Second, func() {
		if v, err := c.Get(ctx, "k"); string(v) != "value" || err != nil {
			t.Error(v, err)
		}
	})
	if s := c.Stats(); s.Hedged != 1 || s.HedgeWins != 1 || asked.Load() != 2 {
		t.Errorf("%+v after %d", s, asked.Load())
	}
	asked.Store(0)
	within(t, time.Second, func() { // another one: the first connection is silent still
		if v, err := c.GetInto(ctx, "k", nil); string(v) != "value" || err != nil {
			t.Error(v, err)
		}
	})
}

// Broken connections under a hedged read end neither it nor the other sending.
func TestHedgedReadsSurviveBrokenConnections(t *testing.T) {
	for name, breakAt := range map[string]int32{"the first": 1, "the second": 2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			c := open1(t, hedging(w))
			warm(t, c, w)
			var asked atomic.Int32
			var late atomic.Pointer[peer]
			w.nodes[0].on(isWord("GET", func(p *peer, args []string) bool {
				n := asked.Add(1)
				switch {
				case n == 1:
					late.Store(p)
				case n == 2 && breakAt == 2:
					_ = p.Close()
					late.Load().say(p.node.run(p, args))
				case n == 2:
					_ = late.Load().Close()
					return false
				default:
					return false
				}
				return true
			}))
			if v, err := c.Get(ctx, "k"); string(v) != "value" || err != nil {
				t.Error(v, err)
			}
			if asked.Load() != 2 {
				t.Error(asked.Load(), "sendings")
			}
		})
	}
}

// No more than a part of all calls is sent twice, and writes never.
func TestHedgesAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	cfg := hedging(w)
	cfg.Hedge = HedgePolicy{After: time.Nanosecond}
	c := open1(t, cfg)
	warm(t, c, w)
	w.nodes[0].on(isWord("GET", func(*peer, []string) bool {
		time.Sleep(time.Millisecond) // an answer that is there at once may be seen before the time is over
		return false
	}))
	for range 1000 {
		if _, err := c.Get(ctx, "k"); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Hedged > 52 || s.Hedged < 10 {
		t.Errorf("%d of 1040 calls were sent twice", s.Hedged)
	}
	before := c.Stats().Hedged
	for range 100 {
		must(t, c.Set(ctx, "k", nil))
	}
	if s := c.Stats(); s.Hedged != before || w.count("k") != 100 {
		t.Error("writes were sent twice")
	}
}

// A hedge that has no connection to travel on is none.
func TestOnlyWhatWasSentIsCountedAsHedged(t *testing.T) {
	w := newWorld(t, 1)
	cfg := hedging(w)
	cfg.Hedge = HedgePolicy{After: time.Nanosecond, MaxExtra: 1}
	c := open1(t, cfg)
	w.nodes[0].on(isWord("GET", func(*peer, []string) bool {
		time.Sleep(time.Millisecond)
		return false
	}))
	_, _ = c.Get(ctx, "warm")
	v := c.view.Load()
	const slot = 1
	v.nodes[0].line(slot+1, laneUsual).live.Store(nil)
	c.calls.Add(1000) // there is room for more hedges
	before := c.Stats().Hedged
	defer c.ended.Add(1000)
	for range 100 {
		if _, err := c.hedgedAt(slot, v.nodes[0]); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Stats().Hedged - before; n != 0 {
		t.Errorf("%d were counted", n)
	}
}

// hedgedAt is a hedged read at a slot.
func (c *Client) hedgedAt(slot int, n *node) (answer, error) {
	var p patience
	p.begin(ctx, c.cfg.Timeout)
	defer p.end()
	return c.hedged(&p, &command{op: opGet, key: "k", hedge: true}, slot, n)
}
