package shardgroup

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"
)

// TestAPaceIsKept: whatever the messages are and however late somebody asks, what is sent
// is the rate, as long as there is something to send all the time.
func TestAPaceIsKept(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		rate := int64(1<<16) << r.Intn(14)
		p := newPace(rate, 0)
		now, sent, longest := time.Hour, int64(0), int64(0)
		p.may(now)
		p.take(int(p.bytes.left))
		for end := now + 20*time.Second; now < end; {
			now += time.Duration(r.Int63n(int64(paceSlack)))
			for p.may(now) {
				n := 1 + r.Int63n(1<<17)
				p.take(int(n))
				sent, longest = sent+n, max(longest, n)
			}
		}
		if want := 20 * rate; sent < want-rate/10 || sent > want+rate/10+longest {
			t.Errorf("seed %d: %d bytes in 20 s at %d a second", seed, sent, rate)
		}
	}
}

// TestAPaceSavesNothingUp: after a silence, what may be sent at once is a tenth of a second's worth.
func TestAPaceSavesNothingUp(t *testing.T) {
	p := newPace(1<<20, 0)
	for _, now := range []time.Duration{time.Second, time.Hour, 24 * time.Hour, 24*time.Hour - time.Second} {
		sent := 0
		for p.may(now) {
			p.take(1000)
			sent += 1000
		}
		if most := 1<<20/10 + 1000; sent > most {
			t.Errorf("%d bytes at once, at most %d are right", sent, most)
		}
	}
}

// TestAMeterTellsTheRate from its first tenth of a second on, and forgets it afterwards.
func TestAMeterTellsTheRate(t *testing.T) {
	var m meter
	now := time.Minute
	for range 2 { // the second time after a silence
		for i := range 3000 {
			now += 10 * time.Millisecond
			m.add(1000, now)
			_, rate := m.read(now)
			if i > 10 && (rate < 90_000 || rate > 110_000) {
				t.Fatalf("%d bytes a second after %d times 10 ms of 1000 bytes", rate, i)
			}
		}
		now += meterSilence + time.Second
		if _, rate := m.read(now); rate != 0 {
			t.Errorf("%d bytes a second after a silence", rate)
		}
	}
	if total, _ := m.read(now); total != 6_000_000 {
		t.Errorf("%d bytes passed", total)
	}
}

// TestFillsKeepTheirPace: a copy is filled no faster and no slower than is said, and what is
// written meanwhile is not held back by it.
func TestFillsKeepTheirPace(t *testing.T) {
	const rate = 20_000
	w, a, c := emptied(t, 1500, rate, 60, 1000)
	copied := func(m *member) bool { return m.rep() != nil && m.rep().shards[0].whole && m.rep().shards[1].whole }
	w.settle("a fill begins", func() bool { return a.n.Usage().CatchUpBytes > 0 })
	from, before := w.now.Mono, a.n.Usage().CatchUpBytes
	for i := 0; !copied(c); i++ {
		if w.now.Mono-from > time.Minute {
			t.Fatal("the copy is not filled after a minute")
		}
		at := w.must(a, 0, fmt.Sprint("k", i%60), strings.Repeat("w", 1000))
		w.run(20 * time.Millisecond)
		if b := w.nodes[1].rep().shards[0].m.Position(); b < at {
			t.Fatalf("20 ms after %v the sound follower is at %v", at, b)
		}
		if s := c.rep().shards[0]; s.xfer != 0 && s.m.Position() < at {
			t.Fatalf("20 ms after %v the copy that is filled is at %v", at, s.m.Position())
		}
	}
	took := w.now.Mono - from
	sent, _ := a.rep().fills.read(w.now.Mono)
	t.Logf("%d bytes of fills in %v, %d with the records", sent, took, a.n.Usage().CatchUpBytes-before)
	if got := float64(sent) / took.Seconds(); sent < 60_000 || got < .9*rate || got > 1.1*rate {
		t.Errorf("%d bytes at %.0f a second, at %d is right", sent, got, rate)
	}
	w.finish()
}

// TestFillsAreToldOf: while a copy is filled it is said every ten seconds how far that is, with
// a rate and a time left that come true, and once that it is over.
func TestFillsAreToldOf(t *testing.T) {
	const rate = 40_000
	w, a, _ := emptied(t, 4<<10, rate, 550, 2000)
	w.settle("a fill begins", func() bool { return a.n.Usage().CatchUpBytes > 0 })
	var news []Progress
	var at []time.Duration
	for end := w.now.Mono + 2*time.Minute; w.now.Mono < end && (len(news) == 0 || !news[len(news)-1].Ended); {
		a.events = nil
		w.pass(100 * time.Millisecond)
		w.round()
		for _, e := range a.events {
			if e.Kind == EventFills {
				news, at = append(news, e.Fills), append(at, w.now.Mono)
			}
		}
	}
	if len(news) < 3 || !news[len(news)-1].Ended {
		t.Fatalf("told %+v", news)
	}
	end := news[len(news)-1]
	over := at[len(at)-1] - progressQuiet
	for i, p := range news[:len(news)-1] {
		if i > 0 && (at[i]-at[i-1]).Round(time.Second) != progressEvery {
			t.Errorf("told at %v and at %v", at[i-1], at[i])
		}
		if off := at[i] + p.TimeLeft() - over; off.Abs() > time.Second+p.TimeLeft()/10 {
			t.Errorf("at %v: %+v, %v left; it is over at %v", at[i], p, p.TimeLeft(), over)
		}
		if sum := p.Sent + p.Left; sum < end.Sent*9/10 || sum > end.Sent*11/10 {
			t.Errorf("%d sent and %d left, in the end %d", p.Sent, p.Left, end.Sent)
		}
	}
	if end.Sent < 550*2000 || end.Rate < rate*9/10 || end.Rate > rate*11/10 {
		t.Errorf("in the end %+v", end)
	}
	a.events = nil
	for range 100 {
		w.pass(200 * time.Millisecond)
		w.round()
	}
	for _, e := range a.events {
		if e.Kind == EventFills {
			t.Errorf("afterwards it says %+v", e.Fills)
		}
	}
	w.finish()
}

// emptied is a group of three whose holder a paces its fills, with keys of so many bytes,
// and whose third node c has just come back with nothing.
func emptied(t *testing.T, fillBytes int, rate int64, keys, size int) (w *world, a, c *member) {
	t.Helper()
	cfg := bigConfig()
	cfg.FillBytes, cfg.FillRate = fillBytes, rate
	w = newWorld(t, 1, cfg, 3, 3)
	a = w.serve(1)
	w.synced(1, 2, 3)
	for i := range keys {
		w.must(a, i%2, fmt.Sprint("k", i), strings.Repeat("v", size))
		w.spread()
	}
	w.synced(1, 2, 3)
	c = w.nodes[2]
	w.crash(c)
	w.restart(c)
	return w, a, c
}
