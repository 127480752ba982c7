package report

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
)

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := synthetic().JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	// A case for each check and each verdict: 3+1, 2+1, 1+1.
	if got.Tests != 9 || got.Failures != 2 || got.Errors != 3 || len(got.Suites) != 3 {
		t.Errorf("%d tests, %d failures, %d errors in %d suites", got.Tests, got.Failures, got.Errors, len(got.Suites))
	}
	stale := got.Suites[1].Cases[0]
	if stale.Failure == nil || !strings.HasPrefix(stale.Failure.Message, "reproduce: aegis-chaos run --scenario pause --seed 9: ") || !strings.Contains(stale.Failure.Text, "P2 at 7.012 s") {
		t.Errorf("the broken property says %+v", stale.Failure)
	}
	if c := got.Suites[1].Cases[1]; c.Error == nil || c.Failure != nil {
		t.Errorf("an undecided search is %+v", c)
	}
	if c := got.Suites[2].Cases[0]; c.Error == nil || !strings.Contains(c.Error.Message, "looked at nothing") {
		t.Errorf("a checker that looked at nothing is %+v", c)
	}
	for _, c := range got.Suites[0].Cases {
		if c.Failure != nil || c.Error != nil {
			t.Errorf("of a pass: %+v", c)
		}
	}
}
