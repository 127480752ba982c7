package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Saving is what clients see of an image that is being saved, at half of the peak rate.
type Saving struct {
	Mode    string  `json:"mode"`
	Keys    int     `json:"keys"`
	Offered int     `json:"offered"` // SET/s
	Saves   int     `json:"saves"`
	Before  Windows `json:"before"` // no image was being saved
	During  Windows `json:"during"`
	Ratio   float64 `json:"p99ByBefore"`
}

// Windows are the windows of one kind. Those in which the witness was late are left out.
type Windows struct {
	Windows   int     `json:"windows"`
	Disturbed int     `json:"disturbed"`
	P50       float64 `json:"p50us"`
	P99       float64 `json:"p99us"`
	Rate      float64 `json:"opsPerSecond"`
}

const (
	// savingBar is how much longer the p99 may be while an image is saved.
	savingBar = 1.5
	// savingWindow is how long one of the windows is.
	savingWindow = 200 * time.Millisecond
	// lateMax is how late the witness may be woken in a window that counts.
	lateMax = 2 * time.Millisecond
	// syncBytes is about what the commands of one read of all connections come to.
	syncBytes = 16 << 10
)

// inconclusive says that too many windows were disturbed to say anything.
func (w Windows) inconclusive() bool { return w.Windows == 0 || w.Disturbed*20 > w.Windows }

// gathered are windows while they are measured.
type gathered struct {
	windows, disturbed, ops int
	seconds                 float64
	latency                 *hdrhistogram.Histogram
}

func (g *gathered) take(s sample, h *hdrhistogram.Histogram, disturbed bool) {
	g.windows++
	if disturbed {
		g.disturbed++
		return
	}
	g.ops += s.ops
	g.seconds += s.took.Seconds()
	g.latency.Merge(h)
}

func (g *gathered) result() Windows {
	w := Windows{Windows: g.windows, Disturbed: g.disturbed}
	if g.ops > 0 {
		w.P50, w.P99 = float64(g.latency.ValueAtQuantile(50))/1e3, float64(g.latency.ValueAtQuantile(99))/1e3
		w.Rate = float64(g.ops) / g.seconds
	}
	return w
}

// Verdict is one bar and what was measured.
type Verdict struct {
	What string  `json:"what"`
	Bar  string  `json:"bar"`
	Got  float64 `json:"got"`
	Says string  `json:"says"` // "met", "missed" or "inconclusive"
}

func verdict(what, bar string, got float64, met bool) Verdict {
	v := Verdict{what, bar, got, "missed"}
	if met {
		v.Says = "met"
	}
	return v
}

// verdicts judges the rows and the saves.
func verdicts(rows []Kept, saves []Saving) (vs []Verdict) {
	for _, k := range rows {
		if k.Floor > 0 {
			vs = append(vs, verdict(k.Name+": SET/s by mode off", fmt.Sprintf(">= %.2f", k.Floor), k.Off, k.Off >= k.Floor))
		}
		if k.Redis > 0 {
			vs = append(vs, verdict(k.Name+": SET/s by redis-server's like mode", "> 1.00", k.Redis, k.Redis > 1))
		}
	}
	for _, s := range saves {
		v := verdict(s.Mode+": p99 while an image is saved by before", fmt.Sprintf("<= %.2f", savingBar), s.Ratio, s.Ratio > 0 && s.Ratio <= savingBar)
		if s.Before.inconclusive() || s.During.inconclusive() {
			v.Says = "inconclusive"
		}
		vs = append(vs, v)
	}
	return vs
}
