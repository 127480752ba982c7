package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// startOn starts the node with another directory in the place of its log's, unless it is nil.
func (l *lone) startOn(t *testing.T, fs wal.FS) *raw {
	t.Helper()
	var err error
	if l.node, err = New(l.cfg, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if fs != nil {
		l.node.durable.fs = fs
	}
	l.run()
	return dialRaw(t, l.cfg.ClientAddr)
}

func (l *lone) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.node.Run(ctx) }()
	l.cancel, l.ended = cancel, done
}

// TestAFailingLogEndsTheNode fails one fsync, or one write: whoever waits for it is not
// answered, the leases are given up, nothing is tried again, and the node says why it ends.
func TestAFailingLogEndsTheNode(t *testing.T) {
	for _, c := range []struct {
		mode   wal.Mode
		change string
		err    error
		says   string
	}{
		{wal.Fsync, "sync", unix.EIO, "cannot be written: input/output error; all leases were given up"},
		{wal.Fsync, "write", unix.ENOSPC, "wal is full"},
		{wal.Write, "write", unix.EIO, "cannot be written: input/output error; all leases were given up"},
		{wal.Write, "sync", unix.EIO, "cannot be written: input/output error; all leases were given up"},
	} {
		l := newLone(t, c.mode)
		fs := wal.NewMemory()
		r := l.startOn(t, fs)
		r.pipeline(1, "", "SET", "a", "1")
		r.until(t, "+OK\r\n")
		var armed, refused atomic.Int64
		fs.Before = func(change, _ string) error {
			if change == c.change && armed.Load() > 0 {
				refused.Add(1)
				return c.err
			}
			return nil
		}
		armed.Store(1)
		waits := c.mode == wal.Fsync || c.change == "write"
		if _, err := r.nc.Write([]byte("SET a 2\r\n")); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r.nc); waits && len(b) > 0 {
			t.Errorf("%v, %s: a write that is not logged is answered %q, %v", c.mode, c.change, b, err)
		}
		err := <-l.ended
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, c.err) {
			t.Errorf("%v, %s: ended with %v", c.mode, c.change, err)
		}
		if n := refused.Load(); n != 1 {
			t.Errorf("%v, %s: tried %d times", c.mode, c.change, n)
		}
	}
}

// slowReads is a directory whose files cannot be read until they may be.
type slowReads struct {
	wal.FS
	may chan struct{}
}

func (f slowReads) Read(name string, dst []byte, limit int64) ([]byte, error) {
	<-f.may
	return f.FS.Read(name, dst, limit)
}

