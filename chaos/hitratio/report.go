package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// The bars, in points of hit ratio.
const (
	largeObjects = 6400 // a row of this capacity or more is large
	barOne       = 0.5  // one shard below S3-FIFO, large rows
	barMany      = 1.0  // 64 shards below S3-FIFO, large rows
	barSmall     = 3.0  // one shard below S3-FIFO, other rows
	barLRU       = 3.5  // below plain LRU, all rows
)

// Row is a trace at a capacity.
type Row struct {
	Trace     string             `json:"trace"`
	Requests  int                `json:"requests"`
	Objects   int                `json:"objects"`
	Capacity  int                `json:"capacityObjects"`
	Published float64            `json:"publishedS3FIFO,omitempty"` // hit ratio in %, 0 = none
	Judged    bool               `json:"judged"`                    // of small rows only those with a published figure, if there are figures
	Hits      map[string]float64 `json:"hitPercent"`
	Missed    []string           `json:"missed,omitempty"` // bars
}

// Report is what was measured and what it is worth.
type Report struct {
	Spare       int                `json:"spareBytesPerObject"`
	Contestants []string           `json:"contestants"`
	Rows        []*Row             `json:"rows"`
	MeanChange  map[string]float64 `json:"meanChangeOfMissesPercent"` // against LRU, large rows
	Missed      []string           `json:"missed"`
}

func (r *Row) name() string { return fmt.Sprintf("%s %d", r.Trace, r.Capacity) }

func (r *Row) large() bool { return r.Capacity >= largeObjects }

// bar is the hit ratio of S3-FIFO.
func (r *Row) bar() float64 {
	if r.Published > 0 {
		return r.Published
	}
	return r.Hits[nameS3]
}

// change is by how many percent a contestant has more misses than LRU, relative to
// the larger number, so that doubling and halving weigh the same.
func (r *Row) change(contestant string) float64 {
	misses, base := 100-r.Hits[contestant], 100-r.Hits[nameLRU]
	if misses == base {
		return 0
	}
	return 100 * (misses - base) / max(misses, base)
}

// judge compares the store with the bars.
func (r *Report) judge() {
	r.MeanChange = map[string]float64{}
	large := 0
	for _, row := range r.Rows {
		if row.Judged {
			row.judge()
		}
		for _, m := range row.Missed {
			r.Missed = append(r.Missed, row.name()+": "+m)
		}
		if row.large() {
			large++
			for _, c := range r.Contestants {
				r.MeanChange[c] += row.change(c)
			}
		}
	}
	for c := range r.MeanChange {
		r.MeanChange[c] /= float64(large)
	}
}

func (r *Row) judge() {
	below := func(name string, of string, ratio, allowed float64) {
		if by := ratio - r.Hits[name]; by > allowed {
			r.Missed = append(r.Missed, fmt.Sprintf("%s is %.2f points below %s, %.1f are allowed", name, by, of, allowed))
		}
	}
	if r.large() {
		below(nameOne, nameS3, r.bar(), barOne)
		below(nameMany, nameS3, r.bar(), barMany)
		below(nameMany, nameLRU, r.Hits[nameLRU], barLRU)
	} else {
		below(nameOne, nameS3, r.bar(), barSmall)
	}
	below(nameOne, nameLRU, r.Hits[nameLRU], barLRU)
}

// json writes the report as one object.
func (r *Report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// text writes the report as a table, large rows first.
func (r *Report) text(w io.Writer) error {
	fmt.Fprintf(w, "hit ratio in %%; the store has %d bytes for each object of the capacity, and pays for its own needs from them; the others count objects\n",
		keyBytes+valueBytes+r.Spare)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "trace\tcapacity\tbar\t")
	for _, c := range r.Contestants {
		fmt.Fprint(t, c, "\t")
	}
	fmt.Fprintln(t, "\t")
	for _, large := range []bool{true, false} {
		for _, row := range r.Rows {
			if row.large() == large {
				r.line(t, row)
			}
		}
		if large && len(r.MeanChange) > 0 {
			fmt.Fprint(t, "misses\tagainst\tLRU\t")
			for _, c := range r.Contestants {
				fmt.Fprintf(t, "%+.2f %%\t", r.MeanChange[c])
			}
			fmt.Fprintln(t, "\t")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range r.Missed {
		fmt.Fprintln(w, "MISSED", m)
	}
	if len(r.Missed) == 0 {
		fmt.Fprintln(w, "every bar holds: one shard and 64 shards beside S3-FIFO, and no row far below LRU")
	}
	return nil
}

func (r *Report) line(w io.Writer, row *Row) {
	fmt.Fprintf(w, "%s\t%d\t%.2f\t", row.Trace, row.Capacity, row.bar())
	for _, c := range r.Contestants {
		fmt.Fprintf(w, "%.2f\t", row.Hits[c])
	}
	verdict := "ok"
	switch {
	case len(row.Missed) > 0:
		verdict = "MISSED"
	case !row.Judged:
		verdict = "not judged"
	}
	fmt.Fprint(w, verdict, "\t\n")
}
