package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// writeLog makes a log with three records of shard 5, and gives its only full segment.
func writeLog(t *testing.T, dir string) string {
	t.Helper()
	d, err := wal.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wal.Recover(wal.Config{FS: d, Mode: wal.Fsync, ID: [16]byte{7}, Boot: wal.Boot(), Shards: 8}, &framePrinter{silent: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Begin([16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(3) {
		l.Append(5, wal.KindFirst, seq, statemachine.AppendRecord(nil, &statemachine.Record{
			Version: shardmap.MakeVersion(2, seq+1), Prev: shardmap.MakeVersion(2, seq), Op: statemachine.OpSet,
			Key: []byte("greeting"), Value: []byte("hello"),
		}))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "0000000000000001.wal")
}

func TestWALCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	segment := writeLog(t, dir)
	u := tool{t: t}
	out, said, code := u.run("", "wal", "verify", dir)
	if code != 0 || !strings.Contains(out, "mode fsync: 1 segments") || !strings.Contains(out, "3 frames") || !strings.Contains(out, "\nintact") {
		t.Errorf("verify: %d, %q, %q", code, out, said)
	}
	var v verified
	out, said, code = u.run("", "wal", "verify", dir, "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !v.Sound || v.Kind != "log" || v.Log == nil || v.Log.Frames != 3 || !v.Log.Intact {
		t.Errorf("verify -o json: %d, %q, %q, %v", code, out, said, err)
	}
	fails(t, exitUsage, []string{"wal", "verify", dir, "-o", "yaml"}, "text or json")
	fails(t, exitUsage, []string{"wal", "dump", dir, "-o", "json"}, "-o")
	out, said, code = u.run("", "wal", "dump", dir)
	if code != 0 || strings.Count(out, "shard 5 set 2/") != 3 || !strings.Contains(out, `set 2/3 after 2/2, key "greeting", value 5 bytes`) {
		t.Errorf("dump: %d, %q, %q", code, out, said)
	}
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "hello")
	b[at] ^= 1
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, said, code = u.run("", "wal", "verify", dir)
	if code != exitDamaged || !strings.Contains(out, "fails its checksum; shards that lost writes: 5\n") || !strings.Contains(said, "damaged") {
		t.Errorf("verify of a damaged log: %d, %q, %q", code, out, said)
	}
	out, _, code = u.run("", "wal", "verify", dir, "-o", "json")
	if v = (verified{}); json.Unmarshal([]byte(out), &v) != nil || code != exitDamaged || v.Sound || len(v.Damages) != 1 {
		t.Errorf("verify -o json of a damaged log: %d, %q", code, out)
	}
	b[at] ^= 1
	if err := os.WriteFile(segment, b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	out, said, code = u.run("", "wal", "verify", dir)
	if code != 0 || !strings.Contains(out, "torn at segment 0000000000000001") {
		t.Errorf("verify of a torn log: %d, %q, %q", code, out, said)
	}
	fails(t, exitUnreachable, []string{"wal", "verify", t.TempDir()}, "no segment")
	fails(t, exitUnreachable, []string{"wal", "dump", "/nowhere"}, "/nowhere")
	fails(t, exitUsage, []string{"wal", "verify"}, "which log")
	fails(t, exitUsage, []string{"wal", "verfy"}, "verify")
}

// TestEveryFrameIsDescribed: none is left to its number.
func TestEveryFrameIsDescribed(t *testing.T) {
	for kind := wal.KindFirst; kind < wal.KindFirst+5; kind++ {
		if s := shardgroup.DescribeFrame(&wal.Frame{Kind: kind, Payload: make([]byte, 64)}); strings.Contains(s, "kind") {
			t.Errorf("kind %d is described as %q", kind, s)
		}
	}
}
