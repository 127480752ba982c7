package node

import (
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// TestQuestionsThatAreNeverAnsweredAreForgotten: a node that many ask and that answers
// nobody costs its askers a bounded memory.
func TestQuestionsThatAreNeverAnsweredAreForgotten(t *testing.T) {
	c := founderTelling(t, deaf{})
	now := multiraft.Instant{}
	for range 10 * askedMax {
		now.Mono += askedFor / 10
		c.Ask(2, "nothing", nil, now, func(Answer) {})
	}
	if n := len(c.asked); n > askedMax {
		t.Errorf("%d questions are remembered", n)
	}
}
