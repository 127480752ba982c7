package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/judge"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// sameWords lists commands about connections and the server whose replies are those of
// redis-server.
const sameWords = `
CLIENT LIST TYPE nonsense
CLIENT LIST TYPE master
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE
CLIENT LIST ID x
CLIENT LIST ID 0
CLIENT LIST ID 99999999
CLIENT LIST ID
CLIENT LIST BOGUS x
CLIENT KILL 1.2.3.4:5
CLIENT KILL
CLIENT KILL ID 0
CLIENT KILL ID x
CLIENT KILL ID 99999999
CLIENT KILL TYPE nonsense
CLIENT KILL TYPE master
CLIENT KILL ADDR 1.2.3.4:5 SKIPME yes
CLIENT KILL ADDR 1.2.3.4:5 SKIPME maybe
CLIENT KILL LADDR 1.2.3.4:5 USER default
CLIENT KILL USER nobody
CLIENT KILL BOGUS x
CLIENT KILL ID 1 TYPE
COMMAND GETKEYSANDFLAGS GET a
COMMAND GETKEYSANDFLAGS MGET a b
COMMAND GETKEYSANDFLAGS SET a b EX 10
COMMAND GETKEYSANDFLAGS SET a b EX 10 get
COMMAND GETKEYSANDFLAGS PTTL a
COMMAND GETKEYSANDFLAGS EXPIRETIME a
COMMAND GETKEYSANDFLAGS STRLEN a
COMMAND GETKEYSANDFLAGS TYPE a
COMMAND GETKEYSANDFLAGS TOUCH a
COMMAND GETKEYSANDFLAGS MSET a b c d
COMMAND GETKEYSANDFLAGS MSETNX a b c d
COMMAND GETKEYSANDFLAGS DEL a b
COMMAND GETKEYSANDFLAGS RENAME a b
COMMAND GETKEYSANDFLAGS RENAMENX a b
COMMAND GETKEYSANDFLAGS COPY a b
COMMAND GETKEYSANDFLAGS LCS a b
COMMAND GETKEYSANDFLAGS EXISTS a
COMMAND GETKEYSANDFLAGS TTL a
COMMAND GETKEYSANDFLAGS INCR a
COMMAND GETKEYSANDFLAGS APPEND a b
COMMAND GETKEYSANDFLAGS SETRANGE a 1 b
COMMAND GETKEYSANDFLAGS GETDEL a
COMMAND GETKEYSANDFLAGS GETEX a
COMMAND GETKEYSANDFLAGS GETSET a b
COMMAND GETKEYSANDFLAGS EXPIRE a 1
COMMAND GETKEYSANDFLAGS PERSIST a
COMMAND GETKEYSANDFLAGS DUMP a
COMMAND GETKEYSANDFLAGS SETNX a b
COMMAND GETKEYSANDFLAGS SETEX a 1 b
COMMAND GETKEYSANDFLAGS RESTORE a 0 b
COMMAND GETKEYSANDFLAGS PING
COMMAND GETKEYS EVAL x 0
COMMAND GETKEYS EVAL x 0 a
COMMAND GETKEYS EVAL x x
COMMAND GETKEYS EVAL x 5 a
COMMAND GETKEYS EVALSHA x 1 a b
COMMAND GETKEYSANDFLAGS EVAL x 0
COMMAND GETKEYSANDFLAGS GET
CLIENT NO-EVICT ON
CLIENT NO-EVICT off
CLIENT NO-EVICT maybe
CLIENT NO-EVICT
CLIENT PAUSE 0
CLIENT PAUSE 0 WRITE
CLIENT PAUSE 0 all
CLIENT PAUSE 0 READ
CLIENT PAUSE -1
CLIENT PAUSE x
CLIENT PAUSE
CLIENT UNPAUSE
CLIENT UNPAUSE x
CLIENT REPLY ON
CLIENT REPLY maybe
CLIENT REPLY
CLIENT REPLY SKIP PING PONG
COMMAND COUNT x
COMMAND GETKEYS GET a
COMMAND GETKEYS MSET a b c d
COMMAND GETKEYS MGET a b c
COMMAND GETKEYS SET a b EX 10
COMMAND GETKEYS OBJECT ENCODING a
COMMAND GETKEYS EVAL s 1.5 a
COMMAND GETKEYS EVAL s 1 a
COMMAND GETKEYS PING
COMMAND GETKEYS NOSUCH a
COMMAND GETKEYS GET
COMMAND GETKEYS GET a b
COMMAND GETKEYS
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY PATTERN mge*
COMMAND LIST FILTERBY PATTERN nosuch*
COMMAND LIST FILTERBY MODULE nosuch
COMMAND LIST FILTERBY BOGUS x
COMMAND LIST BOGUS
COMMAND DOCS nosuch
COMMAND INFO nosuch
CONFIG RESETSTAT
CONFIG RESETSTAT x
CONFIG SET slowlog-log-slower-than 20000
CONFIG GET slowlog-log-slower-than
CONFIG SET slowlog-log-slower-than x
CONFIG SET slowlog-log-slower-than -2
CONFIG SET slowlog-max-len 10 slowlog-log-slower-than -1
CONFIG SET slowlog-max-len 10 slowlog-max-len 11
CONFIG SET slowlog-max-len 128 slowlog-log-slower-than 10000
CONFIG SET nosuch 1
CONFIG SET slowlog-max-len
CONFIG SET slowlog-max-len 1 2
CONFIG SET
SLOWLOG RESET
SLOWLOG LEN
SLOWLOG GET
SLOWLOG GET -1
SLOWLOG GET -2
SLOWLOG GET x
SLOWLOG GET 0
SLOWLOG GET 1 2
SLOWLOG LEN x
SLOWLOG NOSUCH
SLOWLOG
LATENCY LATEST
LATENCY HISTORY command
LATENCY RESET
LATENCY NOSUCH
LATENCY HISTOGRAM nosuch
LASTSAVE x
BGSAVE x
BGSAVE SCHEDULE x
ACL WHOAMI
ACL USERS
ACL WHOAMI x
ACL NOSUCH
MEMORY PURGE
MEMORY DOCTOR x
`

