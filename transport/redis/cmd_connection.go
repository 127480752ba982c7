package redis

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func connectionCommands() []*command {
	g := rightsConnection
	return []*command{
		{name: "hello", arity: -1, flags: "noscript loading stale fast no_auth allow_busy", rights: g, summary: "Handshakes with the server.", run: cmdHello},
		{name: "auth", arity: -2, flags: "noscript loading stale fast no_auth allow_busy", rights: g, summary: "Authenticates the connection.", run: cmdAuth},
		{name: "ping", arity: -1, flags: "fast", rights: g, summary: "Returns the server's liveliness response.", run: cmdPing},
		{name: "echo", arity: 2, flags: "loading stale fast", rights: g, summary: "Returns the given string.", run: func(c *conn, a [][]byte) { c.out = resp.AppendBulk(c.out, a[1]) }},
		{name: "quit", arity: -1, flags: "noscript loading stale fast no_auth allow_busy", atOnce: true, rights: g, summary: "Closes the connection.", run: func(c *conn, _ [][]byte) { c.ok(); c.quit = true }},
		{name: "reset", arity: 1, flags: "noscript loading stale fast no_auth allow_busy", atOnce: true, rights: g, summary: "Resets the connection.", run: cmdReset},
		{name: "select", arity: 2, flags: "loading stale fast", rights: g, summary: "Changes the selected database; there is one.", run: cmdSelect},
		{name: "readonly", arity: -1, flags: "loading stale fast", rights: g, summary: "Enables reads from followers for a connection, with what they may lack in milliseconds.", run: cmdReadOnly},
		{name: "readwrite", arity: 1, flags: "loading stale fast", rights: g, summary: "Enables read-write queries for a connection.", run: func(c *conn, _ [][]byte) { c.sess.ReadMode = ReadMode{}; c.ok() }},
		{name: "asking", arity: 1, flags: "fast", rights: g, summary: "Accepted and without effect: slots are never half moved.", run: func(c *conn, _ [][]byte) { c.ok() }},
		clientCommand(),
	}
}

func clientCommand() *command {
	g := rightsConnection
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: "client|" + strings.ToLower(name), arity: arity, flags: "noscript loading stale", rights: g, run: run}
	}
	client := &command{
		name: "client", arity: -2, flags: "", rights: g, summary: "A container for client connection commands.",
		subs: map[string]*command{
			"ID":                  sub("id", 2, func(c *conn, _ [][]byte) { c.int(c.sess.ID) }),
			"SETNAME":             sub("setname", 3, cmdClientSetName),
			"GETNAME":             sub("getname", 2, cmdClientGetName),
			"SETINFO":             sub("setinfo", 4, cmdClientSetInfo),
			"INFO":                sub("info", 2, cmdClientInfo),
			"CAPA":                sub("capa", -3, cmdCapa),
			"MAINT_NOTIFICATIONS": sub("maint_notifications", -3, cmdMaint),
			"HELP": sub("help", 2, func(c *conn, _ [][]byte) {
				c.help("CLIENT", "ID -- the id of this connection", "SETNAME name -- name this connection", "GETNAME -- its name", "SETINFO LIB-NAME|LIB-VER value -- name the client library", "INFO -- this connection's properties",
					"MAINT_NOTIFICATIONS ON|OFF -- be told when slots leave this node (RESP3)",
					"CAPA word ... -- what the client understands: aegis has epochs and versions told beside replies (RESP3)",
					"TRACKING ON|OFF [REDIRECT id] [BCAST] [PREFIX prefix ...] [OPTIN] [OPTOUT] [NOLOOP] -- be told when keys that were read change", "CACHING YES|NO -- whether the next command is tracked", "TRACKINGINFO -- what is tracked", "GETREDIR -- who is told instead: 0 = nobody, -1 = tracking is off",
					"LIST [filter ...] -- the connections that fit all of it", "KILL address -- end a connection", "KILL filter ... -- end those that fit all of it, this one only with SKIPME no",
					"   filters: ID id ..., TYPE type, ADDR address, LADDR address, IP host, USER name, NAME name, LIB-NAME name, LIB-VER version, FLAGS letters, DB 0, each also as NOT-...; MAXAGE seconds, IDLE seconds, SKIPME yes|no",
					"PAUSE milliseconds [WRITE|ALL] -- hold commands back on this node", "UNPAUSE -- let them go on", "UNBLOCK id [TIMEOUT|ERROR] -- end the WAIT of a connection", "REPLY ON|OFF|SKIP -- which replies are sent", "NO-EVICT ON|OFF -- be the last to be closed when buffers take too much memory", "NO-TOUCH ON|OFF -- whether reads and writes keep keys from eviction")
			}),
		},
	}
	maps.Copy(client.subs, trackingCommands())
	maps.Copy(client.subs, clientWords())
	maps.Copy(client.subs, deadlineCommands())
	return client
}

func (c *conn) help(name string, lines ...string) {
	c.out = resp.AppendArray(c.out, len(lines)+1)
	c.out = resp.AppendSimple(c.out, name+" <subcommand> [<arg> ...]. Subcommands are:")
	for _, l := range lines {
		c.out = resp.AppendSimple(c.out, l)
	}
}

const errNoPassword = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"

func cmdAuth(c *conn, args [][]byte) {
	switch {
	case len(args) > 3:
		c.fail(errSyntax)
	case len(args) == 2:
		c.fail(errNoPassword)
	case string(args[1]) == "default":
		// As Redis: the default user without a password takes any.
		c.ok()
	default:
		c.fail("WRONGPASS invalid username-password pair or user is disabled.")
	}
}

