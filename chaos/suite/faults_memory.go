package suite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

const (
	// squeezeMemory is the least limit that a node takes.
	squeezeMemory = 64 << 20
	// squeezeKeys are in use at once: too many to be all among those that stay.
	squeezeKeys = 1500
	fillers     = 8
	fillBytes   = 64 << 10 // of the longest value
	fillKeys    = 5_000
	fillPause   = time.Millisecond
	fillMax     = 15 * time.Second // until the first key goes
)

// manyKeys spreads the operations over many keys, all of them registers: where any key may
// go, nobody could say what a counter is to be.
func manyKeys(r *run) error {
	r.l.keys.spread(squeezeKeys)
	return nil
}

// spread makes the keyring larger, of registers only.
func (k *keyring) spread(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plain = true
	k.live = k.live[:0]
	for range n {
		k.live = append(k.live, k.fresh())
	}
}

// squeeze writes more than nodes have memory for, while the node that serves most groups
// is killed.
func squeeze(r *run) *struck {
	nodes := busiest(r)
	before := r.evicted()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var bytes, refused atomic.Int64
	for i := range fillers {
		h := newPlainHand(r.l.addrs, "async", false, r.rng.Uint64())
		rng := rand.New(rand.NewPCG(r.rng.Uint64(), uint64(i)))
		wg.Go(func() { defer h.close(); fillUp(h, rng, stop, &bytes, &refused) })
	}
	gone := int64(0)
	_ = cluster.Await(fillMax, "keys are evicted", func() bool {
		gone = r.evicted() - before
		return gone > 0 || r.ctx.Err() != nil
	})
	r.wait(r.span(0, 2*lease))
	gone = max(gone, r.evicted()-before)
	r.c.Nodes[nodes[0]].Kill()
	return &struck{
		nodes: nodes, target: r.names(nodes), hold: r.span(lease, 2*lease),
		heal: func() error {
			err := r.start(nodes)
			r.wait(2 * lease)
			close(stop)
			wg.Wait()
			return err
		},
		evidence: func() (string, error) {
			if gone <= 0 {
				return "", errors.New("nothing was evicted")
			}
			return fmt.Sprintf("%d MiB were written, %d writes refused, %d keys evicted before the kill", bytes.Load()>>20, refused.Load(), gone), nil
		},
	}
}

// fillUp writes long values until it is stopped.
func fillUp(h hand, rng *rand.Rand, stop <-chan struct{}, bytes, refused *atomic.Int64) {
	value := []byte(strings.Repeat("filler", fillBytes/6))
	for {
		select {
		case <-stop:
			return
		case <-time.After(fillPause):
		}
		o := chaos.Told{Kind: chaos.Set, Key: "filler:" + strconv.Itoa(rng.IntN(fillKeys)), Arg: value[:1+rng.IntN(len(value))]}
		if h.do(&o); o.Outcome == chaos.OK {
			bytes.Add(int64(len(o.Arg)))
		} else {
			refused.Add(1)
		}
	}
}

// evicted is how many keys the nodes have evicted since they started.
func (r *run) evicted() (sum int64) {
	for _, n := range r.c.Nodes {
		sum += evictedBy(n.Ask)
	}
	return sum
}
