package client

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// world is a scripted cluster that speaks real bytes over real sockets. Its nodes
// share one key space, so a value written through any of them is seen by all;
// owner says which node leads a slot, and a node that does not answers MOVED.
type world struct {
	t     *testing.T
	nodes []*fakeNode

	mu      sync.Mutex
	owner   func(shardmap.Slot) int
	epoch   uint64
	data    map[string]string
	applied map[string]int // SETs run per key
	maps    int            // CLUSTER SLOTS answered
}

// fakeNode is one listener. hook, when set, sees every command first; what it returns
// true for it has answered itself, or not at all.
type fakeNode struct {
	w    *world
	ln   net.Listener
	addr string
	resp int // highest protocol version

	mu    sync.Mutex
	hook  func(p *peer, args []string) bool
	peers []*peer
	wg    sync.WaitGroup
}

// peer is one accepted connection.
type peer struct {
	net.Conn
	node  *fakeNode
	proto int
}

func newWorld(t *testing.T, nodes int) *world {
	w := &world{t: t, data: map[string]string{}, applied: map[string]int{}, epoch: 1}
	w.owner = func(s shardmap.Slot) int { return int(s) * nodes / shardmap.Slots }
	for range nodes {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n := &fakeNode{w: w, ln: ln, addr: ln.Addr().String(), resp: 3}
		w.nodes = append(w.nodes, n)
		n.wg.Go(n.accept)
		t.Cleanup(n.stop)
	}
	return w
}

func (w *world) seeds() []string {
	var s []string
	for _, n := range w.nodes {
		s = append(s, n.addr)
	}
	return s
}

// set changes the world.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) count(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applied[key]
}

func (n *fakeNode) on(hook func(p *peer, args []string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hook = hook
}

func (n *fakeNode) stop() {
	_ = n.ln.Close()
	n.hangUp()
	n.wg.Wait()
}

// hangUp closes all connections.
func (n *fakeNode) hangUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		_ = p.Close()
	}
	n.peers = nil
}

func (n *fakeNode) accept() {
	for {
		nc, err := n.ln.Accept()
		if err != nil {
			return
		}
		p := &peer{Conn: nc, node: n, proto: 2}
		n.mu.Lock()
		n.peers = append(n.peers, p)
		n.mu.Unlock()
		n.wg.Go(func() { p.serve() })
	}
}

func (p *peer) serve() {
	defer func() { _ = p.Close() }()
	r := resp.NewReader(p, 64<<20)
	for {
		args, ok, err := r.Next()
		if err != nil {
			return
		}
		if !ok {
			if r.Fill() != nil {
				return
			}
			continue
		}
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = string(a)
		}
		p.node.mu.Lock()
		hook := p.node.hook
		p.node.mu.Unlock()
		if hook != nil && hook(p, words) {
			continue
		}
		p.say(p.node.run(p, words))
	}
}

// say writes bytes; who hung up does not hear them.
func (p *peer) say(b []byte) { _, _ = p.Write(b) }

func (n *fakeNode) run(p *peer, args []string) []byte {
	w := n.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch strings.ToUpper(args[0]) {
	case "HELLO":
		if n.resp < 3 {
			return resp.AppendError(nil, "ERR unknown command 'HELLO', with args beginning with: ")
		}
		p.proto = 3
		return resp.AppendSimple(resp.AppendSimple(resp.AppendMap(nil, 3, 1), "server"), "redis")
	case "PING":
		return resp.AppendSimple(nil, "PONG")
	case "CLIENT", "ASKING":
		return resp.AppendSimple(nil, "OK")
	case "CLUSTER":
		if strings.EqualFold(args[1], "INFO") {
			return resp.AppendBulk(nil, fmt.Sprintf("cluster_state:ok\r\ncluster_current_epoch:%d\r\n", w.epoch))
		}
		w.maps++
		return w.slotsLocked()
	}
	if len(args) == 1 {
		return resp.AppendError(nil, "ERR unknown command '"+args[0]+"'")
	}
	slot := shardmap.SlotOfString(args[1])
	if at := w.owner(slot); w.nodes[at] != n {
		return resp.AppendError(nil, fmt.Sprintf("MOVED %d %s", slot, w.nodes[at].addr))
	}
	return w.keyedLocked(args, p.proto)
}