func cmdHello(c *conn, args [][]byte) {
	proto, name := c.sess.Proto, c.sess.Name
	opts := args[1:]
	if len(opts) > 0 {
		n, ok := parseInt(opts[0])
		if !ok {
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if n != 2 && n != 3 {
			c.fail("NOPROTO unsupported protocol version")
			return
		}
		proto = int(n)
		opts = opts[1:]
	}
	for len(opts) > 0 {
		switch {
		case is(opts[0], "AUTH") && len(opts) >= 3:
			if string(opts[1]) != "default" {
				c.fail("WRONGPASS invalid username-password pair or user is disabled.")
				return
			}
			opts = opts[3:]
		case is(opts[0], "SETNAME") && len(opts) >= 2:
			if !validName(opts[1]) {
				c.fail(errBadName)
				return
			}
			name = string(opts[1])
			opts = opts[2:]
		default:
			c.fail(fmt.Sprintf("ERR Syntax error in HELLO option '%.128s'", opts[0]))
			return
		}
	}
	c.sess.Proto, c.sess.Name = proto, name
	if proto >= 3 { // others may redirect to it from now on
		c.pushing()
	}
	if c.pushes != nil {
		c.pushes.speak(proto)
	}
	b := resp.AppendMap(c.out, proto, 8)
	b = resp.AppendBulk(resp.AppendBulk(b, "server"), "redis")
	b = resp.AppendBulk(resp.AppendBulk(b, "version"), redisVersion)
	b = resp.AppendInt(resp.AppendBulk(b, "proto"), int64(proto))
	b = resp.AppendInt(resp.AppendBulk(b, "id"), c.sess.ID)
	b = resp.AppendBulk(resp.AppendBulk(b, "mode"), c.mode())
	b = resp.AppendBulk(resp.AppendBulk(b, "role"), "master")
	b = resp.AppendArray(resp.AppendBulk(b, "modules"), 0)
	c.out = resp.AppendBulk(resp.AppendBulk(b, "aegis_version"), c.srv.cfg.Version)
}

// stalenessMax is the longest that READONLY takes: an hour.
const stalenessMax = 3_600_000

// cmdReadOnly is READONLY [milliseconds [version]]: followers answer reads from copies
// that lack no more than what was written within that time. Without it the node's own
// setting counts, which may forbid them. With a version of the shards read, as sessions
// keep them, only copies that follow and have it in their history answer.
func cmdReadOnly(c *conn, args [][]byte) {
	bound, least := c.srv.cfg.Staleness, int64(0)
	if len(args) > 1 {
		ms, ok := parseInt(args[1])
		if len(args) == 3 && ok {
			least, ok = parseInt(args[2])
		}
		if !ok || ms < 0 || ms > stalenessMax || least < 0 || len(args) > 3 {
			c.fail("ERR wrong number of arguments for 'readonly' command") // as Redis, which takes none
			return
		}
		bound = time.Duration(ms) * time.Millisecond
	}
	c.sess.ReadMode = ReadMode{true, bound, shardmap.Version(least)}
	c.ok()
}

func cmdPing(c *conn, args [][]byte) {
	if c.subscribed && c.sess.Proto < 3 && len(args) < 3 { // as a message, the only thing that may come now
		c.out = resp.AppendBulk(resp.AppendBulk(resp.AppendArray(c.out, 2), "pong"), string(bytes.Join(args[1:], nil)))
		return
	}
	switch len(args) {
	case 1:
		c.out = append(c.out, "+PONG\r\n"...)
	case 2:
		c.out = resp.AppendBulk(c.out, args[1])
	default:
		c.fail("ERR wrong number of arguments for 'ping' command")
	}
}

func cmdReset(c *conn, _ [][]byte) {
	c.sess.Proto, c.sess.Name, c.sess.ReadMode, c.until = 2, "", ReadMode{}, 0
	c.sess.Quiet = false
	c.lasting.Store(false)
	c.resetPushes()
	c.multi, c.mute = multi{}, muting{}
	if _, err := c.srv.backend.SetLevel(&c.sess, "default"); err != nil {
		c.failWith(err)
		return
	}
	c.out = resp.AppendSimple(c.out, "RESET")
}

func cmdSelect(c *conn, args [][]byte) {
	n, ok := parseInt(args[1])
	switch {
	case !ok:
		c.fail(errInteger)
	case n != 0:
		c.fail("ERR SELECT is not allowed in cluster mode")
	default:
		c.ok()
	}
}

const errBadName = "ERR Client names cannot contain spaces, newlines or special characters."

func validName(b []byte) bool {
	for _, ch := range b {
		if ch < '!' || ch > '~' {
			return false
		}
	}
	return true
}

func cmdClientSetName(c *conn, args [][]byte) {
	if !validName(args[2]) {
		c.fail(errBadName)
		return
	}
	c.sess.Name = string(args[2])
	c.ok()
}

func cmdClientGetName(c *conn, _ [][]byte) {
	if c.sess.Name == "" {
		c.null()
		return
	}
	c.out = resp.AppendBulk(c.out, c.sess.Name)
}

func cmdClientSetInfo(c *conn, args [][]byte) {
	if !is(args[2], "LIB-NAME") && !is(args[2], "LIB-VER") {
		c.fail(fmt.Sprintf("ERR Unrecognized option '%.128s'", args[2]))
		return
	}
	if !validName(args[3]) {
		c.fail(fmt.Sprintf("ERR %s cannot contain spaces, newlines or special characters.", strings.ToLower(string(args[2]))))
		return
	}
	if is(args[2], "LIB-NAME") {
		c.sess.LibName = string(args[3])
		if c.pushes != nil {
			c.pushes.reads(c.sess.LibName)
		}
	} else {
		c.sess.LibVer = string(args[3])
	}
	c.ok()
}