func TestWordsAreThoseOfRedis(t *testing.T) { answeredAsRedisDoes(t, sameWords) }

// answeredAsRedisDoes sends each line to us and to redis-server, in RESP2 and RESP3.
func answeredAsRedisDoes(t *testing.T, lines string) {
	t.Helper()
	if !judge.Installed(t) {
		return
	}
	real := judge.Start(t)
	_, addr := start(t, testConfig(), newMemory())
	for _, proto := range []string{"2", "3"} {
		us, redis := dial(t, addr), dial(t, real)
		us.do("HELLO", proto)
		redis.do("HELLO", proto)
		for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
			us.send(line + "\r\n")
			redis.send(line + "\r\n")
			if got, want := us.raw(), redis.raw(); got != want {
				t.Errorf("RESP%s %s: %.300q, redis says %.300q", proto, line, got, want)
			}
		}
	}
}

// TestRepliesThatAreNotWanted: CLIENT REPLY drops replies, not commands.
func TestRepliesThatAreNotWanted(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	m := newMemory()
	_, addr := start(t, testConfig(), m)
	for _, at := range []string{addr, judge.Start(t)} {
		p := dial(t, at)
		p.send("CLIENT REPLY OFF\r\nSET a 1\r\nINCR a\r\nPING\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nGET a\r\n")
		p.want("+OK\r\n$1\r\n2\r\n")
		p.send("CLIENT REPLY SKIP\r\nINCR a\r\nGET a\r\nCLIENT REPLY SKIP\r\nNOSUCH\r\nPING\r\n")
		p.want("$1\r\n3\r\n+PONG\r\n")
		p.send("CLIENT REPLY OFF\r\n")
		p.send("SET a 9\r\n")
		p.send("CLIENT REPLY ON\r\nGET a\r\n")
		p.want("+OK\r\n$1\r\n9\r\n")
	}
	m.mu.Lock()
	commits := m.commits
	m.mu.Unlock()
	q := dial(t, addr)
	q.send("CLIENT REPLY OFF\r\nSET a 1\r\n")
	eventually(t, func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.commits > commits })
}

