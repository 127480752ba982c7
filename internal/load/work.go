package load

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// KeyDigits is the length of a key's number: all keys are equally long.
const KeyDigits = 9

// AppendKey appends the prefix and the number of a key.
func AppendKey(b []byte, prefix string, n int) []byte {
	b = append(b, prefix...)
	at := len(b) + KeyDigits
	b = append(b, "000000000"...)
	for i := at - 1; n > 0; i, n = i-1, n/10 {
		b[i] = byte('0' + n%10)
	}
	return b
}

// Values are random bytes to cut values from: nothing that compression would shrink.
type Values []byte

// valuesSpare is how many more bytes there are than the longest value has.
const valuesSpare = 1 << 20

// NewValues makes bytes for values of up to max bytes.
func NewValues(rng *rand.Rand, max int) Values {
	v := make(Values, max+valuesSpare)
	for i := range v {
		v[i] = byte(rng.Uint32())
	}
	return v
}

// Cut is a value of n bytes; it aliases v.
func (v Values) Cut(rng *rand.Rand, n int) []byte {
	from := rng.IntN(len(v) - n)
	return v[from : from+n]
}

// zipf draws ranks below n with a probability falling as 1/rank^theta, by the method of
// Gray et al. (Quickly Generating Billion-Record Synthetic Databases, 1994); the one of
// math/rand needs an exponent above 1, and caches are skewed less than that.
type zipf struct {
	n                 float64
	alpha, eta, zetaN float64
	second            float64 // below it, u*zetaN means rank 1
}

func newZipf(n int, theta float64) *zipf {
	z := &zipf{n: float64(n), alpha: 1 / (1 - theta)}
	for i := 1; i <= n; i++ {
		z.zetaN += math.Pow(float64(i), -theta)
	}
	two := 1 + math.Pow(2, -theta)
	z.second = two
	z.eta = (1 - math.Pow(2/z.n, 1-theta)) / (1 - two/z.zetaN)
	return z
}

// rank turns a uniform number in [0, 1) into a rank from 0.
func (z *zipf) rank(u float64) int {
	switch uz := u * z.zetaN; {
	case uz < 1:
		return 0
	case uz < z.second:
		return 1
	}
	return min(int(z.n)-1, int(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)))
}

// op is one operation of a batch and what became of it.
type op struct {
	set   bool
	key   []byte
	value []byte
	ttl   string // milliseconds, "" = none

	miss  bool
	error string // code, "" = none
	done  int64  // ns since the start
}

// picker draws the operations of one worker.
type picker struct {
	plan   *Plan
	rng    *rand.Rand
	zipf   *zipf // nil = uniform
	values Values
	ttl    string
}

func newPicker(p *Plan, z *zipf, values Values, worker int) *picker {
	k := &picker{plan: p, rng: rand.New(rand.NewPCG(p.Seed, uint64(worker))), zipf: z, values: values}
	if ms := p.TTL.Milliseconds(); ms > 0 {
		k.ttl = strconv.FormatInt(ms, 10)
	}
	return k
}

// next fills in an operation.
func (k *picker) next(o *op) {
	n := 0
	if k.zipf != nil {
		n = k.zipf.rank(k.rng.Float64())
	} else {
		n = k.rng.IntN(k.plan.Keys)
	}
	k.fill(o, n, k.rng.IntN(k.plan.Gets+k.plan.Sets) >= k.plan.Gets)
}

func (k *picker) fill(o *op, key int, set bool) {
	*o = op{set: set, key: AppendKey(o.key[:0], k.plan.Prefix, key)}
	if set {
		o.value = k.values.Cut(k.rng, k.plan.SizeMin+k.rng.IntN(k.plan.SizeMax-k.plan.SizeMin+1))
		o.ttl = k.ttl
	}
}
