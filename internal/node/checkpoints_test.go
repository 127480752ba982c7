package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// saveNow has an image made and waits for it.
func (l *lone) saveNow(t *testing.T, on *raw) {
	t.Helper()
	c := l.node.durable.checkpoints
	before := c.passes.Load()
	if got := on.say(t, "BGSAVE"); got != "+Background saving started\r\n" {
		t.Fatal(got)
	}
	for end := time.Now().Add(2 * time.Minute); c.passes.Load() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no image is made")
		}
	}
}

// bulky is a value that does not pack; many of them are more than the rings keep.
func bulky(r *rand.Rand) string {
	b := make([]byte, 60<<10)
	r.Read(b)
	return string(b)
}

// imaged is a lone node that was stopped with an image, and a log that does not go back to
// its beginning; it says what it holds.
func imaged(t *testing.T, mode wal.Mode) (*lone, map[string]string) {
	t.Helper()
	l := newLone(t, mode)
	c := l.start(t)
	r := rand.New(rand.NewSource(1))
	held := map[string]string{}
	set := func(key, value string) {
		t.Helper()
		held[key] = value
		c.pipeline(1, "", "SET", key, value)
		c.until(t, "+OK\r\n")
	}
	for i := range 200 {
		set(fmt.Sprint("key:", i), fmt.Sprint("first ", i))
	}
	for i := range 200 {
		set(fmt.Sprint("bulk:", i%16), bulky(r))
	}
	l.saveNow(t, c)
	for i := range 40 {
		set(fmt.Sprint("key:", i), "second")
		if got := c.say(t, "DEL", fmt.Sprint("key:", 100+i)); got != ":1\r\n" {
			t.Fatal(got)
		}
		delete(held, fmt.Sprint("key:", 100+i))
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	return l, held
}

func (l *lone) wantHeld(t *testing.T, c *raw, held map[string]string) {
	t.Helper()
	c.pipeline(1, "", "DBSIZE")
	c.until(t, fmt.Sprintf(":%d\r\n", len(held))) // not before every group is served
	for key, value := range held {
		c.pipeline(1, "", "GET", key)
		if _, err := c.nc.Write(c.ask); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.nc, got); err != nil || string(got) != want {
			t.Fatalf("%s comes back as %.40q: %v", key, got, err)
		}
	}
}

