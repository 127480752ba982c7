package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// demand runs a check on a small tree and wants exactly one violation for each of
// the named places, in any order.
func demand(t *testing.T, check func(*tree) []string, files map[string]string, places ...string) {
	t.Helper()
	fsys := make(fstest.MapFS)
	for name, body := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(body)}
	}
	tr, err := read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	violations := check(tr)
	for _, p := range places {
		i := slices.IndexFunc(violations, func(v string) bool { return strings.HasPrefix(v, p+":") })
		if i < 0 {
			t.Errorf("nothing was said about %s; all that was said: %q", p, violations)
			continue
		}
		violations = slices.Delete(violations, i, i+1)
	}
	if len(violations) > 0 {
		t.Errorf("said too much: %q", violations)
	}
}

// wrongDocs lists packages whose doc is missing, is doubled or stands elsewhere
// than in doc.go.
func wrongDocs(t *tree) (violations []string) {
	docs := make(map[string][]string)
	var dirs []string
	for _, s := range t.sources {
		if s.isTest() {
			continue
		}
		if !slices.Contains(dirs, s.dir) {
			dirs = append(dirs, s.dir)
		}
		if s.file.Doc != nil {
			docs[s.dir] = append(docs[s.dir], s.name)
		}
	}
	for _, dir := range dirs {
		if !slices.Equal(docs[dir], []string{"doc.go"}) {
			violations = append(violations, fmt.Sprintf("%s: the package's doc must stand in doc.go and nowhere else; it stands in %q", dir, docs[dir]))
		}
	}
	return violations
}

func TestEveryPackageHasOneDoc(t *testing.T) { report(t, wrongDocs(repository(t))) }

func TestDocsCanFail(t *testing.T) {
	demand(t, wrongDocs, map[string]string{
		"good/doc.go":    "// Package good is good.\npackage good\n",
		"good/a.go":      "package good\n",
		"good/a_test.go": "// Package good is said again in a test.\npackage good\n",
		"none/a.go":      "package none\n",
		"two/doc.go":     "// Package two is two.\npackage two\n",
		"two/a.go":       "// Package two is two.\npackage two\n",
		"wrong/wrong.go": "// Package wrong is here.\npackage wrong\n",
	}, "none", "two", "wrong")
}

// bannedNames are folders that would hold what has no name.
var bannedNames = []string{"util", "utils", "common", "types", "helper", "helpers", "misc", "base", "shared"}

func badFolders(t *tree) (violations []string) {
	for _, dir := range t.dirs {
		if slices.Contains(bannedNames, path.Base(dir)) {
			violations = append(violations, dir+": a folder is named after what it holds")
		}
	}
	return violations
}

func TestFoldersHaveNames(t *testing.T) { report(t, badFolders(repository(t))) }

func TestFoldersCanFail(t *testing.T) {
	demand(t, badFolders, map[string]string{"lru/util/a.go": "package util\n", "types/a.go": "package types\n", "lru/a.go": "package lru\n"},
		"lru/util", "types")
}

// unlinkedPapers lists DESIGN.md files that README does not link.
func unlinkedPapers(t *tree) (violations []string) {
	for _, p := range t.papers {
		if !strings.Contains(t.readme, "]("+p+")") {
			violations = append(violations, p+": README.md does not link it")
		}
	}
	return violations
}

func TestReadmeLinksEveryDesign(t *testing.T) { report(t, unlinkedPapers(repository(t))) }

func TestReadmeCanFail(t *testing.T) {
	demand(t, unlinkedPapers, map[string]string{
		"README.md":            "see [one](multiraft/DESIGN.md), not shardgroup/DESIGN.md",
		"multiraft/DESIGN.md":  "",
		"shardgroup/DESIGN.md": "",
	}, "shardgroup/DESIGN.md")
}
