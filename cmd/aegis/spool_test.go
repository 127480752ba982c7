package main

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// TestALogThatNobodyReadsStopsNobody: the reader of the log stands still, and the node
// says more than pipes and memory for it hold. No line is waited for; when the reader
// goes on, it finds the oldest and the newest, and how many are missing between.
func TestALogThatNobodyReadsStopsNobody(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	log := newLogger(&node.Loaded{LogFormat: "json", LogLevel: "info"}, w)
	const lines = 20_000 // about 130 bytes each
	said := make(chan struct{})
	go func() {
		for i := range lines {
			log.Info("writes rolled back", zap.Int("n", i), zap.Int("shard", 1), zap.String("detail", "the same as in any other line"))
		}
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(time.Minute):
		t.Fatal("a line waits for the reader of the log")
	}
	got := make(chan [3]int) // lines, missing, the last one
	go func() {
		var sum [3]int
		for in := bufio.NewScanner(r); in.Scan(); {
			var line struct{ N, Lines int }
			if err := json.Unmarshal(in.Bytes(), &line); err != nil {
				t.Errorf("%s: %v", in.Text(), err)
			}
			if line.Lines > 0 {
				sum[1] += line.Lines
				continue
			}
			sum[0], sum[2] = sum[0]+1, line.N
		}
		got <- sum
	}()
	taken(t, log)
	log.Info("the last line", zap.Int("n", lines))
	taken(t, log)
	w.Close()
	if sum := <-got; sum[1] == 0 || sum[0]+sum[1] != lines+1 || sum[2] != lines {
		t.Errorf("%d lines and %d left out, the last one %d; %d were said", sum[0], sum[1], sum[2], lines+1)
	}
}

// taken waits until the reader has all: Sync has its patience, and a busy one needs more.
func taken(t *testing.T, log *zap.Logger) {
	t.Helper()
	for begun := time.Now(); ; {
		asked := time.Now()
		_ = log.Sync()
		switch now := time.Now(); {
		case now.Sub(asked) < spoolWait:
			return
		case now.Sub(begun) > time.Minute:
			t.Fatal("the log is not taken")
		}
	}
}
