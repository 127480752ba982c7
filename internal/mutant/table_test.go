package mutant

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var asked = regexp.MustCompile(`(?:mutant\.Is|seeded)\("([^"]+)"\)`)

// TestEveryBugIsInTheTable reads the sources: what can be seeded stands in the
// table with the property that must notice, and what stands there can be seeded.
func TestEveryBugIsInTheTable(t *testing.T) {
	places := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && path != "../.." && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return err
		}
		if filepath.Ext(path) != ".go" || path == "../mutant/table_test.go" {
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range asked.FindAllStringSubmatch(string(b), -1) {
			places[m[1]] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range places {
		if _, ok := Find(name); !ok {
			t.Errorf("%s asks for %q, which is not in the table", path, name)
		}
	}
	for i, b := range Bugs {
		_, seeded := places[b.Name]
		switch {
		case seeded != (b.Later == ""):
			t.Errorf("%s: seeded %v, later %q", b.Name, seeded, b.Later)
		case b.Breaks == "" || b.Source == "" || b.Property == "":
			t.Errorf("%s: the table does not say what it breaks, where that stands, or what must notice", b.Name)
		case b.Later == "" && b.Run == "" && (b.Script == "") == (b.Room == "" || b.Test == "" || b.Says == ""):
			t.Errorf("%s: one script, one room test or one run must show it", b.Name)
		case slices.ContainsFunc(Bugs[:i], func(o Bug) bool { return o.Name == b.Name }):
			t.Errorf("%s stands there twice", b.Name)
		}
	}
}
