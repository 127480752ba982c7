package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// The load is 2,000 operations a second: majority writes, asynchronous writes
// with the token that names each, and reads.
const (
	workers       = 4
	majorityEvery = 20 * time.Millisecond  // of each worker: 200 a second
	asyncEvery    = 5 * time.Millisecond   // 800 a second
	readEvery     = 4 * time.Millisecond   // 1,000 a second
	callLimit     = 300 * time.Millisecond // of a call on a connection of our own
)

// every calls f at a pace until the context ends.
func every(ctx context.Context, wg *sync.WaitGroup, pace time.Duration, f func(i int)) {
	wg.Add(1)
	go func() {
		defer wg.Done()
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f(i)
			}
		}
	}()
}

func readLoad(ctx context.Context, wg *sync.WaitGroup, c *client.Client) {
	for worker := range workers {
		every(ctx, wg, readEvery, func(i int) {
			one, cancel := context.WithTimeout(ctx, callLimit)
			defer cancel()
			_, _ = c.Get(one, fmt.Sprintf("majority:%d:%d", worker, i%100))
		})
	}
}

// majorityWrites are the newest majority writes that were acknowledged, by key.
type majorityWrites struct {
	mu  sync.Mutex
	max map[string]int
	n   int
}

// majorityLoad writes rising numbers at the majority level.
func majorityLoad(ctx context.Context, t *testing.T, wg *sync.WaitGroup, addrs []string) *majorityWrites {
	t.Helper()
	cfg := client.DefaultConfig(addrs)
	cfg.Durability = "majority"
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a := &majorityWrites{max: map[string]int{}}
	for worker := range workers {
		every(ctx, wg, majorityEvery, func(i int) {
			key := fmt.Sprintf("majority:%d:%d", worker, i%100)
			if c.Set(ctx, key, []byte(strconv.Itoa(i))) == nil {
				a.mu.Lock()
				a.max[key], a.n = i, a.n+1
				a.mu.Unlock()
			}
		})
	}
	return a
}

// verify reads every key again: what was acknowledged, or something newer, must
// be there.
func (a *majorityWrites) verify(t *testing.T, c *client.Client, least int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	lost := 0
	for key, want := range a.max {
		v, err := c.Get(ctx, key)
		got, _ := strconv.Atoi(string(v))
		if err != nil || got < want {
			lost++
			t.Errorf("%s: %d was acknowledged by a majority, %q is there (%v)", key, want, v, err)
		}
	}
	t.Logf("%d majority writes acknowledged, %d keys lost", a.n, lost)
	if a.n < least {
		t.Errorf("only %d majority writes were acknowledged", a.n)
	}
}

// asyncWrite is a write that was answered with OK, with the version that the
// connection's token gave it.
type asyncWrite struct {
	key     string
	shard   shardmap.ShardID
	version uint64
}

// asyncWrites are the acknowledged asynchronous writes that were not judged yet.
// Every key is written once, so what is not there is lost.
type asyncWrites struct {
	addrs []string

	mu      sync.Mutex
	cluster string // the cluster id that tokens begin with
	acked   []asyncWrite
}

func asyncLoad(ctx context.Context, wg *sync.WaitGroup, addrs []string) *asyncWrites {
	a := &asyncWrites{addrs: addrs}
	tags := groupKeys()
	for worker := range workers {
		lines := lines{}
		where := map[string]string{} // tag -> the node that serves it
		every(ctx, wg, asyncEvery, func(i int) {
			tag := tags[i%len(tags)]
			if where[tag] == "" {
				where[tag] = addrs[i%len(addrs)]
			}
			key := fmt.Sprintf("async:{%s}:%d:%d", tag, worker, i)
			if moved := a.write(lines, where[tag], key, "v"); moved != "" {
				where[tag] = moved
			}
		})
	}
	return a
}

