package multiraft

import "testing"

// TestAnHeirSpeaksOfTheDeadOnly: whoever runs by now, and however often it is said, the last
// word is about the incarnation that was buried; of a worker that never said who it was
// there is nothing to say.
func TestAnHeirSpeaksOfTheDeadOnly(t *testing.T) {
	first, second := Member{3, Incarnation{7, 70}}, Member{3, Incarnation{8, 80}}
	var h Heir
	if h.Bury() {
		t.Errorf("a worker is buried that nobody knows: %v", h.Dead())
	}
	h.Tell(first)
	if !h.Bury() || h.Dead() != first {
		t.Fatalf("buried is %v, want %v", h.Dead(), first)
	}
	h.Tell(second)
	for range 2 {
		d, err := decodeDatagram(h.LastWord())
		if err != nil || d.kind != kindNodeRelease || d.dead != first || d.inc != first.Inc {
			t.Fatalf("the last word is %+v (%v), want one of %v", d, err, first)
		}
	}
	if h.Bury(); h.Dead() != second {
		t.Errorf("then %v is buried, want %v", h.Dead(), second)
	}
	if h.Bury() {
		t.Errorf("%v is buried twice", h.Dead())
	}
}
