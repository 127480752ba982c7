package node

import (
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// hitsOf is what one line of commands, run on a key that was just made, adds to its hits.
func hitsOf(t *testing.T, c, watcher *visitor, key, lines string) int64 {
	t.Helper()
	watcher.must("DEL " + key)
	watcher.must("SET " + key + " 1")
	for line := range strings.SplitSeq(lines, ";") {
		c.must(strings.ReplaceAll(line, "@", key))
	}
	return watcher.must("OBJECT FREQ " + key).Int
}

// TestWhatIsAHit counts the hits that keep a key from eviction as Redis does: commands
// that ask for what is known beside the value are none, and with CLIENT NO-TOUCH no
// command is but TOUCH.
func TestWhatIsAHit(t *testing.T) {
	n := startNodes(t, 1, 256<<20)[0]
	c, watcher := visit(t, n.cfg.ClientAddr), visit(t, n.cfg.ClientAddr)
	watcher.must("SET ready 1")
	for lines, want := range map[string]struct{ usual, quiet int64 }{
		"GET @":                           {1, 0},
		"GET @;GET @;GET @;GET @":         {3, 0}, // the most there are
		"MGET @ {@}x":                     {1, 0},
		"STRLEN @":                        {1, 0},
		"GETRANGE @ 0 1":                  {1, 0},
		"INCR @":                          {1, 0},
		"SET @ 2":                         {1, 0},
		"APPEND @ 2":                      {1, 0},
		"EXPIRE @ 100":                    {1, 0},
		"GETEX @":                         {1, 0},
		"DUMP @":                          {1, 0},
		"TOUCH @":                         {1, 1},
		"TOUCH @ {@}x;GET @":              {2, 1},
		"MULTI;GET @;INCR @;EXEC":         {2, 0},
		"MULTI;TOUCH @;GET @;EXEC":        {2, 1},
		"EXISTS @":                        {0, 0},
		"TYPE @":                          {0, 0},
		"TTL @;PTTL @;EXPIRETIME @":       {0, 0},
		"OBJECT FREQ @;OBJECT REFCOUNT @": {0, 0},
		"OBJECT ENCODING @":               {0, 0},
		"MEMORY USAGE @":                  {0, 0},
		"WATCH @;UNWATCH":                 {0, 0},
		"SCAN 0 COUNT 1000":               {0, 0},
		"RESET;GET @":                     {1, 1}, // it ends NO-TOUCH
		"READWRITE;GET @":                 {1, 0}, // it does not
	} {
		for _, quiet := range []bool{false, true} {
			c.must("CLIENT NO-TOUCH " + map[bool]string{true: "on", false: "OFF"}[quiet])
			if got, want := hitsOf(t, c, watcher, "k", lines), map[bool]int64{true: want.quiet, false: want.usual}[quiet]; got != want {
				t.Errorf("%s, NO-TOUCH %v: %d hits, want %d", lines, quiet, got, want)
			}
		}
	}
	c.must("CLIENT NO-TOUCH ON")
	if info := string(c.must("CLIENT INFO").Text); !strings.Contains(info, " flags=T ") {
		t.Errorf("CLIENT INFO of a connection without hits: %s", info)
	}
}

// TestForwardedCommandsAreHitsOfTheirClient: the connections between nodes are shared, and
// keep apart what is no hit.
func TestForwardedCommandsAreHitsOfTheirClient(t *testing.T) {
	n := startNodes(t, 1, 256<<20)[0]
	watcher := visit(t, n.cfg.ClientAddr)
	watcher.must("SET k 1")
	f := newForwarder()
	defer f.close()
	self, _ := n.routes.Load().Node(n.routes.Load().LeaderOf(shardmap.SlotOfString("k")))
	for i, quiet := range []bool{true, false, true} {
		call, wait := redis.NewLone(resp.AppendCommand(nil, "GET", "k"), 0, 1<<20)
		f.Forward(self, redis.Via{Proto: 3, Quiet: quiet, Level: "async"}, []*redis.Call{call})
		if err := wait(); err != nil || string(call.Reply) != "$1\r\n1\r\n" {
			t.Fatalf("%v: %q", err, call.Reply)
		}
		if got, want := watcher.must("OBJECT FREQ k").Int, int64([]int{0, 1, 1}[i]); got != want {
			t.Errorf("after read %d: %d hits, want %d", i, got, want)
		}
	}
	if len(f.lines) != 2 {
		t.Errorf("%d connections for two kinds of reads", len(f.lines))
	}
}
