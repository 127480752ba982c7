package node

import (
	"testing"
	"time"
)

// TestSpentIsWorkAndNotWaiting: what a thread waits for is not its work.
func TestSpentIsWorkAndNotWaiting(t *testing.T) {
	const worked = 5 * time.Millisecond
	if s := spent(func() {
		for begun, _ := processorTime(); ; {
			if now, _ := processorTime(); now-begun >= worked {
				return
			}
		}
	}); s < worked {
		t.Errorf("%v of work are told as %v", worked, s)
	}
	begun := time.Now()
	waited := spent(func() { <-time.After(50 * time.Millisecond) })
	if wall := time.Since(begun); waited > wall/2 {
		t.Errorf("%v of waiting are told as %v of work", wall, waited)
	}
}
