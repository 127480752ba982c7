package otelaegis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

func TestSpansAndMeasurements(t *testing.T) {
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	hook, err := NewHook(
		WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans))),
		WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))),
		WithKeys())
	if err != nil {
		t.Fatal(err)
	}
	srv := clienttest.New(t)
	cfg := srv.Config()
	cfg.Hooks = []client.Hook{hook}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx := context.Background()
	if err := c.Set(ctx, "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	srv.Fail("k", 1, clienttest.Ambiguous)
	if err := c.Delete(ctx, "k"); !errors.Is(err, client.ErrAmbiguous) {
		t.Fatal(err)
	}
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}
	for i, want := range []string{"SET", "GET", "DEL"} {
		s := ended[i]
		has := attribute.NewSet(s.Attributes()...)
		key, _ := has.Value("aegis.key")
		addr, _ := has.Value("server.address")
		if s.Name() != want || key.AsString() != "k" || addr.AsString() != "127.0.0.1" || !s.EndTime().After(s.StartTime()) {
			t.Errorf("%s: %v", s.Name(), s.Attributes())
		}
		kind, failed := has.Value("error.type")
		if failed != (want == "DEL") || failed && (kind.AsString() != "ambiguous" || s.Status().Code != codes.Error) {
			t.Errorf("%s: %v %v", want, kind, s.Status())
		}
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &data); err != nil {
		t.Fatal(err)
	}
	m := data.ScopeMetrics[0].Metrics[0]
	var count uint64
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		count += p.Count
		if _, told := p.Attributes.Value("aegis.key"); told {
			t.Error("a key is a dimension of the metric")
		}
	}
	if m.Name != "db.client.operation.duration" || m.Unit != "s" || count != 3 {
		t.Errorf("%s in %s: %d measurements", m.Name, m.Unit, count)
	}
}

func TestKindsOfErrors(t *testing.T) {
	for want, err := range map[string]error{
		"unavailable": fmt.Errorf("x: %w", client.ErrUnavailable),
		"timeout":     context.DeadlineExceeded,
		"WRONGTYPE":   &client.ServerError{Code: "WRONGTYPE"},
		"_OTHER":      errors.New("x"),
	} {
		if got := kind(err); got != want {
			t.Errorf("%v is %s", err, got)
		}
	}
}

func ExampleNewHook() {
	srv := clienttest.Start()
	defer srv.Close()
	spans := tracetest.NewSpanRecorder()
	hook, err := NewHook(WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans))))
	if err != nil {
		panic(err)
	}
	cfg := srv.Config()
	cfg.Hooks = []client.Hook{hook}
	c, err := client.New(cfg)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	_ = c.SetWithTTL(context.Background(), "session", []byte("data"), time.Minute.Milliseconds())
	for _, s := range spans.Ended() {
		fmt.Println(s.Name())
	}
	// Output: SET
}
