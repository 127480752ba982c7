package report

import (
	_ "embed" // the page's frame
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Comparison is several reports side by side, in the order they were given: two
// runs of one suite, or one suite on several servers.
type Comparison struct {
	Sides []Side        `json:"sides"`
	Rows  []ComparedRow `json:"rows"`
}

// Side is one of the reports.
type Side struct {
	Name    string  `json:"name"`
	Suite   string  `json:"suite"`
	Seed    uint64  `json:"seed"`
	Commit  string  `json:"commit"`
	Verdict Verdict `json:"verdict"`
}

// ComparedRow is one figure of one scenario. Of figures less is better.
type ComparedRow struct {
	Scenario string   `json:"scenario"`
	What     string   `json:"what"`
	Unit     string   `json:"unit"`    // "ns", "writes", or "" for a verdict
	Figures  []*int64 `json:"figures"` // null where a side has none
	Values   []string `json:"values"`  // the same for people
	Mark     string   `json:"mark"`    // what a reader should see: "changed", "first is better", "first is worse", "equal", ""
	Why      string   `json:"why"`     // what is known about a row in which the first is worse
}

// Marks of a row. A side is better or worse than another only beyond what two runs
// of one thing differ by.
const (
	MarkChanged = "changed"
	MarkBetter  = "first is better"
	MarkWorse   = "first is worse"
	MarkEqual   = "equal"
)

// compareNoise is how far apart two durations must lie to differ: runs on a busy
// machine are not exact.
const compareNoise = 1.05

// Compare puts reports side by side, by the names of their scenarios and faults.
// names may be shorter; then a side is called by what its scenarios ran on.
func Compare(names []string, reports ...*Report) *Comparison {
	c := &Comparison{}
	for i, r := range reports {
		name := r.Server()
		if i < len(names) {
			name = names[i]
		}
		c.Sides = append(c.Sides, Side{name, r.Suite, r.Seed, r.Commit, r.Verdict()})
	}
	var scenarios []string
	for _, r := range reports {
		for i := range r.Scenarios {
			if name := r.Scenarios[i].Name; !slices.Contains(scenarios, name) {
				scenarios = append(scenarios, name)
			}
		}
	}
	for _, name := range scenarios {
		c.scenario(name, reports)
	}
	return c
}

// Server is what a report's first scenario ran on, without what clients there were.
func (r *Report) Server() string {
	if len(r.Scenarios) == 0 {
		return r.Suite
	}
	c := r.Scenarios[0].Cluster
	note, _, _ := strings.Cut(c.Note, ";")
	return strings.TrimSpace(c.Server + " " + note)
}

func (r *Report) scenario(name string) *Scenario {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == name {
			return &r.Scenarios[i]
		}
	}
	return nil
}

func (c *Comparison) scenario(name string, reports []*Report) {
	sides := make([]*Scenario, len(reports))
	verdicts := ComparedRow{Scenario: name, What: "verdict"}
	var faults []string
	for i, r := range reports {
		sides[i] = r.scenario(name)
		text := "not run"
		if sides[i] != nil {
			text = string(sides[i].Verdict)
			for _, u := range sides[i].Unavailability {
				if !slices.Contains(faults, u.Fault) {
					faults = append(faults, u.Fault)
				}
			}
		}
		verdicts.Values = append(verdicts.Values, text)
		if text != verdicts.Values[0] {
			verdicts.Mark = MarkChanged
		}
	}
	c.Rows = append(c.Rows, verdicts)
	for _, f := range faults {
		c.unavailability(name, f, sides)
	}
	c.losses(name, sides)
}

