package metrics

import "sync/atomic"

// Counter only goes up. The zero value is ready and counts apart from any Set.
type Counter struct{ n atomic.Uint64 }

// Add raises the counter by n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Inc raises the counter by one.
func (c *Counter) Inc() { c.n.Add(1) }

// Value is the count so far.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Gauge is a value that goes up and down. The zero value is ready.
type Gauge struct{ n atomic.Int64 }

// Set replaces the value.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Add changes the value by n, which may be negative.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Value is the present value.
func (g *Gauge) Value() int64 { return g.n.Load() }
