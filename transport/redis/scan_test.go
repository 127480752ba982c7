package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sameScan lists commands about all keys whose replies are those of redis-server.
const sameScan = `
FLUSHALL
RANDOMKEY
KEYS *
SCAN 0
SCAN 0 COUNT 5 MATCH * TYPE string
SCAN x
SCAN " 0"
SCAN 0x
SCAN 99999999999999999999
SCAN ""
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT x
SCAN 0 COUNT x BOGUS
SCAN 0 COUNT
SCAN 0 MATCH
SCAN 0 BOGUS x
SCAN 0 0
SCAN
KEYS
KEYS a b
RANDOMKEY x
SET one 1
RANDOMKEY
KEYS *
KEYS o?e
KEYS two
SCAN 0
SCAN 0 MATCH o*
SCAN 0 MATCH x*
SCAN 0 TYPE STRING
SCAN 0 TYPE hash
SCAN 0 TYPE hash COUNT 100 MATCH o* MATCH x*
DBSIZE
MULTI
KEYS *
SCAN 0
DBSIZE
RANDOMKEY
FLUSHDB
DBSIZE
EXEC
CLUSTER COUNTKEYSINSLOT 5
CLUSTER COUNTKEYSINSLOT -1
CLUSTER COUNTKEYSINSLOT 16384
CLUSTER COUNTKEYSINSLOT x
CLUSTER COUNTKEYSINSLOT
CLUSTER GETKEYSINSLOT 5 10
CLUSTER GETKEYSINSLOT 16384 1
CLUSTER GETKEYSINSLOT 5 -1
CLUSTER GETKEYSINSLOT x 1
CLUSTER GETKEYSINSLOT 1 x
CLUSTER GETKEYSINSLOT 1
SET foo 1
CLUSTER COUNTKEYSINSLOT 12182
CLUSTER GETKEYSINSLOT 12182 10
CLUSTER GETKEYSINSLOT 12182 0
CLUSTER GETKEYSINSLOT 12181 10
FLUSHDB NOW
FLUSHDB SYNC x
FLUSHDB ASYNC
FLUSHDB SYNC
CONFIG GET sav[e]
CONFIG GET [^a]ave
`

func TestScansAreThoseOfRedis(t *testing.T) { answeredAsRedisDoes(t, sameScan) }

// TestAScanGoesOnAfterWaiting: what was gathered before a shard in transition is part of
// the reply, and so it is when a lease ended meanwhile.
func TestAScanGoesOnAfterWaiting(t *testing.T) {
	m := newMemory()
	steps, stale := 0, false
	m.again = func(key []byte) error {
		if steps++; key == nil && steps == 3 {
			return ErrAgain
		}
		return nil
	}
	m.park = func() { stale = true }
	m.commit = func() error {
		if stale {
			stale = false
			return ErrStale
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	for i := range 3000 {
		m.keys[fmt.Sprintf("k%04d", i)] = entry{value: []byte("v")}
	}
	p.send("PING\r\nKEYS *\r\nPING\r\n")
	p.want("+PONG\r\n")
	if got := strings.Count(p.raw(), "\r\n$5\r\nk"); got != 3000 {
		t.Errorf("%d of 3000 keys", got)
	}
	p.want("+PONG\r\n")
	m.mu.Lock()
	m.again = func([]byte) error { return ErrDown }
	m.mu.Unlock()
	p.send("KEYS *\r\nSCAN 0\r\nPING\r\n")
	p.want(strings.Repeat("-CLUSTERDOWN Hash slot not served\r\n", 2) + "+PONG\r\n")
}

func TestGlobs(t *testing.T) {
	for _, x := range []struct{ pattern, yes, no string }{
		{"*", "a ab", ""},
		{"h?llo", "hello hallo", "hllo heello"},
		{"h*llo", "hllo heeello", "hell"},
		{"h[ae]llo", "hello hallo", "hillo"},
		{"h[^e]llo", "hallo hbllo", "hello"},
		{"h[a-b]llo", "hallo hbllo", "hcllo"},
		{"h[b-a]llo", "hallo", "hcllo"},
		{`h\*llo`, "h*llo", "hallo"},
		{`[\]]`, "]", "a"},
		{"[abc", "a b c", "d"},
		{"[a-", "a -", "b"},
		{"[^", "a", "ab"},
		{"a**b", "ab axxb", "a"},
		{"*a*b*c", "abc xaxbxc aabbcc", "acb"},
		{`a\`, `a\`, "a"},
		{"", "", "a"},
	} {
		for _, s := range strings.Fields(x.yes) {
			if !globs([]byte(x.pattern), []byte(s)) {
				t.Errorf("%q does not describe %q", x.pattern, s)
			}
		}
		for _, s := range strings.Fields(x.no) {
			if globs([]byte(x.pattern), []byte(s)) {
				t.Errorf("%q describes %q", x.pattern, s)
			}
		}
	}
}

// TestAHostilePatternCostsLittle: many stars do not multiply.
func TestAHostilePatternCostsLittle(t *testing.T) {
	pattern := slices.Repeat([]byte("*a"), 2000)
	if globs(append(pattern, 'b'), slices.Repeat([]byte("a"), 20000)) {
		t.Error("there is no b")
	}
}
