package sim

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// epochWall is the wall time at which simulations begin.
const epochWall = 1_800_000_000 * time.Second

const (
	// rateError is what protocols allow a clock to be off by (A2).
	rateError = 0.005
	// slewMax is how fast time daemons move MONOTONIC against the raw clock; chrony's
	// limit is 83,333 parts in a million.
	slewMax = 0.083
)

// clocks are those of one machine (lease-protocol section 2): a raw one with a rate
// of its own, MONOTONIC, which a time daemon slews on top of it, both standing still
// while the machine sleeps, and a wall clock that runs on and jumps. Between two
// changes they go straight.
type clocks struct {
	since  time.Duration // true time of the last change
	raw    time.Duration // MONOTONIC_RAW then
	mono   time.Duration // MONOTONIC then
	slept  time.Duration // BOOTTIME - MONOTONIC then
	rate   float64       // of the raw clock, 1 = true
	slew   float64       // of MONOTONIC against the raw clock
	asleep bool
	offset time.Duration // of the wall clock
}

func newClocks(rate float64) clocks { return clocks{rate: rate, slew: 1} }

// read is what the clocks show at a true time.
func (c *clocks) read(now time.Duration) multiraft.Instant {
	d := float64(now-c.since) * c.rate
	i := multiraft.Instant{Mono: c.mono, SuspendOffset: c.slept, Wait: c.raw}
	if c.asleep {
		i.SuspendOffset += time.Duration(d)
	} else {
		i.Wait += time.Duration(d)
		i.Mono += time.Duration(d * c.slew)
	}
	i.Age = i.Wait + i.SuspendOffset
	i.Wall = (epochWall + i.Age + c.offset).Milliseconds()
	return i
}

// fold makes the present readings the ones that the clocks go on from.
func (c *clocks) fold(now time.Duration) {
	i := c.read(now)
	c.since, c.raw, c.mono, c.slept = now, i.Wait, i.Mono, i.SuspendOffset
}

// reboot starts every clock but the wall's anew, as a machine does.
func (c *clocks) reboot(now time.Duration) {
	c.fold(now)
	c.offset += c.raw + c.slept
	c.raw, c.mono, c.slept, c.slew, c.asleep = 0, 0, 0, 1, false
}
