package membership

import (
	"bytes"
	"errors"
	"slices"
)

// Choice is what a blank node should do next.
type Choice uint8

// Choices.
const (
	Wait       Choice = iota + 1 // ask again: Reason says what is missing
	FoundAlone                   // no seeds: a cluster of one
	Lead                         // all seeds are blank and agree: propose the founding record
	Follow                       // the same, but another node proposes
	Adopt                        // a founding record names this node already: Via has it
	JoinVia                      // a cluster exists: ask Via to be taken in
)

// Decision is a Choice with what it needs.
type Decision struct {
	Choice Choice
	Via    string // address
	Reason string
	Peers  []Heard // Lead: everybody else, sorted by uuid
}

// Heard is what one seed answered; Err when it did not.
type Heard struct {
	Addr  string
	Reply Reply
	Err   error
}

// Decide says what a blank node does, from what its seeds answered. Any seed with
// a cluster id means joining it. Founding together needs all: every seed up,
// blank, with the same list, and as many nodes as expected; a wiped node that
// finds its old companions alive therefore joins them.
func Decide(self Question, heard []Heard) Decision {
	var others []Heard
	seen := map[[16]byte]bool{self.UUID: true}
	for _, h := range heard {
		if h.Err == nil && seen[h.Reply.UUID] {
			continue // this node itself, or one seed under two names
		}
		if h.Err == nil {
			seen[h.Reply.UUID] = true
		}
		others = append(others, h)
	}
	if len(others) == 0 {
		if self.Expect > 1 {
			return Decision{Choice: Wait, Reason: "--expect asks for more nodes than the seeds name"}
		}
		return Decision{Choice: FoundAlone}
	}
	for _, h := range others {
		if h.Err == nil && h.Reply.Founding {
			return Decision{Choice: Adopt, Via: h.Addr}
		}
	}
	for _, h := range others {
		if h.Err == nil && h.Reply.Cluster != [16]byte{} {
			return Decision{Choice: JoinVia, Via: h.Addr}
		}
	}
	for _, h := range others {
		switch {
		case errors.Is(h.Err, ErrSecret):
			return Decision{Choice: Wait, Reason: "seed " + h.Addr + ": " + h.Err.Error()}
		case h.Err != nil:
			return Decision{Choice: Wait, Reason: "seed " + h.Addr + " does not answer: " + h.Err.Error()}
		case h.Reply.Err != "":
			return Decision{Choice: Wait, Reason: "seed " + h.Addr + ": " + h.Reply.Err}
		case !slices.Equal(h.Reply.Seeds, self.Seeds):
			return Decision{Choice: Wait, Reason: "seed " + h.Addr + " has no cluster yet and another list of seeds: give every founder the same --seeds, or start one node without seeds"}
		}
	}
	if len(others)+1 < self.Expect {
		return Decision{Choice: Wait, Reason: "fewer nodes are up than --expect asks for"}
	}
	slices.SortFunc(others, func(a, b Heard) int { return bytes.Compare(a.Reply.UUID[:], b.Reply.UUID[:]) })
	if bytes.Compare(self.UUID[:], others[0].Reply.UUID[:]) < 0 {
		return Decision{Choice: Lead, Peers: others}
	}
	return Decision{Choice: Follow, Reason: "another node proposes the founding"}
}
