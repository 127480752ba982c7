package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// TestScale holds the bars of large clusters at the two smaller sizes; make scale shows
// the third.
func TestScale(t *testing.T) {
	var rows []scaleRow
	for _, n := range []int{10, 100} {
		r := scaleOf(n)
		rows = append(rows, r)
		if r.Most > r.Bound {
			t.Errorf("%d nodes: one has %d copies, the bound is %d", n, r.Most, r.Bound)
		}
		if r.JoinElse > 0 || float64(r.JoinMoved) > 1.1*r.JoinIdeal || float64(r.LeaveMoved) > 1.1*r.LeaveIdeal {
			t.Errorf("%d nodes: a join moves %d copies (%d elsewhere, ideal %.1f), a leave %d (ideal %.0f)", n, r.JoinMoved, r.JoinElse, r.JoinIdeal, r.LeaveMoved, r.LeaveIdeal)
		}
	}
	var table bytes.Buffer
	if err := printScale(&table, rows); err != nil || !strings.Contains(table.String(), "group 0, KiB") {
		t.Errorf("%v\n%s", err, table.String())
	}
	d := xml.NewDecoder(bytes.NewReader(scalePicture(rows)))
	lines := 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != len(scaleLines) {
		t.Errorf("%d lines are drawn, want %d", lines, len(scaleLines))
	}
}
