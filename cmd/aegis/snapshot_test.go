package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// withLog runs a node with a log and 8 shards in this process until the test calls stop.
func withLog(t *testing.T) (cfg node.Config, stop func()) {
	t.Helper()
	return withShards(t, 8)
}

func withShards(t *testing.T, shards int) (cfg node.Config, stop func()) {
	t.Helper()
	cfg = node.DefaultConfig()
	cfg.ID, cfg.DataDir, cfg.WAL, cfg.NumShards, cfg.NumGroups = "n1", t.TempDir(), wal.Write, shards, 2
	cfg.MaxMemoryBytes = 64 << 20
	for _, addr := range []*string{&cfg.ClientAddr, &cfg.ClusterAddr, &cfg.GossipAddr} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*addr = ln.Addr().String()
		ln.Close()
	}
	n, err := node.New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	return cfg, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestSnapshotCommands has a node save what it holds, checks the snapshot, and damages it.
func TestSnapshotCommands(t *testing.T) {
	cfg, stop := withLog(t)
	u := tool{t: t, addr: cfg.ClientAddr}
	value := strings.Repeat("a value like no other ", 3)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, _, code := u.run("", "set", "greeting", value); code == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatal("the node does not serve")
		}
	}
	out, said, code := u.run("", "snapshot", "save", "--addr", cfg.ClientAddr)
	if code != 0 || !strings.Contains(out, "saved in ") {
		t.Errorf("save: %d, %q, %q", code, out, said)
	}
	path := filepath.Join(cfg.DataDir, "n1", "image.db")
	if _, said, code = u.run("", "snapshot", "verify", path); code != exitUnreachable || !strings.Contains(said, "a node that runs has it open") {
		t.Errorf("verify beside the node: %d, %q", code, said)
	}
	stop()
	out, said, code = u.run("", "snapshot", "verify", filepath.Dir(path))
	if code != 0 || !strings.Contains(out, "8 of 8 shards, 1 blocks") {
		t.Errorf("verify: %d, %q, %q", code, out, said)
	}
	var v verified
	out, said, code = u.run("", "snapshot", "verify", path, "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !v.Sound || v.Kind != "snapshot" || v.Shards != 8 || v.SavedMs == 0 {
		t.Errorf("verify -o json: %d, %q, %q, %v", code, out, said, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.ReplaceAll(b, []byte("greeting"), []byte("greetinh")) // pages that are free hold it too
	if bytes.Equal(broken, b) {
		t.Fatal("the snapshot does not hold the key")
	}
	if err := os.WriteFile(path, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	out, said, code = u.run("", "snapshot", "verify", path)
	if code != exitDamaged || !strings.Contains(out, "fails its checksum") || !strings.Contains(said, "damaged") {
		t.Errorf("verify of a damaged one: %d, %q, %q", code, out, said)
	}
	fails(t, exitUnreachable, []string{"snapshot", "save", "--addr", cfg.ClientAddr}, "no node answers")
	fails(t, exitUnreachable, []string{"snapshot", "verify", path + ".not"}, "no such file")
	fails(t, exitUsage, []string{"snapshot", "verify"}, "which snapshot")
	fails(t, exitUsage, []string{"snapshot", "save", "--addr", "nowhere"}, "client address")
	fails(t, exitUsage, []string{"snapshot", "sav"}, "save")
}
