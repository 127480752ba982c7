package load

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Plan says what is offered to whom.
type Plan struct {
	Addrs    []string      `json:"addrs"`            // client addresses of any nodes
	Native   bool          `json:"native"`           // through our Go client instead of plain RESP
	Keys     int           `json:"keys"`             // number of keys
	Prefix   string        `json:"prefix"`           // of every key
	Theta    float64       `json:"zipf"`             // 0 = uniform choice of keys, else zipf's exponent, below 1
	Gets     int           `json:"gets"`             // GETs to Sets SETs
	Sets     int           `json:"sets"`             // see Gets
	SizeMin  int           `json:"sizeMinBytes"`     // of values
	SizeMax  int           `json:"sizeMaxBytes"`     // at least SizeMin
	TTL      time.Duration `json:"ttlNanoseconds"`   // of values that are written, 0 = none
	Conns    int           `json:"connections"`      // to each node that is asked; callers, with Native
	Depth    int           `json:"pipeline"`         // requests in one batch; callers per connection, with Native
	Rate     int           `json:"rate"`             // operations a second, 0 = as many as are answered
	Duration time.Duration `json:"limitNanoseconds"` // 0 = until Ops are done
	Ops      int           `json:"limitOperations"`  // 0 = until Duration is over
	Seed     uint64        `json:"seed"`
}

// DefaultPlan is a quick look at a cache: read-mostly, small values, hot keys.
func DefaultPlan() Plan {
	return Plan{
		Keys: 100_000, Prefix: "bench:", Theta: 0.99, Gets: 9, Sets: 1, SizeMin: 100, SizeMax: 100,
		Conns: 50, Depth: 1, Duration: 10 * time.Second, Seed: 1,
	}
}

// ParseRatio reads "9:1", GETs to SETs.
func (p *Plan) ParseRatio(s string) error {
	g, w, ok := strings.Cut(s, ":")
	gets, err1 := strconv.Atoi(g)
	sets, err2 := strconv.Atoi(w)
	if !ok || err1 != nil || err2 != nil || gets < 0 || sets < 0 || gets+sets == 0 {
		return fmt.Errorf("ratio %q: give GETs to SETs, like 9:1", s)
	}
	p.Gets, p.Sets = gets, sets
	return nil
}

// ParseChoice reads "uniform", "zipf" or "zipf:0.8".
func (p *Plan) ParseChoice(s string) error {
	name, theta, given := strings.Cut(s, ":")
	switch {
	case s == "uniform":
		p.Theta = 0
		return nil
	case name == "zipf" && !given:
		p.Theta = 0.99
		return nil
	case name == "zipf":
		if f, err := strconv.ParseFloat(theta, 64); err == nil && f > 0 && f < 1 {
			p.Theta = f
			return nil
		}
	}
	return fmt.Errorf("key choice %q: give uniform, zipf or zipf:EXPONENT with an exponent between 0 and 1", s)
}

// ParseSize reads "100" or "64-1024", in bytes.
func (p *Plan) ParseSize(s string) error {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || from < 0 || to < from {
		return fmt.Errorf("value size %q: give bytes, like 100 or 64-1024", s)
	}
	p.SizeMin, p.SizeMax = from, to
	return nil
}

// valueMax bounds the value sizes of a plan: what a node takes at most.
const valueMax = 64 << 20

// Check says why a plan cannot be run.
func (p *Plan) Check() error {
	switch {
	case len(p.Addrs) == 0:
		return errors.New("no address to offer load to")
	case p.Keys < 1 || p.Keys > 1e9:
		return fmt.Errorf("%d keys: give 1 to 1000000000", p.Keys)
	case p.Conns < 1 || p.Depth < 1 || p.workers() > 100_000:
		return fmt.Errorf("%d connections with pipelines of %d: give at least one of both, and at most 100000 workers", p.Conns, p.Depth)
	case p.SizeMax > valueMax:
		return fmt.Errorf("values of %d bytes: %d are the most", p.SizeMax, valueMax)
	case p.Duration <= 0 && p.Ops <= 0:
		return errors.New("a run must end: give a duration or a number of operations")
	case p.TTL != 0 && p.TTL < time.Millisecond:
		return fmt.Errorf("time to live %v: give at least 1ms, or 0 for none", p.TTL)
	case p.Rate < 0:
		return fmt.Errorf("rate %d: give operations a second, or 0 for as many as are answered", p.Rate)
	}
	return nil
}

// workers is how many batches are under way at once.
func (p *Plan) workers() int {
	if p.Native {
		return p.Conns * p.Depth
	}
	return p.Conns
}

// batch is how many operations a worker sends at once.
func (p *Plan) batch() int {
	if p.Native {
		return 1
	}
	return p.Depth
}

// String is the plan in one line.
func (p *Plan) String() string {
	how, keys, size, pace := "RESP", "uniform", strconv.Itoa(p.SizeMin), "as fast as answered"
	if p.Native {
		how = "Go client"
	}
	if p.Theta > 0 {
		keys = fmt.Sprintf("zipf %g", p.Theta)
	}
	if p.SizeMax > p.SizeMin {
		size += "-" + strconv.Itoa(p.SizeMax)
	}
	if p.Rate > 0 {
		pace = fmt.Sprintf("%d op/s offered", p.Rate)
	}
	return fmt.Sprintf("%s, %d keys (%s), GET:SET %d:%d, %s B, %d connections, pipeline %d, %s", how, p.Keys, keys, p.Gets, p.Sets, size, p.Conns, p.Depth, pace)
}
