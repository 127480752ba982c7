package suite

import (
	"fmt"
	"math/rand/v2"
)

// A crew is as many clients as a search can judge, with keys that no other crew uses. One
// is enough to see what faults do; more of them are there to have many writes at stake. Then
// all keys are registers: among so many writes of unknown outcome there are some that leave
// more than one explanation, and of a counter or a key that expires no search finds it.

const (
	// crewRate is what one crew does in a second while nothing is amiss.
	crewRate = 1300
	// rateMost is the highest rate that can be asked for.
	rateMost = 64 * crewRate
	// eagerFrom leaves an eager client one reading in four operations: kindsOf takes what
	// is below 45 for one.
	eagerFrom = 27
	// atRest is the client that reads all keys in the end.
	atRest = rateMost / crewRate * clientsMax
)

// crews is how many the rate needs.
func (o *Options) crews() int { return max(1, (o.Rate+crewRate/2)/crewRate) }

// crew makes the clients of a further crew: all of them share the pipelined connections.
func (l *load) crew(n int, ack string, shared *pipes, seed uint64) (list []*worker) {
	keys := newKeyring(seed+uint64(n), fmt.Sprintf("crew%d:", n))
	keys.spread(keysLive)
	for i, level := range levels(ack) {
		id := n*clientsMax + i
		h := newPlainHand(l.addrs, level, false, seed+uint64(id))
		h.table, h.pipes = true, shared
		list = append(list, &worker{l: l, n: id, keys: keys, hand: h, durable: level != "async", eager: true, rng: rand.New(rand.NewPCG(seed, uint64(id)))})
	}
	return list
}
