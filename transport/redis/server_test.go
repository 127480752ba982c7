package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Version = "0.1.0-test"
	return cfg
}

// start runs a server on a free port until the test ends, and shows that none of
// its goroutines stays behind.
func start(t testing.TB, cfg Config, b Backend) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(cfg, b)
	if m, ok := b.(*memory); ok {
		m.face = s
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error("serve:", err)
		}
		if s.Clients() != 0 || s.buffered.Load() != 0 {
			t.Errorf("after shutdown %d clients, %d bytes buffered", s.Clients(), s.buffered.Load())
		}
		stack := make([]byte, 1<<20)
		if stack = stack[:runtime.Stack(stack, true)]; bytes.Contains(stack, []byte("(*conn).serve")) {
			t.Errorf("a connection's goroutine lives on:\n%s", stack)
		}
	})
	return s, l.Addr().String()
}

// peer is a client of the test.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return &peer{t, nc, bufio.NewReader(nc)}
}

func (p *peer) send(raw string) {
	p.t.Helper()
	if _, err := p.nc.Write([]byte(raw)); err != nil {
		p.t.Fatal(err)
	}
}

// want reads exactly these bytes.
func (p *peer) want(raw string) {
	p.t.Helper()
	got := make([]byte, len(raw))
	n, err := io.ReadFull(p.r, got)
	if string(got) != raw {
		p.t.Fatalf("got %q, %v; want %q", got[:n], err, raw)
	}
}

func (p *peer) wantClosed() {
	p.t.Helper()
	if b, err := io.ReadAll(p.r); len(b) > 0 || errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("got %q, %v; want a closed connection", b, err)
	}
}

func (p *peer) do(args ...string) resp.Reply {
	p.t.Helper()
	p.send(string(resp.AppendCommand(nil, args...)))
	v, err := resp.ReadReply(p.r)
	if err != nil {
		p.t.Fatalf("%q: %v", args, err)
	}
	return v
}

