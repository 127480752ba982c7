package bench

import (
	"strings"
	"testing"
	"time"
)

func TestAWriteIsChargedToEachProcess(t *testing.T) {
	c := copiesLoads[0]
	row := copiesOf(c, 500, sample{ops: 1000, took: 2 * time.Second, errors: 3, first: "-ERR no"}, []time.Duration{10 * time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond})
	if row.Leads != 10 || row.Follows != 3 || row.Ratio != 0.3 || row.Served != 500 || row.Depth != c.Depth {
		t.Errorf("%+v", row)
	}
	if r := copiesOf(c, 0, sample{took: time.Second}, make([]time.Duration, 3)).Ratio; r != 0 {
		t.Errorf("nothing was written, and the ratio is %v", r)
	}
	var out strings.Builder
	if err := copiesText(&out, 1000, []Copies{row}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1000 keys", "10.00", "3.00", "0.30", "0.70", "3 error replies, the first: -ERR no"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if n := len(Options{Only: "copies"}.copiesCells(3)); n != len(copiesLoads) {
		t.Errorf("%d cells of followers are run", n)
	}
	if n := len(Options{Only: "GET"}.copiesCells(3)); n != 0 {
		t.Errorf("%d cells of followers are run with GET alone", n)
	}
}
