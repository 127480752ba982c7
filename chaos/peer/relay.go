package peer

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// fence decides which nodes hear each other. Nodes dial from addresses of their own,
// so a relay knows who speaks; clients come from elsewhere and are always let through.
type fence struct {
	mu     sync.Mutex
	change *sync.Cond
	cut    map[int]bool
	closed bool
	conns  map[net.Conn]bool
	held   atomic.Int64 // bytes and connections that had to wait
}

func newFence() *fence {
	f := &fence{cut: map[int]bool{}, conns: map[net.Conn]bool{}}
	f.change = sync.NewCond(&f.mu)
	return f
}

// set cuts a node off from all others, or lets it back.
func (f *fence) set(node int, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut[node] = cut
	f.change.Broadcast()
}

// pass waits until bytes may go between two nodes: as in a network that loses all
// packets, sockets stay open and what was sent arrives afterwards. It answers false
// when everything is over.
func (f *fence) pass(from, to, bytes int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from >= 0 && (f.cut[from] || f.cut[to]) {
		f.held.Add(int64(bytes))
	}
	for from >= 0 && (f.cut[from] || f.cut[to]) && !f.closed {
		f.change.Wait()
	}
	return !f.closed
}

// keep remembers a connection until the end; false when that has come.
func (f *fence) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[c] = true
	return !f.closed
}

func (f *fence) drop(c net.Conn) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

func (f *fence) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.conns {
		_ = c.Close()
	}
	f.change.Broadcast()
}

// relay stands before a port of a node.
type relay struct {
	fence *fence
	node  int
	back  string
	who   func(net.Addr) int // which node dials, -1 for clients
	l     net.Listener
}

func (r *relay) serve() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return
		}
		go r.carry(c)
	}
}

func (r *relay) carry(c net.Conn) {
	defer r.fence.drop(c)
	from := r.who(c.RemoteAddr())
	if !r.fence.keep(c) || !r.fence.pass(from, r.node, 1) {
		return
	}
	o, err := net.Dial("tcp", r.back)
	if err != nil {
		return
	}
	defer r.fence.drop(o)
	if !r.fence.keep(o) {
		return
	}
	go func() { r.pump(o, c, from); _ = c.Close() }()
	r.pump(c, o, from)
}

// pump moves bytes one way while they may go.
func (r *relay) pump(src io.Reader, dst io.Writer, from int) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && !r.fence.pass(from, r.node, n) {
			return
		}
		if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}
