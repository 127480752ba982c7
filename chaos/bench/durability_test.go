package bench

import (
	"bytes"
	"maps"
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
	r.Saves = []Saving{
		{Mode: "write", Before: Windows{Windows: 40, Disturbed: 2, P99: 100}, During: Windows{Windows: 20, P99: 151}, Ratio: 1.51},
		{Mode: "fsync", Before: Windows{Windows: 40, P99: 100}, During: Windows{Windows: 39, Disturbed: 2, P99: 100}, Ratio: 1},
	}
	r.Verdicts = verdicts(r.Rows, r.Saves)
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
	said := map[string]string{}
	for _, v := range r.Verdicts {
		said[v.What] = v.Says
	}
	want := map[string]string{
		"write: SET/s by mode off": "met", "write: SET/s by redis-server's like mode": "met",
		"fsync: SET/s by mode off": "missed", "fsync: SET/s by redis-server's like mode": "missed",
		"write: p99 while an image is saved by before": "missed", "fsync: p99 while an image is saved by before": "inconclusive",
	}
	if !maps.Equal(said, want) {
		t.Errorf("%v", said)
	}
	if !strings.Contains(text.String(), "fsync: SET/s by mode off  ") || !strings.Contains(text.String(), ">= 0.50  0.40  missed") {
		t.Error(text.String())
	}
}
