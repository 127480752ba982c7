package node

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// What a node holds that is to restart with less memory.
const (
	roomKeys  = 24_000
	roomValue = 1000
)

func roomOf(i, version int) string {
	return fmt.Sprintf("%d.%d.%s", i, version, strings.Repeat(string(rune('a'+i%26)), roomValue))
}

// TestARestartWithLessMemory: an image and a log of 24 MB are read by a node that has 16 MiB
// for keys. It never holds more than that on the way, keeps about as much as fits, and what it
// has is right; with more memory again nothing that was overwritten comes back.
func TestARestartWithLessMemory(t *testing.T) {
	l := newLone(t, wal.Write)
	l.cfg.MaxMemoryBytes = 128 << 20
	l.start(t)
	c := l.served(t)
	version := map[int]int{} // 0 = deleted
	write := func(i, v int) {
		t.Helper()
		if version[i] = v; v == 0 {
			c.must(fmt.Sprintf("DEL key%d", i))
		} else {
			c.must(fmt.Sprintf("SET key%d %s", i, roomOf(i, v)))
		}
	}
	for i := range roomKeys {
		write(i, 1)
	}
	begun := time.Now()
	for !l.node.durable.checkpoints.save() || l.node.durable.checkpoints.lastBegun.Load() < begun.UnixMilli() {
		time.Sleep(10 * time.Millisecond)
		if time.Since(begun) > time.Minute {
			t.Fatal("no image is made")
		}
	}
	for i := range roomKeys / 10 {
		write(i*10, 2)
		write(i*10+1, 0)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l.cfg.MaxMemoryBytes = memoryMin
	most, limit := l.restartWatched(t), divide(memoryMin).stores
	c = l.served(t)
	kept := checkRoom(t, c, version)
	t.Logf("%d MiB at most of %d, %d of %d keys are there", most>>20, limit>>20, kept, len(version))
	if most > limit+limit/8 {
		t.Errorf("%d bytes were taken for keys while image and log were read, %d are for them", most, limit)
	}
	if int64(kept)*roomValue < limit/2 {
		t.Errorf("%d keys of %d bytes are there: more of %d bytes could have been kept", kept, roomValue, limit)
	}
	for i := range 100 {
		write(i*7, 3)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l.cfg.MaxMemoryBytes = 128 << 20
	l.start(t)
	checkRoom(t, l.served(t), version)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// checkRoom wants every key that is there to be the newest, and counts them.
func checkRoom(t *testing.T, c *visitor, version map[int]int) (kept int) {
	t.Helper()
	for i, v := range version {
		r := c.must(fmt.Sprintf("GET key%d", i))
		switch {
		case r.IsNull():
			continue
		case v == 0 || string(r.Text) != roomOf(i, v):
			t.Fatalf("key%d, of which the last is version %d, is %.20q", i, v, r.Text)
		}
		kept++
	}
	return kept
}

// served is a client of the node once it has read its log.
func (l *lone) served(t *testing.T) *visitor {
	t.Helper()
	c := visit(t, l.cfg.ClientAddr)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r, err := c.do("GET", "any"); err == nil && !r.IsError() {
			return c
		} else if time.Now().After(deadline) {
			t.Fatalf("the node does not serve: %s, %v", r.Text, err)
		}
	}
}

// restartWatched starts the node and gives the most that its stores took until it served.
func (l *lone) restartWatched(t *testing.T) (most int64) {
	t.Helper()
	l.start(t)
	var done atomic.Bool
	peak := make(chan int64)
	go func() {
		most := int64(0)
		for !done.Load() {
			most = max(most, l.node.memory.LentBytes())
			time.Sleep(time.Millisecond)
		}
		peak <- most
	}()
	l.served(t)
	done.Store(true)
	return <-peak
}
