package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/load"
)

func TestARatioIsTakenWithinEachRound(t *testing.T) {
	second := func(ops int, cpu time.Duration) sample {
		return sample{ops: ops, took: time.Second, cpu: cpu}
	}
	// A machine at half speed in the second round slows both.
	ours := &measured{latency: load.NewHistogram(), rounds: []sample{second(1000, 1*time.Second), second(1000, 2*time.Second), second(1200, 1*time.Second)}}
	theirs := &measured{latency: load.NewHistogram(), rounds: []sample{second(1000, 2*time.Second), second(1000, 4*time.Second), second(1000, 2*time.Second)}}
	_ = ours.latency.RecordValue(int64(time.Millisecond))
	r := rowOf(Cell{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, 1000, ours, theirs, nil)
	if r.Ratio != 2 || r.RatioLow != 2 || r.RatioHigh != 2.4 || r.Saturated {
		t.Fatalf("%+v", r)
	}
	if r.Aegis.OpsPerCPU != 1000 || r.Redis.OpsPerCPU != 500 || r.Aegis.P50 < 990 || r.Aegis.P50 > 1010 {
		t.Fatalf("%+v %+v", r.Aegis, *r.Redis)
	}
	if r := rowOf(Cell{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, 1100, ours, theirs, nil); !r.Saturated {
		t.Fatal("nobody says that less was served than was offered")
	}
	if r := rowOf(Cell{Nodes: 1, Op: "GET", Depth: 1, Value: 100}, 1000, ours, nil, nil); r.Redis != nil || r.Ratio != 0 {
		t.Fatalf("alone: %+v", r)
	}
}

func TestTheReportSaysWhatAReaderMustKnow(t *testing.T) {
	row := Row{Cell: Cell{3, "SET", 16, 1024, 60000, 1.25}, Offered: 60000, Echo: &Figure{P99: 777}, Aegis: Figure{OpsPerCPU: 12345, P50: 50, P99: 99, P999: 999, Errors: 2, FirstError: "-MOVED"}, Saturated: true}
	r := Report{Machine: Machine{CPU: "some CPU", Cores: 2}, Aegis: "aegis x", Redis: "nothing", Rows: []Row{row}}
	var text, js bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"some CPU, 2 cores", "12345", "999", "1024 B", "1.25", "777", "2 error replies of aegis, the first: -MOVED", "3-SET-P16-1024B-60000: not all"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if err := r.JSON(&js); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || back.Rows[0].Aegis.OpsPerCPU != 12345 || back.Rows[0].Redis != nil {
		t.Fatalf("%v: %s", err, js.String())
	}
}