func TestClientsAreListedAndEnded(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	a, b := dial(t, addr), dial(t, addr)
	a.send("HELLO 3 SETNAME alice\r\nCLIENT SETINFO LIB-NAME x\r\n")
	a.raw()
	a.raw()
	b.do("READONLY")
	b.do("MULTI")
	b.do("GET", "k")
	b.do("PING")
	list := ""
	eventually(t, func() bool {
		list = string(a.do("CLIENT", "LIST").Text)
		return strings.Contains(list, "multi=0") || strings.Contains(list, "multi=2")
	})
	for _, want := range []string{"name=alice age=", " flags=N ", " flags=xr ", "lib-name=x", " resp=3 ", " resp=2 ", "cmd=client|list", "cmd=multi", "addr=" + b.nc.LocalAddr().String() + " laddr=" + addr + " "} {
		if !strings.Contains(list, want) {
			t.Errorf("CLIENT LIST lacks %q:\n%s", want, list)
		}
	}
	if n := strings.Count(list, "\n"); n != 2 {
		t.Errorf("%d lines for 2 clients", n)
	}
	if v := a.do("CLIENT", "LIST", "ID", "2"); strings.Count(string(v.Text), "\n") != 1 || !strings.HasPrefix(string(v.Text), "id=2 ") {
		t.Errorf("CLIENT LIST ID 2: %q", v.Text)
	}
	for filter, want := range map[string]int{
		"TYPE normal": 2, "TYPE pubsub": 0, "NOT-TYPE normal": 0, "ID 1 2 3": 2, "NOT-ID 1": 1, "NAME alice": 1, "NOT-NAME alice": 1, "LIB-NAME x": 1,
		"LIB-VER 1": 0, "FLAGS x": 1, "FLAGS xr": 1, "FLAGS rt": 0, "NOT-FLAGS N": 1, "SKIPME yes": 1, "SKIPME no": 2, "IP 127.0.0.1": 2, "ip ::1": 0, "DB 0": 2, "DB 1": 0,
		"USER default": 2, "MAXAGE 1000": 0, "IDLE 1000": 0, "LADDR " + addr: 2, "ADDR " + b.nc.LocalAddr().String(): 1, "NAME alice SKIPME yes": 0, "ID 2 NAME alice": 0,
	} {
		v := a.do(append([]string{"CLIENT", "LIST"}, strings.Fields(filter)...)...)
		if n := strings.Count(string(v.Text), "\n"); v.IsError() || n != want {
			t.Errorf("CLIENT LIST %s: %d clients, want %d: %s", filter, n, want, v.Text)
		}
	}
	for words, want := range map[string]string{"LIST MAXAGE 0": "maxage should be", "LIST IDLE x": "idle is not", "LIST NOT-MAXAGE 1": "syntax", "LIST SKIPME x": "syntax", "KILL ID 1 0": "greater than 0", "LIST DB x": "not an integer"} {
		if v := a.do(append([]string{"CLIENT"}, strings.Fields(words)...)...); !v.IsError() || !strings.Contains(string(v.Text), want) {
			t.Errorf("CLIENT %s: %q", words, v.Text)
		}
	}
	if v := a.do("CLIENT", "KILL", "ID", "2"); v.Int != 1 {
		t.Errorf("CLIENT KILL ID 2: %d", v.Int)
	}
	b.wantClosed()
	eventually(t, func() bool { return s.Clients() == 1 })
	if v := a.do("CLIENT", "KILL", "TYPE", "normal"); v.Int != 0 {
		t.Errorf("killed %d but for myself", v.Int)
	}
	a.send(fmt.Sprintf("CLIENT KILL %s\r\nPING\r\n", a.nc.LocalAddr()))
	a.want("+OK\r\n")
	a.wantClosed()
}

