package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/axis"
)

const (
	aroundRow  = 15
	aroundMost = 40 // rows; the tables below the picture have all
)

// around draws the operations and the leases next to a violation: a bar for each,
// on a time axis of their own.
func around(s *Scenario, number int) template.HTML {
	v := &s.Violations[number]
	ops := nearest(v)
	if len(ops)+len(v.Leases) == 0 {
		return ""
	}
	from, to := v.At, v.At
	for _, o := range ops {
		from, to = min(from, o.Start), max(to, o.End)
	}
	margin := max((to-from)/20, time.Millisecond)
	from, to = from-margin, to+margin
	d := &drawing{s: s, x: axis.Axis{Low: from.Seconds(), High: to.Seconds(), From: drawLeft, To: drawRight, Scale: axis.Linear}}
	leases := first(aroundMost, v.Leases)
	high := float64((len(ops)+len(leases))*aroundRow + 34)
	d.put(`<svg viewBox="0 0 %d %.0f" role="img" aria-label="operations and leases around the violation">`, drawWidth, high+16)
	step := axis.Step((to - from).Seconds() / 8)
	for k := float64(int64(from.Seconds()/step) + 1); k*step < to.Seconds(); k++ {
		x := px(d.x.At(k * step))
		d.put(`<line class="g" x1="%s" x2="%s" y1="4" y2="%s"/><text x="%s" y="%s" text-anchor="middle">%.6g s</text>`, x, x, px(high-16), x, px(high), k*step)
	}
	for i, l := range leases {
		d.bar(i, "up", l.Start, l.End, l.Node, fmt.Sprintf("serves %s, epoch %d", l.groupName(), l.Epoch))
	}
	for i, o := range ops {
		class := "o-" + o.Outcome.String()
		if o.Wrong {
			class = "o-wrong"
		}
		d.bar(len(leases)+i, class, o.Start, o.End, fmt.Sprintf("client %d", o.Client), o.String())
	}
	x := px(d.at(v.At))
	d.put(`<line class="pin" x1="%s" x2="%s" y1="4" y2="%s"/></svg>`, x, x, px(high-16))
	return template.HTML(d.String()) //nolint:gosec // every word in it went through esc
}

// nearest are the operations that have room, those next to the violation.
func nearest(v *Violation) []Operation {
	far := func(o Operation) time.Duration {
		if o.Wrong {
			return 0
		}
		return max(v.At-o.End, o.Start-v.At, 1)
	}
	all := slices.Clone(v.Operations)
	slices.SortStableFunc(all, func(a, b Operation) int { return cmp.Compare(far(a), far(b)) })
	all = first(aroundMost, all)
	slices.SortStableFunc(all, func(a, b Operation) int { return cmp.Compare(a.Start, b.Start) })
	return all
}

// bar is a row of the picture.
func (d *drawing) bar(row int, class string, from, to time.Duration, name, text string) {
	y := float64(row*aroundRow) + 6
	left, right := d.at(from), d.at(to)
	d.put(`<text x="%d" y="%s" text-anchor="end">%s</text>`, drawLeft-8, px(y+10), esc(short(name, 18)))
	d.put(`<rect class="%s" x="%s" y="%s" width="%s" height="%d"><title>%s</title></rect>`, class, px(left), px(y), px(max(right-left, 3)), aroundRow-3,
		esc(fmt.Sprintf("%s: %s, %s to %s", name, text, moment(from), moment(to))))
	if text = short(text, 40); right < drawRight-260 {
		d.put(`<text x="%s" y="%s">%s</text>`, px(right+6), px(y+10), esc(text))
	} else {
		d.put(`<text x="%s" y="%s" text-anchor="end">%s</text>`, px(max(left-6, drawLeft+250)), px(y+10), esc(text))
	}
}

// String is an operation in words.
func (o *Operation) String() string {
	s := o.Kind
	if o.Arg != nil {
		s += " " + o.Arg.String()
	}
	if o.Value != nil {
		s += " = " + o.Value.String()
	}
	if o.Outcome != OK {
		s += ": " + o.Outcome.String()
	}
	if o.Word != "" {
		s += " " + o.Word
	}
	return s
}

// groupName is the group in words: reports hold its number or its name.
func (i *Interval) groupName() string {
	if strings.HasPrefix(i.Group, "group ") {
		return i.Group
	}
	return "group " + i.Group
}
