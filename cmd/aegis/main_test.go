package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// asAegis makes the test binary behave as aegis, so that tests run real processes
// without building anything.
const asAegis = "RUN_THE_TEST_BINARY_AS_AEGIS"

func TestMain(m *testing.M) {
	if os.Getenv(asAegis) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// aegis prepares a process; it is killed when the test ends. Under the race detector a
// process waits a second at its end for what other threads might report still, which was
// 100 s of these tests: it does not here, for what raced before is told all the same.
func aegis(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(withoutSettings(os.Environ()), asAegis+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// fails runs aegis and wants a non-zero exit with one line that holds all parts.
func fails(t *testing.T, code int, args []string, parts ...string) {
	t.Helper()
	cmd := aegis(t, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("aegis %q exits with %d, want %d; it said %q", args, got, code, said.String())
	}
	for _, p := range parts {
		if !strings.Contains(said.String(), p) {
			t.Errorf("aegis %q said %q, which lacks %q", args, said.String(), p)
		}
	}
	if n := strings.Count(strings.TrimSpace(said.String()), "\n"); n != 0 {
		t.Errorf("aegis %q said %d lines, want one: %q", args, n+1, said.String())
	}
}

// TestMistakesAreOneSentence: what is wrong in the words of a command line has an exit
// code of its own, so that nobody takes a typing error for a key that is missing, for a
// degraded cluster, or for something that starting again would mend.
func TestMistakesAreOneSentence(t *testing.T) {
	for _, c := range []struct {
		args  []string
		parts []string
	}{
		{[]string{"--clent-addr", ":1"}, []string{"unknown flag --clent-addr", "--client-addr"}},
		{[]string{"-clent-addr", ":1"}, []string{"unknown flag --clent-addr"}},
		{[]string{"--seeds"}, []string{"needs an argument", "aegis --help"}},
		{[]string{"statsu"}, []string{"unknown command", `"status"`}},
		{[]string{"help", "statsu"}, []string{"unknown command", `"status"`}},
		{[]string{"help", "get", "more"}, []string{`"more"`}},
		{[]string{"config", "prnt"}, []string{"unknown command", `"print"`}},
		{[]string{"config", "print", "-o", "yaml"}, []string{"table or json"}},
		{[]string{"config", "print", "more"}, []string{`"more"`}},
		{[]string{"version", "more"}, []string{`"more"`}},
		{[]string{"--wal", "always"}, []string{"unknown WAL mode"}},
		{[]string{"--id", "wal"}, []string{"cannot name a node"}},
		{[]string{"--config", "/absent.json"}, []string{"/absent.json"}},
		{[]string{"status", "-o", "yaml"}, []string{"table or json"}},
		{[]string{"status", "--foo"}, []string{"unknown flag --foo"}},
		{[]string{"status", "--addr", "localhost"}, []string{"no client address", "localhost:7000"}},
		{[]string{"demo", "--nodes", "10"}, []string{"--nodes", "1 to 9"}},
		{[]string{"demo", "--load", "-1"}, []string{"--load"}},
		{[]string{"demo", "--kill-every", "-1s"}, []string{"--kill-every"}},
	} {
		fails(t, exitUsage, c.args, c.parts...)
	}
	fails(t, exitUnreachable, []string{"status", "--addr", "127.0.0.1:1"}, "127.0.0.1:1", "--addr")
}

func TestSingleDashesAreTaken(t *testing.T) {
	got := longFlags([]string{"-client-addr", ":7000", "--id=a", "-o", "json", "-h", "x-y", "-id=b", "--", "-value"})
	want := []string{"--client-addr", ":7000", "--id=a", "-o", "json", "-h", "x-y", "--id=b", "--", "-value"}
	if !slices.Equal(got, want) {
		t.Errorf("flags became %q, want %q", got, want)
	}
}

func TestConfigPrintNamesOrigins(t *testing.T) {
	cmd := aegis(t, "config", "print", "-num-shards", "64")
	cmd.Env = append(cmd.Env, "AEGIS_SOLO=reject")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range []string{`numShards +64 +--num-shards +hard`, `solo +reject +environment AEGIS_SOLO +restart`, `clusterAddr +:7001 +default`} {
		if !regexp.MustCompile(`(?m)^` + line).Match(out) {
			t.Errorf("no line like %q in\n%s", line, out)
		}
	}
}

func TestConfigPrintAsJSON(t *testing.T) {
	out, err := aegis(t, "config", "print", "-o", "json", "--solo", "reject").Output()
	var shown []settingShown
	if err != nil || json.Unmarshal(out, &shown) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(shown) != len(node.Settings()) || !slices.Contains(shown, settingShown{"solo", "reject", "--solo", "restart"}) {
		t.Errorf("of %d settings these are shown: %+v", len(node.Settings()), shown)
	}
}

func TestHelpAndVersion(t *testing.T) {
	out, err := aegis(t, "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range node.Settings() {
		if !strings.Contains(string(out), "--"+s.Flag()) || !strings.Contains(string(out), s.Env()) {
			t.Errorf("--help says nothing of --%s or %s", s.Flag(), s.Env())
		}
	}
	for _, word := range []string{"version", "--version", "-v"} {
		if out, _ := aegis(t, word).Output(); string(out) != "aegis "+node.Version+"\n" {
			t.Errorf("%s prints %q", word, out)
		}
	}
	for _, c := range newRoot().Commands() {
		out, err := aegis(t, "help", c.Name()).Output()
		if err != nil || !strings.Contains(string(out), "aegis "+c.Name()) {
			t.Errorf("help %s: %v, %q", c.Name(), err, out)
		}
	}
}

// answering is a node that answers every command with one reply.
func answering(t *testing.T, reply []byte) string {
	t.Helper()
	return accepting(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write(reply)
		c.Close()
	})
}

// accepting gives every connection to a port of its own to serve.
func accepting(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

func TestStatusExitCodes(t *testing.T) {
	for want, r := range map[int]node.ClusterReport{
		0:            {Healthy: true, Verdict: "healthy"},
		exitDegraded: {Verdict: "no failover yet: 2 of 3 nodes", Silent: []string{"node3"}, Nodes: []node.NodeReport{{Name: "node1"}}},
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		addr := answering(t, resp.AppendBulk(nil, b))
		for _, format := range []string{"table", "json"} {
			cmd := aegis(t, "status", "--addr", addr, "-o", format)
			out, _ := cmd.Output()
			if got := cmd.ProcessState.ExitCode(); got != want || !strings.Contains(string(out), r.Verdict) {
				t.Errorf("-o %s: exit code %d, want %d; it printed %q", format, got, want, out)
			}
			if format == "json" && !json.Valid(out) {
				t.Errorf("-o json prints %q", out)
			}
		}
	}
	fails(t, exitUnreachable, []string{"status", "--addr", answering(t, resp.AppendError(nil, "ERR this node is reading its log"))}, "this node is reading its log")
	fails(t, 1, []string{"failover", "node1", "--addr", answering(t, resp.AppendError(nil, "LOADING the data is being read"))}, "LOADING the data")
}

// watched keeps what a process prints and lets a test wait for a line of it.
type watched struct {
	mu    sync.Mutex
	text  strings.Builder
	lines chan string
}

func watch(r io.Reader) *watched {
	w := &watched{lines: make(chan string, 1000)}
	go func() {
		defer close(w.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			w.mu.Lock()
			w.text.WriteString(s.Text() + "\n")
			w.mu.Unlock()
			w.lines <- s.Text()
		}
	}()
	return w
}

// await returns the first submatch of the first line that matches.
func (w *watched) await(t *testing.T, pattern string) string {
	t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(30*time.Second)
	for {
		select {
		case line, ok := <-w.lines:
			if m := re.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
			if ok {
				continue
			}
		case <-deadline:
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		t.Fatalf("no line matches %q in\n%s", pattern, w.text.String())
		return ""
	}
}

func TestDemoServesSurvivesAKillAndCleansUp(t *testing.T) {
	cmd := aegis(t, "demo", "--kill-every", "300ms", "--load", "200")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := watch(stdout)
	port := out.await(t, `redis-cli -c -p (\d+) set`)
	dir := out.await(t, `removes (\S+)`)
	var seeds []string // all of them: any node may be the one that is killed
	for i := range 3 {
		seeds = append(seeds, demoAddr(t, port, i))
	}
	c, err := client.New(client.DefaultConfig(seeds))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out.await(t, `kill -9 (node\d)`)
	for i := range 20 {
		key, value := fmt.Sprintf("key:%d", i), []byte("value")
		err := c.Set(ctx, key, value)
		for errors.Is(err, client.ErrAmbiguous) { // it was sent to the node that died
			err = c.Set(ctx, key, value)
		}
		if err != nil {
			t.Fatalf("set %s while a node is down: %v", key, err)
		}
		if got, err := c.Get(ctx, key); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("get %s while a node is down: %q, %v", key, got, err)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory that the demo names does not exist while it runs: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range out.lines { // until it has ended
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the demo left %s behind (%v)", dir, err)
	}
}

// demoAddr is the client address of a demo's node i, given the port of the first.
func demoAddr(t *testing.T, first string, i int) string {
	t.Helper()
	port, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+demoStep*i))
}

// TestTwoDemosAtOnce: both looked for free ports before either had opened one.
func TestTwoDemosAtOnce(t *testing.T) {
	seen := map[int]bool{}
	for range 5 {
		first, claim, err := freePorts(17000, 3)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = claim.Close() })
		if seen[first] {
			t.Fatalf("port %d was given to two", first)
		}
		seen[first] = true
	}
}

func TestNodesOfADemoEndWithItEvenByKill(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parent")
	}
	cmd := aegis(t, "demo")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := watch(stdout)
	port := out.await(t, `redis-cli -c -p (\d+) set`)
	dir := out.await(t, `removes (\S+)`)
	defer os.RemoveAll(dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for i := range 3 {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			conn, err := net.Dial("tcp", demoAddr(t, port, i))
			if err != nil {
				break
			}
			conn.Close()
			if time.Now().After(deadline) {
				t.Fatalf("node %d serves though its demo was killed", i+1)
			}
		}
	}
}

func TestASecondProcessOnOneDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	serving(t, nodeArgs(t, dir, "a"))
	fails(t, 1, nodeArgs(t, dir, "a"), "in use by another process", "--data-dir")
}
