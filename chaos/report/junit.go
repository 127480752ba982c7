package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// junitSuites is the root of junit.xml, as the readers of continuous integration
// know it.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Seconds  string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

// junitCase is a property in a scenario, or the scenario's verdict as a whole.
type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Seconds string      `xml:"time,attr"`
	Failure *junitWords `xml:"failure"`
	Error   *junitWords `xml:"error"`
}

type junitWords struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes junit.xml: a case for each property that a scenario checked, and one
// for its verdict. What failed begins with the command that repeats it. What is
// inconclusive is an error and never a pass.
func (r *Report) JUnit(w io.Writer) error {
	all := junitSuites{}
	for i := range r.Scenarios {
		suite := r.Scenarios[i].junit()
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *Scenario) junit() junitSuite {
	suite := junitSuite{Name: s.Name, Seconds: fmt.Sprintf("%.3f", s.Took.Seconds())}
	for i := range s.Checks {
		suite.add(s.checked(&s.Checks[i]))
	}
	c := junitCase{Class: s.Name, Name: "verdict", Seconds: suite.Seconds}
	switch s.Verdict {
	case Pass:
	case Violated, BudgetMissed:
		c.Failure = s.words(s.Verdict, s.Reason, s.violationLines(""))
	default:
		c.Error = s.words(s.Verdict, s.Reason, "")
	}
	suite.add(c)
	return suite
}

func (t *junitSuite) add(c junitCase) {
	t.Tests++
	if c.Failure != nil {
		t.Failures++
	}
	if c.Error != nil {
		t.Errors++
	}
	t.Cases = append(t.Cases, c)
}

// checked is the case of one checker.
func (s *Scenario) checked(k *Check) junitCase {
	c := junitCase{Class: s.Name, Name: strings.TrimRight(k.Property+": "+k.Name, ": "), Seconds: "0"}
	switch {
	case k.Broken > 0:
		c.Failure = s.words(Violated, fmt.Sprintf("broken %d times", k.Broken), s.violationLines(k.Property))
	case k.Undecided > 0:
		c.Error = s.words(Inconclusive, fmt.Sprintf("%d of %d %s could not be decided", k.Undecided, k.Judged, k.Of), "")
	case k.Judged == 0:
		c.Error = s.words(Inconclusive, "it looked at nothing", "")
	}
	return c
}

func (s *Scenario) words(v Verdict, reason, text string) *junitWords {
	return &junitWords{Message: fmt.Sprintf("reproduce: %s: %s", s.Repro, reason), Type: string(v), Text: text}
}

// violationLines lists the violations of a property, or all.
func (s *Scenario) violationLines(property string) string {
	var b strings.Builder
	for _, v := range s.Violations {
		if property == "" || v.Property == property {
			fmt.Fprintf(&b, "%s at %s, key %s: %s\n", v.Property, moment(v.At), v.Key, v.What)
		}
	}
	return b.String()
}