func TestTranscripts(t *testing.T) {
	for _, x := range []struct{ name, in, out string }{
		{"a pipeline is answered in order", "SET a 1\r\nGET a\r\nINCR a\r\nGET none\r\n", "+OK\r\n$1\r\n1\r\n:2\r\n$-1\r\n"},
		{"RESP3 has its own null", "HELLO 3\r\nRESET\r\nGET none\r\n", "%8\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n$13\r\naegis_version\r\n$10\r\n0.1.0-test\r\n+RESET\r\n$-1\r\n"},
		{"bad HELLO", "HELLO 4\r\nHELLO x\r\nHELLO 2 FOO\r\n", "-NOPROTO unsupported protocol version\r\n-ERR Protocol version is not an integer or out of range\r\n-ERR Syntax error in HELLO option 'FOO'\r\n"},
		{"no password is set", "AUTH x\r\nAUTH default x\r\nAUTH me x\r\n", "-" + errNoPassword + "\r\n+OK\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
		{"unknown words", "FOO a b\r\nCLIENT NOTHING ON\r\nHSET h f v\r\n", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n-ERR unknown subcommand 'NOTHING'. Try CLIENT HELP.\r\n-ERR unknown command 'HSET': AegisKV stores strings only\r\n"},
		{"the bare TTL", "SET a 1 90000\r\nTTL a\r\nSET a 1 0\r\nSET a 1 +5\r\n", "+OK\r\n:90\r\n-ERR invalid expire time in 'set' command\r\n-ERR syntax error\r\n"},
		{"several slots", "MGET a b\r\nMSET a 1 b 2\r\nDEL a b\r\nEXISTS a b\r\n", strings.Repeat("-CROSSSLOT Keys in request don't hash to the same slot\r\n", 4)},
		{"names", "CLIENT GETNAME\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"a b\"\r\nCLIENT SETINFO LIB-NAME x\r\nCLIENT SETINFO LIB-X x\r\nCLIENT ID\r\n", "$-1\r\n+OK\r\n$2\r\nme\r\n-" + errBadName + "\r\n+OK\r\n-ERR Unrecognized option 'LIB-X'\r\n:1\r\n"},
		{"one database", "SELECT 0\r\nSELECT 1\r\nSELECT x\r\nDBSIZE\r\nFLUSHALL\r\nFLUSHALL NOW\r\n", "+OK\r\n-ERR SELECT is not allowed in cluster mode\r\n-ERR value is not an integer or out of range\r\n:0\r\n+OK\r\n-ERR syntax error\r\n"},
		{"modes", "READONLY\r\nREADWRITE\r\nASKING\r\nROLE\r\nECHO x\r\nPING\r\nPING x\r\n", "+OK\r\n+OK\r\n+OK\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n$1\r\nx\r\n+PONG\r\n$1\r\nx\r\n"},
		{"own commands", "AEGIS.DURABILITY\r\nAEGIS.DURABILITY majority\r\nAEGIS.DURABILITY none\r\nAEGIS.TOKEN\r\nAEGIS.CHECK 1:0:3.7\r\nAEGIS.CHECK x\r\nAEGIS.ADMIN status\r\n", "$5\r\nasync\r\n$8\r\nmajority\r\n-ERR unknown ack level\r\n$7\r\n1:0:3.7\r\n*1\r\n*3\r\n:3\r\n:7\r\n$7\r\ndurable\r\n-ERR the token cannot be read\r\n$11\r\n{\"words\":1}\r\n"},
		{"routing", "CLUSTER SLOTS\r\nCLUSTER KEYSLOT foo\r\nCLUSTER MYID\r\nCOMMAND INFO time nope\r\nCONFIG GET save\r\n", "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$40\r\nf937c37e949d9efa20d2958af309235c73ec039a\r\n*0\r\n:12182\r\n$40\r\nf937c37e949d9efa20d2958af309235c73ec039a\r\n*2\r\n*10\r\n$4\r\ntime\r\n:1\r\n*3\r\n+loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@fast\r\n*1\r\n$23\r\nnondeterministic_output\r\n*0\r\n*0\r\n$-1\r\n*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, addr := start(t, testConfig(), newMemory())
			p := dial(t, addr)
			p.send(x.in + "QUIT\r\n")
			p.want(x.out + "+OK\r\n")
			p.wantClosed()
		})
	}
}

func TestEveryErrorOfTheBackendHasItsWord(t *testing.T) {
	for err, want := range map[error]string{
		&MovedError{Slot: 15495, Addr: "10.0.0.1:7000"}: "MOVED 15495 10.0.0.1:7000",
		ErrDown:              "CLUSTERDOWN Hash slot not served",
		ErrNoReplicas:        "NOREPLICAS Not enough good replicas to write.",
		ErrTooLarge:          "OOM value larger than this node can hold: the longest is 1 byte",
		ErrLoading:           "LOADING AegisKV is loading the dataset in memory",
		ReplyError("OOM x"):  "OOM x",
		errors.New("a\r\nb"): "ERR a  b",
	} {
		t.Run(want, func(t *testing.T) {
			m := newMemory()
			m.again = func([]byte) error { return err }
			_, addr := start(t, testConfig(), m)
			p := dial(t, addr)
			for _, args := range [][]string{{"GET", "a"}, {"SET", "a", "1"}, {"MGET", "a", "a"}, {"TTL", "a"}} {
				if v := p.do(args...); !v.IsError() || string(v.Text) != want {
					t.Errorf("%v: %q, want %q", args, v.Text, want)
				}
			}
		})
	}
}

func TestAParkedCommandHoldsNoEarlierReplyBack(t *testing.T) {
	m := newMemory()
	parked, release := make(chan struct{}), make(chan struct{})
	blocked := true
	m.again = func(key []byte) error {
		if blocked && string(key) == "{a}2" {
			return ErrAgain
		}
		return nil
	}
	m.park = func() { close(parked); <-release; blocked = false }
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("SET {a}1 x\r\nMGET {a}1 {a}2 {a}1\r\nGET {a}1\r\n")
	p.want("+OK\r\n")
	<-parked
	close(release)
	p.want("*3\r\n$1\r\nx\r\n$-1\r\n$1\r\nx\r\n$1\r\nx\r\n")
}

func TestTooLongInTransition(t *testing.T) {
	m := newMemory()
	m.again = func(key []byte) error {
		if string(key) == "{a}2" {
			return ErrAgain
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("MGET {a}1 {a}2\r\nPING\r\n")
	p.want("-CLUSTERDOWN Hash slot not served\r\n+PONG\r\n")
	// One key was set, the other was not: no word says that.
	p.send("PING\r\nMSET {a}1 x {a}2 y\r\nPING\r\n")
	p.want("+PONG\r\n")
	p.wantClosed()
}

func TestReadsUnderAnEndedLeaseAreRunAgain(t *testing.T) {
	m := newMemory()
	failures := 2
	m.commit = func() error {
		if failures > 0 {
			failures--
			return ErrStale
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("GET a\r\nGET b\r\nPING\r\n")
	p.want("$-1\r\n$-1\r\n+PONG\r\n")
	failures = 1 << 30
	p.send("GET a\r\n")
	p.wantClosed()
}

func TestStaleReadsAfterAParkedCommandAreAnsweredOnce(t *testing.T) {
	m := newMemory()
	blocked, failures := true, 1
	m.again = func(key []byte) error {
		if blocked && string(key) == "b" {
			return ErrAgain
		}
		return nil
	}
	m.park = func() { blocked = false }
	m.commit = func() error {
		if !blocked && failures > 0 {
			failures--
			return ErrStale
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("PING\r\nGET a\r\nGET b\r\nPING x\r\n")
	p.want("+PONG\r\n$-1\r\n$-1\r\n$1\r\nx\r\n")
}

// TestReadsAreRunAgainAsTheyWereAllowed: what a later READONLY allows does not reach reads
// before it that are run again.
func TestReadsAreRunAgainAsTheyWereAllowed(t *testing.T) {
	m := newMemory()
	fail := false
	m.commit = func() error {
		defer func() { fail = false }()
		if fail {
			return ErrStale
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("READONLY 500 7\r\nGET a\r\n")
	p.want("+OK\r\n$-1\r\n")
	m.mu.Lock()
	fail, m.modes = true, nil
	m.mu.Unlock()
	p.send("GET a\r\nREADONLY 900\r\nGET a\r\nREADWRITE\r\n")
	p.want("$-1\r\n+OK\r\n$-1\r\n+OK\r\n")
	m.mu.Lock()
	defer m.mu.Unlock()
	first, then := ReadMode{true, 500 * time.Millisecond, 7}, ReadMode{true, 900 * time.Millisecond, 0}
	if want := []ReadMode{first, then, first, then}; !slices.Equal(m.modes, want) {
		t.Errorf("read as %v, want %v", m.modes, want)
	}
}

func TestAnUnknownOutcomeClosesTheConnection(t *testing.T) {
	m := newMemory()
	m.commit = func() error { return ErrUnknown }
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("SET a 1\r\nGET a\r\n")
	p.wantClosed()
}

func TestWait(t *testing.T) {
	m := newMemory()
	m.holders = 1
	s, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("SET a 1\r\nWAIT 1 0\r\nWAIT 2 30\r\nWAIT x 1\r\nWAIT 1 x\r\nWAIT 1 -1\r\n")
	p.want("+OK\r\n:1\r\n:1\r\n-ERR value is not an integer or out of range\r\n-ERR timeout is not an integer or out of range\r\n-ERR timeout is negative\r\n")
	m.final = true
	p.send("WAIT 2 0\r\n")
	p.want(":1\r\n")
	m.final = false
	// A client that leaves is not waited for.
	p.send("PING\r\nWAIT 2 0\r\n")
	p.want("+PONG\r\n")
	p.nc.Close()
	eventually(t, func() bool { return s.Clients() == 0 })
	// Nor is one at shutdown, which start checks.
	q := dial(t, addr)
	q.send("PING\r\nWAIT 2 0\r\n")
	q.want("+PONG\r\n")
}

// eventually waits for a condition.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came true")
		}
	}
}

func TestLeaseEndedClosesReadonlyConnectionsThatReadThere(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	reader, other, writer := dial(t, addr), dial(t, addr), dial(t, addr)
	reader.do("READONLY")
	reader.do("GET", "foo") // slot 12182
	other.do("READONLY")
	other.do("GET", "a") // slot 15495
	writer.do("GET", "foo")
	s.LeaseEnded(12160, 12223)
	reader.wantClosed()
	other.do("PING")
	writer.do("PING")
}

func TestClientsMax(t *testing.T) {
	cfg := testConfig()
	cfg.ClientsMax = 1
	_, addr := start(t, cfg, newMemory())
	dial(t, addr).do("PING")
	p := dial(t, addr)
	p.want("-ERR max number of clients reached\r\n")
	p.wantClosed()
	cfg = testConfig()
	cfg.BuffersMax = 8 << 20
	if n := NewServer(cfg, newMemory()).ClientsMax(); n != 7<<20/connBytes {
		t.Errorf("%d clients where there is memory for %d", n, 7<<20/connBytes)
	}
}

func TestTheFamiliarInfo(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	p.do("GET", "a")
	info := string(p.do("INFO", "everything").Text)
	for _, f := range []string{"# Server\r\n", "redis_version:7.4.0\r\n", "redis_mode:cluster\r\n", "connected_clients:1\r\n", "blocked_clients:0\r\n", "total_commands_processed:", "loading:0\r\n", "cmdstat_get:calls=1,usec=", ",rejected_calls=0,failed_calls=0\r\n", fmt.Sprintf("tcp_port:%s\r\n", addr[strings.LastIndexByte(addr, ':')+1:])} {
		if !strings.Contains(info, f) {
			t.Errorf("INFO lacks %q:\n%s", f, info)
		}
	}
	if only := string(p.do("INFO", "clients").Text); strings.Contains(only, "# Server") || !strings.Contains(only, "# Clients") {
		t.Errorf("INFO clients: %q", only)
	}
}

// TestWhileDataIsLoaded answers what needs neither data nor map, as Redis does, and LOADING
// to the rest, which spoils a transaction too.
func TestWhileDataIsLoaded(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	s.SetLoading(true)
	p := dial(t, addr)
	const loading = "LOADING AegisKV is loading the dataset in memory"
	for _, args := range [][]string{{"PING"}, {"GET", "a"}, {"SET", "a", "1"}, {"DBSIZE"}, {"CLUSTER", "SLOTS"}, {"AEGIS.MAP"}, {"OBJECT", "FREQ", "a"}} {
		if v := p.do(args...); !v.IsError() || string(v.Text) != loading {
			t.Errorf("%v: %q", args, v.Text)
		}
	}
	for _, args := range [][]string{{"ECHO", "a"}, {"HELLO"}, {"CLIENT", "ID"}, {"INFO"}, {"CONFIG", "GET", "save"}, {"OBJECT", "HELP"}, {"MULTI"}} {
		if v := p.do(args...); v.IsError() {
			t.Errorf("%v: %q", args, v.Text)
		}
	}
	if v := p.do("SET", "a", "1"); string(v.Text) != loading {
		t.Errorf("in a transaction: %q", v.Text)
	}
	s.SetLoading(false)
	if v := p.do("EXEC"); !strings.HasPrefix(string(v.Text), "EXECABORT") {
		t.Errorf("EXEC: %q", v.Text)
	}
	if v := p.do("SET", "a", "1"); string(v.Text) != "OK" {
		t.Errorf("afterwards: %q", v.Text)
	}
}
