// Package otelaegis tells OpenTelemetry of what the Go client of AegisKV does: a span
// and a measurement for every operation.
//
//	cfg := client.DefaultConfig(seeds)
//	hook, err := otelaegis.NewHook()
//	cfg.Hooks = append(cfg.Hooks, hook)
//
// It is a module of its own, so that users of the client alone do not need
// OpenTelemetry. Keys are not told unless WithKeys asks for it: they may be secret, and
// there are too many of them for a dimension of a metric.
package otelaegis
