package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/baxromumarov/aegisKV/internal/axis"
)

// series are the colours of the latency panel, in the order they are drawn: what
// failed lies on top.
var series = []string{"read", "write", "refused", "unknown"}

// of is the series that a point belongs to.
func (p *Point) series() string {
	switch {
	case p.Outcome == Refused:
		return "refused"
	case p.Outcome == Unknown:
		return "unknown"
	case p.Kind == "get" || p.Kind == "read":
		return "read"
	}
	return "write"
}

// latency draws the points over a logarithmic axis. A cell of two pixels is drawn
// once for each series, however many operations fell into it.
func (d *drawing) latency() {
	points := d.s.Latency.Points
	if len(points) == 0 {
		return
	}
	title := fmt.Sprintf("Latency: %s, %s, %s, %s; drawn are %s of %s operations, with %s of %s slow or failed ones",
		swatch("key-read", "reads"), swatch("key-write", "writes"), swatch("key-refused", "refused"), swatch("key-unknown", "outcome unknown"),
		thousands(int64(len(points))), thousands(d.s.Latency.Of), thousands(min(d.s.Latency.Outliers, pointsKept)), thousands(d.s.Latency.Outliers))
	top := d.panel(title, latencyHi)
	low, high := math.Inf(1), 1.0
	for _, p := range points {
		us := max(float64(p.Took.Nanoseconds())/1e3, 1)
		low, high = min(low, us), max(high, us)
	}
	y := axis.Axis{From: top + latencyHi, To: top, Scale: axis.Logarithm}
	y.Low, y.High = axis.Decades(low, high)
	for v := y.Low; v <= y.High; v *= 10 {
		d.level(y.At(v), axis.Microseconds(v))
	}
	cells := map[string]map[[2]int]bool{}
	for _, c := range series {
		cells[c] = map[[2]int]bool{}
	}
	for _, p := range points {
		cells[p.series()][[2]int{int(d.at(p.At)) &^ 1, int(y.At(float64(p.Took.Nanoseconds())/1e3)) &^ 1}] = true
	}
	for _, c := range series {
		d.put(`<path class="p %s" d="%s"/>`, c, dots(cells[c]))
	}
	d.slowest(points, y)
}

// dots is a path with a dot for each cell.
func dots(cells map[[2]int]bool) string {
	all := make([][2]int, 0, len(cells))
	for c := range cells {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "M%d %dh0", c[0], c[1])
	}
	return b.String()
}

// slowest gives the slowest operations a place to point at.
func (d *drawing) slowest(points []Point, y axis.Axis) {
	all := slices.Clone(points)
	slices.SortStableFunc(all, func(a, b Point) int { return cmp.Compare(b.Took, a.Took) })
	for _, p := range first(60, all) {
		d.put(`<circle class="hit" cx="%s" cy="%s" r="5"><title>%s</title></circle>`, px(d.at(p.At)), px(y.At(float64(p.Took.Nanoseconds())/1e3)),
			esc(fmt.Sprintf("%s, %s, begun at %s: %s", p.Kind, duration(p.Took), moment(p.At), p.Outcome)))
	}
}

// level is a line across a panel with its label.
func (d *drawing) level(y float64, label string) {
	d.put(`<line class="g" x1="%d" x2="%d" y1="%s" y2="%s"/><text x="%d" y="%s" text-anchor="end">%s</text>`, drawLeft, drawRight, px(y), px(y), drawLeft-8, px(y+4), label)
}

// throughput draws operations in a second, those that failed on top of those that
// were done.
func (d *drawing) throughput() {
	t := &d.s.Throughput
	if len(t.OK) == 0 || t.Step <= 0 {
		return
	}
	top := d.panel("Operations in a second: "+swatch("a-ok", "done")+", "+swatch("key-refused", "refused")+", "+swatch("key-unknown", "outcome unknown"), rateHigh)
	share := max(1, (len(t.OK)+columns-1)/columns) // steps that one column of the picture sums up
	layers := [3][]float64{t.column(t.OK, share), t.column(t.Refused, share), t.column(t.Unknown, share)}
	most := 1.0
	for i := range layers[0] {
		most = max(most, layers[0][i]+layers[1][i]+layers[2][i])
	}
	step := axis.Step(most / 3)
	y := axis.Axis{Low: 0, High: math.Ceil(most/step) * step, From: top + rateHigh, To: top, Scale: axis.Linear}
	for v := 0.0; v <= y.High; v += step {
		d.level(y.At(v), thousands(int64(v)))
	}
	floor := make([]float64, len(layers[0]))
	for i, c := range []string{"a-ok", "a-refused", "a-unknown"} {
		d.put(`<path class="%s" d="%s"/>`, c, d.area(floor, layers[i], y, share))
		for k := range floor {
			floor[k] += layers[i][k]
		}
	}
}

// column sums steps up to operations in a second.
func (t *Throughput) column(counts []int64, share int) []float64 {
	out := make([]float64, (len(t.OK)+share-1)/share)
	for i, n := range first(len(t.OK), counts) {
		out[i/share] += float64(n)
	}
	for i := range out {
		out[i] /= float64(min(share, len(t.OK)-i*share)) * t.Step.Seconds()
	}
	return out
}

// area draws what stands on the floor, in runs where there is any.
func (d *drawing) area(floor, layer []float64, y axis.Axis, share int) string {
	var b strings.Builder
	width := float64(share) * d.s.Throughput.Step.Seconds()
	for i, v := range layer {
		if v == 0 {
			continue
		}
		left, right := d.x.At(float64(i)*width), min(d.x.At(float64(i+1)*width), drawRight)
		bottom, top := y.At(floor[i]), y.At(floor[i]+v)
		fmt.Fprintf(&b, "M%.1f %.1fH%.1fV%.1fH%.1fz", left, bottom, right, top, left)
	}
	return b.String()
}
