package house

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// decoder reports whether a function reads bytes that others wrote, by its name.
func decoder(name string) bool {
	return strings.HasPrefix(name, "decode") || strings.HasPrefix(name, "Decode")
}

// unfuzzed lists decoders that no fuzz target of their package reaches. Calls are
// followed by name, which is enough to notice one that was forgotten.
func unfuzzed(t *tree) (violations []string) {
	calls := map[string]map[string][]string{} // dir -> function -> names it uses
	decoders := map[string]*ast.FuncDecl{}
	for _, s := range t.sources {
		if s.nested {
			continue
		}
		if calls[s.dir] == nil {
			calls[s.dir] = map[string][]string{}
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if decoder(f.Name.Name) && !s.isTest() {
				decoders[s.dir+"\x00"+f.Name.Name] = f
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					calls[s.dir][f.Name.Name] = append(calls[s.dir][f.Name.Name], id.Name)
				}
				return true
			})
		}
	}
	for at, f := range decoders {
		dir, name, _ := strings.Cut(at, "\x00")
		if !reached(calls[dir], name) {
			violations = append(violations, fmt.Sprintf("%s: no fuzz target of the package reaches %s", t.at(f), name))
		}
	}
	slices.Sort(violations)
	return violations
}

// reached reports whether a name is used by a fuzz target or by what it uses.
func reached(uses map[string][]string, name string) bool {
	seen := map[string]bool{}
	var next []string
	for f := range uses {
		if strings.HasPrefix(f, "Fuzz") {
			next = append(next, f)
		}
	}
	for len(next) > 0 {
		f := next[0]
		next = next[1:]
		if f == name {
			return true
		}
		for _, used := range uses[f] {
			if !seen[used] {
				seen[used] = true
				next = append(next, used)
			}
		}
	}
	return false
}

func TestEveryDecoderIsFuzzed(t *testing.T) { report(t, unfuzzed(repository(t))) }

func TestFuzzedCanFail(t *testing.T) {
	demand(t, unfuzzed, map[string]string{
		"lru/a.go":             "package lru\n\nfunc decodeA(b []byte) {}\n\nfunc (x *x) decodeB(b []byte) {}\n\nfunc open(x *x) { x.decodeB(nil) }\n\nfunc decodeC() {}\n",
		"lru/a_test.go":        "package lru\n\nfunc FuzzA(f *F) { f.Fuzz(func() { decodeA(nil); open(nil) }) }\n\nfunc TestC() { decodeC() }\n",
		"transport/a.go":       "package transport\n\nfunc DecodeD() {}\n",
		"membership/a.go":      "package membership\n\nfunc DecodeE() {}\n",
		"membership/e_test.go": "package membership\n\nfunc FuzzE() { DecodeE() }\n",
	}, "lru/a.go:9:1", "transport/a.go:3:1")
}
