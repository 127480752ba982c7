package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/judge"
)

// redirectScript is said by T, who tracks and redirects to R, by R and by W, who does
// neither. What T and R receive must be what redis-server sends them. $R is R's id.
const redirectScript = `
T CLIENT TRACKING ON REDIRECT $R
T GET a
W SET a 0
R HELLO 3
T GET a
W SET a 1
R HELLO 2
T GET a
W SET a 0
T CLIENT TRACKING OFF
T CLIENT TRACKING ON REDIRECT x
T CLIENT TRACKING ON REDIRECT 999999999
T CLIENT TRACKING ON REDIRECT
R SUBSCRIBE __redis__:invalidate
R SUBSCRIBE __redis__:invalidate __redis__:invalidate
R GET a
R CLIENT ID
R PING
R PING x
T CLIENT TRACKING ON REDIRECT $R REDIRECT $R
T CLIENT TRACKING ON REDIRECT $R
T CLIENT TRACKINGINFO
T CLIENT GETREDIR
W SET a 1
T GET a
W SET a 2
W SET a 3
T GET a
T SET a 4
T MGET {t}1 {t}2
W MSET {t}1 x {t}2 y
T GET a
W FLUSHALL
T CLIENT TRACKING ON REDIRECT $R NOLOOP
T GET a
T SET a 1
T CLIENT TRACKINGINFO
T CLIENT TRACKING OFF
T GET a
W SET a 1
T CLIENT TRACKING ON BCAST REDIRECT $R PREFIX a: PREFIX b:
W MSET a:1{t} 1 a:2{t} 2 c:1{t} 1
T MSET a:1{t} 1 a:2{t} 2 c:1{t} 1
W MULTI
W SET b:1{t} 1
W SET c:1{t} 1
W SET b:2{t} 1
W EXEC
W SET b:1{t} 1
W FLUSHALL
T CLIENT TRACKING OFF
T CLIENT TRACKING ON REDIRECT $R
T GET b:3
T CLIENT TRACKING OFF
T CLIENT TRACKING ON BCAST REDIRECT $R PREFIX b:
W SET b:3 1
T CLIENT TRACKING OFF
T CLIENT TRACKING ON OPTIN REDIRECT $R
T GET a
W SET a 1
T CLIENT CACHING YES
T GET a
W SET a 2
T HELLO 3
T CLIENT CACHING YES
T GET a
W SET a 3
T CLIENT TRACKING OFF
T CLIENT TRACKING ON REDIRECT $R
R UNSUBSCRIBE
R UNSUBSCRIBE
R UNSUBSCRIBE x
T GET a
W SET a 1
R HELLO 3
T GET a
W SET a 2
R SUBSCRIBE __redis__:invalidate
R GET a
R PING x
T GET a
W SET a 3
R UNSUBSCRIBE __redis__:invalidate
T CLIENT TRACKING ON
T CLIENT GETREDIR
T GET a
W SET a 4
T CLIENT TRACKING ON REDIRECT $R
T GET a
R QUIT
W SET a 5
T CLIENT TRACKINGINFO
T CLIENT TRACKING ON REDIRECT $R
T GET a
`

func TestRedirectedInvalidationsAreThoseOfRedis(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	real := judge.Start(t)
	_, addr := start(t, testConfig(), newMemory())
	ours, theirs := newTrio(t, addr), newTrio(t, real)
	for _, line := range strings.Split(strings.TrimSpace(redirectScript), "\n") {
		got, want := ours.say(line), theirs.say(line)
		if strings.Contains(line, "HELLO") { // the fields differ
			continue
		}
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
	}
}

// trio is three connections to one server.
type trio struct {
	peers map[byte]*peer
	id    string // of R
}

func newTrio(t *testing.T, addr string) *trio {
	x := &trio{peers: map[byte]*peer{}}
	for _, name := range "TRW" {
		x.peers[byte(name)] = dial(t, addr)
	}
	x.peers['R'].send("CLIENT ID\r\n")
	x.id = strings.Trim(x.peers['R'].raw(), ":\r\n")
	return x
}

// say says a line and gives all that T and R then receive.
func (x *trio) say(line string) (received string) {
	_, words, _ := strings.Cut(line, " ")
	x.peers[line[0]].send(strings.ReplaceAll(words, "$R", x.id) + "\r\n")
	switch {
	case line[0] == 'W':
		x.peers['W'].raw()
	case words == "QUIT":
		defer delete(x.peers, line[0])
	}
	for _, name := range []byte("TR") {
		if p := x.peers[name]; p != nil {
			received += fmt.Sprintf("%c: %s", name, strings.ReplaceAll(x.drain(p, words == "QUIT" && name == line[0]), ":"+x.id+"\r\n", ":R\r\n"))
		}
	}
	return received
}

// drain is what a connection has received, to its end if it ends.
func (x *trio) drain(p *peer, ends bool) (received string) {
	if ends {
		return p.raw()
	}
	p.send("PING end\r\n")
	for {
		frame := p.raw()
		if strings.HasSuffix(frame, "$3\r\nend\r\n") {
			return received
		}
		received += frame
	}
}

// TestOnlyInvalidationsCanBeSubscribedTo: a client that wants messages is told that it
// will not have them, rather than left waiting.
func TestOnlyInvalidationsCanBeSubscribedTo(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	p.send("SUBSCRIBE news\r\nSUBSCRIBE __redis__:invalidate news\r\nGET k\r\nMULTI\r\nSUBSCRIBE __redis__:invalidate\r\nUNSUBSCRIBE\r\nDISCARD\r\n")
	const none = "-ERR messages are not passed between clients: there is one channel, __redis__:invalidate\r\n"
	p.want(none + none + "$-1\r\n+OK\r\n-ERR SUBSCRIBE inside MULTI is not allowed\r\n-ERR UNSUBSCRIBE inside MULTI is not allowed\r\n+OK\r\n")
	p.send("SUBSCRIBE __redis__:invalidate\r\nRESET\r\nGET k\r\n")
	p.want("*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n+RESET\r\n$-1\r\n")
}

// TestTheTableOfTrackedKeysCanBeMadeSmaller: what has no room any more is taken back,
// and the figures of INFO follow.
func TestTheTableOfTrackedKeysCanBeMadeSmaller(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	a, b := dial(t, addr), dial(t, addr)
	for _, p := range []*peer{a, b} {
		p.do("HELLO", "3")
		p.do("CLIENT", "TRACKING", "ON")
		for i := range 20 {
			p.do("GET", fmt.Sprint(i))
		}
	}
	figures := func(keys, items string) {
		t.Helper()
		info := string(b.do("INFO", "stats").Text)
		for _, want := range []string{"\r\ntracking_total_keys:" + keys + "\r\n", "\r\ntracking_total_items:" + items + "\r\n"} {
			if !strings.Contains(info, want) {
				t.Errorf("no %q in %s", want, info)
			}
		}
	}
	figures("20", "40")
	b.send("CLIENT TRACKING OFF\r\nCONFIG SET tracking-table-max-keys 0\r\nCONFIG SET tracking-table-max-keys 5\r\n")
	b.want("+OK\r\n-ERR CONFIG SET failed (possibly related to argument 'tracking-table-max-keys') - argument must be between 1 and 9223372036854775807 inclusive\r\n+OK\r\n")
	for range 15 {
		if frame := a.raw(); !strings.HasPrefix(frame, ">2\r\n$10\r\ninvalidate\r\n*1\r\n") {
			t.Fatalf("%q", frame)
		}
	}
	figures("5", "10")
}
