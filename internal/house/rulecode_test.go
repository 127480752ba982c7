package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ruleRoom says which files of a package are rule code: functions of messages,
// `now` and randomness that they are given (DESIGN section 9).
type ruleRoom struct {
	rules []string          // globs; empty = every file that is no edge
	edges map[string]string // globs, each with the reason why it may touch the world
}

// ruleRooms lists the packages with rule code.
var ruleRooms = map[string]ruleRoom{
	"lru": {edges: map[string]string{
		"mmap_linux.go": "maps the memory of stores, and touches it ahead in a goroutine: a huge page takes the kernel longer than a SET may take",
	}},
	"pkg/shardmap":   {},
	"transport/resp": {},
	"statemachine":   {},
	"shardgroup":     {},
	"statemachine/wal": {edges: map[string]string{
		"disk*.go":      "the directory of a log: files",
		"committer*.go": "the goroutines that write and fsync",
	}},
	"statemachine/image": {edges: map[string]string{
		"bolt*.go": "the bbolt file",
	}},
	"multiraft/meta": {},
	"multiraft": {edges: map[string]string{
		"host*.go":  "the loop and the append goroutine around a Core",
		"bolt*.go":  "raft.db: files",
		"clock*.go": "the readings of real clocks",
	}},
	"membership": {edges: map[string]string{
		"question*.go": "bootstrap questions: connections",
		"port*.go":     "the gossip port: a listener and a socket",
		"crowd*.go":    "bounded sets of connections",
		"wire*.go":     "memberlist's transport",
		"delegate*.go": "memberlist's callbacks",
		"gossip*.go":   "memberlist, and the goroutines around it",
		"visit*.go":    "who is missed and asked: questions, timers, chance",
		"voice*.go":    "memberlist's log lines, counted by the clock",
		"roster*.go":   "what memberlist says, until it is passed on: a channel wakes who does",
	}},
	"pkg/client":    {rules: []string{"route*.go", "retry*.go"}}, // the rest is connections
	"internal/node": {rules: []string{"core*.go"}},               // the rest puts goroutines, sockets and disks around the core
}

