package redis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// lcsWords are about values that TestLCSIsThatOfRedis sets.
const lcsWords = `LCS {s}a {s}b
LCS {s}a {s}b LEN
LCS {s}a {s}b IDX
LCS {s}a {s}b idx withmatchlen
LCS {s}a {s}b IDX MINMATCHLEN 4
LCS {s}a {s}b IDX MINMATCHLEN -4 WITHMATCHLEN
LCS {s}a {s}b MINMATCHLEN 4
LCS {s}a {s}b WITHMATCHLEN LEN
LCS {s}a {s}b IDX LEN
LCS {s}a {s}b LEN IDX NOPE
LCS {s}a {s}b IDX MINMATCHLEN
LCS {s}a {s}b IDX MINMATCHLEN x
LCS {s}a {s}none
LCS {s}none {s}a IDX
LCS {s}none {s}neither LEN
LCS {s}a {s}a IDX
LCS {s}a
LCS
LCS {s}a elsewhere
`

func TestLCSIsThatOfRedis(t *testing.T) {
	answeredAsRedisDoes(t, "SET {s}a ohmytext\nSET {s}b mynewtext\n"+lcsWords+
		"SET {s}a abcdefghijklmnopqrstuvwxyz0123456789\nSET {s}b xxabcdef-hijk-0123456789-zzz9\n"+lcsWords+
		"SET {s}a \"\"\n"+lcsWords)
}

// TestLCSFindsTheSubsequenceThatRedisFinds: of several longest ones it is the same, with
// values of all lengths around those of a word of bits, whichever is the longer one.
func TestLCSFindsTheSubsequenceThatRedisFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func() string {
		b := make([]byte, r.IntN(140))
		for i := range b {
			b[i] = "abcd"[r.IntN(1+r.IntN(4))]
		}
		return string(b)
	}
	var lines strings.Builder
	for range 100 {
		fmt.Fprintf(&lines, "SET {s}a %q\nSET {s}b %q\nLCS {s}a {s}b\nLCS {s}a {s}b LEN\nLCS {s}a {s}b IDX WITHMATCHLEN\nLCS {s}b {s}a IDX MINMATCHLEN 2\n", draw(), draw())
	}
	answeredAsRedisDoes(t, lines.String())
}

// TestLCSIsBounded: what would take long is refused, in a transaction what would take a
// hundredth of that, and what would be only together.
func TestLCSIsBounded(t *testing.T) {
	m := newMemory()
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.do("SET", "{s}long", strings.Repeat("a", 1<<20))
	p.do("SET", "{s}short", strings.Repeat("b", 64))
	p.do("SET", "{s}one", "a")
	refused := func(words ...string) bool {
		t.Helper()
		v := p.do(words...)
		return v.IsError() && strings.Contains(string(v.Text), "too much work")
	}
	if !refused("LCS", "{s}long", "{s}long", "LEN") {
		t.Error("2^40 pairs are compared")
	}
	if v := p.do("LCS", "{s}long", "{s}short", "LEN"); v.Int != 0 || v.IsError() {
		t.Errorf("%+v", v)
	}
	if v := p.do("LCS", "{s}one", "{s}long", "LEN"); v.Int != 1 {
		t.Errorf("%+v", v)
	}
	p.send("MULTI\r\nLCS {s}long {s}short\r\nLCS {s}long {s}one LEN\r\nLCS {s}long {s}one LEN\r\nLCS {s}long {s}one LEN\r\nEXEC\r\n")
	p.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n")
	v, err := resp.ReadReply(p.r)
	if err != nil || len(v.Items) != 4 || !v.Items[0].IsError() || v.Items[1].Int != 1 || v.Items[2].Int != 1 || !v.Items[3].IsError() {
		t.Errorf("%+v", v)
	}
}

// counting knows whether a transaction is open, and how many there were.
type counting struct {
	*memory
	begun, open atomic.Int32
}

func (b *counting) Begin(*Session, shardmap.Slot, bool) error {
	b.open.Add(1)
	b.begun.Add(1)
	return nil
}

func (b *counting) End(*Session) { b.open.Add(-1) }

// TestLCSHoldsNoShard: the values are copied, and the shard is let go before the work.
func TestLCSHoldsNoShard(t *testing.T) {
	b := &counting{memory: newMemory()}
	s, addr := start(t, testConfig(), b)
	p := dial(t, addr)
	p.do("SET", "{s}a", strings.Repeat("ab", 1<<12))
	s.lcs.Lock() // as if another one worked
	p.send("LCS {s}a {s}a LEN\r\n")
	eventually(t, func() bool { return b.begun.Load() == 1 && b.open.Load() == 0 })
	s.lcs.Unlock()
	p.want(":8192\r\n")
}

func BenchmarkLCS(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	v := make([]byte, 4096)
	w := make([]byte, 4096)
	for i := range v {
		v[i], w[i] = "abcd"[r.IntN(4)], "abcd"[r.IntN(4)]
	}
	b.SetBytes(int64(len(v) * len(w)))
	for b.Loop() {
		newLCS(v, w)
	}
}
