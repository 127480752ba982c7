package bench

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is one system under one cell in one round.
type sample struct {
	ops    int
	took   time.Duration
	cpu    time.Duration
	errors int
	first  string // the first error reply
}

// perCPU is operations per CPU-second; 0 when the processes used too little to tell.
func (s sample) perCPU() float64 {
	if s.cpu <= 0 {
		return 0
	}
	return float64(s.ops) / s.cpu.Seconds()
}

// Figure is what the rounds showed of one system.
type Figure struct {
	OpsPerCPU  float64 `json:"opsPerCPUSecond"` // median of the rounds
	Rate       float64 `json:"opsPerSecond"`    // median of the rounds
	P50        float64 `json:"p50us"`           // of all rounds
	P99        float64 `json:"p99us"`
	P999       float64 `json:"p999us"`
	Errors     int     `json:"errors"`
	FirstError string  `json:"firstError,omitempty"`
}

func figureOf(rounds []sample, h *hdrhistogram.Histogram) Figure {
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	f := Figure{P50: us(50), P99: us(99), P999: us(99.9)}
	var per, rate []float64
	for _, s := range rounds {
		per = append(per, s.perCPU())
		rate = append(rate, float64(s.ops)/s.took.Seconds())
		f.Errors += s.errors
		if f.FirstError == "" {
			f.FirstError = s.first
		}
	}
	f.OpsPerCPU, _, _ = spread(per)
	f.Rate, _, _ = spread(rate)
	return f
}

// spread is the median, the least and the greatest.
func spread(v []float64) (median, low, high float64) {
	if len(v) == 0 {
		return 0, 0, 0
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]
}

// Row is one cell with both systems.
type Row struct {
	Cell
	Offered   int     `json:"offered"` // requests a second, 0 = as many as are answered
	Aegis     Figure  `json:"aegis"`
	Redis     *Figure `json:"redis,omitempty"`
	Echo      *Figure `json:"echo,omitempty"`  // of a server that does nothing, for its latency
	Ratio     float64 `json:"ratio,omitempty"` // AegisKV's operations per CPU-second by redis-server's, median of the rounds
	RatioLow  float64 `json:"ratioLow,omitempty"`
	RatioHigh float64 `json:"ratioHigh,omitempty"`
	Saturated bool    `json:"saturated,omitempty"` // a system did not serve what was offered: its latency is that of a queue
}

// sustained is the part of the offered load that has to be served.
const sustained = 0.97

// rowOf puts the rounds of a cell together; redis and echo are nil when they are not
// there.
func rowOf(c Cell, offered int, aegis, redis, echo *measured) Row {
	r := Row{Cell: c, Offered: offered, Aegis: figureOf(aegis.rounds, aegis.latency)}
	slow := func(f Figure) bool { return offered > 0 && f.Rate < sustained*float64(offered) }
	r.Saturated = slow(r.Aegis)
	if echo != nil {
		f := figureOf(echo.rounds, echo.latency)
		r.Echo = &f
	}
	if redis == nil {
		return r
	}
	f := figureOf(redis.rounds, redis.latency)
	r.Redis, r.Saturated = &f, r.Saturated || slow(f)
	var ratios []float64
	for i, s := range aegis.rounds {
		if d := redis.rounds[i].perCPU(); d > 0 && s.perCPU() > 0 {
			ratios = append(ratios, s.perCPU()/d)
		}
	}
	r.Ratio, r.RatioLow, r.RatioHigh = spread(ratios)
	return r
}

// measured gathers the rounds of one system under one cell.
type measured struct {
	rounds  []sample
	latency *hdrhistogram.Histogram
}
