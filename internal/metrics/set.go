package metrics

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// Set is a named collection that can be written as text. Each node has its own,
// so that many nodes of one process (tests, the simulator) do not mix.
type Set struct {
	mu     sync.Mutex // guards names; held while metrics are made and listed only
	byName map[string]writer
}

// writer appends the text lines of one metric.
type writer func(dst []byte, name string) []byte

// NewSet makes an empty set.
func NewSet() *Set { return &Set{byName: make(map[string]writer)} }

// Counter makes a counter and lists it under name.
func (s *Set) Counter(name string) *Counter {
	c := new(Counter)
	s.add(name, func(dst []byte, name string) []byte { return appendLine(dst, name, "", c.Value()) })
	return c
}

// Gauge makes a gauge and lists it under name.
func (s *Set) Gauge(name string) *Gauge {
	g := new(Gauge)
	s.add(name, func(dst []byte, name string) []byte {
		dst = append(append(dst, name...), ' ')
		return append(strconv.AppendInt(dst, g.Value(), 10), '\n')
	})
	return g
}

// Histogram makes a histogram and lists it under name: count, sum, p50, p99, p999.
func (s *Set) Histogram(name string) *Histogram {
	h := new(Histogram)
	s.add(name, func(dst []byte, name string) []byte {
		d := h.Snapshot()
		dst = appendLine(dst, name, "_count", d.Count)
		dst = appendLine(dst, name, "_sum", d.Sum)
		dst = appendLine(dst, name, "_p50", d.Quantile(0.50))
		dst = appendLine(dst, name, "_p99", d.Quantile(0.99))
		return appendLine(dst, name, "_p999", d.Quantile(0.999))
	})
	return h
}

// add lists a metric; a name taken twice is a mistake in our own code.
func (s *Set) add(name string, w writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[name] != nil {
		panic(fmt.Sprintf("metrics: %q is listed twice", name))
	}
	s.byName[name] = w
}

// AppendText appends one "name value" line per number, sorted by name.
func (s *Set) AppendText(dst []byte) []byte {
	s.mu.Lock()
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	writers := make([]writer, len(names))
	for i, name := range names {
		writers[i] = s.byName[name]
	}
	s.mu.Unlock()
	for i, w := range writers {
		dst = w(dst, names[i])
	}
	return dst
}

// String is AppendText as a string, for logs and tests.
func (s *Set) String() string { return string(bytes.TrimSpace(s.AppendText(nil))) }

func appendLine(dst []byte, name, suffix string, v uint64) []byte {
	dst = append(append(append(dst, name...), suffix...), ' ')
	return append(strconv.AppendUint(dst, v, 10), '\n')
}
