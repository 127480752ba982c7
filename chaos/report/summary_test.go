package report

import (
	"bytes"
	"testing"
)

func TestASummaryKeepsTheFacts(t *testing.T) {
	r := synthetic()
	small := r.Summary()
	var long, short bytes.Buffer
	if err := r.Encode(&long); err != nil {
		t.Fatal(err)
	}
	if err := small.Encode(&short); err != nil {
		t.Fatal(err)
	}
	if short.Len()*8 > long.Len() {
		t.Errorf("a summary has %d bytes of %d", short.Len(), long.Len())
	}
	a, b := &r.Scenarios[0], &small.Scenarios[0]
	if len(a.Latency.Points) == 0 || len(a.Unavailability[0].Gaps) != 48 {
		t.Error("the report itself was cut down")
	}
	if small.Verdict() != r.Verdict() || b.Unavailable() != a.Unavailable() || b.Unavailability[0].Others().Max != a.Unavailability[0].Others().Max || b.Losses.Sizes() != a.Losses.Sizes() || b.Operations != a.Operations {
		t.Errorf("a summary says %+v of %+v", b, a)
	}
}
