package report

import (
	"os"
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
