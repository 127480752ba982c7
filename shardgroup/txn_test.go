package shardgroup

import (
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// both sets two keys at once.
func (w *world) both(m *member, s int, value string) Admission {
	w.t.Helper()
	a, err := w.doAll(m, s, []*statemachine.Command{setCommand("x", value), setCommand("y", value)}, Async)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func TestATransactionSeesItself(t *testing.T) {
	w, a, _, _ := trio(t)
	w.both(a, 0, "1")
	var x Txn
	if _, err := a.rep().Begin(&x, shardID(0), true, Async, w.now); err != nil {
		t.Fatal(err)
	}
	var res statemachine.Result
	if err := x.Do(setCommand("x", "2"), &res); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"x": "2", "y": "1"} {
		if v, found := x.Get([]byte(k), nil, false); !found || string(v.Data) != want {
			t.Errorf("%s is %q inside, want %q", k, v.Data, want)
		}
	}
	if _, changed := x.End(); !changed {
		t.Error("nothing changed")
	}
}

// TestSchedule47TransactionAtTheCut: one record, so that a takeover keeps all of it or
// none, and a revert undoes all of it and says so.
func TestSchedule47TransactionAtTheCut(t *testing.T) {
	for _, survives := range []bool{true, false} {
		w, a, b, _ := trio(t)
		w.both(a, 0, "1")
		w.spread()
		if !survives {
			w.cut(0, 1, false)
			w.cut(0, 2, false)
		}
		v := w.both(a, 0, "2").Version
		if survives {
			w.spread()
		}
		w.cut(0, 1, false)
		w.cut(0, 2, false)
		w.serve(2)
		want := map[bool]string{true: "2", false: "1"}[survives]
		for _, k := range []string{"x", "y"} {
			if got := w.get(b, 0, k); got != want {
				t.Errorf("%s is %q, want %q", k, got, want)
			}
		}
		w.healLinks()
		w.synced(1, 2, 3)
		lost := ""
		for _, r := range a.rolled {
			for _, l := range r.Lost {
				lost += fmt.Sprintf("%s@%v ", l.Key, l.Version)
			}
		}
		if wantLost := fmt.Sprintf("x@%v y@%v ", v, v); survives && lost != "" || !survives && lost != wantLost {
			t.Errorf("rolled back: %q", lost)
		}
		w.finish()
	}
}
