package node

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/judge"
)

// TestDumpsTravelBothWays: what DUMP answers here is restored by redis-server, and the
// other way round, compressed forms included.
func TestDumpsTravelBothWays(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	n := startNodes(t, 1, 256<<20)[0]
	ready := dialRaw(t, n.cfg.ClientAddr)
	ready.pipeline(1, "+OK\r\n", "SET", "ready", "1")
	ready.until(t, "+OK\r\n")
	us, redis := talk(t, n.cfg.ClientAddr), talk(t, judge.Start(t))
	d := &drawer{Rand: rand.New(rand.NewPCG(1, 4))}
	packed := 0
	for i := range 1000 {
		v := d.dumpable()
		for _, way := range [][2]*talker{{us, redis}, {redis, us}} {
			dumped := way[0].ask([][]string{{"SET", "k", v}, {"DUMP", "k"}})[1]
			_, payload, _ := strings.Cut(strings.TrimSuffix(dumped, "\r\n"), "\r\n")
			if strings.HasPrefix(payload, "\x00\xc3") {
				packed++
			}
			got := way[1].ask([][]string{{"DEL", "k"}, {"RESTORE", "k", "0", payload}, {"GET", "k"}})
			if want := fmt.Sprintf("$%d\r\n%s\r\n", len(v), v); got[1] != "+OK\r\n" || got[2] != want {
				t.Fatalf("value %d %.100q: RESTORE %q, GET %.200q", i, v, got[1], got[2])
			}
		}
	}
	if packed < 100 {
		t.Errorf("only %d of 1000 payloads were compressed", packed)
	}
}

// dumpable draws a value: small, or long with more or less that repeats.
func (d *drawer) dumpable() string {
	if d.IntN(2) == 0 {
		return value(d)[0]
	}
	b := make([]byte, d.IntN(20_000))
	letters := 1 + d.IntN(200)
	for i := range b {
		if back := 1 + d.IntN(500); i >= back && d.IntN(3) > 0 {
			b[i] = b[i-back]
		} else {
			b[i] = byte(d.IntN(letters))
		}
	}
	return string(b)
}
