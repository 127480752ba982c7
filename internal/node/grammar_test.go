package node

import (
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/internal/judge"
)

// drawer draws the commands of one sequence.
type drawer struct {
	*rand.Rand
	tag   string
	times int // to live that were drawn
}

// draw makes words of a command.
type draw func(d *drawer) []string

// grammar is what may follow each command. Words are left out, doubled and replaced
// afterwards, so it need not name what is wrong.
var grammar = map[string]draw{
	"get":         key,
	"set":         seq(key, value, some(3, just("NX"), just("XX"), just("GET"), just("KEEPTTL"), lifetime)),
	"setnx":       seq(key, value),
	"setex":       seq(key, seconds, value),
	"psetex":      seq(key, milliseconds, value),
	"getset":      seq(key, value),
	"getdel":      key,
	"getex":       seq(key, some(1, just("PERSIST"), lifetime, lifetime)),
	"mget":        many(key),
	"mset":        many(seq(key, value)),
	"msetnx":      many(seq(key, value)),
	"strlen":      key,
	"lcs":         seq(key, key, some(3, just("LEN"), just("IDX"), just("WITHMATCHLEN"), seq(just("MINMATCHLEN"), integer))),
	"append":      seq(key, value),
	"getrange":    seq(key, offset, offset),
	"substr":      seq(key, offset, offset),
	"setrange":    seq(key, offset, value),
	"incr":        key,
	"decr":        key,
	"incrby":      seq(key, integer),
	"decrby":      seq(key, integer),
	"incrbyfloat": seq(key, float),
	"del":         many(key),
	"unlink":      many(key),
	"exists":      many(key),
	"touch":       many(key),
	"type":        key,
	"expire":      seq(key, seconds, expireCond),
	"pexpire":     seq(key, milliseconds, expireCond),
	"expireat":    seq(key, unixSeconds, expireCond),
	"pexpireat":   seq(key, unixMilliseconds, expireCond),
	"ttl":         key,
	"pttl":        key,
	"expiretime":  key,
	"pexpiretime": key,
	"persist":     key,
	"eval":        evaluation(func(text string) string { return text }),
	"evalsha":     evaluation(sum),
	"script":      oneOf(seq(just("LOAD"), scriptText), seq(just("EXISTS"), many(scriptSum)), seq(just("EXISTS"), scriptSum), just("NOPE")),
	"dump":        key,
	"restore": seq(key, oneOf(just("0"), milliseconds, from("4102444800000")), payload, some(3, just("REPLACE"), just("ABSTTL"),
		seq(just("IDLETIME"), from("0", "100", "-1", "x")), seq(just("FREQ"), from("0", "255", "256", "-1", "x")))),
	"rename":   seq(key, key),
	"renamenx": seq(key, key),
	"copy":     seq(key, key, some(2, just("REPLACE"), seq(just("DB"), from("0", "0", "1", "15", "16", "-1", "x", "3000000000")))),
	"object":   seq(oneOf(just("ENCODING"), just("encoding"), just("FREQ"), just("IDLETIME"), just("REFCOUNT"), just("NOPE")), key),
	"memory":   seq(just("USAGE"), key, some(2, seq(just("SAMPLES"), from("5", "0", "-1", "x")))),
}

// elsewhere are commands that are not drawn, each with the reason.
var elsewhere = map[string]string{}

func init() {
	for reason, names := range map[string]string{
		"of the connection, not of keys: the fixed list of transport/redis":            "asking auth client command config echo hello ping quit readonly readwrite reset role select subscribe time unsubscribe wait cluster info",
		"of the whole node, on which other sequences' keys are: the fixed list":        "dbsize flushall flushdb keys randomkey scan",
		"not in redis-server 7.0: tables made from their documents in transport/redis": "delifeq",
		"AegisKV's own": "aegis.admin aegis.check aegis.count aegis.durability aegis.flush aegis.held aegis.if aegis.look aegis.map aegis.scan aegis.token delifver",
	} {
		for _, n := range strings.Fields(names) {
			elsewhere[n] = reason
		}
	}
}

// difference is something that AegisKV answers otherwise than redis-server 7.0, on
// purpose.
type difference struct {
	reason string
	// avoid says that the command is not drawn: it leaves other contents behind.
	avoid func(words []string) bool
	// tolerate says that both replies are right.
	tolerate func(words []string, got, want string) bool
}

