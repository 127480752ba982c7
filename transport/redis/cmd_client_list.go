package redis

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// selection says which connections CLIENT LIST and CLIENT KILL are about: those that all
// of it holds for. Both take the filters of Redis 7.4 and those of Valkey 9.
type selection struct {
	tests  []func(o *conn, k *card) bool
	skipMe bool
	kill   bool // the words about a wrong id differ
}

func (s *selection) fits(c, o *conn) bool {
	k := o.shown()
	return !(s.skipMe && o == c) && !slices.ContainsFunc(s.tests, func(test func(*conn, *card) bool) bool { return !test(o, k) })
}

// clientFilter reads the argument of a filter; it has answered when ok is false.
type clientFilter func(c *conn, arg []byte) (test func(o *conn, k *card) bool, ok bool)

// clientFilters can all be turned around by NOT- in front of them.
var clientFilters = map[string]clientFilter{
	"TYPE": (*conn).filterType,
	"USER": func(c *conn, arg []byte) (func(*conn, *card) bool, bool) {
		if string(arg) != "default" {
			c.fail(fmt.Sprintf("ERR No such user '%.128s'", arg))
			return nil, false
		}
		return func(*conn, *card) bool { return true }, true
	},
	"ADDR":     textFilter(func(o *conn, _ *card) string { return o.sess.Addr.String() }),
	"LADDR":    textFilter(func(o *conn, _ *card) string { return o.sess.Local.String() }),
	"NAME":     textFilter(func(_ *conn, k *card) string { return k.name }),
	"LIB-NAME": textFilter(func(_ *conn, k *card) string { return k.libName }),
	"LIB-VER":  textFilter(func(_ *conn, k *card) string { return k.libVer }),
	"IP": textFilter(func(o *conn, _ *card) string {
		host, _, _ := net.SplitHostPort(o.sess.Addr.String())
		return host
	}),
	"FLAGS": func(_ *conn, arg []byte) (func(*conn, *card) bool, bool) {
		letters := string(arg)
		return func(o *conn, k *card) bool {
			has := o.flags(k)
			return !strings.ContainsFunc(letters, func(letter rune) bool { return !strings.ContainsRune(has, letter) })
		}, true
	},
	"DB": func(c *conn, arg []byte) (func(*conn, *card) bool, bool) {
		n, ok := parseInt(arg)
		if !ok {
			c.fail(errInteger)
		}
		return func(*conn, *card) bool { return n == 0 }, ok
	},
}

// clientAges are filters by a time in seconds.
var clientAges = map[string]func(o *conn) time.Duration{
	"MAXAGE": func(o *conn) time.Duration { return time.Since(o.sess.Created) },
	"IDLE":   func(o *conn) time.Duration { return o.idle() },
}

func textFilter(of func(*conn, *card) string) clientFilter {
	return func(_ *conn, arg []byte) (func(*conn, *card) bool, bool) {
		want := string(arg)
		return func(o *conn, k *card) bool { return of(o, k) == want }, true
	}
}

// clientTypes are what Redis knows; ours are normal, or listen to invalidations.
var clientTypes = []string{"normal", "master", "primary", "slave", "replica", "pubsub"}

func (c *conn) filterType(arg []byte) (func(*conn, *card) bool, bool) {
	name := strings.ToLower(string(arg))
	if !slices.Contains(clientTypes, name) {
		c.fail(fmt.Sprintf("ERR Unknown client type '%.128s'", arg))
		return nil, false
	}
	return func(_ *conn, k *card) bool {
		return name == "normal" && k.subscribed == 0 || name == "pubsub" && k.subscribed > 0
	}, true
}

// choose reads filters; it has answered when ok is false.
func (c *conn) choose(s *selection, opts [][]byte) (ok bool) {
	for len(opts) > 0 {
		word, arg := strings.ToUpper(string(opts[0])), []byte(nil)
		if len(opts) < 2 {
			c.fail(errSyntax)
			return false
		}
		arg, opts = opts[1], opts[2:]
		base, not := strings.CutPrefix(word, "NOT-")
		var test func(*conn, *card) bool
		switch {
		case base == "ID":
			test, opts, ok = c.filterIDs(s, arg, opts)
		case clientFilters[base] != nil:
			test, ok = clientFilters[base](c, arg)
		case clientAges[word] != nil:
			test, ok = c.filterAge(strings.ToLower(word), clientAges[word], arg)
		case word == "SKIPME" && (is(arg, "YES") || is(arg, "NO")):
			s.skipMe = is(arg, "YES")
			continue
		default:
			c.fail(errSyntax)
			return false
		}
		if !ok {
			return false
		}
		if not {
			s.tests = append(s.tests, func(o *conn, k *card) bool { return !test(o, k) })
		} else {
			s.tests = append(s.tests, test)
		}
	}
	return true
}

// filterIDs takes one id or more: up to the next word that begins a filter.
func (c *conn) filterIDs(s *selection, first []byte, more [][]byte) (test func(*conn, *card) bool, rest [][]byte, ok bool) {
	ids := map[int64]bool{}
	for arg := first; ; {
		id, ok := parseInt(arg)
		if !ok || id < 1 && s.kill {
			c.fail(map[bool]string{true: "ERR client-id should be greater than 0", false: "ERR Invalid client ID"}[s.kill])
			return nil, nil, false
		}
		ids[id] = true
		if len(more) == 0 || !startsDigit(more[0]) {
			break
		}
		arg, more = more[0], more[1:]
	}
	return func(o *conn, _ *card) bool { return ids[o.sess.ID] }, more, true
}

func startsDigit(arg []byte) bool {
	return len(arg) > 0 && bytes.IndexByte([]byte("0123456789-"), arg[0]) >= 0
}

func (c *conn) filterAge(name string, of func(*conn) time.Duration, arg []byte) (func(*conn, *card) bool, bool) {
	seconds, ok := parseInt(arg)
	switch {
	case !ok:
		c.fail("ERR " + name + " is not an integer or out of range")
		return nil, false
	case seconds <= 0:
		c.fail("ERR " + name + " should be greater than 0")
		return nil, false
	}
	least := time.Duration(min(seconds, math.MaxInt64/int64(time.Second))) * time.Second
	return func(o *conn, _ *card) bool { return of(o) >= least }, true
}

func cmdClientList(c *conn, args [][]byte) {
	var s selection
	if !c.choose(&s, args[2:]) {
		return
	}
	c.noteRun()
	c.showCard()
	var b strings.Builder
	for _, o := range c.srv.everyConn() {
		if s.fits(c, o) {
			b.WriteString(o.line())
		}
	}
	c.out = resp.AppendVerbatim(c.out, c.sess.Proto, b.String())
}

func cmdClientKill(c *conn, args [][]byte) {
	s := selection{skipMe: true, kill: true}
	old := len(args) == 3
	if old {
		test, _ := clientFilters["ADDR"](c, args[2])
		s = selection{tests: []func(*conn, *card) bool{test}}
	} else if !c.choose(&s, args[2:]) {
		return
	}
	c.showCard()
	killed := int64(0)
	for _, o := range c.srv.everyConn() {
		if !s.fits(c, o) {
			continue
		}
		killed++
		if o == c {
			c.quit = true // after this reply
		} else {
			o.nc.Close()
		}
	}
	switch {
	case !old:
		c.int(killed)
	case killed == 0:
		c.fail("ERR No such client")
	default:
		c.ok()
	}
}
