package node

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Figures are those of INFO, under the same names with aegis_ before them: there is one
// list of what a node counts, and who knows a field there finds it here. They are
// gathered when they are asked for; Prometheus's own counters, on the path of every
// command, were refused.

const figurePrefix = "aegis_"

// figure is one field of INFO, or a part of one.
type figure struct {
	help string
	kind prometheus.ValueType
}

// metrics answers with all figures, those of the Go runtime and of the process.
func (n *Node) metrics() http.Handler {
	all := prometheus.NewRegistry()
	all.MustRegister(figures{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// figures collects those of a node.
type figures struct{ n *Node }

// Describe implements prometheus.Collector. It says nothing: which fields there are
// depends on the mode of the log and on what has happened.
func (figures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	f.n.mu.Lock()
	id := strconv.Itoa(int(f.n.identity.Node))
	f.n.mu.Unlock()
	labels := prometheus.Labels{"node": id, "name": f.n.cfg.ID, "version": Version}
	ch <- constant("node_info", labels, figure{help: "Which node this is; 1 always, node is 0 as long as it has no cluster.", kind: prometheus.GaugeValue}, 1)
	if f.n.at() == stageWaiting {
		return
	}
	for _, section := range f.n.redis.Info() {
		for _, field := range section.Fields {
			gather(ch, field[0], field[1])
		}
	}
}

// gather sends what a field of INFO holds that is a number.
func gather(ch chan<- prometheus.Metric, name, value string) {
	for _, s := range series {
		if of, is := strings.CutPrefix(name, s.prefix); is {
			s.gather(ch, of, value)
			return
		}
	}
	if slices.Contains(unmeasured, name) {
		return
	}
	if v, ok := measured(value); ok {
		ch <- constant(strings.TrimPrefix(name, figurePrefix), nil, figureOf(name), v)
	}
}

// figureOf is what is known of a field; one that nobody described is a gauge.
func figureOf(name string) figure {
	if f, ok := described[name]; ok {
		return f
	}
	return figure{help: "The field " + name + " of INFO.", kind: prometheus.UntypedValue}
}

// measured is a number, or a word that stands for one.
func measured(value string) (float64, bool) {
	switch value {
	case "ok", "true":
		return 1, true
	case "err", "false":
		return 0, true
	}
	v, err := strconv.ParseFloat(value, 64)
	return v, err == nil
}

func constant(name string, labels prometheus.Labels, f figure, v float64) prometheus.Metric {
	return prometheus.MustNewConstMetric(prometheus.NewDesc(figurePrefix+name, f.help, nil, labels), f.kind, v)
}

// fieldSeries are fields of INFO of which there is one for each of something, with
// several parts: a label says of what.
type fieldSeries struct {
	prefix, label string                 // no label: there is only one
	parts         map[string]namedFigure // by what INFO calls them; others are left out
}

type namedFigure struct {
	name string
	figure
}

func (s fieldSeries) gather(ch chan<- prometheus.Metric, of, value string) {
	for part := range strings.SplitSeq(value, ",") {
		key, number, _ := strings.Cut(part, "=")
		v, ok := measured(number)
		if p, known := s.parts[key]; known && ok {
			ch <- constant(p.name, s.labels(of), p.figure, v)
		}
	}
}

func (s fieldSeries) labels(of string) prometheus.Labels {
	if s.label == "" {
		return nil
	}
	return prometheus.Labels{s.label: of}
}
