package node

import (
	"context"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// TestRecoverAtANodeThatKnowsNothing: group 0 has not filled it, so it knows no names,
// and no earlier recoveries either.
func TestRecoverAtANodeThatKnowsNothing(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	<-n.built
	if err := n.host.Do(context.Background(), func(multiraft.Instant) { n.core.meta = nil }); err != nil {
		t.Fatal(err)
	}
	if n.forsaken(context.Background(), "n9") != 0 {
		t.Error("it knows a node that was declared gone")
	}
	if _, err := n.Recover([]string{"n9"}); err == nil || !strings.Contains(err.Error(), "ask another survivor") {
		t.Errorf("it answers %v", err)
	}
}
