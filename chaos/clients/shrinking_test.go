package clients

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	wideMemory   = 192 << 20
	narrowMemory = 64 << 20
)

// TestASmallNodeShrinksALargeOne: a node that is full is joined by one with a third of
// its memory, which keeps a copy of everything: the budget of every group falls to what
// the newcomer has. The first node evicts without a write of a client, its memory goes
// back to the system, and the newcomer holds no more than it was told to, also while it
// is filled.
func TestASmallNodeShrinksALargeOne(t *testing.T) {
	t.Parallel()
	base := freeBlock(t, portsEach*2)
	nodes := prepare(t, onPorts(contract[0], base)+fmt.Sprint(" --max-memory-bytes ", wideMemory),
		onPorts(contract[1], base)+fmt.Sprint(" --max-memory-bytes ", narrowMemory))
	wide, narrow := nodes[0], nodes[1]
	wide.start(t)
	until(t, startLimit, "the first node serves", func() bool { return statusOf(wide.addr).Served == groups })
	c, err := net.Dial("tcp", wide.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for round, written := 0, int64(0); written < wideMemory*5/4; round++ {
		written += overwrite(t, c, round)
	}
	full, budget := takes(t, wide), memoryFigure(wide.addr, "aegis_stores_budget")
	if stored := memoryFigure(wide.addr, "aegis_stores_held"); stored < budget/10*9 {
		t.Fatalf("the node stores %d MiB of %d and is not full", stored>>20, budget>>20)
	}
	narrow.start(t)
	most, held := int64(0), int64(0)
	until(t, time.Minute, "the newcomer has all copies, and the budgets are kept", func() bool {
		most, held = max(most, takes(t, narrow)), max(held, memoryFigure(narrow.addr, "aegis_stores_held"))
		now := memoryFigure(wide.addr, "aegis_stores_budget")
		return now < budget/2 && memoryFigure(wide.addr, "aegis_stores_held") <= now && statusOf(wide.addr).copies() == 2*groups
	})
	until(t, time.Minute, "the memory is given back", func() bool { return takes(t, wide) < narrowMemory/10*11+churnSlack+wideMemory/8 })
	if bar := int64(narrowMemory)/10*11 + churnSlack; most > bar {
		t.Errorf("the newcomer took %d MiB, the bar is %d", most>>20, bar>>20)
	}
	// Values of 2 to 4 KiB lie in pages of their own where shards are so small.
	if limit := memoryFigure(narrow.addr, "aegis_stores_limit"); held > limit/4*5 {
		t.Errorf("the newcomer's stores held %d MiB of %d", held>>20, limit>>20)
	}
	t.Logf("the first node took %d MiB, then %d; the newcomer %d at most, its stores %d", full>>20, takes(t, wide)>>20, most>>20, held>>20)
}

// memoryFigure is a number of INFO memory, 0 when it is not there.
func memoryFigure(addr, name string) (n int64) {
	_, after, _ := strings.Cut(ask(addr, "info", "memory"), "\n"+name+":")
	_, _ = fmt.Sscan(after, &n)
	return n
}
