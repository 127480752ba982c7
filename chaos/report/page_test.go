package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// TestGoldenReport holds the schema still: a change of this file is a change of what
// others read.
func TestGoldenReport(t *testing.T) {
	r := synthetic()
	for i := range r.Scenarios {
		l := &r.Scenarios[i].Latency
		l.Points = first(4, l.Points)
	}
	var line, b bytes.Buffer
	if err := r.Encode(&line); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&b, line.Bytes(), "", " "); err != nil {
		t.Fatal(err)
	}
	const name = "testdata/report.json"
	if *rewrite {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s differs from what is written now; if that is meant, look at the difference and run with -rewrite (and raise Schema if a field changed its meaning)", name)
	}
}

// parsed is a page as a browser would take it.
type parsed struct {
	elements map[string]int
	ids      []string
	links    []string
	text     string
	handlers []string // attributes that would run something
}

func parse(t *testing.T, html string) parsed {
	t.Helper()
	if n := strings.Count(html, pageScript); n != 1 {
		t.Fatalf("the page has its script %d times", n)
	}
	d := xml.NewDecoder(strings.NewReader(strings.Replace(html, pageScript, "", 1)))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	p := parsed{elements: map[string]int{}}
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.CharData:
			text.Write(e)
		case xml.StartElement:
			p.elements[e.Name.Local]++
			text.WriteByte(' ')
			for _, a := range e.Attr {
				switch name := a.Name.Local; {
				case name == "id":
					p.ids = append(p.ids, a.Value)
				case name == "href":
					p.links = append(p.links, a.Value)
				case strings.HasPrefix(name, "on"), name == "src", name == "style", name == "action":
					p.handlers = append(p.handlers, name+"="+a.Value)
				}
			}
		}
	}
	p.text = strings.Join(strings.Fields(text.String()), " ")
	return p
}

func drawn(t *testing.T, r *Report) (string, parsed) {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String(), parse(t, b.String())
}

func TestThePageHoldsTheFacts(t *testing.T) {
	r := synthetic()
	html, p := drawn(t, r)
	for _, fact := range []string{
		"violation 1 of 3 scenarios passed, 1 violation, 1 inconclusive The longest time without service of a group that was hit: 611 ms, in kill a holder. Of 41,600 acknowledged writes 6 were lost, 1 of them without a word; 1 of them were majority writes. Repeat it: aegis-chaos run --scenario all --seed 7 seed 7 · commit 0123abc", // first of all
		"8.000 s kill of node1 581 ms to 611 ms group 15, served by node1 before, by node2 after group 0, 3, 6, 9, 12, 15 0 to 3, 12 to 15, 24 to 27, 36 to 39, 48 to 51, 60 to 63",                                                                                                                                                          // when, why, who
		"group 15 (60-63): no service for 611 ms, 8.000 s to 8.611 s; before by node1; after by node2 kill of node1",
		"the machine stood still for 21 ms at 33.000 s",
		"5 more times of a group and a fault are in no table",
		"What was broken says: a reading shows the newest write that is not declared lost.", "key user:", "· shard 40 ·",
		"pause a holder violation P2: a reading shows what was overwritten",
		"inconclusive skewed clocks", "the fault was not seen to act",
		"1. P2 at 7.012 s: client 3 read the value",
		"2 faults, and how each was seen to act", "no: its wall clock did not move",
		"kill 3 16 587 ms 595 ms 595 ms 595 ms 611 ms 611 ms 14 ms 14 ms L + 0.6 s = 1.20 s: kept",
		"group 15 60 to 63 yes 8.000 s 8.611 s 595 ms 611 ms node1 node2 540 ms 40 ms kill of node1",
		"lost by one takeover of a shard, p50 / p99 / max 2 / 3 / 3 writes",
		"lost, and nobody was told 1",
		"4,000 readings 1 0", "12 keys 0 1", "0 readings 0 0",
		"woke up late by 80 µs (p50), 3.0 ms (p99), 21 ms (max)",
		"group 0 (0-3) 8.000 s to 8.600 s: probes failed, nobody held the lease; kill of node1",
		"at most a second after pause of node1, partition one-way of node2 -&gt; node3",
	} {
		if !strings.Contains(p.text, strings.ReplaceAll(fact, "&gt;", ">")) {
			t.Errorf("the page does not say %q", fact)
		}
	}
	_, list, _ := strings.Cut(p.text, " Scenarios ")
	if i, k := strings.Index(list, "pause a holder"), strings.Index(list, "kill a holder"); i > k {
		t.Error("a scenario that passed stands before one that did not")
	}
	for _, l := range p.links {
		if id, ok := strings.CutPrefix(l, "#"); !ok || !slices.Contains(p.ids, id) {
			t.Errorf("a link leads to %q", l)
		}
	}
	for _, foreign := range []string{"http:", "https:", "url(", "@import", "ZgotmplZ"} {
		if strings.Contains(strings.ReplaceAll(html, `xmlns="http:`, ""), foreign) {
			t.Errorf("the page has %q in it: it must stand alone", foreign)
		}
	}
}

