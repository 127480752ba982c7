package redis

import (
	"fmt"
	"strings"
	"testing"
)

// TestGatewayGivesTrackedKeysBack: behind each reply that a client might cache it is told
// to forget it, wherever the key is. H are keys held here, F keys of the other node, and
// <k> in the replies is the push that takes k back.
func TestGatewayGivesTrackedKeysBack(t *testing.T) {
	const on = "HELLO 3\r\nCLIENT TRACKING ON"
	for _, x := range []struct {
		name, greet, in, out string
	}{
		{"all reads", on, "SET H0 1\r\nGET H0\r\nGET F0\r\nPING\r\nGET H1\r\n", "+OK\r\n$1\r\n1\r\n<H0>_\r\n<F0>+PONG\r\n_\r\n<H1>"},
		{"keys of both nodes", on, "MGET F0 H0\r\nEXISTS H1\r\n", "*2\r\n_\r\n_\r\n<F0 H0>:0\r\n<H1>"},
		{"commands that change, and errors", on, "GETDEL F0\r\nINCR H0\r\nGET\r\n", "_\r\n:1\r\n-ERR wrong number of arguments for 'get' command\r\n"},
		{"only what was asked for", on + " OPTIN", "GET F0\r\nCLIENT CACHING YES\r\nGET F0\r\nGET F0\r\n", "_\r\n+OK\r\n_\r\n<F0>_\r\n"},
		{"not what was refused", on + " OPTOUT", "GET F0\r\nCLIENT CACHING NO\r\nGET F0\r\nGET H0\r\n", "_\r\n<F0>+OK\r\n_\r\n_\r\n<H0>"},
		{"a transaction", on + " OPTIN", "CLIENT CACHING YES\r\nMULTI\r\nPTTL F0\r\nGET F0\r\nEXEC\r\nGET F0\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:-2\r\n_\r\n<F0 F0>_\r\n"},
		{"a transaction here", on, "MULTI\r\nGET H0\r\nSET H0 1\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n_\r\n+OK\r\n<H0>"},
		{"prefixes", on + " BCAST PREFIX key", "GET F0\r\nGET other\r\n", "_\r\n<F0>_\r\n"},
		{"turned off", on, "CLIENT TRACKING OFF\r\nGET F0\r\n", "+OK\r\n_\r\n"},
		{"RESP2 has no pushes", "CLIENT TRACKING ON", "GET F0\r\n", "$-1\r\n"},
		{"to another connection", "PING", "CLIENT TRACKING ON REDIRECT 1\r\nCLIENT MAINT_NOTIFICATIONS ON\r\n", "-ERR CLIENT TRACKING with REDIRECT is not available on the gateway port: use the client port\r\n-ERR moves of shards are not told on the gateway port, which follows them by itself\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := startPair(t)
			here, far := p.keysOf(1, 2), p.keysOf(2, 1)
			named := strings.NewReplacer("H0", here[0], "H1", here[1], "F0", far[0])
			c := dial(t, p.addr)
			for line := range strings.SplitSeq(x.greet, "\r\n") {
				c.do(strings.Fields(line)...)
			}
			c.send(named.Replace(x.in))
			c.want(takenBack(named.Replace(x.out)))
			if n := p.srv.tracker.trackers(); n != 0 {
				t.Errorf("%d connections are remembered", n)
			}
		})
	}
}

// takenBack writes <key ...> as the push that it stands for.
func takenBack(text string) string {
	for {
		before, rest, more := strings.Cut(text, "<")
		if !more {
			return text
		}
		keys, after, _ := strings.Cut(rest, ">")
		names := strings.Fields(keys)
		push := fmt.Sprintf(">2\r\n$10\r\ninvalidate\r\n*%d\r\n", len(names))
		for _, k := range names {
			push += fmt.Sprintf("$%d\r\n%s\r\n", len(k), k)
		}
		text = before + push + after
	}
}
