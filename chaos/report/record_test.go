package report

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// TestARecordKeepsWhatARunSaid: verdicts, counts, losses and times come back from the file,
// and a run is there once however often it is added.
func TestARecordKeepsWhatARunSaid(t *testing.T) {
	r := synthetic()
	o := r.Outline()
	a, s := &r.Scenarios[0], &o.Scenarios[0]
	switch {
	case o.Verdict != r.Verdict() || len(o.Scenarios) != len(r.Scenarios) || s.Faults != len(a.Faults):
		t.Errorf("%v of %d scenarios, %d faults", o.Verdict, len(o.Scenarios), s.Faults)
	case s.Away[0].Write != a.Unavailability[0].Write() || s.Away[0].Others != a.Unavailability[0].Others():
		t.Errorf("%+v", s.Away)
	case s.Lost != a.Losses.Lost || len(s.Windows) != len(a.Losses.Windows) || s.Reported != a.Losses.Reported:
		t.Errorf("%+v of %+v", s, a.Losses)
	case s.OK != a.Operations.Total().OK || s.Acked != a.Losses.Acked:
		t.Errorf("%+v of %+v", s, a.Operations)
	}
	broken := int64(0)
	for _, c := range a.Checks {
		broken += c.Broken
	}
	for _, c := range r.Scenarios[1:] {
		for _, c := range c.Checks {
			broken += c.Broken
		}
	}
	for _, c := range o.Checks {
		broken -= c.Broken
	}
	if broken != 0 {
		t.Errorf("checkers found %d more than the record says", broken)
	}
	path := filepath.Join(t.TempDir(), "record.json")
	rec, err := ReadRecord(path)
	if err != nil || len(rec.Runs) != 0 {
		t.Fatalf("%v, %v", rec, err)
	}
	later := o
	later.Begun = o.Begun.Add(time.Hour)
	for _, x := range []Outline{o, later, o} {
		rec.Add(x)
	}
	if err := rec.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := ReadRecord(path)
	if err != nil || len(again.Runs) != 2 || !reflect.DeepEqual(again, rec) {
		t.Errorf("%d runs, %v", len(again.Runs), err)
	}
}

// TestARecordOfAnotherSchemaIsRefused as a report is.
func TestARecordOfAnotherSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	if err := (&Record{Schema: Schema + 1}).Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(path); err == nil {
		t.Error("it was read")
	}
}
