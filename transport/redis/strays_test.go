package redis

import (
	"context"
	"testing"
	"time"
)

// sendAway has a server send its clients away and says when they stay away.
func sendAway(t *testing.T, s *Server) <-chan time.Time {
	t.Helper()
	done := make(chan time.Time, 1)
	go func() {
		s.SendAway(t.Context())
		done <- time.Now()
	}()
	return done
}

// TestSendAwayAnswersThoseWhoComeLate: connections are ended one by one, and a client that
// has not heard of it yet comes once more and finds somebody. Nobody waits for it longer
// than clients keep an old map.
func TestSendAwayAnswersThoseWhoComeLate(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	idle := dial(t, addr)
	idle.do("PING")
	done := sendAway(t, s)
	idle.wantClosed()
	late := dial(t, addr)
	late.do("PING")
	came := time.Now()
	late.send("GET k\r\n")
	late.want("$-1\r\n")
	if over := <-done; over.Sub(came) < strayFor-quietFor {
		t.Errorf("it waited for %v after a client came late", over.Sub(came))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Shutdown(ctx)
	late.wantClosed()
}

// TestSendAwayFromAnEmptyHouse: without clients nobody is waited for.
func TestSendAwayFromAnEmptyHouse(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	least := strayFor
	for range 5 { // the machine may stand
		from := time.Now()
		least = min(least, (<-sendAway(t, s)).Sub(from))
	}
	if least >= strayFor {
		t.Errorf("it took %v at least", least)
	}
	dial(t, addr).do("PING")
}
