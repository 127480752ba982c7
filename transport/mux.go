package transport

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Class is a kind of traffic with a connection of its own.
type Class byte

// Classes. Control carries raft and questions, Data the replication stream, Ack
// its acknowledgements, Bulk pulls and copies, Lease the lease packets when UDP
// does not get through.
const (
	Control Class = iota + 1
	Data
	Ack
	Bulk
	Lease
)

var classes = [...]Class{Control, Data, Ack, Bulk, Lease}

// Network makes connections; TLS will be another one.
type Network interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
	ListenPacket(addr string) (net.PacketConn, error)
}

// TCP is the plain Network.
type TCP struct{}

// Listen opens a TCP listener.
func (TCP) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// Dial connects; names are resolved each time.
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
}

// ListenPacket opens a UDP socket.
func (TCP) ListenPacket(addr string) (net.PacketConn, error) { return net.ListenPacket("udp", addr) }

// Handler takes what arrives. Frame and Datagram are called from many
// goroutines, but one at a time per connection; bytes are valid during the call.
type Handler interface {
	// Frame brings one frame of a peer. An error ends the connection.
	Frame(from Identity, class Class, conn uint64, frame []byte) error
	// Datagram brings a lease packet; overTCP says which way it came.
	Datagram(from Identity, packet []byte, overTCP bool)
	// Up says that this node's own connection of a class to a peer stands.
	Up(peer shardmap.NodeID, class Class, conn uint64)
	// Down says that it has ended.
	Down(peer shardmap.NodeID, class Class, conn uint64)
	// Next gives the next Data or Ack frame for a peer, appended to buf; empty when there is none.
	Next(peer shardmap.NodeID, class Class, buf []byte) []byte
	// Refused reports a handshake that failed, once per peer and reason.
	Refused(peer shardmap.NodeID, addr string, err error)
}

// Config fixes how a Mux behaves.
type Config struct {
	Self    Identity
	Secret  []byte // nil: authenticators show damage only, not who speaks
	Network Network
	// ControlQueueMax and BulkQueueMax bound what waits for one peer, in bytes.
	ControlQueueMax int
	BulkQueueMax    int
	// QueuesMax bounds what waits for all peers together, in bytes; 0 = not. A peer for
	// which nothing waits gets a frame all the same.
	QueuesMax int64
}

const (
	dialTimeout      = time.Second
	handshakeTimeout = 2 * time.Second
	writeTimeout     = 10 * time.Second
	retryMin         = 20 * time.Millisecond
	retryMax         = time.Second
	greetingMax      = 256 // inbound connections that have not finished the handshake
	controlQueueMax  = 8 << 20
	bulkQueueMax     = 96 << 20
)

// Mux is a node's end of all connections to its peers.
type Mux struct {
	cfg     Config
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	ln      net.Listener
	udp     *datagrams

	mu       sync.Mutex // guards the rest
	peers    map[shardmap.NodeID]*peer
	inbound  map[net.Conn]Link
	greeting []net.Conn // those of inbound whose handshake is under way, oldest first
	nextConn uint64

	queued [Lease + 1]atomic.Int64 // bytes of each class that wait for peers
}

// New listens on addr, TCP and UDP, and serves peers until Close.
func New(cfg Config, h Handler, ln net.Listener, pc net.PacketConn) *Mux {
	if cfg.ControlQueueMax == 0 {
		cfg.ControlQueueMax = controlQueueMax
	}
	if cfg.BulkQueueMax == 0 {
		cfg.BulkQueueMax = bulkQueueMax
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mux{
		cfg: cfg, handler: h, ctx: ctx, cancel: cancel, ln: ln,
		peers: make(map[shardmap.NodeID]*peer), inbound: make(map[net.Conn]Link),
		nextConn: cfg.Self.Counter << 32,
	}
	m.udp = newDatagrams(cfg, pc, h)
	m.wg.Add(2)
	go m.accept()
	go func() { defer m.wg.Done(); m.udp.receive() }()
	return m
}

// SetPeers says who the peers are and where; addresses may change at any time.
func (m *Mux) SetPeers(addrs map[shardmap.NodeID]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, p := range m.peers {
		if _, stays := addrs[id]; !stays {
			p.cancel()
			delete(m.peers, id)
		}
	}
	for id, addr := range addrs {
		if p := m.peers[id]; p != nil {
			p.setAddr(addr)
			continue
		}
		if m.ctx.Err() != nil {
			continue
		}
		p := newPeer(m, id, addr)
		m.peers[id] = p
		for _, c := range classes {
			m.wg.Add(1)
			go func() { defer m.wg.Done(); p.run(c) }()
		}
	}
	m.udp.setPeers(addrs)
}

// Hint names a second address where a peer may be, "" none. It is dialled in turn
// with the first; only who proves in the handshake to be that peer is spoken to, so
// a wrong hint costs a dial. Lease packets go there once a handshake succeeded.
func (m *Mux) Hint(id shardmap.NodeID, addr string) {
	if p := m.peer(id); p != nil {
		p.setHint(addr)
	}
}

func (m *Mux) peer(id shardmap.NodeID) *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers[id]
}

