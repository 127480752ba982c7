package client_test

import (
	"encoding/json"
	"fmt"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a piece of Go that a page shows.
type snippet struct{ page, code string }

// imported is what snippets may use.
const imported = `import (
	"context"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

var _, _, _, _ = context.Background, time.Now, client.New, clienttest.New
`

var (
	goBlock    = regexp.MustCompile("(?s)```go\n(.*?)```")
	importLine = regexp.MustCompile(`(?m)^import .*$`)
)

// TestSnippetsCompile: the Go in README.md, in docs and in the packages' comments is what a
// compiler takes, but for variables that a snippet does not use.
func TestSnippetsCompile(t *testing.T) {
	shown := append(pageSnippets(t), commentSnippets(t)...)
	if len(shown) < 3 {
		t.Fatalf("only %d snippets were found", len(shown))
	}
	if said := compiled(t, shown); said != "" {
		t.Error(said)
	}
	for what, code := range map[string]string{
		"a method that is not there": "c, err := client.New(client.Config{})\nerr = c.Put(ctx, \"k\", nil)",
		"an argument too many":       "err := client.KeepTTL(5)",
	} {
		if compiled(t, []snippet{{"test", code}}) == "" {
			t.Errorf("%s was taken", what)
		}
	}
}

// compiled is what the compiler says of snippets.
func compiled(t *testing.T, all []snippet) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for i, s := range all {
		code := importLine.ReplaceAllString(s.code, "")
		text := fmt.Sprintf("package snippets\n\n%s\nfunc snippet%d(ctx context.Context, t *testing.T) {\n//line %s:1\n%s\n}\n", imported, i, s.page, code)
		name := fmt.Sprintf("s%d.go", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		here, err := filepath.Abs("snippets")
		if err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "build", "-gcflags=-e", "-overlay", file, "./snippets").CombinedOutput()
	var said []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "declared and not used") {
			said = append(said, line)
		}
	}
	if err != nil && len(out) == 0 {
		said = append(said, err.Error())
	}
	return strings.Join(said, "")
}

// pageSnippets are those of the repository's pages.
func pageSnippets(t *testing.T) (all []snippet) {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			all = append(all, snippet{filepath.Base(page), m[1]})
		}
	}
	return all
}

// commentSnippets are those in the comments about the packages.
func commentSnippets(t *testing.T) (all []snippet) {
	t.Helper()
	for _, file := range []string{"doc.go", "clienttest/doc.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range new(comment.Parser).Parse(f.Doc.Text()).Content {
			if code, ok := block.(*comment.Code); ok {
				all = append(all, snippet{file, code.Text})
			}
		}
	}
	return all
}
