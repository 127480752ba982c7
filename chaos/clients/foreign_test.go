//go:build foreign

package clients

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestForeignClientsInEveryPhase runs what `make clients` has installed.
func TestForeignClientsInEveryPhase(t *testing.T) {
	foreignInEveryPhase(t, "", func(nodes []*restartable, _ int) []string { return addresses(nodes) })
}

// TestForeignClientsAtTheGatewayInEveryPhase runs the clients that these have for one server,
// each at a gateway whose node leaves or is killed too.
func TestForeignClientsAtTheGatewayInEveryPhase(t *testing.T) {
	foreignInEveryPhase(t, ", gateway", func(nodes []*restartable, i int) []string {
		return []string{gatewayOf(nodes[i%len(nodes)].addr)}
	})
}

func foreignInEveryPhase(t *testing.T, where string, addrs func(nodes []*restartable, i int) []string) {
	t.Helper()
	if _, err := os.Stat("foreign/node_modules"); err != nil {
		t.Fatal("make clients installs what this needs")
	}
	nodes := phaseCluster(t)
	clients := map[string]conversation{}
	for i, f := range []struct{ name, interpreter, program string }{
		{"ioredis", "node", "ioredis.mjs"},
		{"node-redis", "node", "node-redis.mjs"},
		{"valkey-glide", "node", "valkey-glide.mjs"},
		{"redis-py", python, "redis_py.py"},
	} {
		switch {
		case f.interpreter == "node" && !needs(t, "node", "nodejs npm"):
		case f.interpreter == python && exec.Command(python, "-c", "import redis").Run() != nil:
			needs(t, "a Python with redis-py", "python3-redis")
		default:
			clients[f.name+where] = converse(t, addrs(nodes, i), f.interpreter, f.program)
		}
	}
	found := inEveryPhase(t, nodes, clients)
	for name, c := range clients {
		record(t, name, c, found)
	}
}

// python is the interpreter that Debian's package of redis-py is for.
const python = "/usr/bin/python3"

// foreign is a client in another language: a program in foreign/.
type foreign struct {
	number string
	in     io.WriteCloser
	out    *bufio.Reader
	cmd    *exec.Cmd
}

// converse starts a program of foreign/ and waits until it is connected.
func converse(t *testing.T, addrs []string, interpreter, program string) *foreign {
	t.Helper()
	cmd := exec.Command(interpreter, append([]string{program}, addrs...)...)
	cmd.Dir, cmd.Stderr = "foreign", os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &foreign{in: in, out: bufio.NewReader(out), cmd: cmd}
	t.Cleanup(f.close)
	f.number = strings.TrimPrefix(f.line(), "version ")
	return f
}

// answers are how lines begin that are meant for us; some clients log to the same place.
var answers = regexp.MustCompile(`^(ok$|FAIL |load |version )`)

// line is the next answer; a program that gives none is killed.
func (f *foreign) line() string {
	late := time.AfterFunc(answerMax, func() { _ = f.cmd.Process.Kill() })
	defer late.Stop()
	for {
		s, err := f.out.ReadString('\n')
		if err != nil {
			return "the program ended: " + err.Error()
		}
		if s = strings.TrimSpace(s); answers.MatchString(s) {
			return s
		}
	}
}

func (f *foreign) version() string { return f.number }

func (f *foreign) say(word string) string {
	if _, err := fmt.Fprintln(f.in, word); err != nil {
		return "the program ended: " + err.Error()
	}
	return f.line()
}

func (f *foreign) close() {
	_ = f.in.Close()
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait()
}
