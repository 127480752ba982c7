package peer

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/internal/load"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// ranges is how many parts of the slots are looked at apart: a third of them on each
// node of three.
const ranges = 24

// routes is who answers for each range, shared by all clients.
type routes struct {
	sys    System
	tags   [ranges]string // a hash tag in each range
	owners [ranges]atomic.Pointer[string]

	mu    sync.Mutex
	asked time.Time
	turn  int
}

func newRoutes(sys System) *routes {
	r := &routes{sys: sys}
	found := 0
	for i := 0; found < ranges; i++ {
		tag := fmt.Sprint(i)
		if k := int(shardmap.SlotOfString(tag)) * ranges / shardmap.Slots; r.tags[k] == "" {
			r.tags[k] = tag
			found++
		}
	}
	nowhere := ""
	for i := range r.owners {
		r.owners[i].Store(&nowhere)
	}
	return r
}

func rangeName(i int) string {
	return fmt.Sprintf("slots %d-%d", (i*shardmap.Slots+ranges-1)/ranges, ((i+1)*shardmap.Slots+ranges-1)/ranges-1)
}

// refreshEvery is how often the map is asked for while things go wrong, as clients of
// a cluster do.
const refreshEvery = 100 * time.Millisecond

// refresh asks the next seed for the map, unless somebody has just done so.
func (r *routes) refresh() {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if time.Since(r.asked) < refreshEvery {
		return
	}
	r.asked = time.Now()
	seeds := r.sys.Seeds()
	r.turn++
	seed := seeds[r.turn%len(seeds)]
	l, err := dial(seed)
	if err != nil {
		return
	}
	defer l.Close()
	v, err := l.call(dialLimit, []string{"CLUSTER", "SLOTS"})
	if err != nil {
		return
	}
	spans, err := load.ParseSlots(v[0], seed)
	if err != nil {
		return
	}
	for i, tag := range r.tags {
		slot := shardmap.SlotOfString(tag)
		for _, s := range spans {
			if s.First <= slot && slot <= s.Last {
				r.owners[i].Store(&s.Addr)
			}
		}
	}
}

// whole says whether every range has an owner.
func (r *routes) whole() bool {
	r.refresh()
	for i := range r.owners {
		if *r.owners[i].Load() == "" {
			return false
		}
	}
	return true
}

// owner is the node that answers for a range, -1 when nobody knows.
func (r *routes) owner(i int) int {
	node, _ := r.sys.Node(*r.owners[i].Load())
	return node
}

// client is one caller with a connection to each node. Not safe for concurrent use.
type client struct {
	routes *routes
	limit  time.Duration // of an operation
	lines  map[string]*line
}

func newClient(r *routes, limit time.Duration) *client {
	return &client{routes: r, limit: limit, lines: map[string]*line{}}
}

func (c *client) close() {
	for _, l := range c.lines {
		_ = l.Close()
	}
}

// answer is what became of commands for one range.
type answer struct {
	replies []resp.Reply
	outcome report.Outcome
	word    string // of what went wrong
}

// do sends commands to the owner of a range, once: retries are the caller's.
func (c *client) do(of int, commands ...[]string) answer {
	_, addr := c.routes.sys.Node(*c.routes.owners[of].Load())
	l := c.lines[addr]
	if l == nil {
		var err error
		if l, err = dial(addr); err != nil {
			c.routes.refresh()
			return answer{outcome: report.Refused, word: "no connection"}
		}
		c.lines[addr] = l
	}
	replies, err := l.call(c.limit, commands...)
	if err != nil {
		_ = l.Close()
		delete(c.lines, addr)
		c.routes.refresh()
		word := "closed"
		if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
			word = "timeout"
		}
		return answer{outcome: report.Unknown, word: word}
	}
	for _, v := range replies {
		if v.IsError() {
			return c.refused(of, string(v.Text))
		}
	}
	return answer{replies: replies}
}

// refused takes an error reply: the command was not done.
func (c *client) refused(of int, text string) answer {
	word, _, _ := strings.Cut(text, " ")
	if addr, ok := load.ParseMoved(text); ok {
		c.routes.owners[of].Store(&addr)
	} else {
		c.routes.refresh()
	}
	return answer{outcome: report.Refused, word: word}
}
