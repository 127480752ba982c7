package node

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// visitor is a client that takes whatever comes.
type visitor struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func visit(t testing.TB, addr string) *visitor {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	return &visitor{t, nc, bufio.NewReader(nc)}
}

func (c *visitor) do(args ...string) (resp.Reply, error) {
	if _, err := c.nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		return resp.Reply{}, err
	}
	return resp.ReadReply(c.r)
}

// must is do while the test's own goroutine waits for an answer that is no error.
func (c *visitor) must(line string) resp.Reply {
	c.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		v, err := c.do(strings.Fields(line)...)
		switch {
		case err != nil:
			c.t.Fatalf("%s: %v", line, err)
		case !v.IsError():
			return v
		case time.Now().After(deadline) || !strings.HasPrefix(string(v.Text), "CLUSTERDOWN"):
			c.t.Fatalf("%s: %s", line, v.Text)
		}
	}
}

// TestWatchedCountersLoseNothing: clients that read, add one and write under WATCH end
// with a counter that is the number of their successes, while others are refused.
func TestWatchedCountersLoseNothing(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	visit(t, n.cfg.ClientAddr).must("SET {c}n 0")
	const clients, each = 6, 200
	var wg sync.WaitGroup
	var refused [clients]int
	errs := make(chan error, clients)
	for i := range clients {
		c := visit(t, n.cfg.ClientAddr)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for done := 0; done < each; {
				ok, err := c.addOne()
				if err != nil {
					errs <- err
					return
				}
				if ok {
					done++
				} else {
					refused[i]++
				}
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	c := visit(t, n.cfg.ClientAddr)
	if v := c.must("GET {c}n"); string(v.Text) != fmt.Sprint(clients*each) {
		t.Errorf("%s after %d additions", v.Text, clients*each)
	}
	if v := c.must("GET {c}copy"); string(v.Text) != fmt.Sprint(clients*each) {
		t.Errorf("the copy made in the same transactions is %s", v.Text)
	}
	if refused == [clients]int{} {
		t.Error("nobody was ever refused: the clients did not meet")
	}
}

func (c *visitor) addOne() (bool, error) {
	if _, err := c.do("WATCH", "{c}n"); err != nil {
		return false, err
	}
	v, err := c.do("GET", "{c}n")
	if err != nil {
		return false, err
	}
	var n int
	if _, err := fmt.Sscan(string(v.Text), &n); err != nil {
		return false, err
	}
	next := fmt.Sprint(n + 1)
	for _, words := range [][]string{{"MULTI"}, {"SET", "{c}n", next}, {"SET", "{c}copy", next}} {
		if v, err := c.do(words...); err != nil || v.IsError() {
			return false, fmt.Errorf("%v: %s %v", words, v.Text, err)
		}
	}
	v, err = c.do("EXEC")
	return len(v.Items) == 2, err
}

// TestATransactionOnARealShard: the transcript of one, with every kind of command that
// may be in it.
func TestATransactionOnARealShard(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	c := visit(t, n.cfg.ClientAddr)
	for _, line := range []string{"FLUSHALL", "SET {a}1 x", "WATCH {a}1 {a}none", "MULTI", "MSET {a}2 y {a}3 z", "APPEND {a}1 w", "MGET {a}1 {a}2 {a}3", "DEL {a}1 {a}2 {a}4", "EXISTS {a}1 {a}3", "PING", "TIME", "CLIENT INFO", "CONFIG GET save", "INCR {a}3", "TTL {a}3", "AEGIS.DURABILITY"} {
		c.must(line)
	}
	got := c.must("EXEC")
	if len(got.Items) != 12 || string(got.Items[1].Text) != "" || got.Items[1].Int != 2 || string(got.Items[2].Items[0].Text) != "xw" || got.Items[3].Int != 2 || got.Items[4].Int != 1 || !got.Items[9].IsError() {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"MULTI", "DBSIZE", "INFO", "FLUSHALL", "DBSIZE", "WAIT 1 0", "AEGIS.TOKEN"} {
		c.must(line)
	}
	if got = c.must("EXEC"); len(got.Items) != 6 || got.Items[0].Int != 1 || got.Items[3].Int != 0 {
		t.Errorf("%+v", got)
	}
}

// TestATransactionIsCachedAsAWhole: CLIENT CACHING YES before MULTI is for all that
// EXEC reads, and what is taken back never stands inside EXEC's reply.
func TestATransactionIsCachedAsAWhole(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	c, other := visit(t, n.cfg.ClientAddr), visit(t, n.cfg.ClientAddr)
	for _, line := range []string{"SET {a}k 1", "HELLO 3", "CLIENT TRACKING ON OPTIN"} {
		c.must(line)
	}
	for round := range 3 {
		for _, line := range []string{"CLIENT CACHING YES", "MULTI", "PTTL {a}k", "GET {a}k", "SET {a}own x"} {
			c.must(line)
		}
		if v := c.must("EXEC"); v.Kind != '*' || len(v.Items) != 3 {
			t.Fatalf("round %d: %+v", round, v)
		}
		c.must("GET {a}other") // not for this one
		other.must("SET {a}other 2")
		other.must(fmt.Sprintf("SET {a}k %d", round))
		v, err := resp.ReadReply(c.r)
		if err != nil || v.Kind != '>' || string(v.Items[1].Items[0].Text) != "{a}k" {
			t.Fatalf("round %d: %+v %v, want {a}k taken back", round, v, err)
		}
	}
}
