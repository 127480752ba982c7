package redis

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Config fixes how a Server treats its clients.
type Config struct {
	// ClientsMax bounds connections; one more is told so and closed. Fewer are taken
	// where BuffersMax has no room for so many idle ones.
	ClientsMax int
	// BulkMax is the longest argument in bytes. Raise it and one client may hold
	// that much of the connection-buffer memory.
	BulkMax int
	// WriteTimeout is how long a client may take none of its replies.
	WriteTimeout time.Duration
	// BuffersMax bounds, in bytes, what all connections together hold: themselves,
	// unfinished commands and unsent replies. Who holds most is closed.
	BuffersMax int64
	// TrackedMax is how many keys the server remembers the readers of (CLIENT
	// TRACKING); beyond it some are told to be invalid although they are not.
	TrackedMax int64
	// Staleness is what reads may lack on a connection that said READONLY without a
	// number; 0 sends them to the leaseholder.
	Staleness time.Duration
	// MaintNotifications lets clients hear of planned moves.
	MaintNotifications bool
	// Version is AegisKV's own, shown beside the Redis version.
	Version string
}

// DefaultConfig is what a node runs with.
func DefaultConfig() Config {
	return Config{ClientsMax: 20000, BulkMax: 64 << 20, WriteTimeout: 30 * time.Second, BuffersMax: 256 << 20, TrackedMax: 1_000_000, MaintNotifications: true}
}

// redisVersion is the Redis whose behaviour clients may expect; they gate features on it.
const redisVersion = "7.4.0"

// Server accepts Redis connections and runs their commands against a Backend.
type Server struct {
	cfg     Config
	backend Backend
	warmer  Warmer // the backend, if it is one
	started time.Time
	table   *table
	topo    topologyCache
	scripts scriptCache
	errors  errorStats
	tracker *tracker
	capable audience
	moves   moves
	// mapPending: the map changed and will be told.
	mapPending atomic.Bool
	pause      atomic.Pointer[pause]
	loading    atomic.Bool
	slow       *slowlog
	lcs        sync.Mutex // one connection after the other works on LCS

	nextID         atomic.Int64
	accepted       atomic.Int64
	refused        atomic.Int64
	commands       atomic.Int64
	commandsBefore atomic.Int64 // CONFIG RESETSTAT
	blocked        atomic.Int64
	evicted        atomic.Int64 // connections closed because of BuffersMax
	buffered       atomic.Int64

	forwarded      atomic.Int64 // commands sent to other nodes for gateway connections
	forwardedAgain atomic.Int64 // rounds in which some were sent again
	forwardedLost  atomic.Int64 // connections closed because an outcome was not known

	mu       sync.Mutex // guards conns, listeners and closing
	conns    map[*conn]struct{}
	listener map[net.Listener]struct{}
	closing  bool
	wg       sync.WaitGroup
}

// NewServer makes a server; Serve starts it.
func NewServer(cfg Config, b Backend) *Server {
	cfg.ClientsMax = min(cfg.ClientsMax, max(1, int(cfg.BuffersMax/connBytes*7/8)))
	s := &Server{
		cfg: cfg, backend: b, started: time.Now(), table: newTable(), slow: newSlowlog(),
		conns: make(map[*conn]struct{}), listener: make(map[net.Listener]struct{}),
	}
	s.warmer, _ = b.(Warmer)
	s.tracker = newTracker(s)
	return s
}

// SetLoading says whether the data is being read from a disk: until it is there, commands
// that need it, or the map, answer LOADING.
func (s *Server) SetLoading(on bool) { s.loading.Store(on) }

// Loading reports what SetLoading said.
func (s *Server) Loading() bool { return s.loading.Load() }

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = errors.New("redis: server closed")

// Serve accepts connections until Shutdown or an error of the listener.
func (s *Server) Serve(l net.Listener) error { return s.accept(l, nil) }

// ServeGateway is Serve for connections that take the cluster for one standalone server.
func (s *Server) ServeGateway(l net.Listener, f Forwarder) error { return s.accept(l, f) }

