package redis

import (
	"slices"
	"sort"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// rights is the group of commands that a user may be given; operators' commands
// are taken from loopback only until passwords exist.
type rights string

const (
	rightsRead       rights = "read"
	rightsWrite      rights = "write"
	rightsConnection rights = "connection"
	rightsCluster    rights = "cluster"
	rightsAdmin      rights = "admin"
)

// command is one row of the table that COMMAND, help, counters and dispatch read.
type command struct {
	name    string
	arity   int // Redis's: exact, or at least -arity
	flags   string
	first   int // key positions: first, last, step
	last    int
	step    int
	numkeys int // position of the number of keys, which follow it; 0 = first, last and step say it
	rights  rights
	class   string // ACL category of what it is about, "" = none
	atOnce  bool   // runs between MULTI and EXEC instead of being queued
	wide    bool   // is about more than one slot, or takes too long to hold a shard meanwhile
	summary string
	run     func(c *conn, args [][]byte)
	reads   bool                // flagged readonly: what it answers may be cached
	early   bool                // runs while the data is being loaded
	subs    map[string]*command // by upper-case name, for containers

	tally
}

// table finds commands by name.
type table struct {
	byName map[string]*command
	names  []string // sorted
}

func newTable() *table {
	t := &table{byName: make(map[string]*command)}
	for _, group := range []struct {
		class string
		rows  []*command
	}{
		{"string", stringCommands()},
		{"keyspace", slices.Concat(keyCommands(), scanCommands(), []*command{objectCommand()})},
		{"scripting", evalCommands()},
		{"transaction", transactionCommands()},
		{"connection", append(connectionCommands(), commandCommand(), waitCommand())},
		{"", slices.Concat(clusterCommands(), serverCommands(), operatorCommands(), subscriptionCommands(), aegisCommands())},
	} {
		for _, c := range group.rows {
			c.classify(group.class)
			c.reads = strings.Contains(c.flags, "readonly")
			c.hasten()
			t.byName[strings.ToUpper(c.name)] = c
			t.names = append(t.names, c.name)
		}
	}
	sort.Strings(t.names)
	return t
}

// find looks a name up in any case without allocating for the usual lengths.
func (t *table) find(name []byte) *command {
	var up [32]byte
	if len(name) > len(up) {
		return nil
	}
	for i, ch := range name {
		if ch >= 'a' && ch <= 'z' {
			ch -= 'a' - 'A'
		}
		up[i] = ch
	}
	return t.byName[string(up[:len(name)])]
}

// findAny finds a command or, as "container|sub", a subcommand.
func (t *table) findAny(name string) *command {
	parent, sub, isSub := strings.Cut(name, "|")
	cmd := t.find([]byte(parent))
	if cmd != nil && isSub {
		return cmd.subs[strings.ToUpper(sub)]
	}
	return cmd
}

// classify gives a command and its subcommands their class. As in Redis a container that
// does nothing by itself has none, and HELP is about no state at all.
func (c *command) classify(class string) {
	if c.run != nil {
		c.class = class
	}
	for name, s := range c.subs {
		s.class = class
		if name == "HELP" {
			s.flags, s.summary = "loading stale", "Lists the subcommands."
		} else if s.summary == "" {
			s.summary = summaries[s.name]
		}
	}
}

// hasten finds out which commands run while the data is being loaded. The flag is what
// Redis says; but a node that is loading does not know the map yet, and an empty one
// would send clients nowhere, while an error sends them to another node.
func (c *command) hasten() {
	c.early = c.has("loading") && c.rights != rightsCluster
	for _, s := range c.subs {
		s.hasten()
	}
}

// has says whether a flag is among the command's.
func (c *command) has(flag string) bool { return slices.Contains(strings.Fields(c.flags), flag) }

// firstKey finds the first key of a command; false when it has none.
func (c *command) firstKey(args [][]byte) (int, bool) {
	first, last, _ := c.keys(args)
	return first, first > 0 && first <= last
}

// slot is the slot of a command that has keys; false when they lie in several.
func (c *command) slot(args [][]byte) (slot shardmap.Slot, same bool) {
	first, last, step := c.keys(args)
	slot = shardmap.SlotOf(args[first])
	for i := first + step; i <= last; i += step {
		if shardmap.SlotOf(args[i]) != slot {
			return slot, false
		}
	}
	return slot, true
}

// keys says where the keys of a command stand; last < first when there are none.
func (c *command) keys(args [][]byte) (first, last, step int) {
	if c.numkeys > 0 {
		n := leadingInt(args[c.numkeys])
		if n > len(args)-c.numkeys-1 {
			n = 0
		}
		return c.numkeys + 1, c.numkeys + n, 1
	}
	if last = c.last; last < 0 {
		last += len(args)
	}
	return c.first, min(last, len(args)-1), max(1, c.step)
}

// leadingInt reads a count of keys up to the first byte that is no digit, 0 when there
// is none before it. Redis finds keys so and takes "1.5" for 1; that it is no number is
// said later, when the command runs.
func leadingInt(b []byte) (n int) {
	for _, ch := range b {
		if ch < '0' || ch > '9' || n > 1<<30 {
			return n
		}
		n = n*10 + int(ch-'0')
	}
	return n
}

func (c *command) takes(n int) bool {
	if c.arity >= 0 {
		return n == c.arity
	}
	return n >= -c.arity
}

// refused are commands of Redis that AegisKV will never have, with the reason.
var refused = map[string]string{}

func init() {
	for reason, names := range map[string]string{
		"AegisKV stores strings only": "HSET HGET HGETALL HDEL HMGET HMSET HEXISTS HLEN HKEYS HVALS HINCRBY HINCRBYFLOAT HRANDFIELD HSETNX HSTRLEN HSCAN " +
			"LPUSH LPUSHX RPUSH RPUSHX LPOP RPOP LRANGE LLEN LINDEX LINSERT LREM LSET LTRIM LMOVE LMPOP LPOS RPOPLPUSH BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH " +
			"SADD SREM SMEMBERS SISMEMBER SMISMEMBER SCARD SPOP SMOVE SRANDMEMBER SSCAN SDIFF SDIFFSTORE SINTER SINTERCARD SINTERSTORE SUNION SUNIONSTORE " +
			"ZADD ZRANGE ZREM ZSCORE ZCARD ZCOUNT ZINCRBY ZRANK ZREVRANK ZSCAN ZDIFF ZDIFFSTORE ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN " +
			"ZRANDMEMBER ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZUNION ZUNIONSTORE " +
			"BZMPOP BZPOPMAX BZPOPMIN XADD XREAD XRANGE XREVRANGE XLEN XACK XAUTOCLAIM XCLAIM XDEL XGROUP XINFO XPENDING XREADGROUP XSETID XTRIM " +
			"GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEORADIUS_RO GEORADIUSBYMEMBER_RO GEOSEARCH GEOSEARCHSTORE PFADD PFCOUNT PFMERGE " +
			"SETBIT GETBIT BITCOUNT BITOP BITPOS BITFIELD BITFIELD_RO SORT SORT_RO",
		"data lives in one database":                                   "SWAPDB MOVE",
		"replication is automatic; see `aegis status`":                 "REPLICAOF SLAVEOF PSYNC SYNC REPLCONF FAILOVER",
		"membership is automatic; see `aegis status`":                  "CLUSTER|MEET CLUSTER|FORGET CLUSTER|REPLICATE CLUSTER|FAILOVER CLUSTER|RESET CLUSTER|SAVECONFIG CLUSTER|SET-CONFIG-EPOCH CLUSTER|BUMPEPOCH",
		"messages are not passed between clients":                      "PSUBSCRIBE SSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE PUBLISH SPUBLISH PUBSUB",
		"scripts, functions and modules are not run inside the cache":  "FUNCTION FCALL FCALL_RO EVAL_RO EVALSHA_RO MODULE SCRIPT|DEBUG SCRIPT|SHOW",
		"slots are moved by the cluster itself":                        "MIGRATE RESTORE-ASKING CLUSTER|ADDSLOTS CLUSTER|ADDSLOTSRANGE CLUSTER|DELSLOTS CLUSTER|DELSLOTSRANGE CLUSTER|FLUSHSLOTS CLUSTER|SETSLOT",
		"commands are not streamed; see SLOWLOG and INFO commandstats": "MONITOR",
		"there is no append-only file; see WAIT":                       "WAITAOF",
		"there is one user":                                            "ACL|SETUSER ACL|GETUSER ACL|DELUSER ACL|LOAD ACL|SAVE ACL|LOG ACL|GENPASS ACL|CAT ACL|DRYRUN",
		"a node is stopped by a signal, and hands over by itself":      "SHUTDOWN",
		"the inside of a server is no interface":                       "DEBUG",
		"settings come from flags, environment and file":               "CONFIG|REWRITE",
		"a save never stops the node; see BGSAVE":                      "SAVE BGREWRITEAOF",
	} {
		for _, n := range strings.Fields(names) {
			refused[n] = reason
		}
	}
}