// Link is a connection between this node and another one.
type Link struct {
	Peer        shardmap.NodeID
	Inbound     bool // the peer has dialled it
	Since       time.Time
	QueuedBytes int64 // that wait to be sent
}

// Links lists the connections that stand, by peer, this node's own before the others.
func (m *Mux) Links() (all []Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		all = p.links(all)
	}
	for _, l := range m.inbound {
		if l.Peer != 0 {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Link) int {
		switch {
		case a.Peer != b.Peer:
			return cmp.Compare(a.Peer, b.Peer)
		case a.Inbound != b.Inbound && b.Inbound:
			return -1
		case a.Inbound != b.Inbound:
			return 1
		}
		return a.Since.Compare(b.Since)
	})
	return all
}

// Send queues a copy of a frame of class Control, Bulk or Lease; false when the
// peer is unknown or its queue is full. It never blocks.
func (m *Mux) Send(to shardmap.NodeID, class Class, frame []byte) bool {
	p := m.peer(to)
	return p != nil && p.enqueue(class, frame)
}

// QueuedBytes is what waits for all peers.
func (m *Mux) QueuedBytes() (n int64) {
	for i := range m.queued {
		n += m.queued[i].Load()
	}
	return n
}

// room says whether a frame of a class may wait too. What is small and urgent has a part of
// its own, which bulk cannot fill.
func (m *Mux) room(class Class, n int) bool {
	most := m.cfg.QueuesMax / 4
	if class == Bulk {
		most *= 3
	}
	return m.cfg.QueuesMax == 0 || m.queued[class].Load()+int64(n) <= most
}

// Wake says that Next has something of a class for a peer.
func (m *Mux) Wake(to shardmap.NodeID, class Class) {
	if p := m.peer(to); p != nil {
		p.wake(class)
	}
}

// Datagram sends a lease packet, by UDP or over its own TCP connection.
func (m *Mux) Datagram(to shardmap.NodeID, packet []byte, overTCP bool) {
	if overTCP {
		m.Send(to, Lease, packet)
		return
	}
	m.udp.send(to, packet)
}

// Close ends every connection and waits for all goroutines.
func (m *Mux) Close() {
	m.cancel()
	m.ln.Close()
	m.udp.close()
	m.mu.Lock()
	for c := range m.inbound {
		c.Close()
	}
	m.mu.Unlock()
	m.wg.Wait()
}

func (m *Mux) accept() {
	defer m.wg.Done()
	for {
		c, err := m.ln.Accept()
		if err != nil {
			if m.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of descriptors: others may close
			case <-time.After(50 * time.Millisecond):
				continue
			case <-m.ctx.Done():
				return
			}
		}
		m.enter(c)
		m.wg.Add(1)
		go func() {
			defer m.wg.Done()
			m.receive(c)
			c.Close()
			m.left(c)
		}()
	}
}

// enter takes in a connection that has yet to say who it is. Where too many do, the
// oldest is closed: a peer says it at once, so turning newcomers away instead would
// let silent connections keep peers out.
func (m *Mux) enter(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inbound[c] = Link{}
	if len(m.greeting) >= greetingMax {
		m.greeting[0].Close()
		m.greeting = slices.Delete(m.greeting, 0, 1)
	}
	m.greeting = append(m.greeting, c)
}

// greeted notes who a connection is of.
func (m *Mux) greeted(c net.Conn, l Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inbound[c] = l
	m.stopGreeting(c)
}

func (m *Mux) left(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.inbound, c)
	m.stopGreeting(c)
}

// stopGreeting takes a connection off those whose handshake is under way. The caller
// holds the mutex.
func (m *Mux) stopGreeting(c net.Conn) {
	if i := slices.Index(m.greeting, c); i >= 0 {
		m.greeting = slices.Delete(m.greeting, i, i+1)
	}
}

// receive serves one connection that a peer dialled.
func (m *Mux) receive(c net.Conn) {
	if m.ctx.Err() != nil {
		return
	}
	_ = c.SetDeadline(time.Now().Add(handshakeTimeout))
	h, err := acceptHandshake(c, m.cfg.Self, m.cfg.Secret)
	if err != nil {
		var r *RefusedError
		if errors.As(err, &r) {
			m.handler.Refused(h.id.Node, c.RemoteAddr().String(), err)
		}
		return
	}
	m.greeted(c, Link{Peer: h.id.Node, Inbound: true, Since: time.Now()})
	_ = c.SetDeadline(time.Time{})
	r := frameReader{src: bufio.NewReaderSize(newStream(c), 64<<10)}
	for {
		frame, err := r.next()
		if err != nil {
			if errors.Is(err, ErrFrame) {
				m.handler.Refused(h.id.Node, c.RemoteAddr().String(), err)
			}
			return
		}
		if h.class == Lease {
			m.handler.Datagram(h.id, frame, true)
		} else if err := m.handler.Frame(h.id, h.class, h.conn, frame); err != nil {
			m.handler.Refused(h.id.Node, c.RemoteAddr().String(), fmt.Errorf("frame: %w", err))
			return
		}
		r.trim()
	}
}

// newConnNumber numbers the connections that this node dials: rising from one start
// to the next as well, because receivers drop the frames of a lower number. A wall
// clock would not do: it may go back between two starts.
func (m *Mux) newConnNumber() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nextConn++
	return m.nextConn
}