// write sets a key and asks for the token in one packet. It gives the node to ask
// next time.
func (a *asyncWrites) write(l lines, addr, key, value string) (next string) {
	answers, err := l.call(addr, fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\nAEGIS.TOKEN\r\n", len(key), key, len(value), value), 2)
	if err != nil {
		return a.addrs[(slices.Index(a.addrs, addr)+1)%len(a.addrs)]
	}
	if f := strings.Fields(answers[0]); len(f) == 3 && f[0] == "-MOVED" {
		return dialable(f[2])
	}
	if answers[0] != "+OK" {
		return ""
	}
	w := asyncWrite{key: key, shard: shardOf(key)}
	parts := strings.SplitN(answers[1], ":", 3)
	for _, m := range strings.Split(parts[len(parts)-1], ",") {
		if s, v, _ := strings.Cut(m, "."); s == strconv.Itoa(int(w.shard)) {
			w.version, _ = strconv.ParseUint(v, 10, 64)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster = parts[1]
	a.acked = append(a.acked, w)
	return ""
}

// dialable puts the brackets around an IPv6 host that a redirect leaves out.
func dialable(addr string) string {
	colon := strings.LastIndexByte(addr, ':')
	return net.JoinHostPort(addr[:colon], addr[colon+1:])
}

// judge compares what is there with what the nodes say of every acknowledged
// write since the last time: what is gone must be reported lost by one of them,
// and nothing that is there may be. It gives how many writes were lost.
func (a *asyncWrites) judge(t *testing.T, c *client.Client) (judged, lost int) {
	t.Helper()
	a.mu.Lock()
	writes := a.acked
	a.acked = nil
	a.mu.Unlock()
	l := lines{}
	defer l.close()
	for chunk := range slices.Chunk(writes, 100) {
		reported := a.reported(t, l, chunk)
		for i, there := range present(t, c, chunk) {
			if !there {
				lost++
			}
			if there == reported[i] {
				t.Errorf("%+v: there %v, reported lost %v", chunk[i], there, reported[i])
			}
		}
	}
	return len(writes), lost
}

// reported asks all nodes for their verdict.
func (a *asyncWrites) reported(t *testing.T, l lines, writes []asyncWrite) []bool {
	t.Helper()
	var token strings.Builder
	for i, w := range writes {
		fmt.Fprintf(&token, "%s%d.%d", []string{"", ","}[min(i, 1)], w.shard, w.version)
	}
	lost := make([]bool, len(writes))
	for _, addr := range a.addrs {
		// A row is the header of three, the shard, the version and the word.
		answers, err := l.call(addr, fmt.Sprintf("AEGIS.CHECK 1:%s:%s\r\n", a.cluster, token.String()), 1+4*len(writes))
		if err != nil {
			t.Errorf("no verdicts from %s: %v", addr, err)
			continue
		}
		for i := range writes {
			lost[i] = lost[i] || answers[1+4*i+3] == "lost"
		}
	}
	return lost
}

// present reads keys.
func present(t *testing.T, c *client.Client, writes []asyncWrite) []bool {
	t.Helper()
	there := make([]bool, len(writes))
	var wg sync.WaitGroup
	for i, w := range writes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := c.Get(ctx, w.key)
			if err != nil && !errors.Is(err, client.ErrNotFound) {
				t.Errorf("%s: %v", w.key, err)
			}
			there[i] = err == nil
		}()
	}
	wg.Wait()
	return there
}

// lines are plain connections by address: no client stands between the test and
// what a node says.
type lines map[string]*line

type line struct {
	net.Conn
	in *bufio.Reader
}

// call sends commands and reads n answers; arrays count as their header and items.
func (l lines) call(addr, commands string, n int) ([]string, error) {
	c := l[addr]
	if c == nil {
		conn, err := net.DialTimeout("tcp", addr, callLimit)
		if err != nil {
			return nil, err
		}
		c = &line{conn, bufio.NewReaderSize(conn, 64<<10)}
		l[addr] = c
	}
	answers, err := c.exchange(commands, n)
	if err != nil {
		_ = c.Close()
		delete(l, addr)
	}
	return answers, err
}

func (l lines) close() {
	for _, c := range l {
		_ = c.Close()
	}
}

func (c *line) exchange(commands string, n int) ([]string, error) {
	_ = c.SetDeadline(time.Now().Add(callLimit))
	if _, err := c.Write([]byte(commands)); err != nil {
		return nil, err
	}
	answers := make([]string, 0, n)
	for len(answers) < n {
		text, err := c.in.ReadString('\n')
		if err == nil && text[0] == '$' {
			text, err = c.in.ReadString('\n')
		}
		if err != nil {
			return nil, err
		}
		answers = append(answers, strings.TrimRight(text, "\r\n"))
		if text[0] == '-' && len(answers) == 1 && n > 2 {
			return nil, errors.New(text)
		}
	}
	return answers, nil
}