func TestAPauseHoldsWritesBack(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	a, b := dial(t, addr), dial(t, addr)
	a.do("CLIENT", "PAUSE", "600000", "WRITE")
	b.send("GET a\r\nMULTI\r\nGET a\r\nEXEC\r\nSET a 1\r\nGET a\r\n")
	b.want("$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n")
	eventually(t, func() bool { return s.blocked.Load() == 1 })
	if v := a.do("GET", "a"); !v.IsNull() {
		t.Errorf("%q was written in the pause", v.Text)
	}
	a.do("CLIENT", "UNPAUSE")
	b.want("+OK\r\n$1\r\n1\r\n")
	a.do("CLIENT", "PAUSE", "600000")
	b.send("GET a\r\n")
	eventually(t, func() bool { return s.blocked.Load() == 1 })
	a.do("CLIENT", "PAUSE", "1", "WRITE") // the longer and wider one stays
	eventually(t, func() bool { return s.blocked.Load() == 1 })
	a.do("CLIENT", "UNPAUSE")
	b.want("$1\r\n1\r\n")
	a.do("CLIENT", "PAUSE", "20")
	b.send("GET a\r\n")
	b.want("$1\r\n1\r\n")
	a.do("CLIENT", "PAUSE", "600000")
	b.send("GET a\r\n") // and a shutdown does not wait for it
	eventually(t, func() bool { return s.blocked.Load() == 1 })
}

func TestSlowPipelinesAreRemembered(t *testing.T) {
	m := newMemory()
	m.again = func(key []byte) error {
		if string(key) == "slow" {
			begun := time.Now()
			for time.Since(begun) < 3*time.Millisecond {
			}
		}
		return nil
	}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.do("CONFIG", "SET", "slowlog-log-slower-than", "2000", "slowlog-max-len", "2")
	p.do("CLIENT", "SETNAME", "me")
	p.do("SLOWLOG", "RESET")
	p.do("GET", "fast")
	p.do("GET", "slow")
	p.send("SET x " + strings.Repeat("v", 200) + "\r\nGET slow\r\nPING\r\n")
	p.raw()
	p.raw()
	p.raw()
	v := p.do("SLOWLOG", "GET")
	if len(v.Items) < 1 {
		t.Fatalf("%+v", v)
	}
	pipeline := v.Items[0].Items
	words := fmt.Sprintf("%s", texts(pipeline[3]))
	if want := "[SET x " + strings.Repeat("v", 128) + "... (72 more bytes) ... (2 more commands in one pipeline)]"; words != want {
		t.Errorf("%s, want %s", words, want)
	}
	if pipeline[2].Int < 3000 || string(pipeline[5].Text) != "me" || string(pipeline[4].Text) != p.nc.LocalAddr().String() {
		t.Errorf("%+v", pipeline)
	}
	for range 3 {
		p.do("GET", "slow")
	}
	if n := p.do("SLOWLOG", "LEN").Int; n != 2 {
		t.Errorf("%d entries, want the newest 2", n)
	}
}

