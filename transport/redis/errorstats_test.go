package redis

import (
	"fmt"
	"testing"
)

// TestErrorStatsAreBounded: codes are counted each, and made-up ones do not grow the map.
func TestErrorStatsAreBounded(t *testing.T) {
	var e errorStats
	for range 3 {
		e.count([]byte("-MOVED 1 h:1\r\n"))
	}
	e.count([]byte("-ERR\r\n"))
	e.count([]byte("-\r\n"))
	if got := fmt.Sprint(e.fields()); got != "[[errorstat_ERR count=1] [errorstat_MOVED count=3]]" {
		t.Error(got)
	}
	for i := range 1000 {
		e.count(fmt.Appendf(nil, "-X%d x\r\n", i))
	}
	e.count([]byte("-MOVED 1 h:1\r\n"))
	if f := e.fields(); len(f) != errorCodesMax || f[1] != [2]string{"errorstat_MOVED", "count=4"} {
		t.Errorf("%d codes: %v", len(f), f[:2])
	}
}
