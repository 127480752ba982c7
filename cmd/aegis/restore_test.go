package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/backup"
	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/client"
)

// emptied gives a node without keys and a client of it.
func emptied(t *testing.T, shards int) (cfg node.Config, c *client.Client) {
	t.Helper()
	cfg, stop := withShards(t, shards)
	t.Cleanup(stop)
	c = served(t, cfg.ClientAddr)
	if err := c.Delete(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	return cfg, c
}

const restoredKeys = 1200

// fillToRestore writes keys without a deadline, with one, and with one that is over soon.
func fillToRestore(t *testing.T, c *client.Client, deadline time.Time) {
	t.Helper()
	for i := range restoredKeys {
		var o []client.SetOption
		switch i % 4 {
		case 1:
			o = append(o, client.ExpireAt(deadline))
		case 2:
			o = append(o, client.ExpireAt(time.Now().Add(500*time.Millisecond)))
		}
		if _, err := c.SetX(t.Context(), fmt.Sprint("key:", i), fmt.Appendf(nil, "v\x00%d%s", i, strings.Repeat("z", i)), o...); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRestored compares what a cluster has with what fillToRestore wrote.
func wantRestored(t *testing.T, c *client.Client, deadline time.Time) {
	t.Helper()
	for i := range restoredKeys {
		key := fmt.Sprint("key:", i)
		v, err := c.Get(t.Context(), key)
		switch want := fmt.Sprintf("v\x00%d%s", i, strings.Repeat("z", i)); {
		case i%4 == 2 && err == client.ErrNotFound:
			continue
		case i%4 == 2 || err != nil || string(v) != want:
			t.Fatalf("%s: %.20q, %v", key, v, err)
		}
		at, err := c.Do(t.Context(), "PEXPIRETIME", key)
		if want := deadline.UnixMilli(); err != nil || i%4 == 1 && at.Int != want || i%4 != 1 && at.Int != -1 {
			t.Fatalf("%s dies at %d, not at %d; %v", key, at.Int, want, err)
		}
	}
}

// TestRestore copies a node and restores the copy into a cluster of other shards: the same
// keys, values and deadlines, without what died meanwhile.
func TestRestore(t *testing.T) {
	from, c := emptied(t, 8)
	deadline := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	fillToRestore(t, c, deadline)
	dir := filepath.Join(t.TempDir(), "copy")
	u := tool{t: t}
	if _, said, code := u.run("", "backup", dir, "--addr", from.ClientAddr); code != 0 {
		t.Fatal(code, said)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := c.Get(t.Context(), fmt.Sprint("key:", restoredKeys-2)); err == client.ErrNotFound {
			break
		} else if time.Now().After(end) {
			t.Fatal("a key does not die")
		}
	}
	to, into := emptied(t, 32)
	out, said, code := u.run("", "snapshot", "restore", dir, "--addr", to.ClientAddr, "-o", "json")
	var told restored
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 {
		t.Fatalf("restore: %d, %q, %q, %v", code, out, said, err)
	}
	if told.Written+told.Dead != told.Keys || told.Written < restoredKeys*3/4 || told.There != 0 || told.Present != told.Written {
		t.Errorf("restore: %+v", told)
	}
	wantRestored(t, into, deadline)
	t.Run("again", func(t *testing.T) {
		fails(t, exitRefused, []string{"snapshot", "restore", dir, "--addr", to.ClientAddr}, "holds 900 keys", "FLUSHALL", "--resume")
		if err := into.Set(t.Context(), "key:0", []byte("newer")); err != nil {
			t.Fatal(err)
		}
		if err := into.Delete(t.Context(), "key:3"); err != nil {
			t.Fatal(err)
		}
		out, said, code := u.run("", "snapshot", "restore", dir, "--addr", to.ClientAddr, "--resume")
		if code != 0 || !strings.HasPrefix(out, "1 keys restored") || !strings.Contains(out, "899 were there already") {
			t.Errorf("resume: %d, %q, %q", code, out, said)
		}
		if v, err := into.Get(t.Context(), "key:0"); string(v) != "newer" {
			t.Errorf("a newer value became %.20q, %v", v, err)
		}
	})
	t.Run("damaged", func(t *testing.T) { damagedIsNotRestored(t, dir) })
}

// damagedIsNotRestored: not even the files of it that are sound.
func damagedIsNotRestored(t *testing.T, dir string) {
	to, c := emptied(t, 8)
	path := filepath.Join(dir, backup.FileName(5))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	u := tool{t: t}
	_, said, code := u.run("", "snapshot", "restore", dir, "--addr", to.ClientAddr)
	if code != exitDamaged || !strings.Contains(said, backup.FileName(5)) || !strings.Contains(said, "nothing was restored") {
		t.Errorf("restore of a damaged backup: %d, %q", code, said)
	}
	for key, err := range c.Scan(t.Context()) {
		t.Errorf("the cluster holds %q, %v", key, err)
	}
	if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	fails(t, exitUnreachable, []string{"snapshot", "restore", dir, "--addr", to.ClientAddr}, "did not come to its end")
}

// TestRestoreOfASnapshot restores the image of a node that was stopped.
func TestRestoreOfASnapshot(t *testing.T) {
	from, stop := withLog(t)
	c := served(t, from.ClientAddr)
	deadline := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	fillToRestore(t, c, deadline)
	u := tool{t: t}
	if _, said, code := u.run("", "snapshot", "save", "--addr", from.ClientAddr); code != 0 {
		t.Fatal(code, said)
	}
	stop()
	to, into := emptied(t, 16)
	out, said, code := u.run("", "snapshot", "restore", filepath.Join(from.DataDir, "n1"), "--addr", to.ClientAddr)
	if code != 0 || !strings.Contains(out, " keys restored in ") {
		t.Fatalf("restore: %d, %q, %q", code, out, said)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := into.Get(t.Context(), fmt.Sprint("key:", restoredKeys-2)); err == client.ErrNotFound {
			break
		} else if time.Now().After(end) {
			t.Fatal("a key does not die")
		}
	}
	wantRestored(t, into, deadline)
}

// TestRestoreIntoTooLittle: what was evicted is missed, and said. A megabyte of one slot fits
// a shard of 8 and not one of 256.
func TestRestoreIntoTooLittle(t *testing.T) {
	from, c := emptied(t, 8)
	for i := range 50 {
		if err := c.Set(t.Context(), fmt.Sprint("{one}", i), make([]byte, 20_000)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "copy")
	u := tool{t: t}
	if _, said, code := u.run("", "backup", dir, "--addr", from.ClientAddr); code != 0 {
		t.Fatal(code, said)
	}
	to, _ := emptied(t, 256)
	out, said, code := u.run("", "snapshot", "restore", dir, "--addr", to.ClientAddr)
	if code != 1 || !strings.Contains(out, "50 keys restored") || !strings.Contains(said, "of 50 keys are not there any more") || !strings.Contains(said, "--max-memory-bytes") {
		t.Errorf("restore: %d, %q, %q", code, out, said)
	}
}

// TestRestoreIsRefused: what is no backup, and nobody there to take one.
func TestRestoreIsRefused(t *testing.T) {
	fails(t, exitUsage, []string{"snapshot", "restore"}, "which backup")
	fails(t, exitUsage, []string{"snapshot", "restore", "x", "-o", "yaml"}, "text or json")
	fails(t, exitUnreachable, []string{"snapshot", "restore", filepath.Join(t.TempDir(), "no")}, "no such file")
}
