package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/judge"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// sameTogether lists commands of two connections, A and B, whose replies must be
// those of redis-server.
const sameTogether = `
A MULTI
A SET {t}a 1
A INCR {t}a
A GET {t}a
A GET {t}none
A EXEC
A EXEC
A DISCARD
A MULTI
A SET {t}a 5
A DISCARD
A GET {t}a
A MULTI
A EXEC
A MULTI
A MULTI
A PING
A EXEC
A MULTI
A WATCH {t}a
A PING
A EXEC
A MULTI x
A EXEC x
A DISCARD x
A WATCH
A UNWATCH x
A MULTI
A DISCARD x
A PING
A EXEC
A MULTI
A GET
A PING
A EXEC
A MULTI
A NOSUCH x
A EXEC
A MULTI
A CLIENT NOPE
A EXEC
A MULTI
A CLIENT
A EXEC
A MULTI
A SET {t}n abc
A INCR {t}n
A SET {t}n x EX y
A APPEND {t}n d
A EXEC
A MULTI
A SET one 1
A SET two 2
A EXEC
A EXEC
A GET one
A MULTI
A MGET one two
A PING
A EXEC
A MULTI
A MSET {t}1 a {t}2 b
A MGET {t}1 {t}2 {t}3
A EXISTS {t}1 {t}2 {t}3
A DEL {t}1 {t}2
A MGET {t}1 {t}2
A EXEC
A MULTI
A ECHO hi
A SELECT 0
A CLIENT GETNAME
A CLIENT SETNAME me
A CLIENT GETNAME
A ASKING
A EXEC
A MULTI
A SET {t}a 1
A CONFIG SET slowlog-max-len 100
A CONFIG SET slowlog-max-len many
A EXEC
A MULTI
A SET {t}a 1
A MGET {t}a other
A GET other
A EXEC
A MULTI
A FLUSHALL
A DBSIZE
A WAIT 0 0
A WAIT 1 0
A EXEC
A SET {t}a 1 EX 100
A MULTI
A PTTL {t}none
A PERSIST {t}a
A PTTL {t}a
A EXEC
A WATCH one two
A WATCH {t}a
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B SET {t}a 2
A MULTI
A SET {t}a 3
A EXEC
A GET {t}a
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a {t}b
B SET {t}b 1
B SET {t}c 1
A MULTI
A EXEC
A WATCH {t}a
B SET {t}c 1
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B SET {t}a 2
A UNWATCH
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B SET {t}a 2
A MULTI
A UNWATCH
A GET {t}a
A EXEC
A WATCH {t}a
B SET {t}a 2
A MULTI
A DISCARD
A MULTI
A PING
A EXEC
A WATCH {t}a
A SET {t}a own
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B EXPIRE {t}a 100
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B PERSIST {t}a
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B GETEX {t}a
B GET {t}a
B SET {t}a x NX
B PERSIST {t}a
B DEL {t}absent
A MULTI
A GET {t}a
A EXEC
A WATCH {t}a
B DEL {t}a
A MULTI
A GET {t}a
A EXEC
A WATCH {t}gone
B SET {t}gone 1
B DEL {t}gone
A MULTI
A GET {t}gone
A EXEC
A WATCH {t}gone
B DEL {t}gone
A MULTI
A GET {t}gone
A EXEC
A SET {t}a 1
A WATCH {t}a
B FLUSHALL
A MULTI
A GET {t}a
A EXEC
A WATCH {t}gone
B FLUSHALL
A MULTI
A GET {t}gone
A EXEC
A WATCH {t}a
B SET {t}a 1
A MULTI
A NOSUCH
A EXEC
A WATCH {t}a
B SET {t}a 1
A MULTI
A RESET
A EXEC
A MULTI
A HELLO 2
A GET {t}none
A HELLO 3
A GET {t}none
A EXEC
A GET {t}none
A MULTI
B SET {t}a between
A GET {t}a
A QUIT
`

func TestTransactionsAreThoseOfRedis(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	real := judge.Start(t)
	_, addr := start(t, testConfig(), newMemory())
	for _, proto := range []string{"2", "3"} {
		us, redis := map[string]*peer{}, map[string]*peer{}
		for _, name := range []string{"A", "B"} {
			us[name], redis[name] = dial(t, addr), dial(t, real)
			us[name].do("HELLO", proto)
			redis[name].do("HELLO", proto)
		}
		for _, line := range strings.Split(strings.TrimSpace(sameTogether), "\n") {
			name, cmd, _ := strings.Cut(line, " ")
			us[name].send(cmd + "\r\n")
			redis[name].send(cmd + "\r\n")
			got, want := us[name].raw(), redis[name].raw()
			if got != want && !strings.Contains(want, "server") { // HELLO tells who it is
				t.Errorf("RESP%s %s: %q, redis says %q", proto, line, got, want)
			}
		}
	}
}