// TestANodeThatReadsItsLogSaysSo: clients reach a node before its log is read, and hear
// what Redis would say; afterwards they are served.
func TestANodeThatReadsItsLogSaysSo(t *testing.T) {
	l := written(t, wal.Write, 20)
	disk, err := wal.LookInto(l.cfg.DataDir + "/n1/wal")
	if err != nil {
		t.Fatal(err)
	}
	fs := slowReads{disk, make(chan struct{})}
	r := l.startOn(t, fs)
	const loading = "-LOADING AegisKV is loading the dataset in memory\r\n"
	for _, words := range [][]string{{"PING"}, {"GET", "key:1"}, {"SET", "key:1", "x"}, {"CLUSTER", "SLOTS"}, {"DBSIZE"}} {
		if got := r.say(t, words...); got != loading {
			t.Errorf("%v while the log is read: %q", words, got)
		}
	}
	if got := r.say(t, "ECHO", "x"); got != "$1\r\n" {
		t.Errorf("ECHO while the log is read: %q", got)
	}
	if s := l.node.durable.section(l.node.redis.Loading()); s.Fields[0] != [2]string{"loading", "1"} {
		t.Errorf("INFO says %v", s)
	}
	close(fs.may)
	r = dialRaw(t, l.cfg.ClientAddr)
	r.pipeline(1, "", "EXISTS", "key:1")
	r.until(t, ":1\r\n")
	if s := l.node.durable.section(l.node.redis.Loading()); s.Fields[0] != [2]string{"loading", "0"} {
		t.Errorf("INFO says %v", s)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestANodeIsStoppedWhileItReadsItsLog: that is no failure, and takes no longer than the
// read that is under way.
func TestANodeIsStoppedWhileItReadsItsLog(t *testing.T) {
	l := written(t, wal.Write, 20)
	disk, err := wal.LookInto(l.cfg.DataDir + "/n1/wal")
	if err != nil {
		t.Fatal(err)
	}
	fs := slowReads{disk, make(chan struct{})}
	r := l.startOn(t, fs)
	if got := r.say(t, "PING"); !strings.HasPrefix(got, "-LOADING") {
		t.Fatal(got)
	}
	l.cancel()
	close(fs.may)
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	r = l.start(t)
	r.pipeline(1, "", "EXISTS", "key:1")
	r.until(t, ":1\r\n")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestADiskThatStandsStill: in mode fsync a node whose fsync takes longer than a second
// claims no leases, so that others take them; alone it goes on reading, and answers the
// write when the disk does.
func TestADiskThatStandsStill(t *testing.T) {
	l := newLone(t, wal.Fsync)
	fs := wal.NewMemory()
	r := l.startOn(t, fs)
	r.pipeline(1, "", "SET", "a", "1")
	r.until(t, "+OK\r\n")
	release := make(chan struct{})
	var writes atomic.Bool
	fs.Before = func(change, _ string) error {
		if change == "sync" || change == "write" && writes.Load() {
			<-release
		}
		return nil
	}
	if _, err := r.nc.Write([]byte("SET a 2\r\n")); err != nil {
		t.Fatal(err)
	}
	other := dialRaw(t, l.cfg.ClientAddr)
	healthy := func(want bool) {
		for begun := time.Now(); l.node.core.Data().Healthy(1) != want; {
			if got := other.say(t, "EXISTS", "a"); got != ":1\r\n" {
				t.Fatalf("a read beside the disk: %q", got)
			}
			if time.Since(begun) > time.Minute {
				t.Fatalf("healthy is not %v", want)
			}
		}
	}
	healthy(false)
	writes.Store(true)
	if _, err := other.nc.Write([]byte("SET b 1\r\n")); err != nil {
		t.Fatal(err)
	}
	for l.node.durable.log.Backlog() == 0 {
		runtime.Gosched()
	}
	other = dialRaw(t, l.cfg.ClientAddr)
	if got := other.say(t, "INFO", "persistence"); !strings.HasPrefix(got, "$") {
		t.Errorf("INFO while a write hangs: %q", got)
	}
	close(release)
	if got := r.answer(t); got != "+OK\r\n" {
		t.Errorf("the write is answered %q", got)
	}
	healthy(true)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAWriteThatStandsStill costs the leases in mode write, too; an fsync does not: nobody
// waits for it.
func TestAWriteThatStandsStill(t *testing.T) {
	for _, still := range []string{"sync", "write"} {
		l := newLone(t, wal.Write)
		fs := wal.NewMemory()
		r := l.startOn(t, fs)
		r.pipeline(1, "", "SET", "a", "1")
		r.until(t, "+OK\r\n")
		release := make(chan struct{})
		fs.Before = func(change, _ string) error {
			if change == still {
				<-release
			}
			return nil
		}
		if _, err := r.nc.Write([]byte("SET a 2\r\n")); err != nil {
			t.Fatal(err)
		}
		l.node.durable.committer.Force()
		stands := func() time.Duration {
			write, sync := l.node.durable.committer.Stalled()
			return max(write, sync)
		}
		other := dialRaw(t, l.cfg.ClientAddr)
		for begun := time.Now(); stands() < stallMax+300*time.Millisecond || l.node.core.Data().Healthy(1) != (still == "sync"); {
			other.say(t, "EXISTS", "a")
			if time.Since(begun) > time.Minute {
				t.Fatalf("a %s stands still for %v: healthy is %v", still, stands(), l.node.core.Data().Healthy(1))
			}
		}
		close(release)
		if got := r.answer(t); got != "+OK\r\n" {
			t.Errorf("the write is answered %q", got)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlusFsync: in mode write a write waits for the disk when it is asked to, and for the
// system otherwise. Without a log the level is refused.
func TestPlusFsync(t *testing.T) {
	l := newLone(t, wal.Write)
	l.cfg.ReplicationFactor = 1
	fs := wal.NewMemory()
	r := l.startOn(t, fs)
	r.pipeline(1, "", "SET", "a", "1")
	r.until(t, "+OK\r\n")
	var disk sync.RWMutex // held: it stands still
	fs.Before = func(change, _ string) error {
		if change == "sync" {
			disk.RLock()
			defer disk.RUnlock()
		}
		return nil
	}
	disk.Lock()
	if got := r.say(t, "SET", "a", "2"); got != "+OK\r\n" {
		t.Fatalf("without +fsync: %q", got)
	}
	for _, level := range []string{"async+fsync", "majority+fsync"} {
		if got := r.say(t, "AEGIS.DURABILITY", level); got != fmt.Sprintf("$%d\r\n", len(level)) {
			t.Fatalf("%s: %q", level, got)
		}
		r.pipeline(1, "+OK\r\n", "SET", "a", level)
		if _, err := r.nc.Write(r.ask); err != nil {
			t.Fatal(err)
		}
		other := dialRaw(t, l.cfg.ClientAddr)
		for begun := time.Now(); other.say(t, "STRLEN", "a") != fmt.Sprintf(":%d\r\n", len(level)); {
			if time.Since(begun) > time.Minute {
				t.Fatal("nothing is written")
			}
		}
		d := l.node.durable.log
		end := d.End()
		if d.Synced() >= end {
			t.Fatalf("%s: the disk has it before it was let go on", level)
		}
		disk.Unlock()
		if _, err := io.ReadFull(r.nc, r.room); err != nil || string(r.room) != "+OK\r\n" || d.Synced() < end {
			t.Errorf("%s: answered %q with %d of %d on the disk", level, r.room, d.Synced(), end)
		}
		disk.Lock()
	}
	disk.Unlock()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseLevel("all+fsync", wal.Off); err == nil || !strings.Contains(err.Error(), "use all") {
		t.Errorf("without a log: %v", err)
	}
}

// TestAllocationsOfLoggedSets: a SET that waits for the log costs the heap nothing either,
// but for the mark that states each fsync in the log.
func TestAllocationsOfLoggedSets(t *testing.T) {
	if raceBuild {
		return
	}
	for mode, marks := range map[wal.Mode]float64{wal.Write: 0, wal.Fsync: 3} {
		l := newLone(t, mode)
		r := l.start(t)
		value := strings.Repeat("v", 100)
		r.pipeline(1, "+OK\r\n", "SET", allocKey, value)
		r.until(t, "+OK\r\n")
		r.pipeline(20, "+OK\r\n", "SET", allocKey, strings.Repeat("v", 32<<10)) // goes round the ring quickly
		for written := int64(0); written < 2*ringBytes(l.cfg.MaxMemoryBytes); written += int64(len(r.ask)) {
			if err := r.turn(); err != nil {
				t.Fatal(err)
			}
		}
		for _, depth := range []int{1, 16, 200} {
			r.pipeline(depth, "+OK\r\n", "SET", allocKey, value)
			per, err := r.mallocs(10, max(10, 1000/depth), depth)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v: SET, %d at a time: %.4f allocations per command", mode, depth, per)
			if most := marks/float64(depth) + timersShare; per >= most {
				t.Errorf("%v: SET, %d at a time: %.4f allocations per command, over %.4f", mode, depth, per, most)
			}
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
