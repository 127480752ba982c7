package chaos

import "testing"

// TestANodeThatIsNotKnownHasNoNumber: a client's history does not say who answered.
func TestANodeThatIsNotKnownHasNoNumber(t *testing.T) {
	for n, want := range map[called]string{0: "some node", 3: "node 3"} {
		if got := n.String(); got != want {
			t.Errorf("%d is called %q, wanted %q", uint32(n), got, want)
		}
	}
}