// TestALoneNodeComesBackFromItsImage twice: what it wrote before the image, what it wrote
// after, and nothing that it had removed.
func TestALoneNodeComesBackFromItsImage(t *testing.T) {
	l, held := imaged(t, wal.Fsync)
	for round := range 2 {
		c := l.start(t)
		c.pipeline(1, "", "SET", "awake", "1")
		c.until(t, "+OK\r\n")
		held["awake"] = "1"
		l.wantHeld(t, c, held)
		d := l.node.durable
		if d.checkpoints.saver.From == 0 || d.loaded.shards != l.cfg.NumShards || len(d.loaded.lost) != 0 || !d.found.Intact {
			t.Errorf("round %d: the log from %d, loaded %+v, found %+v", round, d.checkpoints.saver.From, d.loaded, d.found)
		}
		if d.found.Frames > 400 {
			t.Errorf("%d frames were played, the rings hold less", d.found.Frames)
		}
		if round == 0 {
			l.saveNow(t, c)
			if got := c.say(t, "LASTSAVE"); got < fmt.Sprintf(":%d", time.Now().Add(-time.Minute).Unix()) {
				t.Errorf("LASTSAVE %q", got)
			}
			if f := fmt.Sprint(l.node.durable.section(false).Fields); !strings.Contains(f, "[rdb_saves 1]") {
				t.Errorf("INFO says %s", f)
			}
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADamagedImageOfALoneNode flips a bit of a block: the shard that it is of is lost, and
// the node says so and does not start without leave. The others keep theirs, also in the
// image that is then made anew.
func TestADamagedImageOfALoneNode(t *testing.T) {
	l, held := imaged(t, wal.Fsync)
	path := filepath.Join(l.cfg.DataDir, "n1", "image.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(held["bulk:3"][1000:1100]))
	if at < 0 {
		t.Fatal("the image does not hold the key")
	}
	b[at] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	layout := shardmap.Layout{Shards: l.cfg.NumShards, Groups: l.cfg.NumGroups}
	lost := layout.ShardOf(shardmap.SlotOfString("bulk:3"))
	l.refused(t, "is damaged", fmt.Sprintf("1 shards (%d)", lost), "--accept-data-loss")
	for key := range held {
		if layout.ShardOf(shardmap.SlotOfString(key)) == lost {
			delete(held, key)
		}
	}
	l.cfg.AcceptDataLoss = true
	c := l.start(t)
	c.pipeline(1, "", "SET", "awake", "1")
	c.until(t, "+OK\r\n")
	held["awake"] = "1"
	l.wantHeld(t, c, held)
	l.saveNow(t, c)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l.cfg.AcceptDataLoss = false
	c = l.start(t)
	c.pipeline(1, "", "SET", "awake", "1")
	c.until(t, "+OK\r\n")
	l.wantHeld(t, c, held)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAnImageWithoutItsLog is refused, in each mode: what was written after it is not
// known. It is left behind when that may be lost.
func TestAnImageWithoutItsLog(t *testing.T) {
	l, _ := imaged(t, wal.Fsync)
	if err := os.RemoveAll(filepath.Join(l.cfg.DataDir, "n1", "wal")); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []wal.Mode{wal.Fsync, wal.Off} {
		l.cfg.WAL = mode
		l.refused(t, "image.db was made of a write-ahead log that is not in", filepath.Join("n1", "wal"), "--wal-dir", "--accept-data-loss")
	}
	l.cfg.WAL, l.cfg.AcceptDataLoss = wal.Fsync, true
	c := l.start(t)
	c.pipeline(1, "", "SET", "awake", "1")
	c.until(t, "+OK\r\n")
	if got := c.say(t, "DBSIZE"); got != ":1\r\n" {
		t.Errorf("DBSIZE %q", got)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(l.cfg.DataDir, "n1", "image.db.aside")); err != nil {
		t.Error(err)
	}
}

// TestAPassThatFails leaves the image that there was; the next one is a new file, because
// nothing is written to a file any more that failed once.
func TestAPassThatFails(t *testing.T) {
	l, held := imaged(t, wal.Write)
	c := l.start(t)
	c.pipeline(1, "", "SET", "awake", "1")
	c.until(t, "+OK\r\n")
	held["awake"] = "1"
	path := filepath.Join(l.cfg.DataDir, "n1", "image.db")
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	ours := l.node.durable.checkpoints
	ours.saver.Anew = true // as after an error; nothing runs yet
	if err := os.MkdirAll(filepath.Join(path+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.say(t, "BGSAVE")
	for end := time.Now().Add(2 * time.Minute); ours.failures.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no pass fails")
		}
	}
	if is, err := os.Stat(path); err != nil || !os.SameFile(was, is) {
		t.Errorf("the image is another file: %v", err)
	}
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	l.saveNow(t, c)
	if is, err := os.Stat(path); err != nil || os.SameFile(was, is) {
		t.Errorf("the image is the same file: %v", err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	c = l.start(t)
	l.wantHeld(t, c, held)
	if d := l.node.durable; d.loaded.shards != l.cfg.NumShards {
		t.Errorf("%d shards come from the new image", d.loaded.shards)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsSavedWithoutALog: BGSAVE says why.
func TestNothingIsSavedWithoutALog(t *testing.T) {
	l := newLone(t, wal.Off)
	c := l.start(t)
	if got := c.say(t, "BGSAVE"); got != "-ERR this node keeps nothing on its disk: it runs with --wal off\r\n" {
		t.Error(got)
	}
	if got := c.say(t, "LASTSAVE"); got < ":1" {
		t.Error(got)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAPassIsPaced: it rests four times as long as it works.
func TestAPassIsPaced(t *testing.T) {
	var p pacer
	p.begin()
	p.at = p.at.Add(-10 * time.Millisecond)
	before := time.Now()
	p.pause(t.Context())
	if took := time.Since(before); took < 40*time.Millisecond {
		t.Errorf("10 ms of work and %v of rest", took)
	}
	before = p.at
	p.pause(t.Context())
	if p.rest == 0 && time.Since(before) < restLeast/restShare {
		t.Error("a moment of work is followed by a rest of its own")
	}
}

// TestALogOfABackup is whole in itself, and is known for an older one by the image beside it.
func TestALogOfABackup(t *testing.T) {
	l, _ := imaged(t, wal.Fsync)
	dir := filepath.Join(l.cfg.DataDir, "n1", "wal")
	backup := filepath.Join(t.TempDir(), "wal")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, older := range []bool{false, true} {
		c := l.start(t)
		c.pipeline(1, "", "SET", "acked", "1")
		c.until(t, "+OK\r\n")
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		if older {
			if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(backup))); err != nil {
				t.Fatal(err)
			}
		}
		c = l.start(t)
		c.pipeline(1, "", "SET", "awake", "1")
		c.until(t, "+OK\r\n")
		if l.node.durable.found.Intact == older {
			t.Errorf("an older log: %v, and intact: %v (%s)", older, l.node.durable.found.Intact, l.node.durable.found.Why)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
