package load

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// The plot is written by hand: two panels of lines need no library, and the file stays
// small, loads nothing, and follows the reader's light or dark mode.

// plotStyle holds the only colours: a for the first run, b for the second.
const plotStyle = `<style>
:root{color-scheme:light dark}
svg{background:#fff;font:12px system-ui,sans-serif}
text{fill:#444}.h{font-size:14px;fill:#111}.g{stroke:#ddd}.l{fill:none;stroke-width:1.8}
.a{stroke:#1668c5}.b{stroke:#c8501a}.fa{fill:#1668c5}.fb{fill:#c8501a}
@media(prefers-color-scheme:dark){svg{background:#15181c}text{fill:#aab}.h{fill:#eef}.g{stroke:#333a44}
.a{stroke:#6cb2ff}.b{stroke:#ff9a62}.fa{fill:#6cb2ff}.fb{fill:#ff9a62}}
</style>
`

const (
	plotWidth  = 880
	panelLeft  = 70
	panelWidth = plotWidth - panelLeft - 20
	panelRoom  = 300 // height that a panel takes with its title and labels
	panelHigh  = 210
)

// Plot writes an SVG of the latency by percentile and the throughput over time, of one
// run or two.
func Plot(w io.Writer, runs ...*Result) error {
	var b strings.Builder
	top := 26 + 18*len(runs)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d">`+"\n", plotWidth, top+2*panelRoom, plotWidth)
	b.WriteString(plotStyle)
	for i, r := range runs {
		text := r.Server + ": " + r.Plan.String()
		if r.Name != "" {
			text = r.Name + ", " + text
		}
		fmt.Fprintf(&b, `<text x="20" y="%d" class="f%c">%s</text>`+"\n", 24+18*i, 'a'+i, html.EscapeString(text))
	}
	plotLatency(&b, top, runs)
	plotTime(&b, top+panelRoom, runs)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// axis maps values to pixels.
type axis struct {
	low, high float64
	from, to  float64 // pixels
	scale     func(float64) float64
	ticks     []float64
	label     func(float64) string
}

func (a axis) at(v float64) float64 {
	lo, hi := a.scale(a.low), a.scale(a.high)
	if hi == lo {
		return a.from
	}
	return a.from + (a.scale(v)-lo)/(hi-lo)*(a.to-a.from)
}

func linear(v float64) float64 { return v }

// nines stretches percentiles as readers of latencies think: 0, 90, 99, 99.9 are equally apart.
func nines(q float64) float64 { return -math.Log10(1 - min(q, 99.9999)/100) }

func logarithm(v float64) float64 { return math.Log10(max(v, 1)) }

// panel draws title, grid and labels.
func panel(b *strings.Builder, top int, title string, x, y axis) {
	fmt.Fprintf(b, `<text x="%d" y="%d" class="h">%s</text>`+"\n", panelLeft, top+20, title)
	for _, v := range y.ticks {
		fmt.Fprintf(b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			panelLeft, panelLeft+panelWidth, y.at(v), y.at(v), panelLeft-6, y.at(v)+4, y.label(v))
	}
	for _, v := range x.ticks {
		fmt.Fprintf(b, `<line class="g" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			x.at(v), x.at(v), y.from, y.to, x.at(v), y.from+16, x.label(v))
	}
}

func line(b *strings.Builder, class string, x, y axis, points [][2]float64) {
	fmt.Fprintf(b, `<polyline class="l %s" points="`, class)
	for _, p := range points {
		fmt.Fprintf(b, "%.1f,%.1f ", x.at(p[0]), y.at(p[1]))
	}
	b.WriteString(`"/>` + "\n")
}

func plotLatency(b *strings.Builder, top int, runs []*Result) {
	low, high := math.Inf(1), 1.0
	for _, r := range runs {
		for _, p := range r.All.Curve {
			low, high = min(low, p[1]), max(high, p[1])
		}
	}
	low, high = math.Pow(10, math.Floor(logarithm(min(low, high)))), math.Pow(10, math.Ceil(logarithm(high)))
	x := axis{low: 0, high: 99.9999, from: panelLeft, to: panelLeft + panelWidth, scale: nines, ticks: []float64{0, 50, 90, 99, 99.9, 99.99, 99.999}, label: func(v float64) string { return fmt.Sprintf("%g%%", v) }}
	y := axis{low: low, high: max(high, 10*low), from: float64(top + 30 + panelHigh), to: float64(top + 30), scale: logarithm, label: duration}
	for v := y.low; v <= y.high; v *= 10 {
		y.ticks = append(y.ticks, v)
	}
	panel(b, top, "Latency by percentile", x, y)
	for i, r := range runs {
		line(b, string(rune('a'+i)), x, y, r.All.Curve)
	}
}

// duration is microseconds for a label.
func duration(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%g ms", us/1e3)
	}
	return fmt.Sprintf("%g µs", us)
}

func plotTime(b *strings.Builder, top int, runs []*Result) {
	seconds, most := 2, 1.0
	for _, r := range runs {
		seconds = max(seconds, len(r.Seconds))
		for _, s := range r.Seconds {
			most = max(most, float64(s.Ops))
		}
	}
	x := axis{low: 1, high: float64(seconds), from: panelLeft, to: panelLeft + panelWidth, scale: linear, label: func(v float64) string { return fmt.Sprintf("%g s", v) }}
	y := axis{low: 0, from: float64(top + 30 + panelHigh), to: float64(top + 30), scale: linear, label: func(v float64) string { return fmt.Sprintf("%g", v) }}
	step := roundStep(most / 5)
	y.high = math.Ceil(most/step) * step
	for v := 0.0; v <= y.high; v += step {
		y.ticks = append(y.ticks, v)
	}
	every := max(1, roundStep(float64(seconds)/10))
	for v := 1.0; v <= x.high; v += every {
		x.ticks = append(x.ticks, v)
	}
	panel(b, top, "Operations in each second", x, y)
	for i, r := range runs {
		var points [][2]float64
		for _, s := range r.Seconds {
			points = append(points, [2]float64{float64(s.At), float64(s.Ops)})
		}
		line(b, string(rune('a'+i)), x, y, points)
	}
}

// roundStep is the next 1, 2 or 5 times a power of ten.
func roundStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(max(v, 1e-9))))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v {
			return m * p
		}
	}
	return 10 * p
}