var differences = []difference{
	{
		reason: "SET key value N sets a TTL of N ms, as SPEC.md promises; Redis calls it a syntax error",
		avoid: func(w []string) bool {
			return len(w) == 4 && strings.EqualFold(w[0], "set") && strings.Trim(w[3], "-0123456789") == "" && w[3] != ""
		},
	},
	{
		reason: "two servers are asked one after the other: clocks go on between them",
		tolerate: func(w []string, got, want string) bool {
			switch strings.ToLower(w[0]) {
			case "ttl", "expiretime":
				return judge.Within(got, want, 10)
			case "pttl", "pexpiretime":
				return judge.Within(got, want, 10_000)
			}
			return isEval(w) && min(len(got), len(want)) > len(":99999\r\n") && judge.Within(got, want, 10_000) // a PTTL
		},
	},
	{
		reason: "a lock script adds times to live as integers and says when the sum overflows; Lua adds floating-point numbers, and PEXPIRE refuses those",
		tolerate: func(w []string, got, want string) bool {
			return isEval(w) && strings.HasPrefix(got, "-ERR invalid expire time in") && strings.HasPrefix(want, "-ERR value is not an integer or out of range")
		},
	},
	{
		reason: "all values are kept alike: the encoding is the one that Redis gives the value when it is set, whatever made it",
		tolerate: func(w []string, got, want string) bool {
			return asks(w, "object", "encoding") && (want == "$3\r\nraw\r\n" || want == "$6\r\nembstr\r\n" && got == "$3\r\nint\r\n")
		},
	},
	{
		reason: "values are not shared; Redis shares small integers for ever, and a value with the transaction that set it",
		tolerate: func(w []string, got, want string) bool {
			return asks(w, "object", "refcount") && got == ":1\r\n" && (want == ":2147483647\r\n" || want == ":2\r\n")
		},
	},
	{
		reason: "eviction counts hits and keeps no times: it has a frequency, and no idle time; Redis has the one or the other",
		tolerate: func(w []string, got, want string) bool {
			return asks(w, "object", "freq") && got[0] == ':' && strings.HasPrefix(want, "-ERR An LFU maxmemory policy is not selected") ||
				asks(w, "object", "idletime") && strings.HasPrefix(got, "-ERR idle time is not tracked") && want[0] == ':'
		},
	},
	{
		reason: "DUMP does not compress: what it answers is read by RESTORE all the same",
		tolerate: func(w []string, got, want string) bool {
			_, packed, _ := strings.Cut(want, "\r\n")
			return strings.EqualFold(w[0], "dump") && got[0] == '$' && strings.HasPrefix(packed, "\x00\xc3")
		},
	},
	{
		reason: "RESTORE with a time to live beyond the end of time keeps the key for ever; in Redis the sum overflows and the key is gone",
		avoid: func(w []string) bool {
			return len(w) > 2 && strings.EqualFold(w[0], "restore") && w[2] == "9223372036854775807"
		},
	},
	{
		reason: "an error within a lock script is told without the place in a program that does not run here",
		tolerate: func(w []string, got, want string) bool {
			return isEval(w) && got[0] == '-' && strings.HasPrefix(want, strings.TrimSuffix(got, "\r\n")+" script: ")
		},
	},
	{
		reason: "the script that compares beginnings takes natural numbers as their length; Lua takes all that are some",
		avoid:  prefixEval,
	},
	{
		reason: "EVALSHA of what is no SHA-1 is told so before its keys are looked for, which Redis finds by a number with anything behind it",
		tolerate: func(w []string, got, want string) bool {
			return strings.EqualFold(w[0], "evalsha") && len(w[1]) != 40 && strings.HasPrefix(got, "-NOSCRIPT") && strings.HasPrefix(want, "-CROSSSLOT")
		},
	},
	{
		reason: "only programs that are known as lock scripts are run, with as many keys and arguments as they use",
		avoid: func(w []string) bool {
			return isEval(w) && len(w) > 2 && !fullEval(w) ||
				len(w) > 2 && strings.EqualFold(w[0], "script") && strings.EqualFold(w[1], "load") && !slices.Contains(lockTexts, w[2])
		},
	},
	{
		reason: "the memory of a key is what our store counts for it",
		tolerate: func(w []string, got, want string) bool {
			return asks(w, "memory", "usage") && got[0] == ':' && want[0] == ':'
		},
	},
	{
		reason: "a key that has expired takes no memory; Redis counts it until it is removed",
		tolerate: func(w []string, got, want string) bool {
			return asks(w, "memory", "usage") && (got == "$-1\r\n" || got == "_\r\n") && want[0] == ':'
		},
	},
	{
		reason: "LCS of values whose lengths have a product above 67,108,864 is refused, in a transaction above 2,097,152; Redis refuses above 134,217,727, and meanwhile answers nobody",
		tolerate: func(w []string, got, _ string) bool {
			return strings.EqualFold(w[0], "lcs") && strings.HasPrefix(got, "-ERR LCS of ") && strings.Contains(got, "too much work")
		},
	},
	{
		reason: "values are at most a quarter of a shard's memory, Redis's are at most 512 MB",
		avoid: func(w []string) bool {
			return len(w) > 2 && strings.EqualFold(w[0], "setrange") && len(w[2]) > 6 && len(w[2]) < 10
		},
	},
}