// isRule reports whether the file is rule code.
func (r ruleRoom) isRule(name string) bool {
	for glob := range r.edges {
		if ok, _ := path.Match(glob, name); ok {
			return false
		}
	}
	for _, glob := range r.rules {
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return len(r.rules) == 0
}

// bannedImports touch the world; a trailing slash bans everything below.
var bannedImports = []string{
	"net/", "os", "os/", "io/ioutil", "syscall", "syscall/", "crypto/rand", "log", "log/",
	"golang.org/x/sys/", "golang.org/x/net/", "go.etcd.io/bbolt", "go.uber.org/zap", "github.com/hashicorp/memberlist",
}

// bannedTime reads or waits for a clock; the rest of package time is arithmetic.
var bannedTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// seededRand is what may be used of math/rand and math/rand/v2: everything else
// there draws from the global source.
var seededRand = []string{"Rand", "New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

// pureNet is what may be used of package net: the arithmetic of addresses.
var pureNet = []string{"SplitHostPort", "JoinHostPort", "ParseIP", "ParseCIDR", "IP", "IPNet"}

// impureRules lists what rule code must not hold.
func impureRules(t *tree) (violations []string) {
	for _, s := range t.sources {
		room, known := ruleRooms[s.dir]
		if !known || s.isTest() || !room.isRule(s.name) {
			continue
		}
		for _, p := range s.imports() {
			if slices.ContainsFunc(bannedImports, func(b string) bool {
				return p == b || strings.HasSuffix(b, "/") && strings.HasPrefix(p, b)
			}) {
				violations = append(violations, fmt.Sprintf("%s: rule code imports %s", s.path(), p))
			}
		}
		names := localNames(s)
		ast.Inspect(s.file, func(n ast.Node) bool {
			if what := impurity(n, names); what != "" {
				violations = append(violations, fmt.Sprintf("%s: rule code %s", t.at(n), what))
			}
			return true
		})
	}
	return violations
}

// localNames maps the names of the file's imports to their paths.
func localNames(s source) map[string]string {
	names := make(map[string]string)
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(strings.TrimSuffix(p, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	return names
}

// impurity says what is wrong with one node, "" if nothing.
func impurity(n ast.Node, names map[string]string) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "starts a goroutine"
	case *ast.SelectStmt:
		return "selects"
	case *ast.ChanType:
		return "uses a channel"
	case *ast.SendStmt:
		return "sends on a channel"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "receives from a channel"
		}
	case *ast.SelectorExpr:
		x, ok := n.X.(*ast.Ident)
		if !ok {
			return ""
		}
		switch p := names[x.Name]; {
		case p == "time" && slices.Contains(bannedTime, n.Sel.Name):
			return "reads a clock: time." + n.Sel.Name
		case (p == "math/rand" || p == "math/rand/v2") && !slices.Contains(seededRand, n.Sel.Name):
			return "draws from the global source: rand." + n.Sel.Name
		case p == "net" && !slices.Contains(pureNet, n.Sel.Name):
			return "uses the network: net." + n.Sel.Name
		case p == "hash/maphash" && n.Sel.Name == "MakeSeed":
			return "draws a random seed: maphash.MakeSeed"
		}
	}
	return ""
}

func TestRuleCodeIsAFunctionOfItsInputs(t *testing.T) {
	tr := repository(t)
	seen := make(map[string]bool)
	for _, s := range tr.sources {
		if room, known := ruleRooms[s.dir]; known && !s.isTest() && s.name != "doc.go" && room.isRule(s.name) {
			seen[s.dir] = true
		}
	}
	for dir := range ruleRooms {
		if !seen[dir] {
			t.Errorf("%s has no rule code: its row in ruleRooms looks at nothing", dir)
		}
	}
	report(t, impureRules(tr))
}

func TestRuleCodeCanFail(t *testing.T) {
	demand(t, impureRules, map[string]string{
		"multiraft/a.go":          "package multiraft\n\nimport \"time\"\n\nvar x = time.Now()\n",
		"multiraft/host_loop.go":  "package multiraft\n\nimport \"time\"\n\nvar y = time.Now()\n",
		"multiraft/a_test.go":     "package multiraft\n\nimport \"time\"\n\nvar z = time.Now()\n",
		"shardgroup/a.go":         "package shardgroup\n\nfunc f() { go f() }\n",
		"shardgroup/b.go":         "package shardgroup\n\nfunc g(c chan int) {}\n",
		"shardgroup/c.go":         "package shardgroup\n\nfunc h() { select {} }\n",
		"shardgroup/d.go":         "package shardgroup\n\nfunc i() { x <- 1 }\n",
		"shardgroup/e.go":         "package shardgroup\n\nfunc j() { <-x }\n",
		"shardgroup/fine.go":      "package shardgroup\n\nimport (\n\t\"math/rand\"\n\t\"time\"\n)\n\nfunc k(r *rand.Rand) time.Duration { return time.Second * time.Duration(rand.New(nil).Int()) }\n",
		"lru/a.go":                "package lru\n\nimport _ \"net/http\"\n",
		"lru/mmap_linux.go":       "package lru\n\nimport _ \"syscall\"\n\nfunc f() { go f() }\n",
		"lru/mmap_none.go":        "package lru\n\nfunc g() { go g() }\n",
		"lru/b.go":                "package lru\n\nimport dice \"math/rand/v2\"\n\nvar x = dice.IntN(6)\n",
		"statemachine/a.go":       "package statemachine\n\nimport _ \"os\"\n",
		"membership/ring.go":      "package membership\n\nimport _ \"crypto/rand\"\n",
		"membership/meta.go":      "package membership\n\nimport _ \"os\"\n",
		"membership/gossip.go":    "package membership\n\nimport _ \"crypto/rand\"\n",
		"internal/node/core_x.go": "package node\n\nimport \"time\"\n\nvar x = time.AfterFunc\n",
		"internal/node/edge.go":   "package node\n\nimport \"time\"\n\nvar y = time.AfterFunc\n",
		"pkg/client/retry.go":     "package client\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n",
		"pkg/client/route.go":     "package client\n\nimport \"net\"\n\nvar x, y = net.Dial, net.JoinHostPort\n",
		"pkg/client/conn.go":      "package client\n\nimport _ \"net\"\n",
	},
		"multiraft/a.go", "shardgroup/a.go", "shardgroup/b.go", "shardgroup/c.go", "shardgroup/d.go", "shardgroup/e.go",
		"lru/a.go", "lru/b.go", "lru/mmap_none.go", "statemachine/a.go", "membership/ring.go", "membership/meta.go", "internal/node/core_x.go", "pkg/client/retry.go", "pkg/client/route.go")
}
