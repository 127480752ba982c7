package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/backup"
	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// contents are the keys and values of a backup.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	m, err := backup.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for i := range m.Files {
		r, err := backup.OpenShard(dir, &m.Files[i])
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for {
			b, n, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			if err := statemachine.EachEntry(b, func(k, v []byte, _ shardmap.Version, _ int64) { all[string(k)] = string(v) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// served waits for a node and gives a client of it.
func served(t *testing.T, addr string) *client.Client {
	t.Helper()
	c, err := client.New(client.DefaultConfig([]string{addr}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := c.Set(t.Context(), "ready", []byte("yes")); err == nil {
			return c
		} else if time.Now().After(end) {
			t.Fatal("the node does not serve:", err)
		}
	}
}

// TestBackupOfOneMoment copies a node while one client writes the keys of one slot round
// after round: what the copy has of them is what stood between two of its writes.
func TestBackupOfOneMoment(t *testing.T) {
	const keys, long = 300, 2000
	cfg, stop := withLog(t)
	defer stop()
	c := served(t, cfg.ClientAddr)
	filler := strings.Repeat("x", long)
	write := func(n int) error {
		return c.Set(t.Context(), fmt.Sprintf("{one}%d", n%keys), []byte(fmt.Sprintf("%d %s", n, filler)))
	}
	for n := range keys {
		if err := write(n); err != nil {
			t.Fatal(err)
		}
	}
	quit, wrote := make(chan struct{}), make(chan int)
	go func() {
		n := keys
		for ; ; n++ {
			select {
			case <-quit:
				wrote <- n
				return
			default:
			}
			if err := write(n); err != nil {
				t.Error(err)
			}
		}
	}()
	u := tool{t: t, addr: cfg.ClientAddr}
	dir := filepath.Join(t.TempDir(), "copy")
	out, said, code := u.run("", "backup", dir, "-o", "json", "--rate", "3MiB", "--addr", cfg.ClientAddr)
	close(quit)
	n := <-wrote
	var told backupTold
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 || told.Keys < keys || told.Shards != 8 {
		t.Fatalf("backup: %d, %q, %q, %v", code, out, said, err)
	}
	low, high := 1<<62, 0
	all := contents(t, dir)
	for k := range keys {
		word, rest, _ := strings.Cut(all[fmt.Sprintf("{one}%d", k)], " ")
		at, err := strconv.Atoi(word)
		if err != nil || rest != filler || at%keys != k {
			t.Fatalf("key %d: %.20q, %v", k, all[fmt.Sprintf("{one}%d", k)], err)
		}
		low, high = min(low, at), max(high, at)
	}
	t.Logf("the copy has writes %d to %d of %d", low, high, n)
	if high-low != keys-1 {
		t.Errorf("the copy has writes from %d to %d of %d keys: it is of more than one moment", low, high, keys)
	}
	if n < keys+100 {
		t.Errorf("only %d writes came meanwhile", n-keys)
	}
}

// TestBackupCommands copies a node, checks the copy, and damages it.
func TestBackupCommands(t *testing.T) {
	cfg, stop := withLog(t)
	defer stop()
	served(t, cfg.ClientAddr)
	u := tool{t: t, addr: cfg.ClientAddr}
	dir := filepath.Join(t.TempDir(), "copy")
	out, said, code := u.run("", "backup", dir, "--addr", cfg.ClientAddr)
	if code != 0 || !strings.Contains(out, "1 keys of 8 shards") || !strings.Contains(out, "verified") {
		t.Fatalf("backup: %d, %q, %q", code, out, said)
	}
	out, said, code = u.run("", "snapshot", "verify", dir)
	if code != 0 || !strings.Contains(out, "8 shards, 1 keys, 8 bytes") {
		t.Errorf("verify: %d, %q, %q", code, out, said)
	}
	var v verified
	out, said, code = u.run("", "snapshot", "verify", dir, "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !v.Sound || v.Kind != "backup" || v.Keys != 1 || v.Shards != 8 || v.Bytes == 0 {
		t.Errorf("verify -o json: %d, %q, %q, %v", code, out, said, err)
	}
	fails(t, 1, []string{"backup", dir, "--addr", cfg.ClientAddr}, "not empty")
	name := backup.FileName(shardmap.Layout{Shards: 8, Groups: 2}.ShardOf(shardmap.SlotOfString("ready")))
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), bytes.Replace(b, []byte("yes"), []byte("yet"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	out, said, code = u.run("", "snapshot", "verify", dir)
	if code != exitDamaged || !strings.Contains(out, "damaged: "+name) || !strings.Contains(said, "1 of 8 files") {
		t.Errorf("verify of a damaged one: %d, %q, %q", code, out, said)
	}
	out, _, code = u.run("", "snapshot", "verify", dir, "-o", "json")
	if v = (verified{}); json.Unmarshal([]byte(out), &v) != nil || code != exitDamaged || v.Sound || len(v.Damages) != 1 || !strings.Contains(v.Damages[0], name) {
		t.Errorf("verify -o json of a damaged one: %d, %q", code, out)
	}
	fails(t, exitUnreachable, []string{"backup", dir + "2", "--addr", "127.0.0.1:1"}, "no node answers")
	fails(t, exitUsage, []string{"backup"}, "where to")
	fails(t, exitUsage, []string{"backup", dir, "--rate", "much"}, "--rate")
	fails(t, exitUsage, []string{"backup", dir, "--rate", "16KiB"}, "--rate 16KiB", "64 KiB or more")
	fails(t, exitUsage, []string{"backup", dir, "-o", "yaml"}, "text or json")
}

// TestABackupThatIsNotWhole: the only node ends in the middle, and the command says which
// shards are missing; what it leaves is no backup.
func TestABackupThatIsNotWhole(t *testing.T) {
	cfg, stop := withLog(t)
	c := served(t, cfg.ClientAddr)
	for i := range 800 {
		if err := c.Set(t.Context(), fmt.Sprint("key", i), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "copy")
	// The node answers for some seconds more once it is to end, which is not enough at this rate.
	cmd := aegis(t, "backup", dir, "--addr", cfg.ClientAddr, "--rate", "64KiB", "--patience", "300ms")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if files, _ := filepath.Glob(filepath.Join(dir, "shard-*.aegis")); len(files) >= 2 {
			break
		} else if time.Now().After(end) {
			t.Fatal("no shard is copied")
		}
	}
	stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "holds no backup") ||
		!strings.Contains(said.String(), "of 8 shards are missing (") || !strings.Contains(said.String(), "nobody served them within 300ms") {
		t.Errorf("it ends with %d and says %q", code, said.String())
	}
	fails(t, exitUnreachable, []string{"snapshot", "verify", dir}, "did not come to its end")
}

// TestASlowCopyIsNotForgotten: a node waits half a minute for the next question, and a long
// value takes longer at a low rate. The rate is kept in the end.
func TestASlowCopyIsNotForgotten(t *testing.T) {
	const piece, rate = 512 << 10, 1 << 20
	var bytes int64
	var took time.Duration
	for i := range 1000 {
		n := int64(piece)
		if i == 0 {
			n = 64 << 20
		}
		bytes += n
		rest := restOf(bytes, rate, took)
		if rest > 10*time.Second {
			t.Fatalf("piece %d: nobody is asked for %v", i, rest)
		}
		took += max(rest, 0)
	}
	if want := time.Duration(bytes/rate) * time.Second; took < want-time.Second || took > want+time.Second {
		t.Errorf("%d bytes took %v, want %v", bytes, took, want)
	}
}