func asks(w []string, command, sub string) bool {
	return len(w) > 2 && strings.EqualFold(w[0], command) && strings.EqualFold(w[1], sub)
}

func isEval(w []string) bool {
	return strings.EqualFold(w[0], "eval") || strings.EqualFold(w[0], "evalsha")
}

// prefixEval says whether the script compares a beginning of a length that is none.
func prefixEval(w []string) bool {
	if len(w) < 3 || !isEval(w) || !slices.ContainsFunc(lockTexts, func(text string) bool {
		return strings.Contains(text, "getrange") && (w[1] == text || strings.EqualFold(w[1], sum(text)))
	}) {
		return false
	}
	n, err := strconv.Atoi(w[2])
	if err != nil || n < 0 || n > len(w)-5 {
		return false
	}
	size, err := strconv.ParseUint(w[3+n+1], 10, 16)
	return err != nil || strconv.FormatUint(size, 10) != w[3+n+1]
}

// fullEval says whether a script that is known has a key and three arguments, or a
// wrong number of keys.
func fullEval(w []string) bool {
	known := slices.Contains(lockTexts, w[1]) || strings.EqualFold(w[0], "evalsha")
	n, err := strconv.Atoi(w[2])
	return known && (err != nil || n < 0 || n > len(w)-3 || n > 0 && len(w)-3-n >= 3)
}

func avoided(words []string) bool {
	return slices.ContainsFunc(differences, func(d difference) bool { return d.avoid != nil && d.avoid(words) })
}

func tolerated(words []string, got, want string) bool {
	return slices.ContainsFunc(differences, func(d difference) bool { return d.tolerate != nil && d.tolerate(words, got, want) })
}

var names = func() []string {
	var all []string
	for n := range grammar {
		all = append(all, n)
	}
	slices.Sort(all) // a number must always mean the same sequence
	return all
}()

// command draws one command, spoilt now and then.
func (d *drawer) command() []string {
	for {
		name := names[d.IntN(len(names))]
		words := append([]string{d.casing(name)}, grammar[name](d)...)
		for d.IntN(8) == 0 {
			words = d.spoil(words)
		}
		if !avoided(words) {
			return words
		}
	}
}

func (d *drawer) casing(name string) string {
	if d.IntN(2) == 0 {
		return strings.ToUpper(name)
	}
	return name
}

// junk replaces words. It has no small positive numbers: as times to live they would
// make replies depend on the clock.
var junk = []string{
	"", "x", "-1", "0", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.5", " 100", "+100", "0100",
	"NX", "xx", "GT", "lt", "GET", "ex", "PX", "EXAT", "PERSIST", "KEEPTTL", "REPLACE", "a\r\nb", "\x00", "-", "1e3",
}

// spoil leaves a word out, doubles one, or replaces one; the name stays.
func (d *drawer) spoil(words []string) []string {
	if len(words) == 1 {
		return append(words, junk[d.IntN(len(junk))])
	}
	i := 1 + d.IntN(len(words)-1)
	switch d.IntN(4) {
	case 0:
		return slices.Delete(words, i, i+1)
	case 1:
		return slices.Insert(words, i, words[1+d.IntN(len(words)-1)])
	case 2:
		return slices.Insert(words, i, junk[d.IntN(len(junk))])
	}
	words[i] = junk[d.IntN(len(junk))]
	return words
}

func just(w string) draw { return func(*drawer) []string { return []string{w} } }

func seq(parts ...draw) draw {
	return func(d *drawer) (words []string) {
		for _, p := range parts {
			words = append(words, p(d)...)
		}
		return words
	}
}

func oneOf(parts ...draw) draw {
	return func(d *drawer) []string { return parts[d.IntN(len(parts))](d) }
}

