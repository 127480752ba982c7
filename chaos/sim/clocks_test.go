package sim

import (
	"testing"
	"time"
)

// TestClocks follows one machine through a slew, a sleep and a reboot.
func TestClocks(t *testing.T) {
	c := newClocks(1.004)
	if i := c.read(10 * time.Second); i.Mono != 10040*time.Millisecond || i.Wait != i.Mono || i.Age != i.Mono {
		t.Fatalf("after 10 s at a rate of 1.004: %+v", i)
	}
	c.fold(10 * time.Second)
	c.slew = 0.92
	i := c.read(20 * time.Second)
	if i.Wait != 20080*time.Millisecond || i.Mono != 10040*time.Millisecond+time.Duration(0.92*1.004*float64(10*time.Second)) {
		t.Fatalf("after 10 s with MONOTONIC slewed by 8 %%: %+v", i)
	}
	c.fold(20 * time.Second)
	c.asleep = true
	s := c.read(30 * time.Second)
	if s.Mono != i.Mono || s.Wait != i.Wait || s.SuspendOffset != 10040*time.Millisecond || s.Age != i.Age+s.SuspendOffset {
		t.Fatalf("10 s of sleep later: %+v", s)
	}
	if s.Wall-i.Wall != 10040 {
		t.Fatalf("the wall clock went on by %d ms in 10 s of sleep", s.Wall-i.Wall)
	}
	c.reboot(30 * time.Second)
	b := c.read(30 * time.Second)
	if b.Mono != 0 || b.Age != 0 || b.Wait != 0 || b.SuspendOffset != 0 || b.Wall != s.Wall {
		t.Fatalf("after a reboot: %+v, the wall clock was at %d", b, s.Wall)
	}
}
