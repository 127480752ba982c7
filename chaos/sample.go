package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Sample keeps what clients were told of a few keys, for a second opinion by
// search: porcupine looks for any order of the operations that explains all
// answers. Readings go by values and times; versions order the writes and say what a
// cut removed. Keys may be set, deleted and read, with values that differ.
type Sample struct {
	keys map[Key]*sampleKey
	most int
}

// sampleMost is how many operations of a key a search is given: beyond it, and
// beyond eight clients, searches with unknown outcomes stop being decided.
const sampleMost = 1000

// sampleKey is one key's operations, in the order in which they ran or ended.
type sampleKey struct {
	ops     []sampleOp
	retired time.Duration // operations that began later are left out; 0 = none yet
}

type sampleKind uint8

const (
	sampleRead sampleKind = iota
	sampleSet
	sampleDel
	sampleCut
)

// sampleOp is one operation as porcupine's model steps over it.
type sampleOp struct {
	kind    sampleKind
	client  int
	version shardmap.Version // of a write; of a cut the base
	epoch   uint32           // of a cut
	value   digest           // written or read, 0 = absent
	call    time.Duration
	end     time.Duration // 0 = its client was not told
	ran     time.Duration
}

// NewSample takes a sample of the keys named.
func NewSample(keys ...Key) *Sample {
	s := &Sample{keys: map[Key]*sampleKey{}, most: sampleMost}
	for _, k := range keys {
		s.keys[k] = &sampleKey{}
	}
	return s
}

// of is the sampled key that an operation belongs to, nil when it is to be left out.
func (s *Sample) of(o *Op) *sampleKey {
	if s == nil {
		return nil
	}
	k := s.keys[o.Key]
	if k == nil || (k.retired != 0 && o.Start >= k.retired) {
		return nil
	}
	if k.retired == 0 && len(k.ops) >= s.most {
		k.retired = o.Start
	}
	return k
}

// ran takes a write; its end is told by done, or never.
func (s *Sample) ran(o *Op) {
	if !o.writes() {
		return
	}
	k := s.of(o)
	if k == nil {
		return
	}
	op := sampleOp{kind: sampleSet, client: o.Client, version: o.Version, call: o.Start, ran: o.Ran}
	if o.Kind == Del {
		op.kind = sampleDel
	} else {
		op.value = emptyDigest.add(o.Arg)
	}
	k.ops = append(k.ops, op)
	o.sampled = int32(len(k.ops))
}

// done takes the end of a write, or a reading.
func (s *Sample) done(o *Op) {
	if o.sampled != 0 {
		s.keys[o.Key].ops[o.sampled-1].end = o.End
		return
	}
	k := s.of(o)
	if k == nil || o.writes() || (o.Kind != Read && o.Found) {
		return
	}
	op := sampleOp{kind: sampleRead, client: o.Client, call: o.Start, end: o.End}
	if o.Found {
		op.value, op.version = emptyDigest.add(o.Value), o.Version
	}
	k.ops = append(k.ops, op)
}

// cut takes an Open: it happens between the last answer of the old lease and the
// first of the new one.
func (s *Sample) cut(key Key, c *Cut) {
	if s == nil {
		return
	}
	if k := s.keys[key]; k != nil && k.retired == 0 {
		k.ops = append(k.ops, sampleOp{kind: sampleCut, version: c.Base, epoch: c.Epoch, call: c.At, end: c.At, client: cutClient})
	}
}

// cutClient is the client number of cuts, beyond those of clients.
const cutClient = 1000

// patched is the history that porcupine gets. A set without an answer that nobody
// read is left out, and one that was read had happened by the end of the first such
// reading; both are sound because values differ. A delete without an answer cannot
// be told by what is read, so it ends where it ran.
func (k *sampleKey) patched() []porcupine.Operation {
	first := map[digest]time.Duration{}
	for i := range k.ops {
		if o := &k.ops[i]; o.kind == sampleRead && o.value != 0 {
			if at, ok := first[o.value]; !ok || o.end < at {
				first[o.value] = o.end
			}
		}
	}
	list := make([]porcupine.Operation, 0, len(k.ops))
	for _, o := range k.ops {
		switch {
		case o.end != 0:
		case o.kind == sampleDel:
			o.end = o.ran
		case first[o.value] == 0:
			continue
		default:
			o.end = first[o.value]
		}
		list = append(list, porcupine.Operation{ClientId: o.client, Input: o, Call: int64(o.call), Return: int64(o.end)})
	}
	return list
}

// version is one write on a key's stack; the stack is never changed.
type version struct {
	at    shardmap.Version
	vague bool // its own version is not known: at is that of what it follows
	value digest
	below *version
	sum   uint64 // of the whole stack
}

// last is the highest version that is known of.
func (v *version) last() shardmap.Version {
	if v == nil {
		return 0
	}
	return v.at
}

func (v *version) push(at shardmap.Version, value digest, vague bool) *version {
	n := &version{at: at, vague: vague, value: value, below: v, sum: 1469598103934665603}
	if v != nil {
		n.sum = v.sum
	}
	for _, w := range [...]uint64{uint64(at), uint64(value)} { // a vague one has its version from below
		n.sum = (n.sum ^ w) * 0x9e3779b97f4a7c15
		n.sum ^= n.sum >> 29
	}
	return n
}

// cut is the stack without what an Open declares lost.
func (v *version) cut(epoch uint32, base shardmap.Version) *version {
	for v != nil && v.at.Epoch() < epoch && (v.vague || v.at > base) {
		v = v.below
	}
	return v
}

func (v *version) hash() uint64 {
	if v == nil {
		return 0
	}
	return v.sum
}

// register is a key that is set, deleted, read and cut.
var register = porcupine.Model{
	Init: func() any { return (*version)(nil) },
	Step: func(state, input, _ any) (bool, any) {
		v, o := state.(*version), input.(sampleOp)
		switch o.kind {
		case sampleRead:
			return v == nil && o.value == 0 || v != nil && v.value == o.value, v
		case sampleCut:
			return true, v.cut(o.epoch, o.version)
		}
		if o.version == 0 { // of a write of unknown outcome: the next Open may well cut it
			return true, v.push(v.last(), o.value, true)
		}
		return o.version > v.last(), v.push(o.version, o.value, false)
	},
	Equal: func(a, b any) bool { return a.(*version).hash() == b.(*version).hash() },
	Hash:  func(s any) uint64 { return s.(*version).hash() },
}

// Opinion is what the search found over all keys of a sample.
type Opinion struct {
	Fine, Wrong, Undecided int
}

// Check lets porcupine search each key for at most as long as limit. A key that is
// not linearizable and one that was not decided are both violations of the history:
// an undecided search is no pass.
func (s *Sample) Check(h *History, limit time.Duration) (o Opinion) {
	names := make([]Key, 0, len(s.keys))
	for k := range s.keys {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, key := range names {
		ops := s.keys[key].patched()
		switch porcupine.CheckOperationsTimeout(register, ops, limit) {
		case porcupine.Ok:
			o.Fine++
		case porcupine.Illegal:
			o.Wrong++
			h.broken("P2", "%q: porcupine finds no order of its %d operations that explains what clients were told", h.Name(key), len(ops))
		default:
			o.Undecided++
			h.broken("undecided", "%q: porcupine did not decide on %d operations within %v", h.Name(key), len(ops), limit)
		}
	}
	return o
}

func (o Opinion) String() string {
	return fmt.Sprintf("%d keys linearizable, %d not, %d undecided", o.Fine, o.Wrong, o.Undecided)
}
