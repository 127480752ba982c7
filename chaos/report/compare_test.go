package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	slower := synthetic()
	slower.Scenarios = slower.Scenarios[:1]
	s := &slower.Scenarios[0]
	s.Verdict, s.Cluster.Server, s.Cluster.Note = BudgetMissed, "redis", hostile
	s.Losses = Losses{Acked: 10, Lost: 3}
	for i := range s.Unavailability[0].Gaps {
		s.Unavailability[0].Gaps[i].Write *= 10
		s.Unavailability[0].Gaps[i].Read -= time.Millisecond
	}
	c := Compare([]string{"ours"}, synthetic(), slower)
	var text, page, list bytes.Buffer
	for _, err := range []error{c.Text(&text), c.HTML(&page), c.JSON(&list)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	words := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{
		"kill a holder verdict pass budget missed changed",
		"kill: unavailable, writes, p99 611 ms 6.11 s first is better",
		"kill: unavailable, reads, p99 595 ms 594 ms equal",
		"kill: unavailable, other groups, max 14 ms 140 ms first is better",
		"acknowledged writes lost 5 3 first is worse of them not reported 0 3 first is better",
		"pause a holder verdict violation not run changed",
		"acknowledged writes lost 1 - of them not reported 1 -",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("the text does not say %q:\n%s", want, text.String())
		}
	}
	if fast := Compare([]string{"ours", "theirs"}, slower, synthetic()); !strings.Contains(fmt.Sprint(fast.Rows), "theirs went on") {
		slower.Scenarios[0].Losses.Reported = 3
		lossy := synthetic()
		lossy.Scenarios[0].Losses.Reported = 1
		fast = Compare([]string{"ours", "theirs"}, slower, lossy)
		if text := fmt.Sprint(fast.Rows); !strings.Contains(text, "theirs went on answering and lost 4 writes") {
			t.Errorf("a row does not say why the first is worse: %s", text)
		}
	} else {
		t.Error("a side that lost nothing is said to have lost writes")
	}
	var again Comparison
	if err := json.Unmarshal(list.Bytes(), &again); err != nil || len(again.Rows) != len(c.Rows) || again.Sides[0].Name != "ours" || !strings.HasPrefix(again.Sides[1].Name, "redis </script>") {
		t.Errorf("%v: of %d rows %d came back, of %+v", err, len(c.Rows), len(again.Rows), again.Sides)
	}
	if strings.Contains(page.String(), "<script") || strings.Contains(page.String(), "<img") || !strings.Contains(page.String(), "6.11 s") {
		t.Error("the page runs what a report brought along, or lacks a figure")
	}
}
