package suite

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/baxromumarov/aegisKV/chaos"
)

// keyring gives the keys that clients use at a time. Each has a number of operations to
// live for, short for most and long for some, and is then replaced: a search must be able
// to judge it, and histories of one length miss bugs.
type keyring struct {
	mu    sync.Mutex
	rng   *rand.Rand
	live  []liveKey
	made  int
	name  string // of the crew, in all names of keys
	plain bool   // all keys are registers
	hot   bool   // half of all operations go to one of them
}

type liveKey struct {
	name string
	left int
	kind byte // of keys: registers, such that expire, counters
}

const (
	keysLive = 64
	keyOps   = 900 // that a key lives for at most
)

func newKeyring(seed uint64, name string) *keyring {
	k := &keyring{rng: rand.New(rand.NewPCG(seed, 5)), name: name}
	for range keysLive {
		k.live = append(k.live, k.fresh())
	}
	return k
}

// fresh makes a key: six in ten are registers, the others expire or count.
func (k *keyring) fresh() liveKey {
	k.made++
	kind := byte('r')
	switch p := k.rng.IntN(10); {
	case k.plain:
	case p >= 8:
		kind = 'n'
	case p >= 6:
		kind = 't'
	}
	return liveKey{name: fmt.Sprintf("%c:%s%d", kind, k.name, k.made), kind: kind, left: 20 + int(float64(keyOps-20)*k.rng.Float64()*k.rng.Float64()*k.rng.Float64())}
}

// pick takes a key for one operation.
func (k *keyring) pick() (name string, kind byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.rng.IntN(len(k.live))
	if k.hot && k.rng.IntN(2) == 0 {
		i = 0
	}
	l := &k.live[i]
	name, kind = l.name, l.kind
	if l.left--; l.left == 0 {
		*l = k.fresh()
	}
	return name, kind
}

// kindsOf says what is done to a key of a kind, by chance.
func kindsOf(kind byte, p int) chaos.Kind {
	switch {
	case p < 45:
		return chaos.Read
	case kind == 'n':
		return chaos.Incr
	case kind == 'r' && p < 58:
		return chaos.Del
	}
	return chaos.Set
}