// unavailability adds the rows of one kind of fault.
func (c *Comparison) unavailability(name, fault string, sides []*Scenario) {
	for _, of := range []struct {
		what string
		part func(*Unavailability) Distribution
		max  bool
	}{
		{"reads", (*Unavailability).Read, false},
		{"writes", (*Unavailability).Write, false},
		{"other groups", (*Unavailability).Others, true},
	} {
		for _, q := range []struct {
			name string
			of   func(Distribution) time.Duration
		}{
			{"p50", func(d Distribution) time.Duration { return d.P50 }},
			{"p99", func(d Distribution) time.Duration { return d.P99 }},
			{"max", func(d Distribution) time.Duration { return d.Max }},
		} {
			if of.max && q.name != "max" {
				continue
			}
			c.row(name, fmt.Sprintf("%s: unavailable, %s, %s", fault, of.what, q.name), "ns", sides, func(s *Scenario) (int64, bool) {
				for i := range s.Unavailability {
					if u := &s.Unavailability[i]; u.Fault == fault {
						d := of.part(u)
						return int64(q.of(d)), d.Count > 0
					}
				}
				return 0, false
			})
		}
	}
}

// losses adds the rows about acknowledged writes.
func (c *Comparison) losses(name string, sides []*Scenario) {
	for _, l := range []struct {
		what string
		of   func(*Losses) int64
	}{
		{"acknowledged writes lost", func(l *Losses) int64 { return l.Lost + l.LostMajority }},
		{"of them not reported", (*Losses).Unreported},
	} {
		c.row(name, l.what, "writes", sides, func(s *Scenario) (int64, bool) {
			return l.of(&s.Losses), s.Losses.Acked+s.Losses.AckedMajority > 0
		})
	}
}

// row adds a figure unless no side has it.
func (c *Comparison) row(name, what, unit string, sides []*Scenario, of func(*Scenario) (int64, bool)) {
	r := ComparedRow{Scenario: name, What: what, Unit: unit}
	found := false
	for _, s := range sides {
		r.Figures, r.Values = append(r.Figures, nil), append(r.Values, "-")
		if s == nil {
			continue
		}
		if v, ok := of(s); ok {
			i := len(r.Figures) - 1
			r.Figures[i], r.Values[i], found = &v, thousands(v), true
			if unit == "ns" {
				r.Values[i] = duration(time.Duration(v))
			}
		}
	}
	if !found {
		return
	}
	best := r.mark()
	if r.Mark == MarkWorse && unit == "ns" && sides[best].Losses.Unreported() > sides[0].Losses.Unreported() {
		r.Why = fmt.Sprintf("%s went on answering and lost %s writes that it had acknowledged", c.Sides[best].Name, thousands(sides[best].Losses.Unreported()))
	}
	c.Rows = append(c.Rows, r)
}

// mark compares the first side with the best of the others, and says which that is.
func (r *ComparedRow) mark() (best int) {
	noise := 1.0
	if r.Unit == "ns" {
		noise = compareNoise
	}
	for i, f := range r.Figures {
		if i > 0 && f != nil && (best == 0 || *f < *r.Figures[best]) {
			best = i
		}
	}
	first, other := r.Figures[0], r.Figures[best]
	switch {
	case first == nil || best == 0:
	case float64(*first)*noise < float64(*other):
		r.Mark = MarkBetter
	case float64(*first) > float64(*other)*noise:
		r.Mark = MarkWorse
	default:
		r.Mark = MarkEqual
	}
	return best
}

// JSON writes the comparison for programs.
func (c *Comparison) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// Text writes the comparison for a terminal.
func (c *Comparison) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "scenario\tfigure")
	for _, s := range c.Sides {
		fmt.Fprint(t, "\t", s.Name)
	}
	fmt.Fprintln(t, "\t")
	last := ""
	for _, r := range c.Rows {
		name := r.Scenario
		if name == last {
			name = ""
		}
		last = r.Scenario
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name, r.What, strings.Join(r.Values, "\t"), r.said())
	}
	return t.Flush()
}

// said is the mark, with what is known about it.
func (r *ComparedRow) said() string {
	if r.Why == "" {
		return r.Mark
	}
	return r.Mark + ": " + r.Why
}

//go:embed compare.html
var compareFrame string

var comparePage = template.Must(template.New("compare").Funcs(template.FuncMap{"class": class}).Parse(compareFrame))

// HTML writes the comparison as a page that loads nothing.
func (c *Comparison) HTML(w io.Writer) error {
	return comparePage.Execute(w, struct {
		*Comparison
		Style template.CSS
	}{c, template.CSS(pageStyle)})
}
