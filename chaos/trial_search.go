package chaos

import (
	"math"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// search puts the operations of one key into the sample that is judged by search. Keys
// that expire and counters cannot be: they stay undecided, which is no pass.
func (t *Trial) search(k Key, acts []*act) {
	sk := &sampleKey{}
	read := map[string]shardmap.Version{}
	for _, a := range acts {
		if a.t.Kind == Incr || a.t.Deadline != 0 {
			t.h.broken("undecided", "%q: a write of unknown outcome leaves more than one explanation, and this key cannot be searched", a.t.Key)
			return
		}
		if a.t.Kind == Read && a.t.Found {
			read[string(a.t.Value)] = a.t.Version
		}
	}
	cuts := t.shards[t.h.keys[k].shard].cuts
	for _, a := range acts {
		o, ok := searchable(a, read)
		if !ok {
			continue
		}
		sk.ops = append(sk.ops, o)
		for i := 0; o.end == never && i < len(cuts); i++ { // what it did may stand before an Open and behind it
			if c := &cuts[i]; c.At > o.call && c.Base != 0 {
				sk.ops = append(sk.ops, o)
			}
		}
	}
	for _, c := range cuts {
		if c.At != 0 {
			sk.ops = append(sk.ops, sampleOp{kind: sampleCut, version: c.Base, epoch: c.Epoch, call: c.At, end: c.At, client: cutClient})
		}
	}
	t.h.Sample.keys[k] = sk
}

// never is the end of an operation of which nobody saw one.
const never = time.Duration(math.MaxInt64)

func searchable(a *act, read map[string]shardmap.Version) (o sampleOp, ok bool) {
	o = sampleOp{client: a.t.Client, version: a.t.Version, call: a.t.Start, end: a.t.End}
	switch {
	case a.t.Stale, a.t.Outcome == Refused, a.t.Outcome == Unknown && !a.t.writes():
		return o, false
	case a.t.Kind == Set:
		o.kind, o.value = sampleSet, emptyDigest.add(a.t.Arg)
		if a.t.Outcome == Unknown {
			if o.end, o.version = 0, read[string(a.t.Arg)]; o.version == 0 {
				return o, false
			}
		}
	case a.t.writes():
		o.kind = sampleDel
		if a.t.Outcome == Unknown {
			o.end = never
		}
	case a.t.Found:
		o.value = emptyDigest.add(a.t.Value)
	}
	return o, true
}
