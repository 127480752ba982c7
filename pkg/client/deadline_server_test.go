package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

// TestAWriteIsNotAppliedAfterItsDeadline: one that the server holds back, and one that lies
// behind it in the socket. A write of more patience in the same place is applied.
func TestAWriteIsNotAppliedAfterItsDeadline(t *testing.T) {
	srv := clienttest.New(t)
	cfg := srv.Config()
	cfg.ConnsPerNode, cfg.Timeout, cfg.StallTimeout = 1, time.Minute, time.Minute
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Set(ctx, "k", []byte("before")); err != nil {
		t.Fatal(err)
	}
	release := srv.Hold("k")
	defer release()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	behind := make(chan error)
	go func() { behind <- c.Set(short, "other", []byte("late")) }()
	if err := c.Set(short, "k", []byte("late")); !errors.Is(err, client.ErrAmbiguous) {
		t.Error(err)
	}
	<-behind // it went before or not, and was in time or not
	patient := make(chan error)
	go func() { patient <- c.Set(ctx, "patient", []byte("v")) }()
	release()
	if err := <-patient; err != nil {
		t.Error("a write with time left:", err)
	}
	if v, err := c.Get(ctx, "k"); string(v) != "before" || err != nil {
		t.Errorf("after the deadline %q was stored, %v", v, err)
	}
}
