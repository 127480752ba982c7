package client

import "time"

// How a caller's deadline gets to the node
//
// A command whose caller has given up may still lie in a buffer of this process, in a
// socket, or at a node that stands still. So that it is not run when it comes up at last, the
// node is told until when it may be (CLIENT DEADLINE), by its own clock: each connection
// keeps a bound for the difference of the clocks. A node's clock that was read during
// one exchange is at least what it says by the time its answer is here, so the bound is
// too early by that way at most, never too late; of several the latest counts, taken
// back by what two clocks may drift apart meanwhile.
//
// The deadline holds for all commands that follow until another is said. Callers seldom have
// the same one: one that is a little earlier than the caller's own will do.

const (
	// clockDrift is what two clocks may drift apart in a second: 200 ppm.
	clockDrift = 200 * time.Microsecond
	// clockEvery is how often a node's clock is read while it is needed.
	clockEvery = time.Second
	// clockFirst is how many readings come at once at first: one may be late by chance.
	clockFirst = 8
	// deadlineGrace is the part of a call's time by which its deadline may be early.
	deadlineGrace = 32
)

// deadlines is what a connection knows of its node's clock, and told it.
type deadlines struct {
	base  time.Time     // zero of this side's clock; zero = the node takes no deadlines
	ahead time.Duration // the node's clock is ahead of it by at least this
	at    time.Duration // when that was so, on this side's clock
	reads int
	asked time.Duration // when the node's clock was asked for last
	said  time.Duration // on the node's clock; 0 = none
}

// heard takes a reading of the node's clock that came at a time.
func (d *deadlines) heard(clock time.Duration, at time.Time) {
	now := at.Sub(d.base)
	ahead := clock - now
	if d.reads == 0 || ahead > d.aheadAt(now) {
		d.ahead, d.at = ahead, now
	}
	d.reads++
}

// aheadAt is the bound at a time, less what the clocks may have drifted.
func (d *deadlines) aheadAt(now time.Duration) time.Duration {
	return d.ahead - time.Duration(max(now-d.at, 0).Seconds()*float64(clockDrift))
}

// wantsClock says whether to ask for the node's clock again.
func (d *deadlines) wantsClock(begun time.Time) bool {
	now := begun.Sub(d.base)
	if d.reads >= clockFirst && now-d.asked < clockEvery {
		return false
	}
	d.asked = now
	return true
}

// say is the deadline to tell the node before a call of that time, on its clock; false when what
// it was told will do.
func (d *deadlines) say(begun, until time.Time) (time.Duration, bool) {
	end := max(until.Sub(d.base)+d.aheadAt(begun.Sub(d.base)), time.Microsecond)
	if early := end - d.said; early >= 0 && early <= until.Sub(begun)/deadlineGrace {
		return 0, false
	}
	d.said = end
	return end, true
}
