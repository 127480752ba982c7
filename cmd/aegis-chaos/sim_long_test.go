package main

import (
	"path/filepath"
	"sync"
	"testing"
)

// TestARecordIsAddedTo: what one call has seen is there for the next one, which goes on
// with the seeds behind, and a failure stays on record.
func TestARecordIsAddedTo(t *testing.T) {
	o := simLongOptions{record: filepath.Join(t.TempDir(), "deep", "record.json"), first: 7}
	for call := 1; call <= 2; call++ {
		r, err := o.openRecord()
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(7 + (call-1)*10); r.Next != want {
			t.Errorf("call %d begins at seed %d, want %d", call, r.Next, want)
		}
		r.Runs = append(r.Runs, longRun{First: r.Next})
		p := summary{Seeds: 10, Ops: 5, Seconds: 3600, CPU: 36, Acted: map[string]int{"crash": 3, "opened": 9}, Visits: visits{"a": 1}}
		if call == 2 {
			p.Failures = []string{"P2: wrong"}
		}
		r.add(&p)
		r.Next += 10
		if err := r.write(o.record); err != nil {
			t.Fatal(err)
		}
	}
	r, err := o.openRecord()
	if err != nil || r.Seeds != 20 || r.ClusterHours != 2 || r.CPUHours != 0.02 || r.Faults != 6 || r.Acted["opened"] != 18 || r.Visits["a"] != 2 || r.Violations != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if len(r.Runs) != 2 || r.Runs[0].Failures != nil || len(r.Runs[1].Failures) != 1 || r.Runs[1].ClusterHours != 1 {
		t.Errorf("%+v", r.Runs)
	}
}

// TestARoundLeavesNoSeedOut: children that say how many seeds they ran get those that are
// left, also after one that failed.
func TestARoundLeavesNoSeedOut(t *testing.T) {
	var mu sync.Mutex
	ran := map[uint64]int{}
	o := simLongOptions{chunk: 4, sim: simOptions{jobs: 3}}
	o.child = func(from, to uint64) (summary, error) {
		mu.Lock()
		defer mu.Unlock()
		for at := from; at <= to; at++ {
			ran[at]++
			if at%5 == 0 {
				return summary{Seeds: int(at - from + 1), Failures: []string{"P2: wrong"}}, nil
			}
		}
		return summary{Seeds: int(to - from + 1)}, nil
	}
	r := &record{Next: 100, Acted: map[string]int{}, Visits: visits{}, Runs: []longRun{{}}}
	o.round(r)
	for at := uint64(100); at < 112; at++ {
		if ran[at] != 1 {
			t.Errorf("seed %d was run %d times", at, ran[at])
		}
	}
	if r.Next != 112 || r.Seeds != 12 || len(ran) != 12 || r.Violations != 3 {
		t.Errorf("%d seeds, next is %d, %d violations", r.Seeds, r.Next, r.Violations)
	}
}