func (s *Server) accept(l net.Listener, f Forwarder) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		l.Close()
		return ErrClosed
	}
	s.listener[l] = struct{}{}
	s.mu.Unlock()
	for pause := time.Millisecond; ; {
		nc, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			closing := s.closing
			s.mu.Unlock()
			var temporary interface{ Temporary() bool }
			switch {
			case closing:
				return ErrClosed
			case errors.As(err, &temporary) && temporary.Temporary():
				// Out of descriptors: wait, clients may leave.
				time.Sleep(pause)
				pause = min(2*pause, time.Second)
				continue
			}
			return err
		}
		pause = time.Millisecond
		s.accepted.Add(1)
		s.start(nc, f)
	}
}

func (s *Server) start(nc net.Conn, f Forwarder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		nc.Close()
		return
	}
	if len(s.conns) >= s.cfg.ClientsMax {
		s.refused.Add(1)
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write([]byte("-ERR max number of clients reached\r\n"))
		nc.Close()
		return
	}
	c := newConn(s, nc)
	c.forwarder = f
	s.conns[c] = struct{}{}
	s.buffered.Add(connBytes)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.serve()
		s.buffered.Add(-connBytes)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// relieve closes connections with the largest buffers until what is left fits:
// those who buffer little are not the ones to pay. It reports false when c is one
// of the closed.
func (s *Server) relieve(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := s.buffered.Load() - s.cfg.BuffersMax
	for o := range s.conns {
		if o.doomed.Load() {
			over -= o.charged.Load()
		}
	}
	for over > 0 && !c.doomed.Load() {
		largest := c
		for o := range s.conns {
			if !o.doomed.Load() && o.goesBefore(largest) {
				largest = o
			}
		}
		over -= largest.charged.Load()
		largest.doomed.Store(true)
		s.evicted.Add(1)
		largest.nc.Close()
	}
	return !c.doomed.Load()
}

// goesBefore says which of two connections is closed for its buffers: the larger one,
// unless it is the only one that asked to last (CLIENT NO-EVICT).
func (c *conn) goesBefore(o *conn) bool {
	if a, b := c.lasting.Load(), o.lasting.Load(); a != b {
		return b && c.charged.Load() > 0
	}
	return c.charged.Load() > o.charged.Load()
}

// ClientsMax is how many connections are taken.
func (s *Server) ClientsMax() int { return s.cfg.ClientsMax }

// BufferedBytes is what all connections hold, with the keys that are tracked for them.
func (s *Server) BufferedBytes() int64 { return s.buffered.Load() }

// Clients is the number of connections.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Commands is the number of commands run since the start.
func (s *Server) Commands() int64 { return s.commands.Load() }

// LeaseEnded tells the face that this node no longer serves the slots: reads that
// a client was promised from a follower (READONLY) may come from a copy that is
// about to be rolled back, so those connections are ended, after what they are in.
// Commands that wait for these slots are released by the Backend. It may be called from
// any goroutine and does not wait.
func (s *Server) LeaseEnded(first, last shardmap.Slot) { s.eachReader(first, last, (*conn).stop) }

// Overwritten tells the face that a copy of the slots was rolled back or is filled anew:
// a READONLY connection that read there has no reply any more, because the next one
// could be older than the last. It may be called from any goroutine and does not wait.
func (s *Server) Overwritten(first, last shardmap.Slot) {
	s.eachReader(first, last, func(c *conn) { c.nc.Close() })
}

// eachReader finds the READONLY connections that read slots.
func (s *Server) eachReader(first, last shardmap.Slot, do func(*conn)) {
	s.each(func(c *conn) {
		if f, l, any := c.readSpan(); any && f <= last && l >= first {
			do(c)
		}
	})
}

const (
	// quietFor is how long a connection must have sent nothing before Shutdown ends it.
	quietFor = 50 * time.Millisecond
	// closeMax is how long the last commands may take once Shutdown asks for the end: as
	// long as a gateway may have to wait for another node, and a client to take replies.
	closeMax = time.Second
)

// Shutdown stops accepting and ends each connection once it is quiet: a client
// that still asks is answered (MOVED, when the leases were handed over before),
// so that it can go elsewhere by itself. When ctx ends the rest is ended after the
// pipeline it is in: see farewell. That takes closeMax at most.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listener {
		l.Close()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	there := s.present()
	for {
		select {
		case <-done:
			return nil
		case <-tick.C:
			s.stopQuiet(there)
		case <-ctx.Done():
			s.each((*conn).stop)
			select {
			case <-done:
			case <-time.After(closeMax):
				s.each(func(c *conn) { c.nc.Close() }) // a client that does not take its replies
				<-done
			}
			return ctx.Err()
		}
	}
}

func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}
