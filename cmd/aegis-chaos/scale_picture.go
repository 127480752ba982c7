package main

import (
	"bytes"
	"fmt"
	"math"
)

// The picture is drawn by hand: two axes with powers of ten and four lines do not need a
// library of plots.
const (
	picWidth, picHeight = 720., 420.
	picLeft, picTop     = 70., 30.
	picRight, picBottom = 200., 40.
	picDecades          = 6 // 1 to 10^6 on the axis of values
)

// scaleLines are the figures that are drawn over the number of nodes.
var scaleLines = []struct {
	name, color string
	of          func(r scaleRow) float64
}{
	{"plan of a join, ms", "#104ea0", func(r scaleRow) float64 { return r.JoinMs }},
	{"group 0, KiB", "#2ca02c", func(r scaleRow) float64 { return float64(r.MetaBytes) / 1024 }},
	{"heartbeats, KiB/s", "#d64541", func(r scaleRow) float64 { return float64(r.BeatBytes) / 1024 }},
	{"routes, KiB/s", "#d6a35c", func(r scaleRow) float64 { return float64(r.RouteBytes) / 1024 }},
	{"gossip at most, KiB/s", "#9467bd", func(r scaleRow) float64 { return float64(r.GossipMax) / 1024 }},
}

// scalePicture is an SVG with both axes in powers of ten.
func scalePicture(rows []scaleRow) []byte {
	x := func(nodes int) float64 {
		return picLeft + (math.Log10(float64(nodes))-1)/2*(picWidth-picLeft-picRight)
	}
	y := func(v float64) float64 {
		return picHeight - picBottom - max(math.Log10(max(v, 1)), 0)/picDecades*(picHeight-picTop-picBottom)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="white"/>`, picWidth, picHeight)
	fmt.Fprintf(&b, `<text x="%.0f" y="18" font-size="14">%d shards, %d copies, per node</text>`, picLeft, scaleShards, scaleCopies)
	for d := range picDecades + 1 {
		at := y(math.Pow10(d))
		fmt.Fprintf(&b, `<line x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%.0f" y="%.1f" text-anchor="end">%.0f</text>`,
			picLeft, picWidth-picRight, at, at, picLeft-6, at+4, math.Pow10(d))
	}
	for _, r := range rows {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle">%d nodes</text>`, x(r.Nodes), picHeight-15, r.Nodes)
	}
	for i, l := range scaleLines {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, l.color)
		for _, r := range rows {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(r.Nodes), y(l.of(r)))
		}
		fmt.Fprintf(&b, `"/><text x="%.0f" y="%.0f" fill="%s">%s</text>`, picWidth-picRight+12, picTop+20*float64(i+1), l.color, l.name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
