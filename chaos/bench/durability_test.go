package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// TestModesAreComparedByRounds: a round in which the machine was slow for all says nothing
// of a mode.
func TestModesAreComparedByRounds(t *testing.T) {
	all := map[string]*measured{}
	for name, ops := range map[string][]int{
		"off": {1000, 100, 1000}, "write": {850, 85, 850}, "fsync": {400, 40, 400}, "redis everysec": {500, 50, 500}, "redis always": {800, 80, 800},
	} {
		m := &measured{latency: load.NewHistogram()}
		for _, n := range ops {
			m.rounds = append(m.rounds, sample{ops: n, took: time.Second, cpu: time.Second})
		}
		all[name] = m
	}
	r := DurabilityReport{Rows: keptOf(all)}
	if w := r.Rows[1]; w.Off != 0.85 || w.OffLow != 0.85 || w.Redis != 1.7 {
		t.Errorf("%+v", w)
	}
	if f := r.Rows[3]; f.Off != 0.4 || f.Redis != 0.5 {
		t.Errorf("%+v", f)
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"fsync misses its floor", "fsync is slower than redis-server"} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("%q is not in\n%s", line, text.String())
		}
	}
	if strings.Contains(text.String(), "write misses") || strings.Contains(text.String(), "write is slower") {
		t.Error(text.String())
	}
}
