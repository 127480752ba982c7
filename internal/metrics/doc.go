// Package metrics holds the counters, gauges, histograms and probes of a process.
//
// Every hot operation is one or two atomic additions: no lock, no allocation, no
// map look-up. That is why a metric is made once, as a package variable or a field,
// and why there are no labels: a label would be a look-up on the hot path. Names
// with a bounded set of variants are made by a loop at start.
//
// A Probe marks a rare place of the rules. The simulator prints how often each
// one was visited, and a zero fails the run: a place that is never reached is a
// place that is never tested.
//
// It must know no other room; it uses the standard library only. Everything in
// it is lost when the process ends.
package metrics
