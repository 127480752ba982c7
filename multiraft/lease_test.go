package multiraft

import (
	"math"
	"sync"
	"testing"
	"time"
)

func openLease(until, offset time.Duration) *Lease {
	l := &Lease{group: 3, ballot: Ballot{4, 1}}
	l.open.Store(true)
	l.deadline.Store(int64(until))
	l.offset.Store(int64(offset))
	return l
}

func TestLeaseCheck(t *testing.T) {
	closed := openLease(time.Second, 0)
	closed.closed.Store(true)
	unopened := openLease(time.Second, 0)
	unopened.open.Store(false)
	for _, tc := range []struct {
		name         string
		l            *Lease
		mono, offset time.Duration
		want         bool
	}{
		{"valid", openLease(time.Second, 5*ms), 999 * ms, 5 * ms, true},
		{"expired", openLease(time.Second, 0), time.Second, 0, false},
		{"slept", openLease(time.Second, 0), 0, ms, false},
		{"offset fell", openLease(time.Second, ms), 0, 0, false},
		{"offset wandered", openLease(time.Second, ms), 0, 300 * time.Microsecond, true},
		{"closed", closed, 0, 0, false},
		{"not opened", unopened, 0, 0, false},
		{"none", nil, 0, 0, false},
	} {
		if got := tc.l.Check(tc.mono, tc.offset); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestLeaseCheckAllocatesNothing(t *testing.T) {
	l := openLease(time.Hour, 0)
	if n := testing.AllocsPerRun(1000, func() { l.Check(time.Second, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Schedule 25: requests check while the Core publishes and closes. Whoever has
// seen Closed must never see the check pass afterwards.
func TestChecksBesideCloses(t *testing.T) {
	for range 200 {
		l := openLease(time.Hour, 0)
		var readers sync.WaitGroup
		for range 4 {
			readers.Add(1)
			go func() {
				defer readers.Done()
				for range 2000 {
					gone := l.Closed()
					if ok := l.Check(time.Second, 0); gone && ok {
						t.Error("a closed lease passes")
						return
					}
				}
			}()
		}
		n := &Core{data: &testNode{}, out: &testNode{t: &testCluster{}}}
		g := &group{pledge: &pledge{}, claim: &claim{lease: l}}
		for i := range 100 {
			n.publish(g, Instant{Mono: time.Duration(i), Age: math.MaxInt32})
		}
		n.close(g, "test", Instant{})
		readers.Wait()
	}
}

func TestMargins(t *testing.T) {
	if got := claimed(600 * ms); got > 594*ms {
		t.Errorf("of 600 ms promised %v are counted", got)
	}
	if got := waited(600 * ms); got < 603*ms {
		t.Errorf("600 ms are waited for %v", got)
	}
	// Section 7, step 4: the holder's slow clock ends before the waiter's fast one.
	for _, l := range []time.Duration{100 * ms, 600 * ms, promiseMax} {
		ends := float64(claimed(l)-roundingSlack) / (1 - driftPerMille/1000.0)
		waits := float64(l) / (1 + driftPerMille/1000.0)
		if ends > waits {
			t.Errorf("L %v: the claim ends at %v, the promise at %v", l, time.Duration(ends), time.Duration(waits))
		}
	}
}

func TestBallotsOrder(t *testing.T) {
	up := []Ballot{{}, {0, 1}, {1, 0}, {1, 1}, {1, 2}, {2, 1}, {math.MaxUint64, 1}}
	for i, a := range up {
		for j, b := range up {
			if a.Less(b) != (i < j) {
				t.Errorf("%v < %v is %v", a, b, a.Less(b))
			}
		}
	}
}

// The margin of the lease (2 rho) pays for one rho of the voter and one of the
// waiter, so a wait without its own shows in its number only (F5).
func TestTheWaitIsLengthened(t *testing.T) {
	if w := waited(1000 * ms); w < 1005*ms {
		t.Errorf("the wait is not lengthened: %v for a hold of a second", w)
	}
}
