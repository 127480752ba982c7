package load

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is a whole run; it is what --json writes and --compare reads.
type Result struct {
	Name      string         `json:"name,omitempty"` // the file it was read from
	Server    string         `json:"server"`
	Plan      Plan           `json:"plan"`
	Started   time.Time      `json:"started"`
	Took      float64        `json:"seconds"`
	Ops       int64          `json:"operations"` // answered, errors left out
	Rate      float64        `json:"operationsPerSecond"`
	Misses    int            `json:"misses"`
	Errors    map[string]int `json:"errors"`    // by code
	Redirects int64          `json:"redirects"` // MOVED that were followed, plain RESP only
	Unsent    int64          `json:"unsent"`    // due and never sent: the server was too slow for the rate
	All       Latency        `json:"latency"`
	Gets      Latency        `json:"gets"`
	Sets      Latency        `json:"sets"`
	Late      Latency        `json:"generatorLateness"` // how late idle workers woke up; it is part of the latencies
	Seconds   []Second       `json:"timeline"`

	histogram *hdrhistogram.Histogram
}

// Latency is a distribution in microseconds.
type Latency struct {
	Count int64        `json:"count"`
	Mean  float64      `json:"mean"`
	P50   float64      `json:"p50"`
	P90   float64      `json:"p90"`
	P99   float64      `json:"p99"`
	P999  float64      `json:"p999"`
	Max   float64      `json:"max"`
	Curve [][2]float64 `json:"curve,omitempty"` // percentile, microseconds
}

func latencyOf(h *hdrhistogram.Histogram, curve bool) Latency {
	l := Latency{Count: h.TotalCount(), Mean: h.Mean() / 1e3, P50: micros(h, 50), P90: micros(h, 90), P99: micros(h, 99), P999: micros(h, 99.9), Max: float64(h.Max()) / 1e3}
	if !curve || l.Count == 0 {
		return l
	}
	for _, b := range h.CumulativeDistribution() {
		l.Curve = append(l.Curve, [2]float64{b.Quantile, float64(b.ValueAt) / 1e3})
	}
	return l
}

// fill takes the tallies of a run that is over.
func (res *Result) fill(r *run) {
	t := newTally()
	for _, one := range r.tallies {
		t.merge(one)
	}
	h := NewHistogram()
	h.Merge(t.gets)
	h.Merge(t.sets)
	res.histogram = h
	res.Took = time.Since(r.begun).Seconds()
	res.Ops, res.Misses, res.Errors, res.Unsent = h.TotalCount(), t.misses, t.errors, r.unsent.Load()
	res.Rate = float64(res.Ops) / res.Took
	res.All, res.Gets, res.Sets, res.Late = latencyOf(h, true), latencyOf(t.gets, false), latencyOf(t.sets, false), latencyOf(t.late, false)
	if r.cluster != nil {
		res.Redirects = r.cluster.redirects.Load()
	}
}

// Histogram is the distribution of all latencies, in nanoseconds; nil when the result was
// read from a file.
func (res *Result) Histogram() *hdrhistogram.Histogram { return res.histogram }

// WriteHDR writes the distribution in the text form of HdrHistogram, in microseconds.
func (res *Result) WriteHDR(w io.Writer) error {
	_, err := res.histogram.PercentilesPrint(w, 5, 1e3)
	return err
}

// JSON writes the result as one object.
func (res *Result) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(res)
}

// ReadResult reads a file that JSON wrote.
func ReadResult(name string) (*Result, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	if err := json.Unmarshal(b, r); err != nil || r.All.Count == 0 {
		return nil, fmt.Errorf("%s holds no result of aegis bench --json", name)
	}
	r.Name = name
	return r, nil
}

// Text writes the result for people.
func (res *Result) Text(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s\n", res.Server, res.Plan.String())
	fmt.Fprintf(w, "%d operations in %.1f s: %.0f op/s; %d misses, %d redirects, errors: %s\n", res.Ops, res.Took, res.Rate, res.Misses, res.Redirects, errorWords(res.Errors))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "microseconds\tcount\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		l    Latency
	}{{"all", res.All}, {"GET", res.Gets}, {"SET", res.Sets}} {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", row.name, row.l.Count, row.l.Mean, row.l.P50, row.l.P90, row.l.P99, row.l.P999, row.l.Max)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range res.remarks() {
		fmt.Fprintln(w, s)
	}
	return nil
}

// remarks are what a reader of the figures must know.
func (res *Result) remarks() (lines []string) {
	if res.Plan.Rate == 0 {
		return []string{"as fast as answered: this shows throughput; latency is charged for each batch alone (give --rate for what users would see)"}
	}
	lines = append(lines, fmt.Sprintf("latency counts from the intended time; the generator itself was late by p99 %.0f us", res.Late.P99))
	if res.Unsent > 0 {
		lines = append(lines, fmt.Sprintf("%d operations that were due never left: the server does not sustain this rate, and latency is that of a queue", res.Unsent))
	}
	return lines
}

func errorWords(errors map[string]int) string {
	if len(errors) == 0 {
		return "none"
	}
	var words []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		words = append(words, fmt.Sprintf("%s %d", code, errors[code]))
	}
	return strings.Join(words, ", ")
}

// Compare writes two results side by side; ratios are b's by a's.
func Compare(w io.Writer, a, b *Result) error {
	fmt.Fprintf(w, "A  %s  %s: %s\nB  %s  %s: %s\n", a.Name, a.Server, a.Plan.String(), b.Name, b.Server, b.Plan.String())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tA\tB\tB/A\t")
	row := func(name string, x, y float64) {
		ratio := "-"
		if x > 0 {
			ratio = fmt.Sprintf("%.2f", y/x)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%s\t\n", name, x, y, ratio)
	}
	row("op/s", a.Rate, b.Rate)
	row("mean us", a.All.Mean, b.All.Mean)
	row("p50 us", a.All.P50, b.All.P50)
	row("p90 us", a.All.P90, b.All.P90)
	row("p99 us", a.All.P99, b.All.P99)
	row("p99.9 us", a.All.P999, b.All.P999)
	row("max us", a.All.Max, b.All.Max)
	row("GET p99 us", a.Gets.P99, b.Gets.P99)
	row("SET p99 us", a.Sets.P99, b.Sets.P99)
	row("errors", float64(a.errors()), float64(b.errors()))
	row("unsent", float64(a.Unsent), float64(b.Unsent))
	return t.Flush()
}

func (res *Result) errors() (n int) {
	for k := range maps.Values(res.Errors) {
		n += k
	}
	return n
}
