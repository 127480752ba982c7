package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// unknownCommit stands for what cannot be told.
const unknownCommit = "unknown"

// Commit is what this program was built from: what the compiler wrote into it, else what
// is checked out where it stands, with "+changes" when files differ from that.
func Commit() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" && s.Value != "" {
				return s.Value
			}
		}
	}
	program, err := os.Executable()
	if err != nil {
		return unknownCommit
	}
	return commitAt(filepath.Dir(program))
}

// commitAt asks git, in the tree of this module only: a program that was copied elsewhere
// was not built from what lies there.
func commitAt(dir string) string {
	git := func(words ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir}, words...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	top := git("rev-parse", "--show-toplevel")
	mod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if top == "" || err != nil || !strings.HasPrefix(string(mod), "module github.com/baxromumarov/aegisKV\n") {
		return unknownCommit
	}
	commit := git("rev-parse", "HEAD")
	switch {
	case commit == "":
		return unknownCommit
	case git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)docs/chaos") != "": // runs write their records there
		return commit + "+changes"
	}
	return commit
}
