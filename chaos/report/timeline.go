package report

import (
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/axis"
)

// A timeline is one picture of panels that share their time axis: a reader follows a
// band downwards and sees what the fault did. Its size does not grow with the number
// of operations: what would cover the same pixels is drawn once.

const (
	drawWidth  = 1140
	drawLeft   = 120
	drawRight  = drawWidth - 20
	faultHigh  = 18
	latencyHi  = 150
	rateHigh   = 80
	laneHigh   = 26
	panelSpace = 30 // above each panel, for its title
	columns    = (drawRight - drawLeft) / 2
)

// drawing is a picture under way.
type drawing struct {
	strings.Builder
	s     *Scenario
	x     axis.Axis
	y     float64        // where the next panel begins
	kinds map[string]int // the colour of each kind of fault
	end   time.Duration  // of the time axis
}

// px rounds to what a screen shows.
func px(v float64) string { return fmt.Sprintf("%.1f", v) }

// put writes a piece of the picture. Whoever passes words passes them through esc.
func (d *drawing) put(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func esc(s string) string { return html.EscapeString(s) }

func (d *drawing) at(t time.Duration) float64 {
	return min(max(d.x.At(t.Seconds()), drawLeft), drawRight)
}

// timeline draws a scenario; number is its place in the report, for links.
func timeline(s *Scenario, number int) template.HTML {
	d := &drawing{s: s, end: s.extent(), kinds: map[string]int{}}
	d.x = axis.Axis{Low: 0, High: d.end.Seconds(), From: drawLeft, To: drawRight, Scale: axis.Linear}
	d.y = 24
	d.faults()
	d.latency()
	d.throughput()
	d.lanes()
	d.groups()
	body := d.String()
	d.Reset()
	high := d.y + 26
	d.put(`<svg viewBox="0 0 %d %.0f" data-ms="%d" data-left="%d" data-right="%d" role="img" aria-label="faults, latency, throughput, nodes and groups over time">`,
		drawWidth, high, d.end.Milliseconds(), drawLeft, drawRight)
	d.bands(high - 26)
	d.rest(high - 26)
	d.ticks(high - 26)
	d.WriteString(body)
	d.pins(number, high-26)
	d.put(`<line class="cross" y1="14" y2="%.0f"/><text class="now" y="12"></text></svg>`, high-26)
	return template.HTML(d.String()) //nolint:gosec // every word in it went through esc
}

// extent is the end of the time axis: everything that is drawn fits in.
func (s *Scenario) extent() time.Duration {
	end := max(s.Took, time.Millisecond)
	if s.Quiet > 0 { // how long judging took is nothing to look at
		end = s.Quiet
	}
	for _, f := range s.Faults {
		end = max(end, f.End)
	}
	for _, v := range s.Violations {
		end = max(end, v.At)
	}
	if n := len(s.Latency.Points); n > 0 {
		end = max(end, s.Latency.Points[n-1].At)
	}
	return end
}

// panel begins a panel with its title and answers its top.
func (d *drawing) panel(title string, high float64) (top float64) {
	top = d.y + panelSpace
	d.put(`<text class="t" x="%d" y="%s">%s</text>`, drawLeft, px(top-8), title)
	d.y = top + high
	return top
}

// swatch is a colour and what it means, for a title.
func swatch(class, name string) string {
	return `<tspan class="` + class + `">■</tspan> ` + name
}

// faults draws a row for each kind, so that faults at the same time can be told apart.
func (d *drawing) faults() {
	if len(d.s.Faults) == 0 {
		d.put(`<text x="%d" y="%s">no fault was injected</text>`, drawLeft, px(d.y+12))
		d.y += faultHigh
		return
	}
	for _, f := range d.s.Faults {
		if _, ok := d.kinds[f.Kind]; !ok {
			row := d.y + float64(len(d.kinds))*faultHigh
			d.put(`<text x="%d" y="%s" text-anchor="end">%s</text>`, drawLeft-8, px(row+12), esc(short(f.Kind, 18)))
			d.kinds[f.Kind] = len(d.kinds)
		}
	}
	free := map[string]float64{}
	var labels strings.Builder // over the bars, whichever comes next
	for _, f := range d.s.Faults {
		row := d.y + float64(d.kinds[f.Kind])*faultHigh
		from, to := d.at(f.Start), d.at(f.End)
		d.put(`<rect class="bar f%d" x="%s" y="%s" width="%s" height="%d"><title>%s</title></rect>`, d.kinds[f.Kind]%8, px(from), px(row+2), px(max(to-from, 2)), faultHigh-4,
			esc(fmt.Sprintf("%s of %s, %s to %s: %s", f.Kind, f.Target, moment(f.Start), moment(f.End), f.seen())))
		if text := short(f.Target, 24); to+4 >= free[f.Kind] {
			fmt.Fprintf(&labels, `<text class="o" x="%s" y="%s">%s</text>`, px(max(to, from+2)+3), px(row+12), esc(text))
			free[f.Kind] = to + 8 + 6*float64(len(text))
		}
	}
	d.put("%s", labels.String())
	d.y += float64(len(d.kinds)) * faultHigh
}

// seen is how a fault was seen to act.
func (f *Fault) seen() string {
	if !f.Acted {
		return "not seen to act"
	}
	return "seen to act: " + f.Evidence
}

// short cuts a name that has no room.
func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// bands shades each fault through all panels.
func (d *drawing) bands(bottom float64) {
	for _, f := range d.s.Faults {
		from, to := d.at(f.Start), d.at(f.End)
		d.put(`<rect class="band f%d" x="%s" y="20" width="%s" height="%s"/>`, d.kinds[f.Kind]%8, px(from), px(max(to-from, 1)), px(bottom-20))
	}
}

// ticks are the seconds, above and below.
func (d *drawing) ticks(bottom float64) {
	step := axis.Step(d.end.Seconds() / 12)
	for v := 0.0; v <= d.end.Seconds(); v += step {
		x := px(d.x.At(v))
		d.put(`<line class="g" x1="%s" x2="%s" y1="20" y2="%s"/><text x="%s" y="%s" text-anchor="middle">%g s</text>`, x, x, px(bottom), x, px(bottom+16), v)
	}
	d.put(`<text x="%d" y="%s" text-anchor="end">since it began:</text>`, drawLeft-14, px(bottom+16))
}

// rest shades the end of the axis, in which clients have ended and everything is read once
// more.
func (d *drawing) rest(bottom float64) {
	from := d.at(d.s.Quiet)
	if d.s.Quiet == 0 || drawRight-from < 2 {
		return
	}
	d.put(`<rect class="rest" x="%s" y="20" width="%s" height="%s"><title>clients have ended: all keys are read once more, then nodes are stopped and all is judged</title></rect>`, px(from), px(drawRight-from), px(bottom-20))
}

// pins mark the violations. One without a moment, like copies that differ at the end,
// is listed and not pinned.
func (d *drawing) pins(number int, bottom float64) {
	for i, v := range d.s.Violations {
		if v.At == 0 {
			continue
		}
		x := d.at(v.At)
		d.put(`<a href="#s%dv%d"><line class="pin" x1="%s" x2="%s" y1="20" y2="%s"/><circle class="pinned" cx="%s" cy="14" r="9"/><text x="%s" y="18" text-anchor="middle">%d</text><title>%s</title></a>`,
			number, i, px(x), px(x), px(bottom), px(x), px(x), i+1, esc(v.Property+" at "+moment(v.At)+": "+v.What))
	}
}

// lanes draws the nodes: what each was like, and how many leases it held.
func (d *drawing) lanes() {
	if len(d.s.Nodes) == 0 {
		return
	}
	title, rows := "Nodes: "+swatch("up", "up")+", "+swatch("paused", "paused")+", "+swatch("cut-off", "cut off")+", "+swatch("down", "down")+"; the line and its numbers: leases held", len(d.s.Nodes)
	late := d.s.Witness.Late
	if len(late) > 0 {
		title, rows = title+"; last row: "+swatch("stall", "the machine itself stood still"), rows+1
	}
	top := d.panel(title, float64(rows)*laneHigh)
	if len(late) > 0 {
		d.stalls(late, top+float64(rows-1)*laneHigh)
	}
	most := 1
	for _, n := range d.s.Nodes {
		for _, l := range n.Leases {
			most = max(most, l.N)
		}
	}
	for i := range d.s.Nodes {
		d.lane(&d.s.Nodes[i], top+float64(i)*laneHigh, most)
	}
}

// stalls draws when the machine let everybody wait: what no node is to blame for.
func (d *drawing) stalls(late []Stall, top float64) {
	d.put(`<text x="%d" y="%s" text-anchor="end">this machine</text>`, drawLeft-8, px(top+16))
	for _, l := range late {
		from, to := d.at(l.At), d.at(l.At+l.By)
		d.put(`<rect class="stall" x="%s" y="%s" width="%s" height="%d"><title>%s</title></rect>`, px(from), px(top+1), px(max(to-from, 1)), laneHigh-3,
			esc(fmt.Sprintf("the machine stood still for %s at %s", duration(l.By), moment(l.At))))
	}
}

func (d *drawing) lane(n *Lane, top float64, most int) {
	d.put(`<text x="%d" y="%s" text-anchor="end">%s</text>`, drawLeft-8, px(top+16), esc(short(n.Name, 18)))
	for _, s := range n.Spans {
		if s.Start >= d.end {
			break
		}
		from, to := d.at(s.Start), d.at(s.End)
		d.put(`<rect class="%s" x="%s" y="%s" width="%s" height="%d"><title>%s</title></rect>`, esc(class(s.State)), px(from), px(top+1), px(max(to-from, 1)), laneHigh-3,
			esc(fmt.Sprintf("%s: %s, %s to %s", n.Name, s.State, moment(s.Start), moment(s.End))))
	}
	if len(n.Leases) == 0 {
		return
	}
	y := axis.Axis{Low: 0, High: float64(most), From: top + laneHigh - 4, To: top + 4, Scale: axis.Linear}
	var path, labels strings.Builder
	free := 0.0
	for i, l := range n.Leases {
		if l.At > d.end {
			break
		}
		x, at := px(d.at(l.At)), px(y.At(float64(l.N)))
		if i == 0 {
			fmt.Fprintf(&path, "M%s %s", x, at)
		} else {
			fmt.Fprintf(&path, "H%sV%s", x, at)
		}
		if v := d.at(l.At); v >= free {
			fmt.Fprintf(&labels, `<text class="o" x="%s" y="%s">%d</text>`, px(v+3), px(top+17), l.N)
			free = v + 34
		}
	}
	d.put(`<path class="lease" d="%sH%s"/>%s`, path.String(), px(d.at(d.end)), labels.String())
}

// groups draws a row for each group and colours what its probe met.
func (d *drawing) groups() {
	m := &d.s.Groups
	if len(m.Rows) == 0 || m.Step <= 0 {
		return
	}
	high := min(max(260/float64(len(m.Rows)), 2), 14)
	what := "groups"
	if m.Rows[0].Shards != "" {
		what = "groups (their shards)"
	}
	title := fmt.Sprintf("%d %s: %s, %s, %s, ▭ no service for 100 ms or more", len(m.Rows), what,
		swatch("c-ok", "served"), swatch("c-error", "probes failed"), swatch("c-none", "failed, nobody held the lease"))
	top := d.panel(title, high*float64(len(m.Rows)))
	every := int(12/high) + 1
	paths := map[byte]*strings.Builder{CellOK: {}, CellError: {}, CellNoHolder: {}}
	for i, r := range m.Rows {
		y := top + float64(i)*high
		if i%every == 0 {
			d.put(`<text x="%d" y="%s" text-anchor="end">%s</text>`, drawLeft-8, px(y+min(high, 12)), esc(short(r.label(), 20)))
		}
		d.cells(m, r.Cells, y, high, paths)
	}
	for _, c := range []struct {
		letter byte
		class  string
	}{{CellOK, "c-ok"}, {CellError, "c-error"}, {CellNoHolder, "c-none"}} {
		d.put(`<path class="%s" d="%s"/>`, c.class, paths[c.letter])
	}
	for i, r := range m.Rows {
		d.put(`<rect class="hit" x="%d" y="%s" width="%d" height="%s"><title>%s</title></rect>`, drawLeft, px(top+float64(i)*high), drawRight-drawLeft, px(high), esc(d.s.told(&r)))
	}
	d.gaps(top, high)
}

// label is a row's name with its shards.
func (r *Row) label() string {
	if r.Shards == "" {
		return r.Name
	}
	return r.Name + " (" + strings.ReplaceAll(r.Shards, " to ", "-") + ")"
}

// gaps frames the times without service, from the last success to the next.
func (d *drawing) gaps(top, high float64) {
	rows := map[string]int{}
	for i, r := range d.s.Groups.Rows {
		rows[r.Name] = i
	}
	for i := range d.s.Unavailability {
		for _, g := range d.s.Unavailability[i].Gaps {
			row, ok := rows[g.Group]
			if !ok || g.Longest() < awayLeast {
				continue
			}
			from, to := d.at(g.At), d.at(g.End())
			d.put(`<rect class="gap" x="%s" y="%s" width="%s" height="%s"><title>%s</title></rect>`, px(from), px(top+float64(row)*high+0.3), px(max(to-from, 2)), px(max(high-1.2, 1)),
				esc(fmt.Sprintf("%s: no service for %s, %s to %s%s\n%s", d.s.Groups.Rows[row].label(), duration(g.Longest()), moment(g.At), moment(g.End()), g.served(), d.s.Why(g.At, g.End()))))
		}
	}
}

// served says who served a group before and after a gap, as far as it is known.
func (g *Gap) served() string {
	s := ""
	if g.From != "" {
		s += "; before by " + g.From
	}
	if g.To != "" {
		s += "; after by " + g.To
	}
	return s
}

// severity orders the letters, for columns that several steps share.
const severity = " .en"

// cells adds a row's runs of equal letters to the paths.
func (d *drawing) cells(m *Matrix, cells string, y, high float64, paths map[byte]*strings.Builder) {
	worst := make([]byte, columns)
	for i := range len(cells) {
		from, to := d.column(time.Duration(i)*m.Step), d.column(time.Duration(i+1)*m.Step)
		for c := from; c < max(to, from+1); c++ {
			if strings.IndexByte(severity, cells[i]) > strings.IndexByte(severity, worst[c]) {
				worst[c] = cells[i]
			}
		}
	}
	for from := 0; from < columns; {
		to := from + 1
		for to < columns && worst[to] == worst[from] {
			to++
		}
		if p := paths[worst[from]]; p != nil {
			fmt.Fprintf(p, "M%d %sh%dv%sh%dz", drawLeft+2*from, px(y), 2*(to-from), px(max(high-0.6, 1)), -2*(to-from))
		}
		from = to
	}
}

// column is the column of two pixels that a time lies in.
func (d *drawing) column(t time.Duration) int {
	return min(max(int(d.at(t)-drawLeft)/2, 0), columns-1)
}

// told says in words when a row's group was not served, and what was in force then.
func (s *Scenario) told(r *Row) string {
	lines := []string{}
	for from := 0; from < len(r.Cells); {
		to := from + 1
		for to < len(r.Cells) && r.Cells[to] == r.Cells[from] {
			to++
		}
		what := map[byte]string{CellError: "probes failed", CellNoHolder: "probes failed, nobody held the lease"}[r.Cells[from]]
		if what != "" && len(lines) < 12 {
			a, b := time.Duration(from)*s.Groups.Step, time.Duration(to)*s.Groups.Step
			lines = append(lines, fmt.Sprintf("%s to %s: %s; %s", moment(a), moment(b), what, s.Why(a, b)))
		}
		from = to
	}
	if len(lines) == 0 {
		return r.label() + ": always served"
	}
	return strings.Join(slices.Insert(lines, 0, r.label()), "\n")
}
