package node

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestRefusalsAreToldOncePerPeerAndReason(t *testing.T) {
	var r refusals
	at := time.Unix(100, 0)
	two := refusal{peer: 2, reason: "secret"}
	say := func(of refusal, times int) {
		t.Helper()
		if got, tell := r.count(of, at); got != times || tell != (times > 0) {
			t.Errorf("%+v at %v: a line for %d, %v; want one for %d (0: none)", of, at, got, tell, times)
		}
	}
	say(two, 1)
	for range 49 { // ten seconds of five connections that try once a second
		at = at.Add(200 * time.Millisecond)
		say(two, 0)
	}
	say(refusal{peer: 2, reason: "version"}, 1)
	say(refusal{peer: 3, reason: "secret"}, 1)
	at = at.Add(200 * time.Millisecond)
	say(two, 50)
}

// TestRefusalsAreBounded: whoever dials says which node it is.
func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	at, lines := time.Unix(100, 0), 0
	for i := range 10 * refusalsMax {
		if _, tell := r.count(refusal{peer: shardmap.NodeID(i + 1)}, at); tell {
			lines++
		}
	}
	if lines != refusalsMax+1 || len(r.seen) != refusalsMax+1 {
		t.Errorf("%d invented peers make %d lines and %d entries, want %d", 10*refusalsMax, lines, len(r.seen), refusalsMax+1)
	}
}