func TestCommandsDescribeThemselves(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	if v := p.do("COMMAND", "LIST"); len(v.Items) != len(s.table.everyName()) || len(v.Items) < 130 {
		t.Errorf("%d names", len(v.Items))
	}
	docs := p.do("COMMAND", "DOCS")
	if len(docs.Items) != 2*len(s.table.names) {
		t.Errorf("%d documents for %d commands", len(docs.Items)/2, len(s.table.names))
	}
	p.do("HELLO", "3")
	if v := p.do("COMMAND", "DOCS", "client"); len(v.Items) != 2 || len(v.Items[1].Items) != 6 {
		t.Errorf("%+v", v)
	}
	p.do("GET", "a")
	p.do("CONFIG", "RESETSTAT")
	if info := string(p.do("INFO", "all").Text); strings.Contains(info, "cmdstat_get") || !strings.Contains(info, "total_commands_processed:1\r\n") {
		t.Errorf("after CONFIG RESETSTAT:\n%s", info)
	}
	for _, line := range []string{"CLIENT HELP", "COMMAND HELP", "CONFIG HELP", "CLUSTER HELP", "SLOWLOG HELP", "LATENCY HELP", "MEMORY HELP", "ACL HELP", "OBJECT HELP", "MEMORY STATS", "MEMORY DOCTOR", "LATENCY DOCTOR", "LATENCY HISTOGRAM", "ACL LIST", "LASTSAVE", "CLIENT NO-TOUCH ON"} {
		if v := p.do(strings.Fields(line)...); v.IsError() {
			t.Errorf("%s: %s", line, v.Text)
		}
	}
	for line, why := range map[string]string{"WAITAOF 0 0 0": "append-only", "PUBLISH a b": "not passed", "DEBUG SLEEP 0": "no interface", "MONITOR": "SLOWLOG", "ACL SETUSER x": "one user"} {
		if v := p.do(strings.Fields(line)...); !v.IsError() || !strings.Contains(string(v.Text), why) {
			t.Errorf("%s: %q, want a word about %q", line, v.Text, why)
		}
	}
}

// TestNewerFieldsOfClients: what tracks, listens, lasts and how much went to and fro.
func TestNewerFieldsOfClients(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	p.do("HELLO", "3")
	p.do("CLIENT", "NO-EVICT", "ON")
	p.do("CLIENT", "TRACKING", "ON", "BCAST")
	line := string(p.do("CLIENT", "INFO").Text)
	for _, want := range []string{" flags=tBe ", " redir=0 ", " resp=3 ", " tot-net-in=", " tot-cmds=4\n"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	if strings.Contains(line, "tot-net-in=0 ") || strings.Contains(line, "tot-net-out=0 ") {
		t.Error("no bytes went to and fro:", line)
	}
	p.do("CLIENT", "TRACKING", "OFF")
	p.do("CLIENT", "NO-EVICT", "OFF")
	if line := string(p.do("CLIENT", "INFO").Text); !strings.Contains(line, " flags=N ") || !strings.Contains(line, " redir=-1 ") {
		t.Error(line)
	}
	for words, want := range map[string]string{"1000000": "", "0": "greater than 0", "x": "not an integer"} {
		if v := p.do("CLIENT", "KILL", "MAXAGE", words, "SKIPME", "no"); v.IsError() != (want != "") || !strings.Contains(string(v.Text), want) || v.Int != 0 {
			t.Errorf("MAXAGE %s: %+v", words, v)
		}
	}
}

func texts(v resp.Reply) (all []string) {
	for _, i := range v.Items {
		all = append(all, string(i.Text))
	}
	return all
}

// TestAWaitIsEndedByAnotherConnection: WAIT without a timeout ends when an operator
// says so, as if its time had passed or with an error; who waits for nothing is let be.
func TestAWaitIsEndedByAnotherConnection(t *testing.T) {
	m := newMemory()
	_, addr := start(t, testConfig(), m)
	p, other := dial(t, addr), dial(t, addr)
	id := p.do("CLIENT", "ID").Int
	for _, x := range []struct{ words, want string }{
		{"", ":0\r\n"}, {" TIMEOUT", ":0\r\n"}, {" error", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"},
	} {
		p.send("WAIT 3 0\r\n")
		for fuse := time.Now(); ; {
			other.send(fmt.Sprintf("CLIENT UNBLOCK %d%s\r\n", id, x.words))
			if other.raw() == ":1\r\n" {
				break
			}
			if time.Since(fuse) > time.Minute {
				t.Fatal("it does not wait")
			}
		}
		p.want(x.want)
	}
	other.send(fmt.Sprintf("CLIENT UNBLOCK %d\r\nCLIENT UNBLOCK 999999\r\nCLIENT UNBLOCK x\r\nCLIENT UNBLOCK 1 NOW\r\nCLIENT UNBLOCK\r\n", id))
	other.want(":0\r\n:0\r\n-ERR value is not an integer or out of range\r\n-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n-ERR wrong number of arguments for 'client|unblock' command\r\n")
}
