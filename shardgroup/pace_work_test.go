package shardgroup

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"
)

// TestWorkKeepsItsShare: whatever pieces cost and however late somebody asks, they take
// their share of a core as long as there are any, and no more than a tenth of a second of
// it at once after a silence.
func TestWorkKeepsItsShare(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		percent := int64(1 + r.Intn(200))
		p := newPace(0, percent)
		now, worked := time.Hour, time.Duration(0)
		for end := now + 20*time.Second; now < end; {
			now += time.Duration(r.Int63n(int64(paceSlack)))
			for p.may(now) {
				piece := time.Duration(1 + r.Int63n(int64(2*time.Millisecond)))
				p.worked(piece)
				worked += piece
			}
		}
		want := 20 * time.Duration(percent*corePercent)
		if off := (worked - want).Abs(); off > want/100+2*time.Millisecond {
			t.Errorf("seed %d: %v of work in 20 s, %v are %d percent of a core", seed, worked, want, percent)
		}
	}
}

// TestBothBoundsOfAPaceHold: the one that is reached first counts.
func TestBothBoundsOfAPaceHold(t *testing.T) {
	for _, c := range []struct {
		piece time.Duration
		bytes int
		most  int // pieces in 10 s
	}{{time.Millisecond, 1, 2500}, {time.Microsecond, 1 << 10, 10 << 10}} {
		p := newPace(1<<20, 25)
		pieces := 0
		for now := time.Hour; now < time.Hour+10*time.Second; now += time.Millisecond {
			for p.may(now) {
				p.take(c.bytes)
				p.worked(c.piece)
				pieces++
			}
		}
		if pieces < c.most*98/100 || pieces > c.most*102/100 {
			t.Errorf("%d pieces of %v and %d bytes, %d are right", pieces, c.piece, c.bytes, c.most)
		}
	}
}

// TestWhatWasTakenInIsForgottenAfterASecond: a node that took copies in for a minute sends
// its own soon after.
func TestWhatWasTakenInIsForgottenAfterASecond(t *testing.T) {
	p := newPace(0, 25)
	now, sends := time.Hour, 0
	for i := range 60_000 {
		now += time.Millisecond
		if p.worked(time.Millisecond); p.may(now) && i > int(paceSlack/time.Millisecond) {
			sends++
		}
	}
	if sends > 0 {
		t.Errorf("a node that takes in as much as it can might send %d times", sends)
	}
	if now += time.Second + time.Millisecond; !p.may(now) {
		t.Error("a second after that it sends nothing")
	}
}

// TestFillsKeepTheirShareOfACore: each piece costs 10 ms here, by a clock that is only told;
// a quarter of a core lets 25 of them a second pass. What is written meanwhile is not held
// back by it.
func TestFillsKeepTheirShareOfACore(t *testing.T) {
	const piece = 10 * time.Millisecond
	w, a, c := emptied(t, 1500, 0, 60, 1000)
	worked := time.Duration(0)
	a.n.pace.work.rate = 25 * corePercent
	a.n.cfg.Spent = func(do func()) time.Duration {
		do()
		worked += piece
		return piece
	}
	copied := func(m *member) bool { return m.rep() != nil && m.rep().shards[0].whole && m.rep().shards[1].whole }
	w.settle("a fill begins", func() bool { return a.n.Usage().CatchUpBytes > 0 })
	from, before := w.now.Mono, worked
	for i := 0; !copied(c); i++ {
		if w.now.Mono-from > time.Minute {
			t.Fatal("the copy is not filled after a minute")
		}
		at := w.must(a, 0, fmt.Sprint("k", i%60), strings.Repeat("w", 1000))
		w.run(20 * time.Millisecond)
		if b := w.nodes[1].rep().shards[0].m.Position(); b < at {
			t.Fatalf("20 ms after %v the sound follower is at %v", at, b)
		}
	}
	took, work := w.now.Mono-from, worked-before
	if share := work.Seconds() / took.Seconds(); work < 300*time.Millisecond || share < .22 || share > .28 {
		t.Errorf("%v of work in %v are %.2f of a core, a quarter is right", work, took, share)
	}
	w.finish()
}