// some draws up to max of the options, usually few.
func some(max int, options ...draw) draw {
	return func(d *drawer) (words []string) {
		for range d.IntN(max + 1) {
			w := oneOf(options...)(d)
			w[0] = d.casing(w[0])
			words = append(words, w...)
		}
		return words
	}
}

func many(part draw) draw {
	return func(d *drawer) (words []string) {
		for range 1 + d.IntN(3) {
			words = append(words, part(d)...)
		}
		return words
	}
}

func from(words ...string) draw {
	return func(d *drawer) []string { return []string{words[d.IntN(len(words))]} }
}

// keys are the ones of the sequence: three of one slot and one of another.
func (d *drawer) keys() []string {
	return []string{"{" + d.tag + "}a", "{" + d.tag + "}b", "{" + d.tag + "}", d.tag + "x"}
}

func key(d *drawer) []string {
	k := d.keys()
	if d.IntN(12) == 0 {
		return k[3:]
	}
	return []string{k[d.IntN(3)]}
}

var (
	value = oneOf(
		from("", "0", "1", "-7", "12", "3.5", "x", "text", "9223372036854775807", "-9223372036854775808", "1e2", " 1", "01"),
		float,
		from("\x00\xff\r\n", strings.Repeat("long ", 20), strings.Repeat("z", 44), strings.Repeat("z", 45), strings.Repeat("ab", 3000)),
	)
	integer = from("1", "-1", "0", "10", "-300", "4611686018427387904", "9223372036854775807", "-9223372036854775808", "-0", "1.0", "", "x")
	offset  = from("0", "1", "2", "3", "5", "-1", "-2", "-3", "-100", "100", "43", "44", "5999", "9223372036854775807", "-9223372036854775808", "536870912", "x")

	seconds      = oneOf(later(""), later(""), later(""), from("0", "-1", "-100", "9223372036854775", "9223372036854775807", "-9223372036854775808", "x"))
	milliseconds = oneOf(later("000"), later("000"), later("000"), from("0", "-1", "-100", "9223372036854775807", "-9223372036854775808", "x"))

	unixSeconds      = from("4102444800", "4102444801", "4002444800", "1", "0", "-1", "9223372036854775", "9223372036854776", "x")
	unixMilliseconds = from("4102444800000", "4102444801000", "4002444800000", "1", "0", "-1", "9223372036854775807", "x")

	lifetime = oneOf(
		seq(just("EX"), seconds), seq(just("PX"), milliseconds), seq(just("EXAT"), unixSeconds), seq(just("PXAT"), unixMilliseconds),
	)
	expireCond = some(2, just("NX"), just("XX"), just("GT"), just("LT"))
)

// lockTexts are programs that are known as lock scripts, in words of our own: real
// Lua runs them in redis-server.
var lockTexts = func() (texts []string) {
	compare := "if redis.call('GET', KEYS[1]) == ARGV[1] then"
	for _, call := range []string{"del',KEYS[1]", "UNLINK',KEYS[1]", "pexpire',KEYS[1],ARGV[2]", "Expire',KEYS[1],ARGV[2]"} {
		texts = append(texts, compare+" return redis.call('"+call+") else return 0 end", compare+" return redis.call('"+call+"); end; return 0;")
	}
	read := "local held = redis.call('get', KEYS[1]) -- whose is it?\n"
	each := "for at, lock in ipairs(KEYS) do "
	set := each + "redis.call('set', lock, ARGV[1], 'PX', ARGV[2]) end return #KEYS"
	return append(texts,
		compare+" return redis.call('pttl', KEYS[1]) else return -3 end",
		read+"if (held == ARGV[1]) then return redis.call('del', KEYS[1]) elseif held == false then return -1 else return 0 end",
		read+"if not held or held ~= ARGV[1] then return 0 end redis.call('del', KEYS[1]) return 1",
		read+"if not held or held ~= ARGV[1] then return 0 end redis.call('pexpire', KEYS[1], ARGV[2]) return 1",
		read+"if not held or held ~= ARGV[1] then return 0 end local left = redis.call('pttl', KEYS[1]) if not left then left = 0 end "+
			"if left < 0 then return 0 end local ms = ARGV[2] if ARGV[3] == '0' then ms = ARGV[2] + left end redis.call('pexpire', KEYS[1], ms) return 1",
		compare+" return redis.call('pexpire', KEYS[1], ARGV[2]) elseif redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 else return 0 end",
		read+"if held == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return true elseif not held then "+
			"redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2]) return true end return false",
		read+"if held == ARGV[1] then redis.call('del', KEYS[1]) return true end return false",
		compare+" redis.call('unlink', KEYS[1]) return true end return false",
		"return redis.call('exists', KEYS[1]) < 1 and redis.call('setex', KEYS[1], ARGV[2], ARGV[1])",
		"if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[3]) then return redis.status_reply('OK') end local size = tonumber(ARGV[2]) "+
			"if redis.call('getrange', KEYS[1], 0, size-1) == string.sub(ARGV[1], 1, size) then return redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[3]) end",
		each+"if redis.call('exists', lock) == 1 then return 0 end end "+set,
		each+"if redis.call('get', lock) ~= ARGV[1] then return 0 end end "+set,
		"local n = 0 "+each+"if redis.call('get', lock) == ARGV[1] then redis.pcall('del', lock) n = n + 1 end end return n",
	)
}()

