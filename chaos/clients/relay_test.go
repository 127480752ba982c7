package clients

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// relays stand before the cluster ports of nodes, streams and packets, and can cut one
// node off from the others. Clients and gossip go their own way.
type relays struct {
	mu    sync.Mutex
	ids   map[uint32]int   // which node an id is, learned from what its relay is asked for
	conns map[net.Conn]int // who dialled, of the connections that stand
	to    map[net.Conn]int // whom

	cut   atomic.Int32 // one more than the node that is cut off
	kept  atomic.Int64 // packets and streams that were not let through
	ports []int        // cluster ports
}

// Where a peer's first bytes name the dialler and whom it wants.
const (
	helloFrom = 26
	helloTo   = 46
	helloHead = 51
)

// launchRelayed starts three nodes that reach each other through relays: they announce
// another address of this machine than the one their cluster ports listen on.
func launchRelayed(t *testing.T, memory string) ([]*restartable, *relays) {
	t.Helper()
	base := freeBlock(t, portsEach*3)
	r := &relays{ids: map[uint32]int{}, conns: map[net.Conn]int{}, to: map[net.Conn]int{}}
	r.cut.Store(0)
	var lines []string
	for i, line := range contract {
		port := base + i*portsEach + 1
		r.ports = append(r.ports, port)
		lines = append(lines, fmt.Sprintf("%s --cluster-addr 127.0.0.1:%d --advertise 127.0.0.2 --max-memory-bytes %s", onPorts(line, base), port, memory))
	}
	for i := range r.ports {
		r.stand(t, i)
	}
	nodes := prepare(t, lines...)
	for _, n := range nodes {
		n.start(t)
	}
	awaitMap(t, addresses(nodes))
	return nodes, r
}

// stand begins to relay what is for a node.
func (r *relays) stand(t *testing.T, i int) {
	t.Helper()
	front, back := fmt.Sprint("127.0.0.2:", r.ports[i]), fmt.Sprint("127.0.0.1:", r.ports[i])
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
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if r.apart(r.byPort(from.(*net.UDPAddr).Port), i) {
				r.kept.Add(1)
			} else {
				_, _ = to.Write(buf[:n])
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(c, i, back)
		}
	}()
}

// byPort is the node that sends from a port, -1 when it is none's.
func (r *relays) byPort(port int) int {
	for i, p := range r.ports {
		if p == port {
			return i
		}
	}
	return -1
}

// apart says whether one of two nodes is cut off. A packet of which nobody knows the
// sender may be from it.
func (r *relays) apart(a, b int) bool {
	c := int(r.cut.Load()) - 1
	return c >= 0 && (a == c || b == c || a < 0)
}

// carry relays a stream until its end. The relay of a node learns the node's id from
// those who ask for it.
func (r *relays) carry(c net.Conn, i int, back string) {
	defer c.Close()
	head := make([]byte, helloHead)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	r.mu.Lock()
	r.ids[binary.BigEndian.Uint32(head[helloTo:])] = i
	from, known := r.ids[binary.BigEndian.Uint32(head[helloFrom:])]
	if !known {
		from = -1
	}
	refused := r.apart(from, i)
	if !refused {
		r.conns[c], r.to[c] = from, i
	}
	r.mu.Unlock()
	if refused {
		r.kept.Add(1)
		return
	}
	defer func() { r.mu.Lock(); delete(r.conns, c); delete(r.to, c); r.mu.Unlock() }()
	o, err := net.Dial("tcp", back)
	if err != nil {
		return
	}
	defer o.Close()
	_, _ = o.Write(head)
	go func() { _, _ = io.Copy(c, o); c.Close() }()
	_, _ = io.Copy(o, c)
}

// isolate cuts a node off from the others, -1 nobody.
func (r *relays) isolate(node int) {
	r.cut.Store(int32(node + 1))
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, from := range r.conns {
		if r.apart(from, r.to[c]) {
			c.Close()
		}
	}
}
