package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// lone is one node on its own that can be stopped and started again.
type lone struct {
	cfg    Config
	node   *Node
	cancel func()
	ended  chan error
}

func newLone(t *testing.T, mode wal.Mode) *lone {
	t.Helper()
	ports := freePorts(t, 3)
	l := &lone{cfg: DefaultConfig()}
	l.cfg.ID, l.cfg.DataDir, l.cfg.MaxMemoryBytes, l.cfg.LeaseProfile, l.cfg.WAL = "n1", t.TempDir(), memoryMin, "noisy", mode
	l.cfg.NumShards, l.cfg.NumGroups = 16, 4
	l.cfg.ClientAddr, l.cfg.ClusterAddr, l.cfg.GossipAddr = ports[0], ports[1], ports[2]
	return l
}

func (l *lone) start(t *testing.T) *raw {
	t.Helper()
	return l.startOn(t, nil)
}

func (l *lone) stop() error {
	l.cancel()
	return <-l.ended
}

// refused starts the node and wants a sentence instead.
func (l *lone) refused(t *testing.T, words ...string) {
	t.Helper()
	n, err := New(l.cfg, zap.NewNop())
	if err == nil {
		err = n.Run(context.Background())
	}
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
}

func (r *raw) say(t testing.TB, words ...string) string {
	t.Helper()
	r.pipeline(1, "", words...)
	return r.answer(t)
}

// TestALoneNodeComesBack stops a node and starts it again, in each mode: what it was told
// is there, with its deadlines, and versions go on above what was issued.
func TestALoneNodeComesBack(t *testing.T) {
	for _, mode := range []wal.Mode{wal.Write, wal.Fsync} {
		l := newLone(t, mode)
		r := l.start(t)
		r.pipeline(1, "", "SET", "a", "1")
		r.until(t, "+OK\r\n")
		for i := range 200 {
			if got := r.say(t, "SET", fmt.Sprint("key:", i), "value", "EX", "1000"); got != "+OK\r\n" {
				t.Fatal(got)
			}
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		r = l.start(t)
		r.pipeline(1, "", "INCR", "a")
		r.until(t, ":2\r\n")
		if got := r.say(t, "DBSIZE"); got != ":201\r\n" {
			t.Errorf("%v: after a restart there are %q keys", mode, got)
		}
		if got := r.say(t, "TTL", "key:7"); got != ":1000\r\n" && got != ":999\r\n" && !strings.HasPrefix(got, ":99") {
			t.Errorf("%v: TTL %q", mode, got)
		}
		if d := l.node.durable; !d.found.Intact || d.found.Frames < 200 {
			t.Errorf("%v: found %+v", mode, d.found)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// written starts a lone node, writes some keys, and stops it.
func written(t *testing.T, mode wal.Mode, keys int) *lone {
	t.Helper()
	l := newLone(t, mode)
	r := l.start(t)
	for i := range keys {
		r.pipeline(1, "", "SET", fmt.Sprint("key:", i), "value")
		r.until(t, "+OK\r\n")
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lone) segments(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(l.cfg.DataDir, "n1", "wal", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names
}

// TestLogsThatDoNotBelong are refused in one sentence that says what to do.
func TestLogsThatDoNotBelong(t *testing.T) {
	l := written(t, wal.Write, 1)
	l.cfg.WAL = wal.Off
	l.refused(t, "--wal off would leave it behind", "--wal write", filepath.Join("n1", "wal"))

	l.cfg.WAL, l.cfg.ID = wal.Fsync, "n2"
	if err := os.Rename(filepath.Join(l.cfg.DataDir, "n1", "wal"), filepath.Join(l.cfg.DataDir, "logs", "n2")); err == nil {
		t.Fatal("renamed into a directory that is not there")
	}
	if err := os.Mkdir(filepath.Join(l.cfg.DataDir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(l.cfg.DataDir, "n1", "wal"), filepath.Join(l.cfg.DataDir, "logs", "n2")); err != nil {
		t.Fatal(err)
	}
	l.cfg.WALDir, l.cfg.Stated = filepath.Join(l.cfg.DataDir, "logs"), map[string]bool{"walDir": true}
	l.refused(t, "another node identity", filepath.Join("logs", "n2"))

	names, _ := filepath.Glob(filepath.Join(l.cfg.WALDir, "n2", "*.wal"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		newerHead(b)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.refused(t, "newer format", "use the version that wrote it")
}

// newerHead gives a segment the head of format 9.
func newerHead(b []byte) {
	const head = 96
	binary.BigEndian.PutUint16(b[8:], 9)
	binary.BigEndian.PutUint32(b[head-4:], crc32.Checksum(b[:head-4], crc32.MakeTable(crc32.Castagnoli)))
}

// TestADamagedLogOfALoneNode flips a bit in a record: the node says which shard lost what
// it held, and starts only when that is accepted. The other shards keep theirs.
func TestADamagedLogOfALoneNode(t *testing.T) {
	l := written(t, wal.Fsync, 64)
	name := l.segments(t)[0]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("key:63"))
	if at < 0 {
		t.Fatal("the log does not hold the key")
	}
	b[at] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	lost := shardmap.Layout{Shards: l.cfg.NumShards, Groups: l.cfg.NumGroups}.ShardOf(shardmap.SlotOfString("key:63"))
	l.refused(t, "is damaged", fmt.Sprintf("1 shards (%d)", lost), "--accept-data-loss", "aegis wal verify")
	l.cfg.AcceptDataLoss = true
	r := l.start(t)
	r.pipeline(1, "", "GET", "key:63")
	r.until(t, "$-1\r\n")
	kept := 0
	for i := range 64 {
		if r.say(t, "EXISTS", fmt.Sprint("key:", i)) == ":1\r\n" {
			kept++
		}
	}
	if kept < 48 || kept > 63 {
		t.Errorf("%d of 64 keys are left", kept)
	}
	if got := r.say(t, "SET", "key:63", "again"); got != "+OK\r\n" {
		t.Error(got)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l.cfg.AcceptDataLoss = false // what was lost is over: the log says so
	r = l.start(t)
	r.pipeline(1, "", "EXISTS", "key:63")
	r.until(t, ":1\r\n")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}
