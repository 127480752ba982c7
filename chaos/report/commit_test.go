package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

func TestCommitIsOfThisModuleOnly(t *testing.T) {
	if c := commitAt(t.TempDir()); c != unknownCommit {
		t.Errorf("outside of any tree: %q", c)
	}
	if _, err := os.Stat(filepath.Join("..", "..", ".git")); err != nil {
		return // a source archive
	}
	if c := commitAt("."); !regexp.MustCompile(`^[0-9a-f]{40}(\+changes)?$`).MatchString(c) {
		t.Errorf("in the tree: %q", c)
	}
}

// TestARecordIsNoChange lets a run that writes its record go on as the same program.
func TestARecordIsNoChange(t *testing.T) {
	dir := t.TempDir()
	git := func(words ...string) {
		t.Helper()
		words = append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=n@localhost"}, words...)
		if out, err := exec.Command("git", words...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", words, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module github.com/baxromumarov/aegisKV\n")
	write("docs/chaos/simulator/record.json", "{}")
	write("cmd/main.go", "package main\n")
	git("init", "-q")
	git("add", "-A")
	git("commit", "-q", "-m", "all")
	clean := regexp.MustCompile(`^[0-9a-f]{40}$`)
	write("docs/chaos/simulator/record.json", "{\"seeds\": 25}")
	if c := commitAt(filepath.Join(dir, "cmd")); !clean.MatchString(c) {
		t.Errorf("with a longer record: %q", c)
	}
	write("cmd/main.go", "package main // other\n")
	if c := commitAt(filepath.Join(dir, "docs")); !regexp.MustCompile(`^[0-9a-f]{40}\+changes$`).MatchString(c) {
		t.Errorf("with another program: %q", c)
	}
}
