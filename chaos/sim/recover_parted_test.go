package sim

import (
	"slices"
	"strings"
	"testing"
)

// TestTwoThatPartedMeet: C burns, A and B are cut off from each other, and operators tell each
// of them that the others are gone. Both go on, in the same generation, as they were told. When
// they reach each other again one of them ends, and the other one serves on.
func TestTwoThatPartedMeet(t *testing.T) {
	for _, later := range []role{nodeA, nodeB} { // who is told last does not matter
		first := nodeA + nodeB - later
		r := RunScript(Script{Name: "two that parted meet", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.losesDisk(nodeC),
			do.cutLinks(nodeA, nodeB, true),
			do.cutLinks(nodeB, nodeA, true),
			do.unheard(),
			do.recover(first, later, nodeC),
			do.recover(later, first, nodeC),
			do.until("P13", 10*sec, "both serve", func(s *stage) bool { return s.serves(s.cast[nodeA]) && s.serves(s.cast[nodeB]) }),
			{"nodes ask each other whether they are wanted", func(s *stage) { s.exiles() }},
			do.cutLinks(nodeA, nodeB, false),
			do.cutLinks(nodeB, nodeA, false),
			do.until("parted", 5*sec, "one of them ends", func(s *stage) bool { return s.cast[nodeA].up != s.cast[nodeB].up }),
			{"the one that ends is the same in every order", func(s *stage) {
				a, b := s.cast[nodeA], s.cast[nodeB]
				s.must(a.up == (a.id > b.id), "parted", "node %d goes on", map[bool]uint32{true: uint32(a.id), false: uint32(b.id)}[a.up])
			}},
			do.sleep(5 * sec),
			do.servedBy(sec, nodeA, nodeB),
			do.set(holder, "k", "2", async),
		}})
		broken := slices.DeleteFunc(r.Broken, func(b string) bool {
			property, _, _ := strings.Cut(b, ":")
			return property != "parted" && property != "P13" && property != "script"
		})
		for _, b := range broken {
			t.Error(b) // that two nodes served meanwhile is what they were told to
		}
		if len(broken) > 0 {
			for _, l := range r.Log {
				t.Log(l)
			}
		}
	}
}
