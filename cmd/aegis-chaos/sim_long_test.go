package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
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
		r.Runs = append(r.Runs, longRun{First: r.Next, Commit: o.commit})
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

// TestACallGoesOnWhereTheLastOneEnded: one that is ended in the middle of a round finishes
// it, what one that was killed did not write down is run again, and no other program goes on.
func TestACallGoesOnWhereTheLastOneEnded(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	var mu sync.Mutex
	ran := map[uint64]int{}
	o := simLongOptions{record: filepath.Join(t.TempDir(), "record.json"), first: 1, chunk: 5, limit: time.Hour, commit: "one", sim: simOptions{jobs: 2}}
	o.child = func(from, to uint64) (summary, error) {
		mu.Lock()
		defer mu.Unlock()
		for at := from; at <= to; at++ {
			ran[at]++
		}
		if from >= 16 { // of the second round
			end()
		}
		n := int(to - from + 1)
		return summary{Seeds: n, Seconds: 360 * float64(n), CPU: 0.36 * float64(n)}, nil
	}
	call := func(ctx context.Context, hours float64) *record {
		t.Helper()
		r, err := o.openRecord()
		if err == nil {
			o.hours = hours
			err = o.call(ctx, r, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	call(ctx, 0)
	if r, err := o.openRecord(); err != nil || r.Next != 21 || r.Seeds != 20 || len(r.Runs) != 1 || r.Runs[0].Last != 20 {
		t.Fatalf("an ended call leaves %+v, %v", r, err)
	}

	written, err := os.ReadFile(o.record)
	if err != nil {
		t.Fatal(err)
	}
	call(t.Context(), 3)
	if err := os.WriteFile(o.record, written, 0o600); err != nil { // as if it had been killed
		t.Fatal(err)
	}
	call(t.Context(), 5)
	r, err := o.openRecord()
	if err != nil || r.Next != 51 || r.Seeds != 50 || r.ClusterHours < 4.99 || r.ClusterHours > 5.01 || len(r.Runs) != 2 || r.Runs[1].First != 21 {
		t.Fatalf("%+v, %v", r, err)
	}
	for at := range uint64(50) {
		if at++; ran[at] != 1 && (at <= 20 || at > 30 || ran[at] != 2) {
			t.Errorf("seed %d was run %d times", at, ran[at])
		}
	}

	o.commit = "two"
	var usage *usageError
	if _, err := o.openRecord(); !errors.As(err, &usage) {
		t.Errorf("the program of another commit: %v", err)
	}
	o.anew = true
	if r, err := o.openRecord(); err != nil || r.Next != 51 || r.Seeds != 0 || len(r.Runs) != 0 {
		t.Errorf("a record that is begun anew: %+v, %v", r, err)
	}
}
