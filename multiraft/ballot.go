package multiraft

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Ballot is what a leader fences with: E in the lease protocol. Sub starts at 1
// in each term and rises with every fence of the same leader. The zero Ballot is none.
type Ballot struct {
	Term uint64
	Sub  uint32
}

// Less orders ballots by term, then sub.
func (b Ballot) Less(o Ballot) bool {
	return b.Term < o.Term || (b.Term == o.Term && b.Sub < o.Sub)
}

// IsZero reports whether this is no ballot at all.
func (b Ballot) IsZero() bool { return b == Ballot{} }

// String is "term.sub", for logs and tests.
func (b Ballot) String() string { return fmt.Sprintf("%d.%d", b.Term, b.Sub) }

// Incarnation is one start of a node: a durable counter raised before the first
// packet, plus a random nonce. Counters order; equal only if the nonce is equal too.
type Incarnation struct {
	Counter uint64
	Nonce   uint64
}

// Less compares the counters.
func (i Incarnation) Less(o Incarnation) bool { return i.Counter < o.Counter }

// Member is a node in one of its incarnations.
type Member struct {
	Node shardmap.NodeID
	Inc  Incarnation
}
