package shardgroup

import (
	"errors"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestWhatWaitAndCheckSaidOutlivesASeatSwap: at three seats WAIT 1 is as strong as
// majority, and "durable" turns to "lost" only through a row that is not clean
// (data-protocol 1 and 8). Both speak of versions that `answered` does not know,
// so a newcomer without them takes the seat of the one that held them (L8).
func TestWhatWaitAndCheckSaidOutlivesASeatSwap(t *testing.T) {
	for _, how := range []string{"wait", "check"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, 1, bigConfig(), 4, 3)
			a := w.serve(1)
			w.synced(1, 2, 3, 4)
			w.run(300 * time.Millisecond)
			w.hush(1, 2, true)
			w.hush(1, 4, true)
			ad, err := w.set(a, 0, "k", "v")
			if err != nil {
				t.Fatal(err)
			}
			w.spread()
			switch how {
			case "wait":
				tk := Ticket{ID: 99, Shard: 0, Version: ad.Version, Level: Seats, Need: 1}
				if o := a.rep().Await(ad.Lease, tk, w.now); o != Acked {
					t.Fatalf("WAIT 1: %v", o)
				}
			case "check":
				if v, _, err := a.rep().Verdict(0, ad.Version, w.now); v != VerdictDurable || err != nil {
					t.Fatalf("AEGIS.CHECK: %v %v", v, err)
				}
			}
			// Seat 3, which alone holds it beside A, goes to 4, which does not.
			a.rep().SetSeats([]shardmap.NodeID{1, 2, 4})
			swapped := false
			for range 200 {
				w.pass(5 * time.Millisecond)
				w.round()
				if _, swapped = a.rep().line.seat(4); swapped {
					break
				}
			}
			if !swapped {
				return // it waits until 4 has it: right
			}
			w.crash(a)
			w.crash(w.nodes[2]) // its copy goes with its seat
			w.restart(w.nodes[2])
			b := w.serve(2)
			cut, _ := b.rep().line.cut(0, ad.Version)
			if r := w.lastRow(b); cut < ad.Version && r.clean.has(0) {
				t.Fatalf("%v was told to be held by a majority; one seat of three died; the row with base %v calls itself clean", ad.Version, r.base[0])
			}
		})
	}
}

// TestAVersionThatWasNeverIssuedIsNotAnswered: whoever asks how far a shard is held may
// name any version (AEGIS.HELD). One that no write has must not count as told to a
// client: no newcomer would ever have it, and the seats could never change again.
func TestAVersionThatWasNeverIssuedIsNotAnswered(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 3, 1)
	a := w.serve(1)
	v := w.must(a, 0, "k", "v")
	if n, ok := a.rep().Holding(a.rep().Lease(), 0, v+1); n != 0 || !ok {
		t.Errorf("%d hold a version to come, %v", n, ok)
	}
	a.rep().SetSeats([]shardmap.NodeID{1, 2, 3})
	w.settle("three seats", func() bool { return len(a.rep().line.seats) == 3 })
}

// TestAVerdictIsOfOneMoment: between the look at the lineage and the look at the copy this
// node may have lost the lease and won it back, under a row that cuts the version. A
// copy of another epoch than the lineage that was asked has no verdict.
func TestAVerdictIsOfOneMoment(t *testing.T) {
	w, a, _, _ := trio(t)
	v := w.must(a, 0, "k", "v")
	w.spread()
	if got, _, err := a.rep().Verdict(0, v, w.now); got != VerdictDurable || err != nil {
		t.Fatal(got, err)
	}
	a.rep().shards[0].epoch++ // as after the lease was won back
	if got, _, err := a.rep().Verdict(0, v, w.now); got != VerdictUnknown || !errors.Is(err, ErrParked) {
		t.Errorf("judged by the lineage of before: %v, %v", got, err)
	}
}
