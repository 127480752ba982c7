package redis

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

func commandCommand() *command {
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: "command|" + name, arity: arity, flags: "loading stale", rights: rightsConnection, wide: true, run: run}
	}
	return &command{
		name: "command", arity: -1, flags: "loading stale", wide: true, rights: rightsConnection, summary: "Returns detailed information about all commands.", run: cmdCommand,
		subs: map[string]*command{
			"COUNT":           sub("count", 2, func(c *conn, _ [][]byte) { c.int(int64(len(c.srv.table.names))) }),
			"INFO":            sub("info", -2, cmdCommandInfo),
			"DOCS":            sub("docs", -2, cmdCommandDocs),
			"LIST":            sub("list", -2, cmdCommandList),
			"GETKEYS":         sub("getkeys", -4, cmdCommandGetKeys),
			"GETKEYSANDFLAGS": sub("getkeysandflags", -4, cmdCommandKeyFlags),
			"HELP": sub("help", 2, func(c *conn, _ [][]byte) {
				c.help("COMMAND", "(no subcommand) -- details of all commands", "COUNT -- how many there are", "INFO [name ...] -- details of some", "DOCS [name ...] -- what they do",
					"LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern] -- names", "GETKEYS command ... -- the keys among its arguments", "GETKEYSANDFLAGS command ... -- the same, each with what is done to it")
			}),
		},
	}
}

// withSubs is a command's name and those of its subcommands, sorted.
func (t *table) withSubs(cmd *command) []string {
	names := []string{cmd.name}
	for _, s := range cmd.subs {
		names = append(names, s.name)
	}
	sort.Strings(names)
	return names
}

// everyName is all commands and, as "container|sub", subcommands, sorted.
func (t *table) everyName() (names []string) {
	for _, n := range t.names {
		names = append(names, t.withSubs(t.findAny(n))...)
	}
	sort.Strings(names)
	return names
}

func cmdCommandList(c *conn, args [][]byte) {
	keep := func(*command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) != 5 || !is(args[2], "FILTERBY"):
		c.fail(errSyntax)
		return
	case is(args[3], "MODULE"):
		keep = func(*command) bool { return false }
	case is(args[3], "ACLCAT"):
		keep = func(cmd *command) bool {
			return slices.Contains(cmd.categories(), "@"+strings.ToLower(string(args[4])))
		}
	case is(args[3], "PATTERN"):
		pattern := []byte(strings.ToLower(string(args[4])))
		keep = func(cmd *command) bool { return globs(pattern, []byte(cmd.name)) }
	default:
		c.fail(errSyntax)
		return
	}
	n := 0
	for _, name := range c.srv.table.everyName() {
		if keep(c.srv.table.findAny(name)) {
			c.out = resp.AppendBulk(c.out, name)
			n++
		}
	}
	c.lead(resp.AppendArray(nil, n))
}

// cmdCommandGetKeys finds the keys of a command as its row in the table says.
func cmdCommandGetKeys(c *conn, args [][]byte) {
	c.eachKey(args[2:], func(_ *command, key []byte, _ int) { c.out = resp.AppendBulk(c.out, key) })
}

// cmdCommandKeyFlags is GETKEYS with what the command does to each key.
func cmdCommandKeyFlags(c *conn, args [][]byte) {
	c.eachKey(args[2:], func(cmd *command, key []byte, n int) {
		b := resp.AppendBulk(resp.AppendArray(c.out, 2), key)
		flags := keyFlags(cmd, args[2:], n)
		b = resp.AppendSet(b, c.sess.Proto, len(flags))
		for _, f := range flags {
			b = resp.AppendSimple(b, f)
		}
		c.out = b
	})
}

