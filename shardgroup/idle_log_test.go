package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestADeadKeyOfAnIdleShardStaysDead: no write has told the log what time it is since a key
// died and was answered to be dead. All are restarted, with clocks that are behind.
func TestADeadKeyOfAnIdleShardStaysDead(t *testing.T) {
	w, a, _, _ := trio(t)
	w.timed = true
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 60_000}, Async)
	w.synced(1, 2, 3)
	w.run(90 * time.Second)
	if got := w.get(a, 0, "k"); got != "-" {
		t.Fatalf("k is %q", got)
	}
	for _, m := range w.nodes {
		w.commitLog(m)
	}
	idle := a.wal.End()
	w.run(time.Minute)
	if end := a.wal.End(); end != idle {
		t.Errorf("idle shards without anything that dies wrote %d bytes of log", end-idle)
	}
	for _, m := range w.nodes {
		m.after = m.disk.Kill(w.r)
		w.crash(m)
	}
	w.now.Wall -= 120_000
	for _, m := range w.nodes {
		w.restart(m)
	}
	w.serve(1)
	if got := w.get(a, 0, "k"); got != "-" {
		t.Errorf("k was answered to be dead, and is %q after a restart", got)
	}
}
