package clients

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	// idleResident is what a node with 256 shards may take that nobody has written to.
	idleResident = 80 << 20
	// churnMemory is the limit of the node that is written to beyond it.
	churnMemory = 128 << 20
	// Beside its limit a process may take a tenth of it, and this.
	churnSlack = 64 << 20
	// leftResident is what may be left beside an idle node when everything was flushed: its
	// rings, which keep the last records, what the Go runtime has for garbage, and empty
	// segments that are kept ready.
	leftResident = churnMemory/8 + 20<<20 + 24<<20
)

// TestMemoryOfANode is about one real process and what the system says that it takes:
// little while it is idle, no more than it was told to while half as much again as it may
// keep is written over and over, for AEGIS_TEST_CHURN (60s are the bar), and little
// again after FLUSHALL.
func TestMemoryOfANode(t *testing.T) {
	churn := duration(t, "AEGIS_TEST_CHURN", time.Second)
	n := launch(t, 1, fmt.Sprint(churnMemory))[0]
	ask(n.addr, "set", "k", "v")
	idle := takes(t, n)
	if idle > idleResident {
		t.Errorf("an idle node takes %d MiB", idle>>20)
	}
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	most, written := int64(0), int64(0)
	for begun, round := time.Now(), 0; time.Since(begun) < churn || written < 2*churnMemory; round++ {
		written += overwrite(t, c, round)
		most = max(most, takes(t, n))
	}
	if bar := int64(churnMemory)/10*11 + churnSlack; most > bar {
		t.Errorf("it takes %d MiB, the bar is %d", most>>20, bar>>20)
	}
	if most < churnMemory*3/4 {
		t.Errorf("it never took more than %d MiB: it was not full", most>>20)
	}
	ask(n.addr, "flushall")
	until(t, time.Minute, "the memory is given back", func() bool { return takes(t, n) < idle+leftResident })
	t.Logf("idle %d MiB; at most %d while %d MiB were written; flushed %d", idle>>20, most>>20, written>>20, takes(t, n)>>20)
}

const (
	churnKeys  = 96 << 10 // of 2 KiB on average: half as much again as the limit
	churnValue = 4 << 10  // bytes at most
	churnBatch = 2000     // commands
)

// overwrite sends a batch of values of many lengths to keys in an order that comes back
// to each after all others, and gives their bytes.
func overwrite(t *testing.T, c net.Conn, round int) (written int64) {
	t.Helper()
	value := strings.Repeat("v", churnValue)
	var b []byte
	for i := range churnBatch {
		key := (round*churnBatch + i) * 40507 % churnKeys
		v := value[:1+(key*31+round*17)%churnValue]
		b = fmt.Appendf(b, "*3\r\n$3\r\nSET\r\n$5\r\n%05d\r\n$%d\r\n%s\r\n", key, len(v), v)
		written += int64(len(v))
	}
	go func() { _, _ = c.Write(b) }()
	replies := make([]byte, churnBatch*len("+OK\r\n"))
	if _, err := io.ReadFull(c, replies); err != nil || string(replies) != strings.Repeat("+OK\r\n", churnBatch) {
		t.Fatalf("%v, %.100q", err, replies)
	}
	return written
}

// takes is what a process has of the machine's memory now, in bytes.
func takes(t *testing.T, n *restartable) int64 {
	t.Helper()
	bytes := resident(n.cmd.Process.Pid)
	if bytes == 0 {
		t.Fatalf("%s is gone", n.name)
	}
	return bytes
}

// resident is what a process has of the machine's memory, 0 when it is gone.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	_, _ = fmt.Sscan(string(b), &size, &pages)
	return pages * int64(os.Getpagesize())
}
