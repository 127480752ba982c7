package redis

import (
	"regexp"
	"slices"
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// usages are the arguments of commands, as people write them: capitals are words to be
// typed, [ ] may be left out, ( | ) is a choice, "..." may be repeated. A name before a
// colon is that of the group. COMMAND DOCS tells them as the tree that clients make hints
// and completion of; writing the trees down would be three thousand lines of table.
var usages = map[string]string{
	"append": "key value", "decr": "key", "decrby": "key decrement", "get": "key", "getdel": "key",
	"getex":    "key [expiration: EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
	"getrange": "key start end", "getset": "key value", "incr": "key", "incrby": "key increment", "incrbyfloat": "key increment<double>",
	"lcs": "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]", "mget": "key ...", "mset": "(key value) ...", "msetnx": "(key value) ...",
	"psetex": "key milliseconds value",
	"set": "key value [condition: NX | XX | IFEQ comparison-value | IFVER version] [GET] " +
		"[expiration: EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL | milliseconds]",
	"setex": "key seconds value", "setnx": "key value", "setrange": "key offset value", "strlen": "key", "substr": "key start end",

	"copy": "source destination [DB destination-db] [REPLACE]", "del": "key ...", "delifeq": "key value", "delifver": "key version", "dump": "key",
	"exists": "key ...", "expire": "key seconds [condition: NX | XX | GT | LT]", "expireat": "key unix-time-seconds [condition: NX | XX | GT | LT]",
	"expiretime": "key", "keys": "pattern", "persist": "key", "pexpire": "key milliseconds [condition: NX | XX | GT | LT]",
	"pexpireat": "key unix-time-milliseconds [condition: NX | XX | GT | LT]", "pexpiretime": "key", "pttl": "key",
	"rename": "key newkey", "renamenx": "key newkey",
	"restore": "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
	"scan":    "cursor [MATCH pattern] [COUNT count] [TYPE type]", "touch": "key ...", "ttl": "key", "type": "key", "unlink": "key ...",
	"bgsave": "[SCHEDULE]", "flushall": "[async: ASYNC | SYNC]", "flushdb": "[async: ASYNC | SYNC]",
	"object|encoding": "key", "object|freq": "key", "object|idletime": "key", "object|refcount": "key", "memory|usage": "key [SAMPLES count]",

	"eval": "script numkeys [key ...] [arg ...]", "evalsha": "sha1 numkeys [key ...] [arg ...]",
	"script|exists": "sha1 ...", "script|flush": "[async: ASYNC | SYNC]", "script|load": "script",
	"watch": "key ...", "wait": "numreplicas timeout", "subscribe": "channel ...", "unsubscribe": "[channel ...]",

	"auth": "[username] password", "echo": "message", "hello": "[arguments: protover [AUTH (username password)] [SETNAME clientname]]",
	"ping": "[message]", "select": "index", "readonly": "[staleness-milliseconds [version]]",
	"client|caching": "(mode: YES | NO)", "client|capa": "capability ...", "client|deadline": "[microseconds]",
	"client|kill": "(filter: ip:port | (new-format: " + clientFilterUsage + ") ...)", "client|list": clientFilterUsage,
	"client|maint_notifications": "(enabled: ON | OFF)", "client|no-evict": "(enabled: ON | OFF)", "client|no-touch": "(enabled: ON | OFF)",
	"client|pause": "timeout [mode: WRITE | ALL]", "client|reply": "(ON | OFF | SKIP)", "client|setname": "connection-name",
	"client|setinfo":  "(attr: LIB-NAME libname | LIB-VER libver)",
	"client|tracking": "(status: ON | OFF) [REDIRECT client-id] [PREFIX prefix] ... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
	"client|unblock":  "client-id [TIMEOUT | ERROR]",

	"cluster|countkeysinslot": "slot", "cluster|getkeysinslot": "slot count", "cluster|count-failure-reports": "node-id", "cluster|replicas": "node-id", "cluster|slaves": "node-id", "cluster|keyslot": "key<string>",
	"cluster|slot-stats": "(filter: SLOTSRANGE (start-slot end-slot) | ORDERBY (metric [LIMIT limit] [order: ASC | DESC]))",
	"command|docs":       "[command-name ...]", "command|info": "[command-name ...]",
	"command|getkeys": "command-name [arg ...]", "command|getkeysandflags": "command-name [arg ...]",
	"command|list": "[FILTERBY (filterby: MODULE module-name | ACLCAT category | PATTERN pattern)]",
	"config|get":   "parameter ...", "config|set": "(parameter value) ...", "info": "[section ...]",
	"latency|graph": "event", "latency|histogram": "[command ...]", "latency|history": "event", "latency|reset": "[event ...]", "slowlog|get": "[count]",

	"aegis.admin": "word ...", "aegis.check": "token", "aegis.count": "shard", "aegis.flush": "shard", "aegis.durability": "[level: ASYNC | MAJORITY | ALL]", "aegis.held": "shard epoch version",
	"aegis.if": "(key version gone epoch) ...", "aegis.look": "key ...", "aegis.map": "[epoch]", "aegis.scan": "cursor [MATCH pattern] [COUNT count] [TYPE type]",
}

const clientFilterUsage = "[TYPE (NORMAL | PUBSUB)] [ID client-id ...] [USER username] [ADDR ip:port] [LADDR ip:port] [IP ip] [NAME name] [LIB-NAME libname] " +
	"[LIB-VER libver] [FLAGS flags] [DB db] [MAXAGE seconds] [IDLE seconds] [SKIPME yes/no]"

// argument is a place in a command, or a group of places.
type argument struct {
	name, kind, token  string
	optional, multiple bool
	tokens             bool // the token is repeated with it
	parts              []*argument
}

// argumentKinds are the types of names; other names are strings.
var argumentKinds = map[string]string{}

func init() {
	for kind, names := range map[string]string{
		"key": "key key1 key2 newkey source destination",
		"integer": "client-id count cursor db decrement destination-db end end-slot epoch frequency gone increment index len limit microseconds milliseconds numkeys numreplicas offset " +
			"protover seconds shard slot staleness-milliseconds start start-slot timeout ttl version",
		"unix-time": "unix-time-seconds unix-time-milliseconds",
		"pattern":   "pattern",
	} {
		for _, n := range strings.Fields(names) {
			argumentKinds[n] = kind
		}
	}
}

var (
	usageWords = regexp.MustCompile(`\.\.\.|[][()|]|[a-z_-]+: |[^][()| ]+`)
	usageToken = regexp.MustCompile(`^[A-Z][A-Z-]+$`)
)

// usage is a usage while it is read.
type usage struct{ words []string }

func argumentsOf(name string) []*argument {
	u := usage{usageWords.FindAllString(usages[name], -1)}
	return u.sequence()
}

func (u *usage) peek() string {
	if len(u.words) == 0 {
		return ""
	}
	return strings.TrimSpace(u.words[0])
}

func (u *usage) next() string {
	w := u.peek()
	u.words = u.words[1:]
	return w
}

func (u *usage) sequence() (all []*argument) {
	for w := u.peek(); w != "" && w != ")" && w != "]" && w != "|"; w = u.peek() {
		all = append(all, u.item())
	}
	return all
}

func (u *usage) item() (a *argument) {
	switch w := u.next(); {
	case w == "[", w == "(":
		a = u.group()
		a.optional = w == "["
	case usageToken.MatchString(w) && !slices.Contains([]string{"", ")", "]", "|", "[", "..."}, u.peek()) && !usageToken.MatchString(u.peek()):
		a = u.item()
		a.token = w
	case usageToken.MatchString(w):
		a = &argument{name: strings.ToLower(w), kind: "pure-token", token: w}
	default:
		name, kind, said := strings.Cut(strings.TrimSuffix(w, ">"), "<")
		if !said {
			kind = argumentKinds[name]
		}
		if kind == "" {
			kind = "string"
		}
		a = &argument{name: name, kind: kind}
	}
	if u.peek() == "..." {
		u.next()
		a.multiple, a.tokens = true, a.optional && a.token != ""
	}
	return a
}

// group reads up to the bracket that closes it.
func (u *usage) group() *argument {
	name, named := strings.CutSuffix(u.peek(), ":")
	if named {
		u.next()
	}
	var choices []*argument
	for {
		choices = append(choices, together(u.sequence(), "block", ""))
		if u.next() != "|" {
			break
		}
	}
	if !named {
		name = ""
	}
	if len(choices) == 1 && len(choices[0].parts) > 0 && named {
		choices[0].name = name
	}
	return together(choices, "oneof", name)
}

// together makes one argument of several; one alone stays what it is. As in Redis a group
// without a name is called by its parts.
func together(parts []*argument, kind, name string) *argument {
	if len(parts) == 1 {
		return parts[0]
	}
	if name == "" {
		var names []string
		for _, p := range parts {
			names = append(names, p.name)
		}
		name = strings.Join(names, "_")
	}
	return &argument{name: name, kind: kind, parts: parts}
}

// appendArguments writes the tree of COMMAND DOCS; keys counts those that have
// specifications of their own.
func (c *conn) appendArguments(b []byte, all []*argument, cmd *command, keys *int) []byte {
	b = resp.AppendArray(b, len(all))
	for _, a := range all {
		var flags []string
		if a.optional {
			flags = append(flags, "optional")
		}
		if a.multiple {
			flags = append(flags, "multiple")
		}
		if a.tokens {
			flags = append(flags, "multiple_token")
		}
		fields := 2
		for _, has := range []bool{a.kind == "key", a.token != "", flags != nil, a.parts != nil} {
			if has {
				fields++
			}
		}
		b = resp.AppendMap(b, c.sess.Proto, fields)
		b = resp.AppendBulk(resp.AppendBulk(b, "name"), a.name)
		b = resp.AppendBulk(resp.AppendBulk(b, "type"), a.kind)
		if a.kind == "key" {
			b = resp.AppendInt(resp.AppendBulk(b, "key_spec_index"), int64(*keys))
			if cmd.treatsKeysApart() {
				*keys++
			}
		}
		if a.token != "" {
			b = resp.AppendBulk(resp.AppendBulk(b, "token"), a.token)
		}
		if flags != nil {
			b = c.appendWords(resp.AppendBulk(b, "flags"), flags)
		}
		if a.parts != nil {
			b = c.appendArguments(resp.AppendBulk(b, "arguments"), a.parts, cmd, keys)
		}
	}
	return b
}
