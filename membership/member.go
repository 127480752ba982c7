package membership

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// State is what gossip thinks of a node's life.
type State uint8

// States. None of them is proof of anything.
const (
	Alive   State = iota + 1 // answers
	Suspect                  // did not answer the last probe
	Dead                     // was suspected for long, and nobody contradicted
	Left                     // said goodbye
)

var stateWords = [...]string{Alive: "alive", Suspect: "suspect", Dead: "dead", Left: "left"}

// String is the word that status shows; "unknown" for the zero State.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateWords) {
		return "unknown"
	}
	return stateWords[s]
}

// Gone reports whether gossip has given the node up.
func (s State) Gone() bool { return s == Dead || s == Left }

// MarshalText writes the word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *State) UnmarshalText(b []byte) error {
	for i, w := range stateWords {
		if i > 0 && w == string(b) {
			*s = State(i)
			return nil
		}
	}
	if string(b) != "unknown" {
		return fmt.Errorf("membership: %q is no state of a member", b)
	}
	*s = 0
	return nil
}

// Meta is what a node says of itself by gossip. An address is empty where it did
// not fit: the registry of group 0 has it.
type Meta struct {
	Cluster     [16]byte
	Node        shardmap.NodeID
	Incarnation uint64 // which start of the node speaks
	ClientAddr  string
	ClusterAddr string
	GossipAddr  string
	Version     string // of the build
	Draining    bool   // it hands its leases over and leaves
	Leases      uint16 // groups it holds
	MemoryUsed  int64  // bytes of its stores
	MemoryMax   int64  // bytes its stores may have
}

// Member is what gossip knows of a node: a hint that may be late, wrong or a lie.
type Member struct {
	Meta
	State State
}
