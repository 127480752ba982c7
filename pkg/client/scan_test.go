package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// scans makes a world answer SCAN: a cursor is a place among all keys in order, and each
// node gives those it leads. turn runs before each answer.
func (w *world) scans(turn func(n *fakeNode)) {
	for at, n := range w.nodes {
		n.on(isWord("SCAN", func(p *peer, args []string) bool {
			turn(n)
			w.mu.Lock()
			defer w.mu.Unlock()
			all := slices.Sorted(maps.Keys(w.data))
			from, _ := strconv.Atoi(args[1])
			count, _ := strconv.Atoi(args[3])
			to := min(from+count, len(all))
			next := to
			if to == len(all) {
				next = 0
			}
			var keys []string
			for _, k := range all[from:to] {
				if w.owner(shardmap.SlotOfString(k)) == at && (len(args) < 6 || matches(args[5], k)) {
					keys = append(keys, k)
				}
			}
			p.say(page(keys, next))
			return true
		}))
	}
}

func matches(pattern, key string) bool {
	ok, err := path.Match(pattern, key)
	return ok && err == nil
}

// page is an answer to SCAN.
func page(keys []string, next int) []byte {
	b := resp.AppendBulk(resp.AppendArray(nil, 2), strconv.Itoa(next))
	b = resp.AppendArray(b, len(keys))
	for _, k := range keys {
		b = resp.AppendBulk(b, k)
	}
	return b
}

func scanned1(t *testing.T, c *Client, options ...ScanOption) map[string]int {
	t.Helper()
	got := map[string]int{}
	for k, err := range c.Scan(ctx, options...) {
		must(t, err)
		got[k]++
	}
	return got
}

func TestScanGivesTheKeysOfAllNodes(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	for i := range 500 {
		w.data[fmt.Sprint("user:", i)] = ""
		w.data[fmt.Sprint("other:", i)] = ""
	}
	w.scans(func(*fakeNode) {})
	if got := scanned1(t, c, ScanCount(7)); len(got) != 1000 {
		t.Error(len(got), "keys")
	}
	if got := scanned1(t, c, ScanMatch("user:*")); len(got) != 500 {
		t.Error(len(got), "users")
	}
	n := 0
	for range c.Scan(ctx, ScanCount(1)) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Error("the walk went on", n)
	}
}

// Slots that change hands during the walk, the one scanned and the next, are given all the same.
func TestScanFollowsSlotsThatMove(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	for i := range 600 {
		w.data[fmt.Sprint("k", i)] = ""
	}
	var turns atomic.Int32
	w.scans(func(*fakeNode) {
		switch turns.Add(1) {
		case 3, 45: // while the first and while another node is asked
			w.set(func() {
				w.epoch++
				shift := int(w.epoch)
				w.owner = func(s shardmap.Slot) int { return (int(s)/64 + shift) % 3 }
			})
		}
	})
	if got := scanned1(t, c, ScanCount(20)); len(got) != 600 {
		t.Errorf("%d of 600 keys", len(got))
	}
}

func TestScanPassesOnErrors(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, quick(w.seeds()))
	w.nodes[0].on(isWord("SCAN", func(p *peer, _ []string) bool { p.say([]byte("-NOPERM no\r\n")); return true }))
	w.nodes[1].on(isWord("SCAN", func(p *peer, _ []string) bool { p.say([]byte("+what\r\n")); return true }))
	errs := 0
	for _, err := range c.Scan(ctx) {
		if err == nil {
			t.Error("a key came from nowhere")
		}
		errs++
	}
	if errs != 1 {
		t.Error(errs, "errors")
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range c.Scan(over) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	// A node that goes, and whose slots go to another, is no error.
	w.scans(func(n *fakeNode) {
		if n == w.nodes[0] {
			w.set(func() { w.epoch++; w.owner = func(shardmap.Slot) int { return 1 } })
			_ = n.ln.Close()
			go n.hangUp()
		}
	})
	w.set(func() { w.data["k"] = "" })
	cfg := quick(w.seeds())
	if got := scanned1(t, open1(t, cfg)); len(got) != 1 {
		t.Error(got)
	}
}

// TestScanWaitsForASlowNode: one that keeps its slots may take as long as a call may.
func TestScanWaitsForASlowNode(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	w.data["k"] = ""
	slow := true
	w.scans(func(*fakeNode) {
		if slow {
			<-time.After(3 * scanPatience)
			slow = false
		}
	})
	if got := scanned1(t, c); len(got) != 1 {
		t.Error(got)
	}
}

// TestScanLeavesANodeThatIsGone: once another node has its slots, nobody waits for it until the
// end of a call's time.
func TestScanLeavesANodeThatIsGone(t *testing.T) {
	for name, goes := range map[string]bool{"dies": true, "hangs": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			cfg := quick(w.seeds())
			cfg.Timeout, cfg.StallTimeout = 2*time.Minute, 2*time.Minute
			c := open1(t, cfg)
			for i := range 100 {
				w.data[fmt.Sprint("k", i)] = ""
			}
			end := make(chan struct{})
			defer close(end)
			turns := 0
			w.scans(func(n *fakeNode) {
				if n != w.nodes[0] {
					return
				}
				switch turns++; {
				case turns == 2 && goes:
					w.set(func() { w.epoch++; w.owner = func(shardmap.Slot) int { return 1 } })
					_ = n.ln.Close()
					go n.hangUp()
				case turns == 2:
					go func() { // it is found out later that it hangs
						<-time.After(50 * time.Millisecond)
						w.set(func() { w.epoch++; w.owner = func(shardmap.Slot) int { return 1 } })
					}()
					<-end
				}
			})
			within(t, 20*time.Second, func() {
				if got := scanned1(t, c, ScanCount(10)); len(got) != 100 {
					t.Errorf("%d of 100 keys", len(got))
				}
			})
		})
	}
}
