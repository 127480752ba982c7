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

// TestSendAwayAnswersThoseWhoComeLate: a client that has not heard of it yet finds its
// connection as it was, and another one, and nobody is waited for longer than clients keep an
// old map.
func TestSendAwayAnswersThoseWhoComeLate(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	early := dial(t, addr)
	early.do("PING")
	done := sendAway(t, s)
	late := dial(t, addr)
	late.do("PING")
	came := time.Now()
	for _, p := range []*peer{late, early} {
		p.send("GET k\r\n")
		p.want("$-1\r\n")
	}
	if over := <-done; over.Sub(came) < strayFor-quietFor {
		t.Errorf("it waited for %v after a client came late", over.Sub(came))
	}
	early.send("GET k\r\n") // who waits is not ended before Shutdown
	early.want("$-1\r\n")
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
