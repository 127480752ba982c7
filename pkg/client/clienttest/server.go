package clienttest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// Epoch is what a new Server's clock shows.
var Epoch = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// Server is one node with every slot of a cluster of its own. It may be used by any
// number of goroutines.
type Server struct {
	tb    testing.TB
	ln    *listener
	face  *redis.Server
	state *state
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(s.Close)
	return s
}

// Start starts a server that its caller must Close, for examples and programs.
func Start() *Server {
	s, err := start()
	if err != nil {
		panic(err) // no loopback port: nothing that a caller could do about it
	}
	return s
}

func start() (*Server, error) {
	nc, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{ln: &listener{Listener: nc, open: map[net.Conn]struct{}{}}}
	s.state = newState(nc.Addr().(*net.TCPAddr).Port)
	cfg := redis.DefaultConfig()
	cfg.Version = "clienttest"
	s.face = redis.NewServer(cfg, &backend{s.state})
	s.state.face = s.face
	go func() { _ = s.face.Serve(s.ln) }() // ends with Close, the only way its listener ends
	return s, nil
}

// Close ends every connection. Who waits in a Hold goes on first.
func (s *Server) Close() {
	s.Heal()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a test does not wait for its clients to be quiet
	_ = s.face.Shutdown(ctx)
}

// Addr is the server's address, host:port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Config is the configuration of a client of this server.
func (s *Server) Config() client.Config { return client.DefaultConfig([]string{s.Addr()}) }

// Client is a new client of the server, closed with the test. A Server of Start has
// no test: use client.New with Config there.
func (s *Server) Client() *client.Client {
	s.tb.Helper()
	c, err := client.New(s.Config())
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Now is what the server's clock shows. It starts at Epoch.
func (s *Server) Now() time.Time { return s.state.clock() }

// Advance moves the server's clock by d, which must not be negative: keys whose
// time to live ends meanwhile are gone.
func (s *Server) Advance(d time.Duration) { s.state.advance(d) }

// HangUp closes all connections, as a node does that dies and comes back at once.
func (s *Server) HangUp() { s.ln.hangUp() }

// Failover lets the server lose its newest writes, lost of them at most, and go on
// in the next epoch, as the next leaseholder of a shard does: connections end, no
// version is used twice, and a token that names a lost write is judged lost.
func (s *Server) Failover(lost int) {
	s.state.failover(lost)
	s.HangUp()
}

// Entry is what the server holds under a key.
type Entry struct {
	Value   []byte
	Version uint64
	// Expires is when the key disappears, the zero time when it does not.
	Expires time.Time
}

// Entry looks a key up past every failure; false when it is not there.
func (s *Server) Entry(key string) (Entry, bool) { return s.state.entry(key) }

// listener keeps the connections it accepted, to close them.
type listener struct {
	net.Listener

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[nc] = struct{}{}
	return &accepted{nc, l}, nil
}

func (l *listener) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for nc := range l.open {
		_ = nc.Close() // it is closed whatever it says
	}
}

// accepted is a connection that leaves the listener's set when it is closed.
type accepted struct {
	net.Conn
	l *listener
}

// Close implements net.Conn.
func (a *accepted) Close() error {
	a.l.mu.Lock()
	delete(a.l.open, a.Conn)
	a.l.mu.Unlock()
	return a.Conn.Close()
}
