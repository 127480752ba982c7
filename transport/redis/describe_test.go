package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/judge"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// describedElsewise are parts of rows of COMMAND that differ from redis-server 7.0 on
// purpose: "command part" and the reason. A row that does not differ any more is an error.
var describedElsewise = map[string]string{}

func init() {
	for reason, parts := range map[string]string{
		"as in Redis 7.2": "cluster|info:flags cluster|myid:flags cluster|nodes:flags cluster|shards:flags cluster|slots:flags wait:flags wait:categories " +
			"randomkey:tips scan:tips",
		"it takes how much a read may lack": "readonly:arity",
		"it is one transaction on one slot: a client that splits it, as the tips of Redis 7.0 say, would make it several": "msetnx:tips",
	} {
		for _, p := range strings.Fields(parts) {
			describedElsewise[p] = reason
		}
	}
}

// documentedElsewise are commands whose arguments differ from those of Redis 7.0 on purpose.
var documentedElsewise = map[string]string{
	"set":             "IFEQ, IFVER and a bare time in milliseconds",
	"readonly":        "how much a read may lack",
	"client|kill":     "filters of newer versions",
	"client|list":     "filters of newer versions",
	"command|getkeys": "Redis documents no arguments", "command|getkeysandflags": "Redis documents no arguments",
	"config|get": "a group of one",
}

// docsOf reads what COMMAND DOCS says of arguments and where a command stands. The rest of
// it is prose.
func docsOf(all []resp.Reply, into map[string]string) {
	for i := 0; i < len(all); i += 2 {
		said := ""
		for j, d := 0, all[i+1].Items; j < len(d); j += 2 {
			switch key := string(d[j].Text); key {
			case "group", "arguments":
				said += key + " " + plain(d[j+1], false) + " "
			case "subcommands":
				docsOf(d[j+1].Items, into)
			}
		}
		into[string(all[i].Text)] = said
	}
}

// rowsOf reads rows of COMMAND and of the subcommands in them.
func rowsOf(rows []resp.Reply, into map[string]map[string]string) {
	for _, r := range rows {
		if len(r.Items) != 10 {
			continue // a name that is not known
		}
		parts := map[string]string{}
		for i, part := range []string{"", "arity", "flags", "first", "last", "step", "categories", "tips", "keys"} {
			parts[part] = plain(r.Items[i], part != "keys")
		}
		into[string(r.Items[0].Text)] = parts
		rowsOf(r.Items[9].Items, into)
	}
}

// plain writes a reply down, without notes for people. In lists of words the order means
// nothing.
func plain(v resp.Reply, sorted bool) string {
	if len(v.Items) == 0 {
		return fmt.Sprint(string(v.Text), v.Int)
	}
	var all []string
	for i := 0; i < len(v.Items); i++ {
		if w := string(v.Items[i].Text); (w == "notes" || w == "since" || w == "deprecated_since") && i+1 < len(v.Items) {
			i++
			continue
		}
		all = append(all, plain(v.Items[i], false))
	}
	if sorted {
		slices.Sort(all)
	}
	return "[" + strings.Join(all, " ") + "]"
}

