package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/judge"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// tool runs a command on keys to its end.
type tool struct {
	t    *testing.T
	addr string
	env  []string
}

func (u tool) run(stdin string, args ...string) (out, said string, code int) {
	u.t.Helper()
	cmd := aegis(u.t, args...)
	cmd.Env = append(cmd.Env, append([]string{"AEGIS_ADDR=" + u.addr}, u.env...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// is runs a command and wants this output and exit code.
func (u tool) is(code int, want string, args ...string) {
	u.t.Helper()
	out, said, got := u.run("", args...)
	if got != code || out != want {
		u.t.Errorf("aegis %q prints %q, want %q; exit code %d, want %d; it said %q", args, out, want, got, code, said)
	}
}

// demoCluster runs three nodes and gives their client addresses.
func demoCluster(t *testing.T) []string {
	t.Helper()
	cmd := aegis(t, "demo")
	cmd.Env = append(cmd.Env, "AEGIS_LEASE_PROFILE=noisy") // no lease is to end under the race detector on a busy machine
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := watch(stdout)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for range out.lines {
		}
		_ = cmd.Wait()
	})
	port := out.await(t, `redis-cli -c -p (\d+) set`)
	return []string{demoAddr(t, port, 0), demoAddr(t, port, 1), demoAddr(t, port, 2)}
}

// TestCommandsOnKeys: every command through every node of a cluster.
func TestCommandsOnKeys(t *testing.T) {
	nodes := demoCluster(t)
	for i, addr := range nodes {
		u := tool{t: t, addr: addr}
		key, n := fmt.Sprint("key", i), fmt.Sprint("n", i)
		u.is(exitMissing, "", "get", key)
		u.is(0, "OK\n", "set", key, "world")
		u.is(0, "world", "get", key)
		u.is(0, "none\n", "ttl", key)
		u.is(exitMissing, "", "set", key, "other", "--nx")
		u.is(exitMissing, "", "set", "absent", "v", "--xx")
		u.is(0, "OK\n", "set", key, "again", "--xx", "--ttl", "1h")
		if out, _, _ := u.run("", "ttl", key); !strings.HasPrefix(out, "59m5") {
			t.Errorf("an hour is %q", out)
		}
		u.is(exitMissing, "", "ttl", "absent")
		u.is(0, "1\n", "incr", n)
		u.is(0, "-6\n", "incr", n, "--by", "-7")
		u.is(exitRefused, "", "incr", key)
		u.is(0, "2\n", "del", key, n, "absent")
		u.is(exitMissing, "", "del", key)
	}
	u := tool{t: t, addr: nodes[0]}
	binary := "\x00\xff line\r\nline\n"
	if out, said, code := u.run(binary, "set", "binary", "-"); code != 0 {
		t.Fatalf("%q %q", out, said)
	}
	u.is(0, binary, "get", "binary")
	u.is(0, "OK\n", "set", "--", "dash", "-abc")
	u.is(0, "-abc", "get", "dash")
	jsonOutput(t, u, binary)
	cas(t, u)
	traces(t, u)
}

func jsonOutput(t *testing.T, u tool, binary string) {
	t.Helper()
	out, _, code := u.run("", "get", "binary", "-o", "json")
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 0 || string(a.Base64) != binary || a.Value != nil || !*a.Found {
		t.Errorf("-o json of bytes that are no text: %q (%v)", out, err)
	}
	out, said, code := u.run("", "get", "absent", "-o", "json")
	a = answer{}
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != exitMissing || *a.Found || said != "" {
		t.Errorf("-o json of a key that is not there: %q, exit code %d, said %q", out, code, said)
	}
	u.is(0, `{"key":"dash","found":true,"ttlMilliseconds":-1}`+"\n", "ttl", "dash", "-o", "json")
}

// cas sets keys that nobody changed meanwhile, and those that somebody did.
func cas(t *testing.T, u tool) {
	t.Helper()
	u.is(0, "OK\n", "set", "c", "1")
	u.is(exitMissing, "", "cas", "c", "2", "--if-value", "0")
	u.is(0, "OK\n", "cas", "c", "2", "--if-value", "1")
	out, _, _ := u.run("", "get", "c", "--trace", "-o", "json")
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || *a.Value != "2" {
		t.Fatalf("%q %v", out, err)
	}
	version := fmt.Sprint(int64(a.Trace.Version))
	out, said, code := u.run("", "cas", "c", "3", "--if-version", version)
	if code != 0 || strings.TrimSpace(out) <= "0" {
		t.Fatalf("cas by version %s: exit code %d, %q %q", version, code, out, said)
	}
	next := strings.TrimSpace(out)
	if _, said, code := u.run("", "cas", "c", "4", "--if-version", version); code != exitMissing || !strings.Contains(said, "has version "+next) {
		t.Errorf("cas by an old version: exit code %d, said %q, want %s named", code, said, next)
	}
	u.is(exitMissing, "", "cas", "c", "4", "--if-version", "0")
	if _, said, code := u.run("", "cas", "fresh", "1", "--if-version", "0"); code != 0 {
		t.Errorf("cas of a key that is not there: exit code %d, said %q", code, said)
	}
	u.is(0, "3", "get", "c")
}

// traces looks at --trace of a write and a read, in both formats.
func traces(t *testing.T, u tool) {
	t.Helper()
	var out string
	var a answer
	for range 50 { // leases may still move: then there is a redirect
		out, _, _ = u.run("", "set", "hello", "v", "--trace", "-o", "json")
		a = answer{}
		if err := json.Unmarshal([]byte(out), &a); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		if a.Trace != nil && a.Trace.Attempts == 1 {
			break
		}
	}
	slot := shardmap.SlotOfString("hello")
	tr := a.Trace
	if tr == nil || tr.Slot != slot || tr.Shard != int(shardmap.DefaultLayout.ShardOf(slot)) || tr.MapEpoch == 0 || tr.Attempts != 1 ||
		tr.Version.Seq() == 0 || tr.Epoch == 0 || tr.Epoch != tr.Version.Epoch() || !strings.Contains(tr.Node, ":") {
		t.Errorf("the trace of a write: %s", out)
	}
	var steps []string
	sum := int64(0)
	for _, h := range tr.Hops {
		steps = append(steps, h.Step)
		sum += h.Micros
	}
	steps = slices.Compact(steps)
	if want := []string{"connect", "map", "request"}; !slices.Equal(steps, want) && !slices.Equal(steps, []string{"connect", "map", "connect", "request"}) {
		t.Errorf("the steps were %q", steps)
	}
	if sum <= 0 || sum > tr.Total {
		t.Errorf("the steps took %d us of %d us", sum, tr.Total)
	}
	out, _, _ = u.run("", "get", "hello", "--trace", "-o", "json")
	var read answer
	if err := json.Unmarshal([]byte(out), &read); err != nil || read.Trace.Version != tr.Version {
		t.Errorf("the version of what was written is %v; a read says %s", tr.Version, out)
	}
	out, said, _ := u.run("", "get", "hello", "--trace")
	if out != "v" || !strings.Contains(said, fmt.Sprintf("slot %d  shard %d  node 127.0.0.1:", slot, tr.Shard)) || !strings.Contains(said, "us  request") {
		t.Errorf("--trace prints %q and %q", out, said)
	}
}

func TestMistakesOnKeysAreOneSentence(t *testing.T) {
	fails(t, exitUnreachable, []string{"get", "k", "--addr", "127.0.0.1:1"}, "127.0.0.1:1", "connection refused", "--addr")
	fails(t, exitUsage, []string{"get"}, "usage: aegis get KEY")
	fails(t, exitUsage, []string{"get", "k", "-o", "yaml"}, "text or json")
	fails(t, exitUsage, []string{"get", "k", "--addr", "localhost"}, "host:port")
	fails(t, exitUsage, []string{"set", "k", "v", "--nx", "--xx"}, "--nx and --xx")
	fails(t, exitUsage, []string{"set", "k", "v", "--ttl", "0s"}, "at least 1ms")
	fails(t, exitUsage, []string{"set", "k", "v", "--ttl", "1s", "--keep-ttl"}, "exclude")
	fails(t, exitUsage, []string{"cas", "k", "v"}, "--if-value or --if-version")
	fails(t, exitUsage, []string{"cas", "k", "v", "--if-version", "x"}, "--if-version")
	fails(t, exitUsage, []string{"get", "k", "--foo"}, "unknown flag --foo")
	fails(t, exitUsage, []string{"get", "k", "--timeout", "0s"}, "--timeout", "at least 1ms")
	fails(t, exitUsage, []string{"set", "k", "v", "--ttl", "5"}, "--ttl", "aegis set --help")
	fails(t, exitUsage, []string{"incr", "k", "4"}, "--by 4")
	fails(t, exitUsage, []string{"incr", "k", "-4"}, "-4", "aegis incr --help")
	fails(t, exitUsage, []string{"scan", "--match"}, "needs an argument")
	fails(t, exitUsage, []string{"scan", "--count", "0"}, "--count 0")
	fails(t, exitUsage, []string{"scan", "--limit", "-1"}, "--limit -1")
	fails(t, exitUsage, []string{"bench", "--foo"}, "unknown flag --foo")
	fails(t, exitUsage, []string{"bench", "--ttl", "-5s"}, "at least 1ms")
	fails(t, exitUsage, []string{"bench", "--json", "/no/such/file"}, "/no/such")
}

// TestAnErrorNamesANodeOnce: the reason was once wrapped in itself.
func TestAnErrorNamesANodeOnce(t *testing.T) {
	_, said, _ := tool{t: t, addr: "127.0.0.1:1"}.run("", "get", "k")
	if n := strings.Count(said, "no node answers"); n != 1 {
		t.Errorf("it says so %d times: %s", n, said)
	}
}

// TestTooLargeAValueIsNotSent: a node would end the connection in the middle of it, and
// the outcome of a write that breaks off is unknown.
func TestTooLargeAValueIsNotSent(t *testing.T) {
	s := &scripted{}
	_, said, code := tool{t: t, addr: s.listen(t)}.run(strings.Repeat("x", 64<<20+1), "set", "k", "-")
	if code != exitUsage || !strings.Contains(said, "67108865 bytes") || len(s.asked) != 0 {
		t.Errorf("exit code %d, said %q, asked %q", code, said, s.asked)
	}
}

func TestALongKeyIsNotPrintedWhole(t *testing.T) {
	if said := noKey(strings.Repeat("k", 70000)); len(said) > 300 || !strings.Contains(said, "70000 bytes") {
		t.Errorf("%d bytes: %.400s", len(said), said)
	}
}

// scripted is a server that gives the answers of a script to everything but the
// question for the map, then closes the connection.
type scripted struct {
	mu      sync.Mutex
	answers []string
	asked   []string
}

func (s *scripted) listen(t *testing.T) string {
	t.Helper()
	return accepting(t, s.serve)
}

func (s *scripted) serve(c net.Conn) {
	defer c.Close()
	r := resp.NewReader(c, 1<<20)
	for {
		args, ok, err := r.Next()
		if err != nil || !ok && r.Fill() != nil {
			return
		}
		if !ok {
			continue
		}
		word := string(args[0])
		if word == "CLUSTER" || word == "CONFIG" {
			_, _ = c.Write([]byte("-ERR This instance has cluster support disabled\r\n"))
			continue
		}
		s.mu.Lock()
		s.asked = append(s.asked, word)
		if len(s.answers) == 0 {
			s.mu.Unlock()
			return
		}
		a := s.answers[0]
		s.answers = s.answers[1:]
		s.mu.Unlock()
		if a == "" {
			return
		}
		_, _ = c.Write([]byte(a))
	}
}

// TestWhatIsAskedAgain: refusals that pass and lost reads are, lost writes are not.
func TestWhatIsAskedAgain(t *testing.T) {
	other := &scripted{answers: []string{"$1\r\nm\r\n"}}
	there := other.listen(t)
	for _, c := range []struct {
		name    string
		answers []string
		args    []string
		code    int
		out     string
		asked   int
	}{
		{"refusals that pass", []string{"-CLUSTERDOWN x\r\n", "-LOADING x\r\n", "-NOREPLICAS x\r\n", "+OK\r\n"}, []string{"set", "k", "v"}, 0, "OK\n", 4},
		{"a read whose answer is lost", []string{"", "$1\r\nv\r\n"}, []string{"get", "k"}, 0, "v", 2},
		{"a write whose answer is lost", []string{"", "+OK\r\n"}, []string{"set", "k", "v"}, exitUnknown, "", 1},
		{"a word that does not pass", []string{"-OOM x\r\n", "+OK\r\n"}, []string{"set", "k", "v"}, exitRefused, "", 1},
		{"a redirect", []string{"-MOVED 12 " + there + "\r\n"}, []string{"get", "k"}, 0, "m", 1},
	} {
		s := &scripted{answers: c.answers}
		u := tool{t: t, addr: s.listen(t)}
		out, said, code := u.run("", c.args...)
		s.mu.Lock()
		if code != c.code || out != c.out || len(s.asked) != c.asked {
			t.Errorf("%s: exit code %d, printed %q, said %q, asked %q", c.name, code, out, said, s.asked)
		}
		s.mu.Unlock()
	}
	s := &scripted{answers: slices.Repeat([]string{"-CLUSTERDOWN Hash slot not served\r\n"}, 1000)}
	begun := time.Now()
	fails(t, exitUnreachable, []string{"get", "k", "--addr", s.listen(t), "--timeout", "200ms"}, "CLUSTERDOWN", "200ms", "aegis status")
	if took := time.Since(begun); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("it tried for %v", took)
	}
}

// TestScan walks over a server that no one here wrote.
func TestScan(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	u := tool{t: t, addr: judge.Start(t)}
	want := map[string]bool{}
	for i := range 30 {
		key := fmt.Sprint("scanned ", i)
		want[key] = true
		u.is(0, "OK\n", "set", key, "v")
	}
	u.is(0, "OK\n", "set", "other", "v")
	out, said, code := u.run("", "scan", "--match", "scanned*", "--count", "3", "--null")
	keys := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	if code != 0 || len(keys) != len(want) {
		t.Fatalf("exit code %d, %d keys: %q %q", code, len(keys), keys, said)
	}
	for _, k := range keys {
		if !want[k] {
			t.Errorf("%q was not asked for", k)
		}
	}
	if out, _, _ := u.run("", "scan", "--limit", "5", "-o", "json"); strings.Count(out, "\n") != 5 {
		t.Errorf("--limit 5 prints %q", out)
	}
	u.is(0, "\"other\"\n", "scan", "--match", "ot*", "-o", "json")
}
