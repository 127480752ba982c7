package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine"
)

func bigConfig() Config {
	cfg := worldConfig()
	cfg.BudgetBytes, cfg.RingBytes, cfg.BlockBytes, cfg.TailBytes, cfg.FillBytes = 0, 0, 0, 0, 0
	return cfg
}

func TestHotPathAllocatesNothing(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	r, c := a.rep(), setCommand("key", "value")
	var res statemachine.Result
	dst := make([]byte, 0, 64)
	now := w.now
	drain := func() {
		for range 3 {
			for _, m := range w.nodes {
				for _, p := range w.nodes {
					w.send(m, p)
					w.deliver(m, p)
				}
			}
		}
	}
	for range 3 {
		if _, err := r.Do(0, c, Async, &res, now); err != nil {
			t.Fatal(err)
		}
		drain()
	}
	if n := testing.AllocsPerRun(200, func() { r.Do(0, c, Async, &res, now) }); n != 0 {
		t.Errorf("a SET of equal size allocates %v times", n)
	}
	if n := testing.AllocsPerRun(200, func() { r.Get(0, c.Key, dst[:0], false, now) }); n != 0 {
		t.Errorf("a GET hit allocates %v times", n)
	}
	if v, ok, _, err := r.Get(0, c.Key, dst[:0], false, now); !ok || err != nil || string(v.Data) != "value" {
		t.Fatalf("get: %q %v %v", v.Data, ok, err)
	}
}

// BenchmarkReplicatedSet is a client write with everything that follows from it:
// frames to two followers, their acks, held.
func BenchmarkReplicatedSet(b *testing.B) {
	w := newWorld(b, 1, bigConfig(), 3, 3)
	m := w.nodes[0]
	w.elect(m)
	for w.holder() == nil {
		w.pass(5 * time.Millisecond)
		w.round()
	}
	for range 50 {
		w.pass(5 * time.Millisecond)
		w.round()
	}
	r := m.rep()
	var res statemachine.Result
	var buf, ack []byte
	c := setCommand("key", "value of some length, as caches have them")
	now := w.now
	b.ReportAllocs()
	for b.Loop() {
		a, err := r.Do(0, c, Majority, &res, now)
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range w.nodes[1:] {
			buf = m.n.NextData(f.id, buf, now)
			if err := f.n.OnData(m.id, m.conns[f.id], buf, now); err != nil {
				b.Fatal(err)
			}
			ack = f.n.NextAck(m.id, ack, now)
			if err := m.n.OnAck(f.id, ack, now); err != nil {
				b.Fatal(err)
			}
		}
		if v, _, _ := r.Verdict(0, a.Version, now); v != VerdictDurable {
			b.Fatal(v)
		}
	}
}

func BenchmarkIdleTick(b *testing.B) {
	cfg := bigConfig()
	n, _ := NewNode(cfg, nil, nil)
	n.cfg.Self = multiraft.Member{Node: 1}
	now := multiraft.Instant{Mono: time.Second, Wall: 1}
	for b.Loop() {
		now.Mono += 10 * time.Millisecond
		n.Tick(now)
	}
}
