package chaos

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Kind names what an operation does to its key.
type Kind uint8

// Kinds of operations.
const (
	Read    Kind = iota
	Set          // store Arg
	Del          // remove the key
	Append       // append Arg
	Incr         // add Delta
	Expire       // change the deadline
	Persist      // remove the deadline
	Flush        // remove every key of the shard that Op.Key lies in
)

func (k Kind) String() string {
	return [...]string{"read", "set", "del", "append", "incr", "expire", "persist", "flush"}[k]
}

// Op is one operation on one key. The caller fills it in steps and hands the same
// Op to History each time: what was asked, what came out where it ran (Ran), and
// what its client was told (Done, Unknown or Refused).
type Op struct {
	Client int
	Key    Key
	Kind   Kind
	Arg    []byte // written or appended; unique in a run
	Delta  int64
	TTL    int64 // ms, of Set and Expire; 0 = none
	Start  time.Duration

	Ran      time.Duration
	Node     shardmap.NodeID
	Found    bool             // a read found it; a write found it there before
	Changed  bool             // a write changed something
	Value    []byte           // read
	Int      int64            // Incr: the new number; Append: the new length
	Version  shardmap.Version // of the change, or of what was read; 0 = absent
	At       shardmap.Version // the shard's position
	Deadline int64            // of the key afterwards, unix ms, 0 = none
	Evicted  []Evicted        // by the change
	Low      int64            // the shard's time was not below this, unix ms
	High     int64            // nor above this

	Ballot  multiraft.Ballot // of the lease that it was answered under
	End     time.Duration
	Durable bool // acknowledged by a majority or more

	wrong   string // what its client must not see, should it be told
	prop    string
	entry   int32 // where Ran put it, plus one
	sampled int32 // where the sample has it, plus one
}

// writes says whether the operation changed its key.
func (o *Op) writes() bool { return o.Kind != Read && o.Changed }

// Reset makes the Op ready for another try of the same request, or for the next one.
func (o *Op) Reset(value []byte) {
	*o = Op{Client: o.Client, Key: o.Key, Kind: o.Kind, Arg: o.Arg, Delta: o.Delta, TTL: o.TTL, Start: o.Start, Value: value}
}

// Evicted is a key that a change of another one cost.
type Evicted struct {
	Key     Key
	Version shardmap.Version // that went
}

// Key is a key's number in a History.
type Key int32

// digest is FNV-1a over the bytes so far; appending goes on where it stopped.
type digest uint64

const emptyDigest digest = 14695981039346656037

func (d digest) add(b []byte) digest {
	for _, c := range b {
		d = (d ^ digest(c)) * 1099511628211
	}
	return d
}

// called is how sentences name a node: histories of clients do not know which one answered.
type called shardmap.NodeID

func (n called) String() string {
	if n == 0 {
		return "some node"
	}
	return fmt.Sprintf("node %d", shardmap.NodeID(n))
}
