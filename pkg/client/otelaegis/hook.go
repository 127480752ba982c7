package otelaegis

import (
	"context"
	"errors"
	"net"
	"strconv"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

// scope names this package to OpenTelemetry.
const scope = "github.com/baxromumarov/aegisKV/pkg/client/otelaegis"

// Hook is a client.Hook that makes spans and measurements.
type Hook struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	keys     bool
}

var _ client.Hook = (*Hook)(nil)

// Option changes a Hook.
type Option func(*options)

type options struct {
	traces  trace.TracerProvider
	metrics metric.MeterProvider
	keys    bool
}

// WithTracerProvider takes another provider than the global one.
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *options) { o.traces = p } }

// WithMeterProvider takes another provider than the global one.
func WithMeterProvider(p metric.MeterProvider) Option { return func(o *options) { o.metrics = p } }

// WithKeys puts the key of every operation into its span.
func WithKeys() Option { return func(o *options) { o.keys = true } }

// NewHook makes a hook for client.Config.Hooks.
func NewHook(opts ...Option) (*Hook, error) {
	o := options{traces: otel.GetTracerProvider(), metrics: otel.GetMeterProvider()}
	for _, f := range opts {
		f(&o)
	}
	d, err := o.metrics.Meter(scope).Float64Histogram("db.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of the client's operations, retries included."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5))
	if err != nil {
		return nil, err
	}
	return &Hook{tracer: o.traces.Tracer(scope), duration: d, keys: o.keys}, nil
}

// system is the family of protocols that the client speaks, as the semantic conventions
// name it.
var system = attribute.String("db.system.name", "redis")

// Before implements client.Hook: it starts the span.
func (h *Hook) Before(ctx context.Context, op *client.Op) context.Context {
	ctx, span := h.tracer.Start(ctx, op.Name, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(system, attribute.String("db.operation.name", op.Name), attribute.Int("aegis.slot", int(op.Slot)))
		if h.keys {
			span.SetAttributes(attribute.String("aegis.key", op.Key))
		}
	}
	return ctx
}

// After implements client.Hook: it ends the span and measures.
func (h *Hook) After(ctx context.Context, op *client.Op) {
	attrs := []attribute.KeyValue{system, attribute.String("db.operation.name", op.Name)}
	if host, port, err := net.SplitHostPort(op.Node); err == nil {
		attrs = append(attrs, attribute.String("server.address", host))
		if n, err := strconv.Atoi(port); err == nil {
			attrs = append(attrs, attribute.Int("server.port", n))
		}
	}
	if op.Err != nil {
		attrs = append(attrs, attribute.String("error.type", kind(op.Err)))
	}
	h.duration.Record(ctx, op.Duration.Seconds(), metric.WithAttributes(attrs...))
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attrs...)
	span.SetAttributes(attribute.Int("aegis.attempts", op.Attempts), attribute.Int64("aegis.version", int64(op.Version)))
	if op.Err != nil {
		span.RecordError(op.Err)
		span.SetStatus(codes.Error, op.Err.Error())
	}
}

// kinds are the errors that a dashboard tells apart.
var kinds = []struct {
	err  error
	name string
}{
	{client.ErrAmbiguous, "ambiguous"},
	{client.ErrLostWrites, "lost_writes"},
	{client.ErrVersionMismatch, "version_mismatch"},
	{client.ErrTooLarge, "too_large"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "timeout"},
	{client.ErrUnavailable, "unavailable"},
	{client.ErrClosed, "closed"},
}

// kind is one of few words for an error.
func kind(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	var server *client.ServerError
	if errors.As(err, &server) {
		return server.Code
	}
	return "_OTHER"
}