func sum(text string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(text))) }

func scriptText(d *drawer) []string { return []string{lockTexts[d.IntN(len(lockTexts))]} }

func scriptSum(d *drawer) []string {
	if d.IntN(4) == 0 {
		return from("", "x", strings.Repeat("0", 40))(d)
	}
	return []string{d.casing(sum(scriptText(d)[0]))}
}

// evaluation draws a lock script with its keys and arguments; form is how it is named.
func evaluation(form func(text string) string) draw {
	token := from("1", "text", "12", "-7")
	return func(d *drawer) []string {
		text := scriptText(d)[0]
		keys := key(d)
		if strings.Contains(text, "ipairs") {
			keys = many(key)(d)
		}
		words := append([]string{form(text), strconv.Itoa(len(keys))}, keys...)
		if d.IntN(30) == 0 {
			words[1] = from("-1", "x", "9", "0")(d)[0]
		}
		words = append(words, token(d)...)
		if strings.Contains(text, "getrange") {
			words = append(words, from("1", "2", "4", "0", "22")(d)...)
			return append(words, milliseconds(d)...)
		}
		if strings.Contains(text, "Expire'") || strings.Contains(text, "setex") {
			words = append(words, seconds(d)...)
		} else {
			words = append(words, milliseconds(d)...)
		}
		return append(words, from("0", "1")(d)...)
	}
}

// later draws a time to live that the sequence has not had: with GT and LT two equal
// ones are told apart by the millisecond in which each was set.
func later(zeros string) draw {
	return func(d *drawer) []string {
		d.times++
		return []string{strconv.Itoa([]int{100, 1000, 86400}[d.IntN(3)]+d.times) + zeros}
	}
}

// payload draws what redis-server 7.0.15 answered to DUMP, and damaged forms of it.
func payload(d *drawer) []string {
	p := from(
		"\x00\x04text\x0a\x00\x7c\xf3\x26\x6d\xca\xb5\xa5\x31",
		"\x00\xc0\xfb\x0a\x00\x49\xc4\xc6\xf4\xd7\x26\x3f\x68",
		"\x00\xc3\x0d\x40\x64\x05long l\xe0\x53\x04\x01g \x0a\x00\xb8\x51\x52\x7c\xf9\xec\xd6\x3e",
	)(d)[0]
	if d.IntN(4) > 0 {
		return []string{p}
	}
	b := []byte(p)
	b[d.IntN(len(b))]++
	return []string{string(b[:len(b)-d.IntN(2)])}
}

// float draws numbers of all forms that C reads, and some that it does not.
func float(d *drawer) []string {
	if d.IntN(3) == 0 {
		return from("inf", "-Infinity", "nan", "0x10", "0x1.8p3", "0x", "1e", "1e400", "1e4932", "2e4932", "-1e4932", "1e-4951", "1e-5000", "1e99999999999",
			"0e99999999999", ".5", "5.", ".", "", "1e-18", "3.0e3", "+2", "-0", "1_0", "5 ", "0x.8", "1p3", "123456789.123456789", "0.1", "-0.1")(d)
	}
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + d.IntN(10))
		}
		return string(b)
	}
	s := []string{"", "-"}[d.IntN(2)] + digits(1+d.IntN(22))
	if d.IntN(2) == 0 {
		s += "." + digits(1+d.IntN(22))
	}
	if d.IntN(4) == 0 {
		s += "e" + []string{"", "-"}[d.IntN(2)] + digits(1+d.IntN(3))
	}
	return []string{s}
}
