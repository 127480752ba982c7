package main

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// mark is how a contestant looks.
type mark struct {
	color color.RGBA
	shape draw.GlyphDrawer
	size  vg.Length
}

var marks = map[string]mark{
	nameOPT:     {color.RGBA{150, 150, 150, 255}, draw.PyramidGlyph{}, 4},
	"ristretto": {color.RGBA{214, 163, 92, 255}, draw.CircleGlyph{}, 3.5},
	"theine":    {color.RGBA{148, 103, 189, 255}, draw.CircleGlyph{}, 3.5},
	"otter":     {color.RGBA{214, 69, 65, 255}, draw.CircleGlyph{}, 3.5},
	nameS3:      {color.RGBA{44, 160, 44, 255}, draw.CircleGlyph{}, 3.5},
	nameMany:    {color.RGBA{90, 160, 220, 255}, draw.BoxGlyph{}, 4},
	nameOne:     {color.RGBA{16, 78, 160, 255}, draw.BoxGlyph{}, 4.5},
}

// draw makes a picture of how many misses each contestant has beside LRU: a line for
// each large row, the mean at the bottom. Left is better.
func (r *Report) draw(file string) error {
	p := plot.New()
	p.Title.Text = "Misses beside plain LRU (left is better)"
	p.Title.TextStyle.Font.Size = 14
	p.X.Label.Text = fmt.Sprintf("change of misses in %%; caches of at least %d objects, values of %d bytes", largeObjects, valueBytes)
	rows := []*Row{}
	names := []string{"mean"}
	for _, row := range slices.Backward(r.Rows) {
		if row.large() {
			rows = append(rows, row)
			names = append(names, fmt.Sprintf("%s, %d", row.Trace, row.Capacity))
		}
	}
	p.NominalY(names...)
	p.X.Min, p.X.Max = -70, 40 // what is farther away is drawn at the edge
	grid := plotter.NewGrid()
	grid.Horizontal.Color = color.Gray{225}
	grid.Vertical.Color = color.Gray{235}
	p.Add(grid)
	if err := r.scatter(p, rows); err != nil {
		return err
	}
	p.Legend.Top, p.Legend.Left = false, false
	p.Legend.Padding = 3
	p.BackgroundColor = color.White
	return p.Save(26*vg.Centimeter, vg.Length(len(names)+5)*0.85*vg.Centimeter, file)
}

// scatter draws the contestants, the store on top.
func (r *Report) scatter(p *plot.Plot, rows []*Row) error {
	for _, c := range slices.Backward([]string{nameOne, nameMany, nameS3, "otter", "theine", "ristretto", nameOPT}) {
		if !slices.Contains(r.Contestants, c) {
			continue
		}
		at := func(x float64) float64 { return min(max(x, p.X.Min), p.X.Max) }
		points := plotter.XYs{{X: at(r.MeanChange[c]), Y: 0}}
		for i, row := range rows {
			points = append(points, plotter.XY{X: at(row.change(c)), Y: float64(i + 1)})
		}
		s, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		m := marks[c]
		s.GlyphStyle = draw.GlyphStyle{Color: m.color, Shape: m.shape, Radius: m.size}
		p.Add(s)
		p.Legend.Add(fmt.Sprintf("%s %+.1f %%", c, r.MeanChange[c]), s)
	}
	return nil
}
