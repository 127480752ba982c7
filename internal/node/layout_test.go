package node

import "testing"

// TestTheClientCanLearnTheLayout: pkg/client asks CONFIG GET num*hards to know which
// calls are on the shard that lost writes. Without an answer every call of any key
// is, and the loss goes to whoever calls first.
func TestTheClientCanLearnTheLayout(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	r := dialRaw(t, n.cfg.ClientAddr)
	r.pipeline(1, "", "SET", allocKey, "v")
	r.until(t, "+OK\r\n")
	r.pipeline(1, "", "CONFIG", "GET", "num*hards")
	if got := r.answer(t); got == "*0\r\n" {
		t.Error("CONFIG GET num*hards knows nothing")
	}
}
