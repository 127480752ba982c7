package axis

import (
	"fmt"
	"math"
)

// Axis maps the values from Low to High to the pixels between From and To, which
// may fall, as they do upwards on a screen.
type Axis struct {
	Low, High float64
	From, To  float64
	Scale     func(float64) float64
}

// At is where a value lies.
func (a Axis) At(v float64) float64 {
	lo, hi := a.Scale(a.Low), a.Scale(a.High)
	if hi == lo {
		return a.From
	}
	return a.From + (a.Scale(v)-lo)/(hi-lo)*(a.To-a.From)
}

// Linear is the scale where equal differences are equally far apart.
func Linear(v float64) float64 { return v }

// Logarithm is the scale where equal ratios are equally far apart; what is below 1
// counts as 1.
func Logarithm(v float64) float64 { return math.Log10(max(v, 1)) }

// Nines stretches percentiles as readers of latencies think: 0, 90, 99, 99.9 are
// equally apart.
func Nines(q float64) float64 { return -math.Log10(1 - min(q, 99.9999)/100) }

// Step is the next 1, 2 or 5 times a power of ten, not below v.
func Step(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(max(v, 1e-9))))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v {
			return m * p
		}
	}
	return 10 * p
}

// Decades is the power of ten at or below low and the one at or above high, at
// least ten times as much.
func Decades(low, high float64) (from, to float64) {
	from, to = math.Pow(10, math.Floor(Logarithm(min(low, high)))), math.Pow(10, math.Ceil(Logarithm(high)))
	return from, max(to, 10*from)
}

// Microseconds is a duration for a label, in the unit that reads best.
func Microseconds(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%g ms", us/1e3)
	}
	return fmt.Sprintf("%g µs", us)
}
