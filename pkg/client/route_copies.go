package client

import "time"

// Which copy answers a read that may be stale?
//
// Of the nodes that may have a copy two are taken by chance and the one that answers sooner
// is asked: the time its answers take, times the reads that wait for them. Asking the
// best of all was the simpler way; all callers then go to the same node until its
// figures are bad, and then to the next. A figure that is not renewed fades, so that a
// node that was slow is tried again.
//
// Clients are not told who has copies. A node that has none, or none that is fresh enough,
// says so, and is passed over for that shard: for a second, and longer each time it says
// so again.

// fadeTime is how long it takes until what is known of a node's answers counts half: a
// node that stood still once for as long as anybody waits is tried again after about a
// second. With a second for the half it took five.
const fadeTime = 250 * time.Millisecond

// leastTook is what an answer takes at least; below it differences are chance.
const leastTook = 20 * time.Microsecond

// burden compares nodes: what a read there is expected to take.
func burden(took, age time.Duration, waiting int) time.Duration {
	took = max(took, leastTook) >> min(max(age, 0)/fadeTime, 62)
	return max(took, leastTook) * time.Duration(waiting+1)
}

// smoothed takes a new figure into the old one, 0 when there was none.
func smoothed(old, took time.Duration) time.Duration {
	if old == 0 {
		return took
	}
	return old + (took-old)/8
}

// shunFor is how long a node is passed over that refused so many times in a row.
func shunFor(refusals uint8) time.Duration {
	return time.Second << min(max(refusals, 1)-1, 6)
}
