package redis

import (
	"fmt"
	"testing"
	"time"
)

const replyLate = "-DEADLINE the deadline of this command passed before it was run\r\n"

// deadlined is a connection that said CLIENT CAPA aegis.
func deadlined(t *testing.T, m *memory) (*Server, *peer) {
	t.Helper()
	s, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("CLIENT DEADLINE\r\n")
	p.want("-ERR unknown subcommand 'DEADLINE'. Try CLIENT HELP.\r\n")
	p.do("CLIENT", "CAPA", "aegis")
	return s, p
}

func TestLateCommandsAreNotRun(t *testing.T) {
	m := newMemory()
	s, p := deadlined(t, m)
	soon := s.since() + time.Hour
	p.send(fmt.Sprintf("CLIENT DEADLINE %d\r\nSET a 1\r\n", soon.Microseconds()))
	p.want("+OK\r\n+OK\r\n")
	p.send("CLIENT DEADLINE 1\r\nSET a 2\r\nGET a\r\nPING\r\nSET b 2\r\nCLIENT DEADLINE 0\r\nGET a\r\nGET b\r\n")
	p.want("+OK\r\n" + replyLate + replyLate + "+PONG\r\n" + replyLate + "+OK\r\n$1\r\n1\r\n$-1\r\n")
	p.send("CLIENT DEADLINE x\r\nCLIENT DEADLINE -1\r\n")
	p.want("-ERR value is not an integer or out of range\r\n-ERR value is not an integer or out of range\r\n")
}

// TestAParkedCommandIsNotRunLate: it was in time when it came and is not when the shard
// is served again.
func TestAParkedCommandIsNotRunLate(t *testing.T) {
	m := newMemory()
	s, p := deadlined(t, m)
	blocked := true
	m.again = func([]byte) error {
		if blocked {
			return ErrAgain
		}
		return nil
	}
	var deadline time.Duration
	m.park = func() {
		for s.since() <= deadline {
			time.Sleep(time.Millisecond)
		}
		blocked = false
	}
	deadline = s.since() + 200*time.Millisecond
	p.send(fmt.Sprintf("CLIENT DEADLINE %d\r\nSET a 1\r\nCLIENT DEADLINE 0\r\nGET a\r\n", deadline.Microseconds()))
	p.want("+OK\r\n" + replyLate + "+OK\r\n$-1\r\n")
	if m.parks == 0 {
		t.Error("it was not parked")
	}
}

// TestADeadlineHoldsWhenReadsAreRunAgain: the pipeline begins with the one it began with.
func TestADeadlineHoldsWhenReadsAreRunAgain(t *testing.T) {
	m := newMemory()
	failures := 0
	m.commit = func() error {
		if failures > 0 {
			failures--
			return ErrStale
		}
		return nil
	}
	_, p := deadlined(t, m)
	p.send("CLIENT DEADLINE 1\r\n")
	p.want("+OK\r\n")
	m.mu.Lock()
	failures = 1
	m.mu.Unlock()
	p.send("GET a\r\nCLIENT DEADLINE 0\r\nGET a\r\n")
	p.want(replyLate + "+OK\r\n$-1\r\n")
}

// TestALateTransactionIsNotRun: EXEC has no key of its own, and what it runs has.
func TestALateTransactionIsNotRun(t *testing.T) {
	m := newMemory()
	s, p := deadlined(t, m)
	p.send("MULTI\r\nSET a 1\r\nCLIENT DEADLINE 1\r\nEXEC\r\n")
	p.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n") // its own deadline comes too late for it
	soon := s.since() + 100*time.Millisecond
	p.send(fmt.Sprintf("CLIENT DEADLINE %d\r\nMULTI\r\nSET a 2\r\n", soon.Microseconds()))
	p.want("+OK\r\n+OK\r\n+QUEUED\r\n")
	for s.since() <= soon {
		time.Sleep(time.Millisecond)
	}
	p.send("EXEC\r\nEXEC\r\nCLIENT DEADLINE 0\r\nGET a\r\n")
	p.want(replyLate + "-ERR EXEC without MULTI\r\n+OK\r\n$1\r\n1\r\n")
	p.send("CLIENT DEADLINE 1\r\nMULTI\r\nPING\r\nEXEC\r\n")
	p.want("+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n")
}
