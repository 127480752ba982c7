package cluster

import (
	"net"
	"sync"
	"time"
)

// relay stands before one port of a node: streams and packets.
type relay struct {
	c  *Cluster
	to int // which node it stands before
	// clients says that it stands before the port of clients: nobody else dials that.
	clients bool
	back    string
	ln      net.Listener
	pc      *net.UDPConn

	mu    sync.Mutex
	ports map[int]*returning // by the sender's port
	done  chan struct{}
}

// pieceMax is the most that a stream carries at once, and pieces how many may be on
// their way through a relay.
const (
	pieceMax = 64 << 10
	pieces   = 64
)

func newRelay(c *Cluster, to int, front, back string) (*relay, error) {
	r := &relay{c: c, to: to, clients: back == c.Nodes[to].listens(), back: back, ports: map[int]*returning{}, done: make(chan struct{})}
	var err error
	if r.ln, err = net.Listen("tcp", front); err != nil {
		return nil, err
	}
	addr, err := net.ResolveUDPAddr("udp", front)
	if err == nil {
		r.pc, err = net.ListenUDP("udp", addr)
	}
	if err != nil {
		_ = r.ln.Close()
		return nil, err
	}
	go r.accept()
	go r.packets()
	return r, nil
}

func (r *relay) close() {
	close(r.done)
	_ = r.ln.Close()
	_ = r.pc.Close()
}

func (r *relay) accept() {
	for {
		in, err := r.ln.Accept()
		if err != nil {
			return
		}
		go r.carry(in.(*net.TCPConn))
	}
}

// stream is a connection through a relay.
type stream struct {
	from, to int // nodes: who dialled, and whom
	in, out  *net.TCPConn
}

// abort breaks both halves off with a reset.
func (s *stream) abort() {
	for _, c := range []*net.TCPConn{s.in, s.out} {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// carry relays a connection until one of its ends is closed.
func (r *relay) carry(in *net.TCPConn) {
	defer in.Close()
	from := Clients
	if !r.clients {
		from = r.c.owner(in)
	}
	o, err := net.DialTimeout("tcp", r.back, time.Second)
	if err != nil {
		return // the node is down: so is its port
	}
	out := o.(*net.TCPConn)
	defer out.Close()
	s := &stream{from, r.to, in, out}
	r.c.streams.add(s)
	defer r.c.streams.remove(s)
	done := make(chan struct{})
	var once sync.Once
	end := func() {
		r.c.link(from, r.to).stay(r.done)
		once.Do(func() { close(done); _ = in.Close(); _ = out.Close() })
	}
	var wg sync.WaitGroup
	wg.Add(2)
	go func() { defer wg.Done(); defer end(); pump(out, in, r.c.link(from, r.to), done) }()
	go func() { defer wg.Done(); defer end(); pump(in, out, r.c.link(r.to, from), done) }()
	wg.Wait()
}

// piece is a part of a stream on its way.
type piece struct {
	bytes []byte
	due   time.Time
}

// pump carries one direction of a stream.
func pump(to, from net.Conn, l *link, done <-chan struct{}) {
	way := make(chan piece, pieces)
	go func() {
		defer close(way)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case way <- piece{b[:n], l.due(l.now.Load())}:
			case <-done:
				return
			}
		}
	}()
	for p := range way {
		if wait := time.Until(p.due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-done:
				return
			}
		}
		if !l.pass(done) {
			return
		}
		l.damage(p.bytes)
		if _, err := to.Write(p.bytes); err != nil {
			return
		}
	}
}

// returning is the socket that a sender's packets leave from, so that answers find back.
type returning struct{ *net.UDPConn }

// packets carries what is sent to the node.
func (r *relay) packets() {
	b := make([]byte, pieceMax)
	for {
		n, at, err := r.pc.ReadFromUDP(b)
		if err != nil {
			return
		}
		from := r.c.byPort(at.Port)
		back := r.returning(at, from)
		if back == nil {
			continue
		}
		send(r.c.link(from, r.to), append([]byte(nil), b[:n]...), func(p []byte) { _, _ = back.Write(p) })
	}
}

// send carries one packet as the rules of a direction say.
func send(l *link, p []byte, out func([]byte)) {
	r := l.now.Load()
	if r.Cut || l.chance(r.Loss) {
		l.kept.Add(1)
		return
	}
	times := 1
	if l.chance(r.Twice) {
		times = 2
	}
	for range times {
		if wait := time.Until(l.due(r)); wait > 0 {
			time.AfterFunc(wait, func() { out(p) })
		} else {
			out(p)
		}
	}
}

// returning is the socket for a sender.
func (r *relay) returning(at *net.UDPAddr, from int) *returning {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.ports[at.Port]; b != nil {
		return b
	}
	o, err := net.Dial("udp", r.back)
	if err != nil {
		return nil
	}
	b := &returning{o.(*net.UDPConn)}
	r.ports[at.Port] = b
	go func() {
		defer b.Close()
		go func() { <-r.done; _ = b.Close() }()
		p := make([]byte, pieceMax)
		for {
			n, err := b.Read(p)
			if err != nil {
				select {
				case <-r.done:
					return
				case <-time.After(10 * time.Millisecond): // the node is down
				}
				continue
			}
			send(r.c.link(r.to, from), append([]byte(nil), p[:n]...), func(p []byte) { _, _ = r.pc.WriteToUDP(p, at) })
		}
	}()
	return b
}

// streams are those that stand.
type streams struct {
	mu  sync.Mutex
	all map[*stream]bool
}

func (s *streams) add(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*stream]bool{}
	}
	s.all[x] = true
}

func (s *streams) remove(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, x)
}

// between are those from one node to another, whoever dialled them.
func (s *streams) between(a, b int) (list []*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.all {
		if x.from == a && x.to == b || x.from == b && x.to == a {
			list = append(list, x)
		}
	}
	return list
}