// TestCommandsAreDescribedAsRedisDoes compares every row of COMMAND: arity, flags, keys,
// ACL categories, tips and key specifications; and what is found by category.
func TestCommandsAreDescribedAsRedisDoes(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	s, addr := start(t, testConfig(), newMemory())
	us, real := dial(t, addr), dial(t, judge.Start(t))
	findByCategory(t, s, us, real)
	for _, proto := range []string{"2", "3"} {
		us.do("HELLO", proto)
		real.do("HELLO", proto)
		ours, theirs := map[string]map[string]string{}, map[string]map[string]string{}
		rowsOf(us.do("COMMAND").Items, ours)
		rowsOf(real.do("COMMAND").Items, theirs)
		compared := 0
		for name, row := range ours {
			if theirs[name] == nil {
				continue
			}
			compared++
			for part, got := range row {
				reason := describedElsewise[name+":"+part]
				if want := theirs[name][part]; (got != want) != (reason != "") {
					t.Errorf("RESP%s, %s of %s: %s, redis says %s; %s", proto, part, name, got, want, reason)
				}
			}
		}
		docs, asked := map[string]string{}, map[string]string{}
		docsOf(us.do("COMMAND", "DOCS").Items, docs)
		docsOf(real.do("COMMAND", "DOCS").Items, asked)
		for name, got := range docs {
			reason := documentedElsewise[name]
			if want, known := asked[name]; known && (got != want) != (reason != "") {
				t.Errorf("RESP%s, DOCS of %s:\n%s, redis says\n%s; %s", proto, name, got, want, reason)
			}
		}
		if compared < 130 {
			t.Errorf("%d rows were compared", compared)
		}
	}
}

func findByCategory(t *testing.T, s *Server, us, real *peer) {
	t.Helper()
	known := texts(real.do("COMMAND", "LIST"))
	for _, category := range strings.Fields("string keyspace read write fast slow admin dangerous connection transaction scripting pubsub blocking STRING @string none") {
		var want []string
		for _, name := range texts(real.do("COMMAND", "LIST", "FILTERBY", "ACLCAT", category)) {
			if s.table.findAny(name) != nil && !strings.HasPrefix(describedElsewise[name+":categories"], "as") {
				want = append(want, name)
			}
		}
		got := slices.DeleteFunc(texts(us.do("COMMAND", "LIST", "FILTERBY", "ACLCAT", category)), func(name string) bool {
			return !slices.Contains(known, name) || describedElsewise[name+":categories"] != ""
		})
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("of @%s: %v, redis says %v", category, got, want)
		}
	}
}

// TestEveryArgumentIsDocumented: a command that takes words has a usage, and its keys stand
// where the table says.
func TestEveryArgumentIsDocumented(t *testing.T) {
	tab := newTable()
	for name := range usages {
		if tab.findAny(name) == nil {
			t.Errorf("a usage of %s, which is no command", name)
		}
	}
	for _, name := range tab.everyName() {
		cmd := tab.findAny(name)
		if cmd.run == nil {
			continue // a container
		}
		words := 1 + strings.Count(name, "|")
		arguments := argumentsOf(name)
		if takes := cmd.arity != words && name != "quit" && name != "command"; takes != (len(arguments) > 0) {
			t.Errorf("%s: %d words or more, usage %q", name, cmd.arity, usages[name])
		}
		if cmd.first > 0 != slices.ContainsFunc(arguments, hasKey) && cmd.numkeys == 0 {
			t.Errorf("%s: first key at %d, usage %q", name, cmd.first, usages[name])
		}
		least := words
		for _, a := range arguments {
			if !a.optional {
				least += max(1, leastWords(a))
			}
		}
		if cmd.arity != least && cmd.arity != -least && !slices.Contains(shorter, name) {
			t.Errorf("%s: arity %d, usage %q has %d words at least", name, cmd.arity, usages[name], least)
		}
	}
}

// shorter take what the usage asks for, and say so themselves when it is not there.
var shorter = []string{"command|getkeys", "command|getkeysandflags", "client|kill", "client|tracking", "cluster|slot-stats", "config|set", "hello"}

func hasKey(a *argument) bool { return a.kind == "key" || slices.ContainsFunc(a.parts, hasKey) }

// leastWords is how many words an argument has at least.
func leastWords(a *argument) (n int) {
	if a.token != "" && a.kind != "pure-token" {
		n++
	}
	switch a.kind {
	case "block":
		for _, p := range a.parts {
			if !p.optional {
				n += leastWords(p)
			}
		}
		return n
	case "oneof":
		least := leastWords(a.parts[0])
		for _, p := range a.parts {
			least = min(least, leastWords(p))
		}
		return n + least
	}
	return n + 1
}