// TestNothingOfARunIsRun: keys and log lines are text, whatever they look like.
func TestNothingOfARunIsRun(t *testing.T) {
	r := synthetic()
	r.Suite, r.Repro, r.Commit = hostile, hostile, hostile
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		s.Name, s.About, s.Reason, s.Repro = hostile, hostile, hostile, hostile
		s.Cluster = Cluster{Server: hostile, Ack: hostile, WAL: hostile, Note: hostile}
		s.Errors, s.Files, s.Probes = map[string]int64{hostile: 1}, []string{hostile}, []Probe{{hostile, 1}}
		for k := range s.Faults {
			s.Faults[k].Kind, s.Faults[k].Target, s.Faults[k].Evidence = hostile, hostile, hostile
		}
		for k := range s.Nodes {
			s.Nodes[k].Name = hostile
			for x := range s.Nodes[k].Spans {
				s.Nodes[k].Spans[x].State = hostile
			}
		}
		for k := range s.Groups.Rows {
			s.Groups.Rows[k].Name = hostile
		}
		for k := range s.Violations {
			v := &s.Violations[k]
			v.Property, v.Shard = hostile, hostile
			for x := range v.Operations {
				v.Operations[x].Kind, v.Operations[x].Word, v.Operations[x].Version = hostile, hostile, hostile
			}
			for x := range v.Leases {
				v.Leases[x].Node, v.Leases[x].Group = hostile, hostile
			}
		}
		for k := range s.Latency.Points {
			s.Latency.Points[k].Kind = hostile
		}
		for k := range s.Unavailability {
			s.Unavailability[k].Fault, s.Unavailability[k].Bar = hostile, hostile
		}
		for k := range s.Checks {
			s.Checks[k] = Check{Property: hostile, Name: hostile, Of: hostile, Judged: 1}
		}
	}
	_, p := drawn(t, r)
	if p.elements["script"] != 1 || p.elements["img"] != 0 {
		t.Errorf("the page has %d scripts and %d pictures of others", p.elements["script"], p.elements["img"])
	}
	if len(p.handlers) != 0 {
		t.Errorf("attributes that would do something: %q", p.handlers)
	}
	if n := strings.Count(p.text, "<script>alert(1)</script>"); n < 40 {
		t.Errorf("hostile words stand there as text %d times", n)
	}
	if !strings.Contains(p.text, `\x00\xff`) {
		t.Error("bytes that no screen shows are not spelt out")
	}
}

// TestALargeRunIsASmallPage: a million operations, 64 groups, 200 faults.
func TestALargeRunIsASmallPage(t *testing.T) {
	s := Scenario{Name: "large", Verdict: Pass, Took: 100 * sec}
	random := rand.New(rand.NewPCG(1, 1))
	sampler := NewSampler(1)
	for i := range 1_000_000 {
		at := time.Duration(i) * 100 * time.Microsecond
		sampler.Add(Point{At: at, Took: time.Duration(random.ExpFloat64() * float64(4*ms)), Outcome: Outcome(random.IntN(300) / 298), Kind: "get"})
		s.Throughput.Add(at, OK)
	}
	s.Latency = sampler.Samples()
	for i := range 200 {
		s.Faults = append(s.Faults, Fault{Kind: fmt.Sprint("kind ", i%20), Target: "node1", Start: time.Duration(i) * sec / 2, End: time.Duration(i+1) * sec / 2})
	}
	s.Groups.Step = 100 * ms
	for i := range 64 {
		cells := bytes.Repeat([]byte{CellOK}, 1000)
		for range 30 {
			cells[random.IntN(1000)] = CellNoHolder
		}
		s.Groups.Rows = append(s.Groups.Rows, Row{Name: fmt.Sprint("group ", i), Cells: string(cells)})
	}
	html, p := drawn(t, &Report{Schema: Schema, Scenarios: []Scenario{s}})
	if len(html) > 500_000 {
		t.Errorf("the page has %d bytes", len(html))
	}
	if p.elements["path"] < 10 {
		t.Errorf("only %d paths are drawn", p.elements["path"])
	}
	if !strings.Contains(p.text, "of 1,000,000 operations") {
		t.Error("the page does not say how many operations there were")
	}
}

func TestAnEmptyReportIsDrawn(t *testing.T) {
	_, p := drawn(t, &Report{Schema: Schema, Suite: "run"})
	if !strings.Contains(p.text, "inconclusive nothing was run run") || !strings.Contains(p.text, "Nothing was run") {
		t.Errorf("an empty report says %q", p.text)
	}
	_, p = drawn(t, &Report{Schema: Schema, Scenarios: []Scenario{{Name: "bare", Violations: []Violation{{Property: "P1"}}}}})
	if !strings.Contains(p.text, "bare") || !strings.Contains(p.text, "1. P1: ") || p.elements["circle"] != 0 {
		t.Errorf("a bare scenario says %q", p.text)
	}
}
