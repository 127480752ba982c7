package client

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestDeadlinesAreNeverLate runs a node's clock against ours, with drift and readings that
// are late by chance: what the node is told is never behind the caller's deadline, and
// with good readings not far before it.
func TestDeadlinesAreNeverLate(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		base := time.Unix(1000, 0)
		drift := (rnd.Float64() - 0.5) * 2 * clockDrift.Seconds()
		offset := time.Duration(rnd.Int64N(int64(time.Hour)))
		node := func(at time.Time) time.Duration { // its clock at a time of ours
			d := at.Sub(base)
			return offset + d + time.Duration(float64(d)*drift)
		}
		d := deadlines{base: base}
		now := base
		for i := range 400 {
			now = now.Add(time.Duration(rnd.Int64N(int64(20 * time.Millisecond))))
			if i == 0 || d.wantsClock(now) {
				took := time.Duration(rnd.Int64N(int64(time.Millisecond)))
				if rnd.IntN(4) == 0 {
					took *= 100
				}
				read := now.Add(time.Duration(rnd.Float64() * float64(took)))
				d.heard(node(read), now.Add(took))
			}
			left := time.Duration(1+rnd.Int64N(3000)) * time.Millisecond
			until := now.Add(left)
			d.say(now, until)
			early := node(until) - d.said
			slip := time.Duration(left.Seconds() * float64(clockDrift)) // while the call goes on
			if early < -slip {
				t.Fatalf("seed %d: the node runs it %v late", seed, -early)
			}
			if d.reads > clockFirst && early > left/deadlineGrace+5*time.Millisecond {
				t.Fatalf("seed %d, %d readings: the node refuses it %v early of %v", seed, d.reads, early, left)
			}
		}
	}
}

func TestADeadlineIsSaidOnceForManyCalls(t *testing.T) {
	base := time.Unix(1000, 0)
	d := deadlines{base: base}
	d.heard(0, base)
	said := 0
	for i := range 1000 {
		begun := base.Add(time.Duration(i) * time.Millisecond)
		if _, ok := d.say(begun, begun.Add(3*time.Second)); ok {
			said++
		}
	}
	if said < 9 || said > 12 {
		t.Errorf("said %d times in a second of calls with 3 s each", said)
	}
}
