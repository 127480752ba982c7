package client_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// shownNowhere are exported names that need no field in an example: an option says them.
var shownNowhere = []string{"Config.Username", "Config.Password", "Config.Name", "Config.MaxStale", "Config.Losses", "Config.OnLost"}

// TestEverythingHasAnExample: every exported function and method, and every field of the
// configurations, stands in an example whose output is checked. Methods of one
// name on several types count together.
func TestEverythingHasAnExample(t *testing.T) {
	fset := token.NewFileSet()
	var examples, sources []*ast.File
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		f, err := parser.ParseFile(fset, e.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), "_test.go") {
			examples = append(examples, f)
		} else {
			sources = append(sources, f)
		}
	}
	shown := map[string]bool{}
	for _, e := range doc.Examples(examples...) {
		if e.Output == "" && !e.EmptyOutput {
			continue // nobody looks whether it is true
		}
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				shown[id.Name] = true
			}
			return true
		})
	}
	for _, name := range offered(sources) {
		_, last, _ := strings.Cut(name, ".")
		if last == "" {
			last = name
		}
		if !shown[last] && !slices.Contains(shownNowhere, name) {
			t.Errorf("%s stands in no example with an output", name)
		}
	}
}

// offered are the names that must be shown: functions, methods but those of errors, and the
// fields of configurations.
func offered(files []*ast.File) (names []string) {
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !d.Name.IsExported() || slices.Contains([]string{"Error", "Unwrap", "Is"}, d.Name.Name) {
					continue
				}
				if d.Recv == nil {
					names = append(names, d.Name.Name)
				} else if of := receiver(d.Recv.List[0].Type); ast.IsExported(of) {
					names = append(names, of+"."+d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && configures(ts.Name.Name) {
						names = append(names, fieldsOf(ts)...)
					}
				}
			}
		}
	}
	return names
}

func configures(name string) bool {
	return slices.Contains([]string{"Config", "NearConfig", "HedgePolicy", "RetryPolicy"}, name)
}

func fieldsOf(ts *ast.TypeSpec) (names []string) {
	st, ok := ts.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	for _, f := range st.Fields.List {
		for _, n := range f.Names {
			if n.IsExported() {
				names = append(names, ts.Name.Name+"."+n.Name)
			}
		}
	}
	return names
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