// TestWhatATransactionMayHold is about what Redis, which has one thread and all keys,
// can do and a shard cannot.
func TestWhatATransactionMayHold(t *testing.T) {
	const wide = "-ERR commands that are not about one slot cannot be in a transaction with keys: "
	for _, x := range []struct{ name, in, out string }{
		{"watched keys of two slots", "WATCH a\r\nWATCH b\r\nUNWATCH\r\nWATCH b\r\n", "+OK\r\n-CROSSSLOT Keys that are watched don't hash to the same slot; UNWATCH the others first\r\n+OK\r\n+OK\r\n"},
		{"a watched key of another slot", "WATCH a\r\nMULTI\r\nGET b\r\nEXEC\r\nMULTI\r\nGET b\r\nEXEC\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n-CROSSSLOT Keys of the transaction and watched keys don't hash to the same slot\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n"},
		{"all shards after a key", "MULTI\r\nGET a\r\nDBSIZE\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n" + wide + "'dbsize'\r\n-EXECABORT Transaction discarded because of previous errors.\r\n"},
		{"a key after all shards", "MULTI\r\nINFO\r\nGET a\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n" + wide + "'get'\r\n-EXECABORT Transaction discarded because of previous errors.\r\n"},
		{"all shards and a watched key", "WATCH a\r\nMULTI\r\nFLUSHALL\r\nDISCARD\r\n", "+OK\r\n+OK\r\n" + wide + "'flushall'\r\n+OK\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, addr := start(t, testConfig(), newMemory())
			p := dial(t, addr)
			p.send(x.in)
			p.want(x.out)
		})
	}
}

// TestATransactionIsRunAgainWhole: reads under a lease that ended are run again, and
// what was collected before the pipeline that is run again must still be there.
func TestATransactionIsRunAgainWhole(t *testing.T) {
	m := newMemory()
	failures := 0
	m.commit = func() error {
		if failures > 0 {
			failures--
			return ErrStale
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.do("SET", "{a}", "x")
	const got = "*2\r\n$1\r\nx\r\n$-1\r\n"
	failures = 2
	p.send("HELLO 3\r\nRESET\r\nMULTI\r\nGET {a}\r\nGET {a}2\r\nEXEC\r\nPING\r\n")
	if p.raw()[0] != '%' {
		t.Error("HELLO 3 was not run again")
	}
	p.want("+RESET\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n" + got + "+PONG\r\n")
	for _, tail := range []string{"EXEC\r\n", "GET {a}2\r\nEXEC\r\nMULTI\r\nPING\r\nDISCARD\r\n"} {
		p.send("WATCH {a}\r\nMULTI\r\nGET {a}\r\n")
		p.want("+OK\r\n+OK\r\n+QUEUED\r\n")
		if strings.HasPrefix(tail, "EXEC") {
			p.send("GET {a}2\r\n")
			p.want("+QUEUED\r\n")
		}
		failures = 2
		p.send(tail)
		if strings.HasPrefix(tail, "EXEC") {
			p.want(got)
		} else {
			p.want("+QUEUED\r\n" + got + "+OK\r\n+QUEUED\r\n+OK\r\n")
		}
	}
}

// parking is a memory whose transactions find their shard in transition.
type parking struct {
	*memory
	begins int
}

func (p *parking) Begin(s *Session, slot shardmap.Slot, write bool) error {
	if p.begins++; p.begins == 1 {
		return ErrAgain
	}
	return p.memory.Begin(s, slot, write)
}

// TestExecWaitsBeforeItBegins: a shard in transition is waited for before the
// transaction is open; earlier replies leave meanwhile, and a lease that ends then
// does not lose what was collected.
func TestExecWaitsBeforeItBegins(t *testing.T) {
	p := &parking{memory: newMemory()}
	stale := false
	p.park = func() { stale = true }
	p.commit = func() error {
		if stale {
			stale = false
			return ErrStale
		}
		return nil
	}
	_, addr := start(t, testConfig(), p)
	c := dial(t, addr)
	c.send("MULTI\r\nGET {a}\r\nEXEC\r\nPING\r\n")
	c.want("+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n+PONG\r\n")
	if p.begins != 3 {
		t.Errorf("begun %d times, want once in transition, once stale, once good", p.begins)
	}
}

func TestATransactionElsewhereIsSaidAtOnce(t *testing.T) {
	m := newMemory()
	moved := false
	m.again = func(key []byte) error {
		if moved {
			return &MovedError{Slot: shardmap.SlotOf(key), Addr: "10.0.0.1:7000"}
		}
		return ErrAgain
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("MULTI\r\nGET a\r\nDISCARD\r\n") // in transition: it may be here by EXEC
	p.want("+OK\r\n+QUEUED\r\n+OK\r\n")
	m.mu.Lock()
	moved = true
	m.mu.Unlock()
	p.send("MULTI\r\nGET a\r\nEXEC\r\nWATCH a\r\n")
	p.want("+OK\r\n-MOVED 15495 10.0.0.1:7000\r\n-EXECABORT Transaction discarded because of previous errors.\r\n-MOVED 15495 10.0.0.1:7000\r\n")
}

// TestAQueueIsCounted: what a client collects is memory of its connection.
func TestAQueueIsCounted(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersMax = 4 << 20
	s, addr := start(t, cfg, newMemory())
	small, large := dial(t, addr), dial(t, addr)
	small.do("MULTI")
	small.do("PING")
	large.do("MULTI")
	value := strings.Repeat("v", 60<<10)
	batches := func() (n uint32) {
		s.each(func(c *conn) { n += c.batches.Load() })
		return n
	}
	for i := 0; s.evicted.Load() == 0; i++ {
		if i == 128 {
			t.Fatal("7.5 MiB were queued where 4 MiB are allowed")
		}
		before := batches()
		_, _ = fmt.Fprintf(large.nc, "SET {a}%d %s\r\n", i, value)
		eventually(t, func() bool { return batches() > before || s.evicted.Load() > 0 })
	}
	if v := small.do("EXEC"); len(v.Items) != 1 {
		t.Errorf("who queued little got %q", v.Text)
	}
}
