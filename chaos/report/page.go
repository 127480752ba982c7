package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's style, script and frame
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

//go:embed page.html
var pageFrame string

// page is parsed once. html/template escapes every word that a run brought along:
// keys and log lines are anything. As a second fence the page names the only script
// that a browser may run, by its digest.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"dur":      duration,
	"at":       moment,
	"class":    class,
	"timeline": timeline,
	"around":   around,
	"first":    func(n int, list any) any { v := reflect.ValueOf(list); return v.Slice(0, min(n, v.Len())).Interface() },
	"before":   func(d time.Duration) time.Duration { return d - time.Second },
	"next":     func(n int) int { return n + 1 },
	"faults":   func(s *Scenario, from, to time.Duration) string { return strings.Join(s.faultsIn(from, to), ", ") },
	"names":    spans,
	"meaning":  meaning,
	"group":    thousands,
	"rate":     rate,
}).Parse(pageFrame))

// HTML writes report.html: one file that loads nothing, readable without its script,
// in the reader's light or dark mode.
func (r *Report) HTML(w io.Writer) error {
	sum := sha256.Sum256([]byte(pageScript))
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		*Report
		Style  template.CSS
		Script template.JS
		Digest string
	}{r, template.CSS(pageStyle), template.JS(pageScript), base64.StdEncoding.EncodeToString(sum[:])})
	if err == nil {
		_, err = w.Write(bytes.Map(printable, b.Bytes()))
	}
	return err
}

// printable replaces what is no text, invalid UTF-8 among it: log lines are anything.
func printable(r rune) rune {
	if unicode.IsControl(r) && r != '\n' && r != '\t' {
		return unicode.ReplacementChar
	}
	return r
}

// numbered is a scenario with its place in the report, which its links carry.
type numbered struct {
	Number   int
	Scenario *Scenario
}

// Ordered is the order of a page: what needs a reader's eyes comes first, and of what is
// equally well that which was away longest.
func (r *Report) Ordered() []numbered {
	all := make([]numbered, len(r.Scenarios))
	for i := range all {
		all[i] = numbered{i, &r.Scenarios[i]}
	}
	slices.SortStableFunc(all, func(a, b numbered) int {
		return cmp.Or(b.Scenario.Verdict.rank()-a.Scenario.Verdict.rank(), cmp.Compare(b.Scenario.Unavailable().Max, a.Scenario.Unavailable().Max))
	})
	return all
}

// class is the name of a verdict, state or outcome as the style knows it.
func class(v any) string { return strings.ReplaceAll(fmt.Sprint(v), " ", "-") }

// duration is for people: three digits are enough.
func duration(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3)
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}

// moment is a time in a scenario, to the millisecond.
func moment(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// thousands writes a number with its digits in groups.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rate is operations in a second.
func rate(n int64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return thousands(int64(float64(n)/d.Seconds())) + "/s"
}

// first is the beginning of a list.
func first[T any](n int, list []T) []T { return list[:min(n, len(list))] }

// faultsIn names the faults that touch a time, each once.
func (s *Scenario) faultsIn(from, to time.Duration) (names []string) {
	for _, f := range s.Faults {
		if name := f.Kind + " of " + f.Target; f.Start <= to && f.End >= from && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Worst are the unavailabilities that a reader looks at first: all gaps, the longest
// first.
func (u *Unavailability) Worst() []Gap {
	all := slices.Clone(u.Gaps)
	slices.SortStableFunc(all, func(a, b Gap) int { return int(max(b.Read, b.Write) - max(a.Read, a.Write)) })
	return all
}

// Longest is the longer of a gap's two.
func (g Gap) Longest() time.Duration { return max(g.Read, g.Write) }

// End is the first success after the gap.
func (g Gap) End() time.Duration { return g.At + g.Longest() }

// Missed says whether the affected groups' p99 is above the budget.
func (u *Unavailability) Missed() bool {
	return u.Budget > 0 && max(u.Read().P99, u.Write().P99) > u.Budget
}

// Unavailable is the longest p99 and the longest gap of affected groups, of all
// faults.
func (s *Scenario) Unavailable() (d Distribution) {
	for i := range s.Unavailability {
		for _, x := range []Distribution{s.Unavailability[i].Read(), s.Unavailability[i].Write()} {
			d.Count += x.Count
			d.P99, d.Max = max(d.P99, x.P99), max(d.Max, x.Max)
		}
	}
	return d
}