func (w *world) keyedLocked(args []string, proto int) []byte {
	switch strings.ToUpper(args[0]) {
	case "GET":
		v, ok := w.data[args[1]]
		if !ok {
			return resp.AppendNull(nil, proto)
		}
		return resp.AppendBulk(nil, v)
	case "SET":
		w.data[args[1]] = args[2]
		w.applied[args[1]]++
		return resp.AppendSimple(nil, "OK")
	case "DEL":
		_, ok := w.data[args[1]]
		delete(w.data, args[1])
		if ok {
			return resp.AppendInt(nil, 1)
		}
		return resp.AppendInt(nil, 0)
	}
	return resp.AppendError(nil, "ERR unknown command '"+args[0]+"'")
}

func (w *world) slotsLocked() []byte {
	type row struct{ first, last, node int }
	var rows []row
	for s := range shardmap.Slots {
		at := w.owner(shardmap.Slot(s))
		if n := len(rows); n > 0 && rows[n-1].node == at {
			rows[n-1].last = s
		} else {
			rows = append(rows, row{s, s, at})
		}
	}
	b := resp.AppendArray(nil, len(rows))
	for _, r := range rows {
		host, port, err := net.SplitHostPort(w.nodes[r.node].addr)
		if err != nil {
			panic(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			panic(err)
		}
		b = resp.AppendArray(b, 3)
		b = resp.AppendInt(resp.AppendInt(b, int64(r.first)), int64(r.last))
		b = resp.AppendArray(b, 3)
		b = resp.AppendBulk(resp.AppendInt(resp.AppendBulk(b, host), int64(n)), "id")
	}
	return b
}

// quick is a configuration that gives up soon, yet not because the machine is busy.
func quick(seeds []string) Config {
	cfg := DefaultConfig(seeds)
	cfg.Timeout = 10 * time.Second
	cfg.StallTimeout = 5 * time.Second
	cfg.DialTimeout = 2 * time.Second
	return cfg
}

// stall is quick with connections that are given up after a short silence; much shorter,
// and a process that gets no processor is silent for so long.
func stall(seeds []string) Config {
	cfg := quick(seeds)
	cfg.StallTimeout = 2 * time.Second
	return cfg
}

func open1(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// keyOn is a key whose slot the node leads under the world's first division.
func keyOn(w *world, node int, prefix string) string {
	for i := 0; ; i++ {
		key := prefix + strconv.Itoa(i)
		if int(shardmap.SlotOfString(key))*len(w.nodes)/shardmap.Slots == node {
			return key
		}
	}
}

// isWord makes a hook that applies to commands of one name.
func isWord(word string, f func(p *peer, args []string) bool) func(*peer, []string) bool {
	return func(p *peer, args []string) bool {
		return strings.EqualFold(args[0], word) && f(p, args)
	}
}

func wantIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error %v is not %v", err, target)
		}
	}
}

func wantNot(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if errors.Is(err, target) {
			t.Errorf("error %v is %v", err, target)
		}
	}
}

// within fails the test when f takes longer. What a sleeping witness oversleeps
// meanwhile is the machine's, not f's.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	const nap = 5 * time.Millisecond
	stop, overslept := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTimer(nap)
		defer tick.Stop()
		var late time.Duration
		for {
			asleep := time.Now()
			select {
			case <-tick.C:
				late += time.Since(asleep) - nap
				tick.Reset(nap)
			case <-stop:
				overslept <- late
				return
			}
		}
	}()
	begun := time.Now()
	f()
	took := time.Since(begun)
	close(stop)
	if late := <-overslept; took-late > d {
		t.Errorf("took %v (a witness overslept %v of it), at most %v expected", took, late, d)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}
