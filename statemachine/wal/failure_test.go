package wal

import (
	"errors"
	"math/rand"
	"testing"
)

var errDisk = errors.New("input/output error")

// broken is a log whose directory refuses the nth change of a kind from when it is told to.
type broken struct {
	*run
	armed, refused bool
	after          int // changes that were asked for after the refusal
}

func breakAt(t *testing.T, mode Mode, change string, nth int) *broken {
	t.Helper()
	x := &broken{run: &run{t: t, r: rand.New(rand.NewSource(3)), mode: mode, fs: NewMemory(), boot: 1}}
	x.fs.Before = func(what, _ string) error {
		switch {
		case x.refused:
			x.after++
		case x.armed && what == change:
			if nth--; nth == 0 {
				x.refused = true
				return errDisk
			}
		}
		return nil
	}
	l, _, err := open(x.config(x.fs, 1), x.story.reader())
	if err != nil {
		t.Fatal(err)
	}
	x.log, x.armed = l, true
	return x
}

// TestAnErrorIsTheLastThingThatHappens lets one write or one fsync fail: nothing is
// acknowledged after it, nothing is tried again, and what was acknowledged before comes back.
func TestAnErrorIsTheLastThingThatHappens(t *testing.T) {
	for _, mode := range []Mode{Write, Fsync} {
		for _, change := range []string{"write", "sync", "create", "names"} {
			x := breakAt(t, mode, change, 2)
			for i := range 200 {
				x.append()
				x.log.Commit()
				if i%3 == 0 {
					x.log.Sync()
				}
				if !x.refused {
					x.note()
				}
			}
			if !x.refused {
				t.Fatalf("%v, %s: nothing was refused", mode, change)
			}
			if x.after > 0 || x.log.Synced() > x.story.onDisk || x.log.Written() > x.story.inKernel+LSN(1<<10) || !errors.Is(x.log.Err(), errDisk) {
				t.Errorf("%v, %s: after a failed one %d changes were tried, durable went from %d to %d, and the log says %v",
					mode, change, x.after, x.story.onDisk, x.log.Synced(), x.log.Err())
			}
			if err := x.log.Close(); !errors.Is(err, errDisk) || x.after > 0 {
				t.Errorf("%v, %s: closing says %v after %d more changes", mode, change, err, x.after)
			}
			x.fs.Before = nil
			x.check(x.fs.PowerCut(x.r), true)
			x.check(x.fs.Kill(x.r), false)
		}
	}
}

// TestAFailedFsyncIsNotForgottenByTheNextProcess: the system may keep what an fsync failed
// for and take it for clean. The process that starts next reads it, and must have it on the
// disk before it calls it durable.
func TestAFailedFsyncIsNotForgottenByTheNextProcess(t *testing.T) {
	for _, mode := range []Mode{Write, Fsync} {
		for nth := 1; nth <= 12; nth++ {
			x := breakAt(t, mode, "sync", nth)
			for i := 0; !x.refused; i++ {
				x.append()
				x.log.Commit()
				if i%9 == 8 {
					x.log.Sync()
				}
			}
			x.log, x.armed = nil, false
			x.fs = x.fs.Kill(x.r)
			l, rec, err := open(x.config(x.fs, 1), x.story.reader())
			if err != nil || !rec.Intact {
				t.Fatalf("%v, %d: %+v, %v", mode, nth, rec, err)
			}
			x.log = l
			x.note()
			if x.story.onDisk != rec.End || rec.End == 0 {
				t.Fatalf("%v, %d: the log ends at %d and is durable up to %d", mode, nth, rec.End, x.story.onDisk)
			}
			for range 20 {
				x.check(x.fs.PowerCut(x.r), true)
			}
		}
	}
}

// TestLoggedIsWhatTheModeSays walks the positions of two shards through a log.
func TestLoggedIsWhatTheModeSays(t *testing.T) {
	for _, mode := range []Mode{Write, Fsync} {
		x := breakAt(t, mode, "", 0)
		l := x.log
		want := func(step string, logged1, durable1, logged2 uint64) {
			t.Helper()
			if l.Logged(1) != logged1 || l.Durable(1) != durable1 || l.Logged(2) != logged2 {
				t.Errorf("%v, %s: logged %d, durable %d; the other %d", mode, step, l.Logged(1), l.Durable(1), l.Logged(2))
			}
		}
		commit := func() {
			if _, err := l.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		sync := func() {
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		written := func(v uint64) uint64 { return map[Mode]uint64{Write: v}[mode] }
		l.Append(1, kindTest, 10, []byte("a"))
		l.Append(1, kindTest, 11, []byte("b"))
		want("appended", 0, 0, 0)
		l.Restore(2, 19)
		want("restored", 0, 0, 19)
		l.Restore(2, 0)
		commit()
		want("written", written(11), 0, 0)
		l.Append(2, kindTest, 20, []byte("c"))
		sync()
		want("durable", 11, 11, 0)
		commit()
		want("the other is written", 11, 11, written(20))
		l.Append(1, kindTest, 5, []byte("reverted"))
		commit()
		sync()
		want("all is durable", 5, 5, 20)
		if l.Written() != l.End() || l.Synced() != l.End() || l.Backlog() != 0 {
			t.Errorf("%v: ends at %d, written %d, durable %d", mode, l.End(), l.Written(), l.Synced())
		}
	}
}

// TestAHeadWithTooManyShardsIsNone: a sum proves that a head is what somebody wrote, not
// that a node wrote it; a reader that believed it would ask for 32 GiB.
func TestAHeadWithTooManyShardsIsNone(t *testing.T) {
	for shards, want := range map[uint32]error{1 << 16: nil, 1<<16 + 1: errHead, 1<<32 - 1: errHead} {
		if _, err := decodeHead(appendHead(nil, &head{mode: Write, shards: shards})); !errors.Is(err, want) {
			t.Errorf("%d shards: %v, want %v", shards, err, want)
		}
	}
}
