package load

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"github.com/baxromumarov/aegisKV/internal/axis"
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

// scaled is an axis with its ticks.
type scaled struct {
	axis.Axis
	ticks []float64
	label func(float64) string
}

// panel draws title, grid and labels.
func panel(b *strings.Builder, top int, title string, x, y scaled) {
	fmt.Fprintf(b, `<text x="%d" y="%d" class="h">%s</text>`+"\n", panelLeft, top+20, title)
	for _, v := range y.ticks {
		fmt.Fprintf(b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			panelLeft, panelLeft+panelWidth, y.At(v), y.At(v), panelLeft-6, y.At(v)+4, y.label(v))
	}
	for _, v := range x.ticks {
		fmt.Fprintf(b, `<line class="g" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			x.At(v), x.At(v), y.From, y.To, x.At(v), y.From+16, x.label(v))
	}
}

func line(b *strings.Builder, class string, x, y scaled, points [][2]float64) {
	fmt.Fprintf(b, `<polyline class="l %s" points="`, class)
	for _, p := range points {
		fmt.Fprintf(b, "%.1f,%.1f ", x.At(p[0]), y.At(p[1]))
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
	low, high = axis.Decades(low, high)
	x := scaled{Axis: axis.Axis{Low: 0, High: 99.9999, From: panelLeft, To: panelLeft + panelWidth, Scale: axis.Nines}, ticks: []float64{0, 50, 90, 99, 99.9, 99.99, 99.999}, label: func(v float64) string { return fmt.Sprintf("%g%%", v) }}
	y := scaled{Axis: axis.Axis{Low: low, High: high, From: float64(top + 30 + panelHigh), To: float64(top + 30), Scale: axis.Logarithm}, label: axis.Microseconds}
	for v := y.Low; v <= y.High; v *= 10 {
		y.ticks = append(y.ticks, v)
	}
	panel(b, top, "Latency by percentile", x, y)
	for i, r := range runs {
		line(b, string(rune('a'+i)), x, y, r.All.Curve)
	}
}

func plotTime(b *strings.Builder, top int, runs []*Result) {
	seconds, most := 2, 1.0
	for _, r := range runs {
		seconds = max(seconds, len(r.Seconds))
		for _, s := range r.Seconds {
			most = max(most, float64(s.Ops))
		}
	}
	x := scaled{Axis: axis.Axis{Low: 1, High: float64(seconds), From: panelLeft, To: panelLeft + panelWidth, Scale: axis.Linear}, label: func(v float64) string { return fmt.Sprintf("%g s", v) }}
	y := scaled{Axis: axis.Axis{Low: 0, From: float64(top + 30 + panelHigh), To: float64(top + 30), Scale: axis.Linear}, label: func(v float64) string { return fmt.Sprintf("%g", v) }}
	step := axis.Step(most / 5)
	y.High = math.Ceil(most/step) * step
	for v := 0.0; v <= y.High; v += step {
		y.ticks = append(y.ticks, v)
	}
	every := max(1, axis.Step(float64(seconds)/10))
	for v := 1.0; v <= x.High; v += every {
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
