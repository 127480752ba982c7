package redis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// operatorCommands are the words with which monitoring tools and people look at a
// server. What is not measured here is said to be none, never made up.
func operatorCommands() []*command {
	a := rightsAdmin
	sub := func(parent, name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: parent + "|" + name, arity: arity, flags: "admin noscript loading stale", rights: a, wide: true, run: run}
	}
	return []*command{
		{
			name: "config", arity: -2, rights: a, summary: "A container for server configuration commands.",
			subs: map[string]*command{
				"GET":       {name: "config|get", arity: -3, flags: "admin noscript loading stale", rights: a, run: cmdConfigGet},
				"SET":       {name: "config|set", arity: -4, flags: "admin noscript loading stale", rights: a, run: cmdConfigSet},
				"RESETSTAT": sub("config", "resetstat", 2, cmdResetStat),
				"HELP": sub("config", "help", 2, func(c *conn, _ [][]byte) {
					c.help("CONFIG", "GET pattern [pattern ...] -- settings and their values", "SET name value [name value ...] -- "+slowThreshold+", "+slowLength+" and "+trackedMost+" can be changed while the node runs", "RESETSTAT -- begin to count anew")
				}),
			},
		},
		slowlogCommand(),
		latencyCommand(),
		memoryCommand(),
		{
			name: "acl", arity: -2, rights: rightsConnection, summary: "A container for commands about users; there is one.",
			subs: map[string]*command{
				"WHOAMI": {name: "acl|whoami", arity: 2, flags: "noscript loading stale", rights: rightsConnection, run: func(c *conn, _ [][]byte) { c.out = resp.AppendBulk(c.out, "default") }},
				"USERS":  sub("acl", "users", 2, func(c *conn, _ [][]byte) { c.out = resp.AppendBulk(resp.AppendArray(c.out, 1), "default") }),
				"LIST": sub("acl", "list", 2, func(c *conn, _ [][]byte) {
					c.out = resp.AppendBulk(resp.AppendArray(c.out, 1), "user default on nopass ~* &* +@all")
				}),
				"HELP": sub("acl", "help", 2, func(c *conn, _ [][]byte) {
					c.help("ACL", "WHOAMI -- default", "USERS -- the one user", "LIST -- it may do everything")
				}),
			},
		},
		{name: "lastsave", arity: 1, flags: "loading stale fast", rights: a, summary: "Returns when a save of this node was last complete; when it was started, if none was.", run: cmdLastSave},
		{name: "bgsave", arity: -1, flags: "admin noscript no_async_loading", rights: a, summary: "Begins to save the node's data into its image, while it is served.", run: cmdBackgroundSave},
	}
}

// cmdBackgroundSave takes SCHEDULE, with which Redis waits for the end of another kind of
// save; here is one kind only.
func cmdBackgroundSave(c *conn, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !strings.EqualFold(string(args[1]), "schedule") {
		c.fail("ERR syntax error")
		return
	}
	if err := c.srv.backend.BackgroundSave(); err != nil {
		c.failWith(err)
		return
	}
	c.out = append(c.out, "+Background saving started\r\n"...)
}

func cmdLastSave(c *conn, _ [][]byte) {
	at := c.srv.backend.LastSave()
	if at.IsZero() {
		at = c.srv.started
	}
	c.int(at.Unix())
}

// setting is a number of the face that can be changed while the node runs.
type setting struct {
	name      string
	low, high int64
	value     *atomic.Int64
}

// trackedMost is how many keys are tracked at most; 1 is the least, where Redis takes 0
// for no limit: memory is bounded here.
const trackedMost = "tracking-table-max-keys"

func (s *Server) settings() []setting {
	return []setting{
		{slowLength, 0, slowMaxMost, &s.slow.max},
		{slowThreshold, -1, math.MaxInt64, &s.slow.threshold},
		{trackedMost, 1, math.MaxInt64, &s.tracker.keysMax},
	}
}

func (s *Server) ownSetting(name string) (setting, bool) {
	for _, o := range s.settings() {
		if o.name == name {
			return o, true
		}
	}
	return setting{}, false
}

// ownSettings are those of the face, which it also changes.
func (s *Server) ownSettings() (all [][2]string) {
	for _, o := range s.settings() {
		all = append(all, [2]string{o.name, strconv.FormatInt(o.value.Load(), 10)})
	}
	return all
}

// cmdConfigSet changes all of the settings named or none.
func cmdConfigSet(c *conn, args [][]byte) {
	if len(args)%2 != 0 {
		c.fail(errSyntax)
		return
	}
	var apply []func()
	seen := map[string]bool{}
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(args[i]))
		s, known := c.srv.ownSetting(name)
		switch {
		case !known && c.settingExists(name):
			c.fail(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%.128s') - can't set immutable config", args[i]))
			return
		case !known:
			c.fail(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%.128s'", args[i]))
			return
		case seen[name]:
			c.fail(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%.128s') - duplicate parameter", args[i]))
			return
		}
		seen[name] = true
		n, ok := parseInt(args[i+1])
		switch {
		case !ok:
			c.fail(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%.128s') - argument couldn't be parsed into an integer", args[i]))
			return
		case n < s.low || n > s.high:
			c.fail(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%.128s') - argument must be between %d and %d inclusive", args[i], s.low, s.high))
			return
		}
		apply = append(apply, func() { s.value.Store(n) })
	}
	for _, f := range apply {
		f()
	}
	if seen[trackedMost] {
		c.srv.tracker.shrink()
	}
	c.ok()
}

func (c *conn) settingExists(name string) bool {
	for _, kv := range c.srv.backend.Settings() {
		if kv[0] == name {
			return true
		}
	}
	return false
}

// cmdResetStat begins to count anew what INFO shows as numbers since the start.
func cmdResetStat(c *conn, _ [][]byte) {
	s := c.srv
	for _, n := range s.table.everyName() {
		s.table.findAny(n).reset()
	}
	s.accepted.Store(0)
	s.refused.Store(0)
	s.evicted.Store(0)
	s.commandsBefore.Store(s.commands.Load())
	s.errors.reset()
	s.backend.ResetStats()
	c.ok()
}

func cmdMemoryDoctor(c *conn, _ [][]byte) {
	c.out = resp.AppendVerbatim(c.out, c.sess.Proto, "Memory is held below the limit by eviction; `aegis status` and INFO memory show how much is used.")
}

// cmdMemoryStats answers the few figures that mean here what they mean in Redis.
func cmdMemoryStats(c *conn, _ [][]byte) {
	said := map[string]int64{}
	for _, s := range c.srv.backend.Info() {
		for _, f := range s.Fields {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				said[f[0]] = n
			}
		}
	}
	var keys int64
	if err := c.retry(func() (err error) { keys, err = c.srv.backend.Size(&c.sess); return err }); err != nil {
		c.failWith(err)
		return
	}
	figures := []struct {
		name  string
		bytes int64
	}{
		{"peak.allocated", said["used_memory_peak"]},
		{"total.allocated", said["used_memory"]},
		{"startup.allocated", said["used_memory_startup"]},
		{"replication.backlog", said["mem_replication_backlog"]},
		{"clients.normal", c.srv.BufferedBytes()},
		{"overhead.total", said["used_memory_overhead"]},
		{"dataset.bytes", said["used_memory_dataset"]},
		{"keys.count", keys},
	}
	c.out = resp.AppendMap(c.out, c.sess.Proto, len(figures))
	for _, f := range figures {
		c.out = resp.AppendInt(resp.AppendBulk(c.out, f.name), f.bytes)
	}
}
