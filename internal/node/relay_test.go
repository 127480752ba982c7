package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/transport"
)

// relay stands before a node's cluster port, streams and packets, and can lose
// what comes on the ack connections to that node, and break connections.
type relay struct {
	swallow atomic.Bool
	gone    atomic.Int64 // reads of acks that were lost
	mu      sync.Mutex
	conns   map[net.Conn]transport.Class
}

// helloClass is where a peer's first bytes name the class of the connection.
const helloClass = 50

func startRelay(t *testing.T, front, back string) *relay {
	t.Helper()
	r := &relay{conns: map[net.Conn]transport.Class{}}
	l, err := net.Listen("tcp", front)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", front)
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.Dial("udp", back)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); pc.Close(); to.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, _, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = to.Write(buf[:n])
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(c, back)
		}
	}()
	return r
}

func (r *relay) carry(c net.Conn, back string) {
	defer c.Close()
	head := make([]byte, helloClass+1)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	o, err := net.Dial("tcp", back)
	if err != nil {
		return
	}
	defer o.Close()
	class := transport.Class(head[helloClass])
	r.mu.Lock()
	r.conns[c] = class
	r.mu.Unlock()
	_, _ = o.Write(head)
	go func() { _, _ = io.Copy(c, o); c.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if class == transport.Ack && r.swallow.Load() {
			r.gone.Add(1)
			continue
		}
		if _, err := o.Write(buf[:n]); err != nil {
			return
		}
	}
}

// end breaks the connections of a class that stand.
func (r *relay) end(class transport.Class) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, is := range r.conns {
		if is == class {
			c.Close()
			delete(r.conns, c)
		}
	}
}

// startRelayed runs n nodes whose cluster ports stand behind relays.
func startRelayed(t *testing.T, n int) ([]*Node, []*relay) {
	t.Helper()
	ports := freePorts(t, 3*n)
	for i, addr := range ports {
		_, ports[i], _ = net.SplitHostPort(addr)
	}
	dir := t.TempDir()
	nodes, relays := make([]*Node, n), make([]*relay, n)
	for i := range nodes {
		cfg := DefaultConfig()
		cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes, cfg.LeaseProfile = fmt.Sprintf("n%d", i+1), dir, 64<<20, "noisy"
		cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = "127.0.0.1:"+ports[3*i], "127.0.0.1:"+ports[3*i+1], "127.0.0.1:"+ports[3*i+2]
		cfg.Advertise = "127.0.0.2"
		for j := range n {
			cfg.Seeds = append(cfg.Seeds, "127.0.0.1:"+ports[3*j+2])
		}
		relays[i] = startRelay(t, "127.0.0.2:"+ports[3*i+1], cfg.ClusterAddr)
		var err error
		if nodes[i], err = New(cfg, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- node.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
	}
	return nodes, relays
}

// TestAFollowerIsHeardAgainAfterItsAcksWereLost breaks all streams as a firewall does
// that forgot its connections. The data connection is dialled again first; the
// follower answers the Hello on its old ack connection, which is dead and has not
// found out. Nobody says that answer again: the follower is not streamed to for as
// long as the new data connection stands.
func TestAFollowerIsHeardAgainAfterItsAcksWereLost(t *testing.T) {
	nodes, relays := startRelayed(t, 3)
	r := replicated(t, nodes)
	for _, l := range relays {
		l.swallow.Store(true)
		l.end(transport.Data)
	}
	few := func(l *relay) bool { return l.gone.Load() < 5 } // dialled again, Hello, State, and Ticks since
	for begun := time.Now(); time.Since(begun) < 2*time.Second && slices.ContainsFunc(relays, few); {
		time.Sleep(time.Millisecond)
	}
	for _, l := range relays {
		l.end(transport.Ack)
		l.swallow.Store(false)
	}
	held, refused := 0, 0
	for begun := time.Now(); time.Since(begun) < 2*time.Minute && held == 0; {
		if r.pipeline(1, "", "SET", allocKey, "one"); r.answer(t) != "+OK\r\n" {
			refused++
		}
		r.pipeline(1, "", "WAIT", "1", "500")
		if got := r.answer(t); got == ":1\r\n" || got == ":2\r\n" {
			held++
		}
	}
	if held == 0 {
		t.Fatalf("20 s after every connection stands again no follower holds a new write (%d writes refused)", refused)
	}
}