// keyFlags are the words of Redis for what a command does to its nth key: R, W or both,
// OW where the old value does not matter and RM where it goes; then what of the value is
// given, changed or removed.
func keyFlags(cmd *command, args [][]byte, n int) []string {
	switch cmd.name {
	case "get", "mget", "getrange", "substr", "lcs", "dump", "ttl", "pttl", "expiretime", "pexpiretime":
		return []string{"RO", "access"}
	case "set":
		if slices.ContainsFunc(args[min(3, len(args)):], func(w []byte) bool { return is(w, "GET") }) {
			return []string{"RW", "access", "update"}
		}
		return []string{"OW", "update"}
	case "getset":
		return []string{"RW", "access", "update"}
	case "getdel":
		return []string{"RW", "access", "delete"}
	case "getex", "incr", "decr", "incrby", "decrby", "incrbyfloat":
		return []string{"RW", "access", "update"}
	case "setex", "psetex", "mset", "restore":
		return []string{"OW", "update"}
	case "setnx", "msetnx":
		return []string{"OW", "insert"}
	case "append":
		return []string{"RW", "insert"}
	case "setrange", "expire", "pexpire", "expireat", "pexpireat", "persist":
		return []string{"RW", "update"}
	case "del", "unlink":
		return []string{"RM", "delete"}
	case "rename", "renamenx":
		return [][]string{{"RW", "access", "delete"}, {"OW", map[string]string{"rename": "update", "renamenx": "insert"}[cmd.name]}}[n]
	case "copy":
		return [][]string{{"RO", "access"}, {"OW", "update"}}[n]
	}
	if cmd.rights == rightsWrite {
		return []string{"RW", "access", "update"}
	}
	return []string{"RO"}
}

// eachKey answers an array of what show writes for each key of a command.
func (c *conn) eachKey(args [][]byte, show func(cmd *command, key []byte, n int)) {
	cmd := c.srv.table.find(args[0])
	if cmd != nil && cmd.subs != nil && len(args) > 1 {
		cmd = cmd.subs[strings.ToUpper(string(args[1]))]
	}
	switch {
	case cmd == nil:
		c.fail("ERR Invalid command specified")
		return
	case cmd.first == 0 && cmd.numkeys == 0:
		c.fail("ERR The command has no key arguments")
		return
	case !cmd.takes(len(args)):
		c.fail("ERR Invalid number of arguments specified for command")
		return
	}
	first, last, step := cmd.keys(args)
	n := 0
	for i := first; i <= last; i += step {
		show(cmd, args[i], n)
		n++
	}
	if n == 0 && !cmd.has("no_mandatory_keys") {
		c.fail("ERR Invalid arguments specified for command")
		return
	}
	c.lead(resp.AppendArray(nil, n))
}

func cmdCommandDocs(c *conn, args [][]byte) {
	names := c.srv.table.names
	if len(args) > 2 {
		names = nil
		for _, a := range args[2:] {
			if c.srv.table.findAny(string(a)) != nil {
				names = append(names, strings.ToLower(string(a)))
			}
		}
	}
	c.out = resp.AppendMap(c.out, c.sess.Proto, len(names))
	for _, n := range names {
		c.document(c.srv.table.findAny(n))
	}
}

// group is the chapter of Redis's documents that a command stands in.
func (c *command) group() string {
	parent, _, _ := strings.Cut(c.name, "|")
	switch parent {
	case "dbsize", "flushall", "flushdb", "command":
		return "server"
	case "readonly", "readwrite", "asking", "cluster":
		return "cluster"
	case "wait", "object":
		return "generic"
	case "client":
		return "connection"
	case "script":
		return "scripting"
	case "subscribe", "unsubscribe":
		return "pubsub"
	}
	switch c.class {
	case "":
		return "server"
	case "keyspace":
		return "generic"
	case "transaction":
		return "transactions"
	}
	return c.class
}

// document writes a command's name and what is known of it. Since when a command is
// there and what it costs Redis is not copied from Redis's pages.
func (c *conn) document(cmd *command) {
	c.out = resp.AppendBulk(c.out, cmd.name)
	pairs, arguments := 2, argumentsOf(cmd.name)
	if cmd.subs != nil {
		pairs++
	}
	if arguments != nil {
		pairs++
	}
	c.out = resp.AppendMap(c.out, c.sess.Proto, pairs)
	c.out = resp.AppendBulk(resp.AppendBulk(c.out, "summary"), cmd.summary)
	c.out = resp.AppendBulk(resp.AppendBulk(c.out, "group"), cmd.group())
	if arguments != nil {
		c.out = c.appendArguments(resp.AppendBulk(c.out, "arguments"), arguments, cmd, new(int))
	}
	if cmd.subs == nil {
		return
	}
	c.out = resp.AppendMap(resp.AppendBulk(c.out, "subcommands"), c.sess.Proto, len(cmd.subs))
	for _, name := range slices.Sorted(maps.Keys(cmd.subs)) {
		c.document(cmd.subs[name])
	}
}
