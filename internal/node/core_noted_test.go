package node

import (
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
)

// TestAnswersMayNoteMore: where the node that was asked for a recovery leads group 0
// itself, the answer that the decision was taken makes it wait for its own word that it has
// applied it, in the same moment. The first answer was given again and again, until the
// thread had no stack left.
func TestAnswersMayNoteMore(t *testing.T) {
	word := meta.Recovery{Generation: 1}
	c := &Core{meta: &meta.State{Recoveries: []meta.Recovery{word}}}
	first, second := 0, 0
	c.noted = []noting{{word: word, answer: func(Answer) {
		if first++; first > 1 {
			t.Fatal("answered again")
		}
		c.noted = append(c.noted, noting{word: word, answer: func(Answer) { second++ }})
		c.notedAll()
	}}, {word: meta.Recovery{Generation: 2}, deadline: 1, answer: func(Answer) { t.Error("too early") }}}
	c.notedAll()
	if first != 1 || second != 1 || len(c.noted) != 1 {
		t.Errorf("answered %d and %d times, %d wait", first, second, len(c.noted))
	}
}
