package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/baxromumarov/aegisKV/internal/node"
)

// paper is a page of the repository.
func paper(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settingLine is the row of a setting as docs/operations.md has it.
func settingLine(s node.Setting) string {
	value := s.Default
	if value == "" {
		value = "none"
		if _, rest, found := strings.Cut(s.Help, "(default: "); found {
			value, _, _ = strings.Cut(rest, ")")
		}
	}
	return fmt.Sprintf("| `--%s` | %s | %s | `%s` | %s |", s.Flag(), s.Env(), s.Key, value, s.Change)
}

func TestOperationsPageListsEverySetting(t *testing.T) {
	page, want := paper(t, "docs/operations.md"), 0
	for _, s := range node.Settings() {
		want++
		if line := settingLine(s); !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("docs/operations.md lacks the line\n%s", line)
		}
	}
	if got := strings.Count(page, "| AEGIS_"); got != want {
		t.Errorf("docs/operations.md lists %d settings, there are %d", got, want)
	}
}

func TestPapersSayWhatTheProcessNeedsBesideItsMemory(t *testing.T) {
	words := fmt.Sprintf("up to %d MiB beside 64 MiB, %d beside 128, none from %d MiB on",
		node.BesideBytes(64<<20)>>20, node.BesideBytes(128<<20)>>20, node.WholeProcess>>20)
	for _, name := range []string{"README.md", "docs/operations.md"} {
		if page := strings.Join(strings.Fields(paper(t, name)), " "); !strings.Contains(page, words) {
			t.Errorf("%s does not say %q", name, words)
		}
	}
}

// TestOperationsPageNamesLinesThatAreLogged looks the words of the page up in the code.
func TestOperationsPageNamesLinesThatAreLogged(t *testing.T) {
	page := paper(t, "docs/operations.md")
	for _, line := range []string{
		"writes lost", "writes rolled back", "storage failed", "holder suspected", "takeover", "lease open", "lease ended",
		"peer lost", "peer reached", "peer refused", "waiting for a cluster", "the log is damaged",
	} {
		if !strings.Contains(page, "`"+line+"`") {
			t.Errorf("docs/operations.md does not name %q", line)
		}
		if exec.Command("grep", "-rqF", "\""+line+"\"", "../../internal/node").Run() != nil {
			t.Errorf("docs/operations.md names the log line %q, which no code writes", line)
		}
	}
}

// TestOperationsPageNamesFieldsThatExist asks a node for what the page says can be watched.
func TestOperationsPageNamesFieldsThatExist(t *testing.T) {
	page, args := paper(t, "docs/operations.md"), nodeArgs(t, t.TempDir(), "a", "--wal", "write")
	serving(t, args)
	info := answerOf(t, valueOf(args, "--client-addr"), "INFO", "everything")
	watched := page[strings.Index(page, "- `INFO`"):strings.Index(page, "The log (stderr")]
	fields := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(watched, -1)
	if len(fields) < 10 {
		t.Fatalf("only %d fields are named in %q", len(fields), watched)
	}
	for _, f := range fields {
		if !strings.Contains(info, "\n"+f[1]+":") {
			t.Errorf("docs/operations.md names %s, which INFO lacks:\n%s", f[1], info)
		}
	}
	status, err := admin(valueOf(args, "--client-addr"), "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"served", "groups", "fullyReplicated", "silent", "notices"} {
		if !strings.Contains(page, "`"+f+"`") || !strings.Contains(string(status), `"`+f+`":`) {
			t.Errorf("the page or the status lacks %s: %s", f, status)
		}
	}
}

// answerOf is what a node says to words.
func answerOf(t *testing.T, addr string, words ...string) string {
	t.Helper()
	a, err := newAsker(addr, wait)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	to := addr
	r, _, err := a.once(0, &to, question{words: words}, soon())
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Text)
}

// TestPapersShowCommandsThatExist takes every aegis and make line of README and the
// operators' page, and looks up command, flags and target.
func TestPapersShowCommandsThatExist(t *testing.T) {
	text := paper(t, "README.md") + paper(t, "docs/operations.md")
	makefile := paper(t, "Makefile")
	targets := regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(text, -1)
	commands := regexp.MustCompile("(?m)(?:^\\./bin/|`)aegis( [^`\n#\\[]*)").FindAllStringSubmatch(text, -1)
	if len(targets) < 5 || len(commands) < 10 {
		t.Fatalf("only %d make and %d aegis lines were found", len(targets), len(commands))
	}
	for _, m := range targets {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("make %s: there is no such target", m[1])
		}
	}
	for _, m := range commands {
		if err := parses(strings.Fields(m[1])); err != nil {
			t.Errorf("aegis%s: %v", m[1], err)
		}
	}
}

// parses says whether a command line names a command and flags that exist.
func parses(words []string) error {
	root := newRoot()
	found, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if err := found.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if args := found.Flags().Args(); found == root && len(args) > 0 {
		return unknownCommand(root, args[0])
	}
	return validArgs(found)
}

func validArgs(c *cobra.Command) error {
	if c.Args == nil {
		return nil
	}
	return c.Args(c, c.Flags().Args())
}

func TestPapersCanFail(t *testing.T) {
	for _, words := range []string{"statsu", "status --foo", "get", "demo --nodes"} {
		if parses(strings.Fields(words)) == nil {
			t.Errorf("aegis %s is taken", words)
		}
	}
}

// wait is how long a node on loopback may take to answer.
const wait = time.Minute

func soon() time.Time { return time.Now().Add(wait) }
