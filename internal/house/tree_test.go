package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/baxromumarov/aegisKV"

// source is one Go file of the tree.
type source struct {
	dir    string // relative to the root, "." for the root itself
	name   string
	nested bool // belongs to a module of its own
	file   *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) path() string { return path.Join(s.dir, s.name) }

// imports lists the import paths of the file.
func (s source) imports() []string {
	all := make([]string, len(s.file.Imports))
	for i, spec := range s.file.Imports {
		all[i], _ = strconv.Unquote(spec.Path.Value)
	}
	return all
}

// tree is what the checks look at.
type tree struct {
	fset    *token.FileSet
	sources []source
	dirs    []string
	papers  []string // DESIGN.md files
	readme  string
}

func (t *tree) at(n ast.Node) string { return t.fset.Position(n.Pos()).String() }

// read parses every Go file outside hidden folders, testdata and build output.
func read(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	nested := make(map[string]bool)
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "data" || name == "node_modules") {
				return fs.SkipDir
			}
			_, modErr := fs.Stat(fsys, path.Join(p, "go.mod"))
			nested[p] = nested[path.Dir(p)] && p != "." || p != "." && modErr == nil
			t.dirs = append(t.dirs, p)
			return nil
		}
		return t.take(fsys, p, nested[path.Dir(p)])
	})
	return t, err
}

func (t *tree) take(fsys fs.FS, p string, nested bool) error {
	dir, name := path.Split(p)
	switch {
	case name == "DESIGN.md":
		t.papers = append(t.papers, p)
	case p == "README.md":
		b, err := fs.ReadFile(fsys, p)
		t.readme = string(b)
		return err
	case strings.HasSuffix(name, ".go"):
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(t.fset, p, b, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.sources = append(t.sources, source{dir: path.Clean(dir), name: name, nested: nested, file: f})
	}
	return nil
}

// repository reads this repository.
func repository(t *testing.T) *tree {
	t.Helper()
	tr, err := read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.sources) < 50 {
		t.Fatalf("only %d Go files were found: the checks would look at nothing", len(tr.sources))
	}
	return tr
}

// report fails once per violation.
func report(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}
