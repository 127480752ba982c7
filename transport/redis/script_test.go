package redis

import (
	"fmt"
	"strings"
	"testing"
)

const release1 = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

// TestAScriptIsKnownHoweverItIsWritten: and only if it does the same.
func TestAScriptIsKnownHoweverItIsWritten(t *testing.T) {
	for _, same := range []string{
		"if redis.call(\"GET\",KEYS[1])==ARGV[1] then\n\treturn redis.call(\"DEL\",KEYS[1])\nelse\n\treturn 0\nend\n",
		"-- release\n--[[ all\nof it ]] if (redis.call('get', KEYS[1]) == ARGV[1]) then return redis.call('del', KEYS[1]); else return 0; end;",
	} {
		if a, b := canonical(release1), canonical(same); a != b {
			t.Errorf("%q\n%q", a, b)
		}
	}
	if a, b := canonical("local a, b = 1, 2 return a"), canonical("local x, y = 1, 2 return x"); a != b {
		t.Errorf("%q\n%q", a, b)
	}
	for _, other := range []string{
		"", "return 0", "'", "\"\\n\"", "if redis.call('get', KEYS[1]) ~= ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
		"if redis.call('get', KEYS[1]) == ARGV[2] then return redis.call('del', KEYS[1]) else return 0 end",
		"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[2]) else return 0 end",
		"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('set', KEYS[1], 1) else return 0 end",
		"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 1 end",
		"if redis.call('get', KEYS[1]) == ARGV[1] or true then return redis.call('del', KEYS[1]) else return 0 end",
		"--" + release1, release1 + " return 1", strings.Repeat(" ", scriptMax) + release1,
		"local v = redis.call('get', KEYS[1]) local w = v if v == ARGV[1] then return redis.call('del', KEYS[1]) elseif w == false then return -1 else return 0 end",
	} {
		var cache scriptCache
		if s, _ := cache.load([]byte(other)); s != nil {
			t.Errorf("%.100q is taken for a lock script", other)
		}
	}
	if a, b := canonical("local a = 1 local b = 2 return a"), canonical("local a = 1 local b = 2 return b"); a == b {
		t.Errorf("two variables are one: %q", a)
	}
}

func TestScriptsAreRunAndRefusedInWords(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	for _, c := range []struct{ ask, want string }{
		{"EVAL \"return 1\" 0", "-" + errNotBuiltIn + "\r\n"},
		{"SCRIPT LOAD \"return 1\"", "-" + errNotBuiltIn + "\r\n"},
		{fmt.Sprintf("EVAL %q 1 k", release1), "-ERR this lock script takes a key and 1 arguments\r\n"},
		{"SET k me", "+OK\r\n"},
		{fmt.Sprintf("EVAL %q 1 k you", release1), ":0\r\n"},
		{"SCRIPT FLUSH", "+OK\r\n"},
		{"EVALSHA 05d33b59d2b33f3dd3d9a8a1a1b4d2e6d8ba8f00 1 k me", "-" + errNoScript + "\r\n"},
		{fmt.Sprintf("EVAL %q 1 k me", release1), ":1\r\n"},
		{"GET k", "$-1\r\n"},
		{"SCRIPT KILL", "-NOTBUSY No scripts in execution right now.\r\n"},
		{"SCRIPT FLUSH NOW", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
		{"EVAL_RO \"return 1\" 0", "-ERR unknown command 'EVAL_RO': scripts, functions and modules are not run inside the cache\r\n"},
	} {
		p.send(c.ask + "\r\n")
		if got := p.raw(); got != c.want {
			t.Errorf("%s: %q, want %q", c.ask, got, c.want)
		}
	}
}

// TestTheCacheOfScriptsIsBounded: a client that writes one script in ever new ways
// takes no memory without end.
func TestTheCacheOfScriptsIsBounded(t *testing.T) {
	var cache scriptCache
	for i := range 3 * scriptsKept {
		s, sum := cache.load([]byte(release1 + strings.Repeat(" ", i)))
		if s == nil || cache.find([]byte(strings.ToUpper(sum))) != s {
			t.Fatal("a script is not known after it was sent")
		}
	}
	if n := len(cache.bySum); n > scriptsKept {
		t.Errorf("%d are kept", n)
	}
}

// FuzzCanonical: any text has a canonical form, and that is its own.
func FuzzCanonical(f *testing.F) {
	f.Add(release1)
	f.Add("-- x\nlocal n = 0 for i, k in ipairs(KEYS) do if (redis.call(\"get\", k) == ARGV[1]) then n = n + 1; end end return n")
	f.Fuzz(func(t *testing.T, text string) { canonical(text) })
}
