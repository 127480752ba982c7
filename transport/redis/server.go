package redis

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// Config fixes how a Server treats its clients.
type Config struct {
	// ClientsMax bounds connections; one more is told so and closed.
	ClientsMax int
	// BulkMax is the longest argument in bytes. Raise it and one client may hold
	// that much of the connection-buffer memory.
	BulkMax int
	// WriteTimeout is how long a client may leave its replies unread.
	WriteTimeout time.Duration
	// Version is AegisKV's own, shown beside the Redis version.
	Version string
}

// DefaultConfig is what a node runs with.
func DefaultConfig() Config {
	return Config{ClientsMax: 20000, BulkMax: 64 << 20, WriteTimeout: 30 * time.Second}
}

// redisVersion is the Redis whose behaviour clients may expect; they gate features on it.
const redisVersion = "7.4.0"

// Server accepts Redis connections and runs their commands against a Backend.
type Server struct {
	cfg     Config
	backend Backend
	started time.Time
	table   *table
	topo    topologyCache

	nextID   atomic.Int64
	accepted atomic.Int64
	refused  atomic.Int64
	commands atomic.Int64

	mu       sync.Mutex // guards conns, listeners and closing
	conns    map[*conn]struct{}
	listener map[net.Listener]struct{}
	closing  bool
	wg       sync.WaitGroup
}

// NewServer makes a server; Serve starts it.
func NewServer(cfg Config, b Backend) *Server {
	return &Server{
		cfg: cfg, backend: b, started: time.Now(), table: newTable(),
		conns: make(map[*conn]struct{}), listener: make(map[net.Listener]struct{}),
	}
}

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = errors.New("redis: server closed")

// Serve accepts connections until Shutdown or an error of the listener.
func (s *Server) Serve(l net.Listener) error {
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
		s.start(nc)
	}
}

func (s *Server) start(nc net.Conn) {
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
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// Clients is the number of connections.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Commands is the number of commands run since the start.
func (s *Server) Commands() int64 { return s.commands.Load() }

// Shutdown stops accepting, lets each connection finish the pipeline it is in,
// closes them, and waits until ctx ends at most.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listener {
		l.Close()
	}
	for c := range s.conns {
		c.stop()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		for c := range s.conns {
			c.nc.Close()
		}
		s.mu.Unlock()
		<-done
		return ctx.Err()
	}
}

// conn is one client. Its goroutine owns everything but stopping.
type conn struct {
	srv      *Server
	nc       net.Conn
	rd       *resp.Reader
	out      []byte
	sess     Session
	op       Op
	res      Result
	stopping atomic.Bool
	quit     bool
}

// outMax is how many bytes of replies are gathered before they are sent
// although the pipeline goes on.
const (
	outMax  = 256 << 10
	outKeep = 16 << 10
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, rd: resp.NewReader(nc, s.cfg.BulkMax)}
	c.sess = Session{ID: s.nextID.Add(1), Proto: 2, Addr: nc.RemoteAddr(), Local: nc.LocalAddr(), Created: time.Now()}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.sess.Loopback = a.IP.IsLoopback()
	}
	return c
}

// stop makes a waiting read return, so that the connection ends after the
// pipeline it is in.
func (c *conn) stop() {
	c.stopping.Store(true)
	_ = c.nc.SetReadDeadline(time.Now())
}

// serve runs the connection: read what came, run it all, answer with one write.
func (c *conn) serve() {
	defer c.nc.Close()
	c.srv.backend.Open(&c.sess)
	defer c.srv.backend.Closed(&c.sess)
	for !c.quit {
		if err := c.runBuffered(); err != nil {
			return
		}
		if c.quit || c.stopping.Load() {
			return
		}
		if err := c.rd.Fill(); err != nil {
			return
		}
	}
}

// reruns is how often reads are run again because their lease ended before the
// reply could leave.
const reruns = 3

var errClose = errors.New("redis: close the connection")

// runBuffered runs every command that has arrived and sends the replies.
func (c *conn) runBuffered() error {
	for range reruns {
		mark := c.rd.Mark()
		again, err := c.runBatch(mark)
		if err != nil || !again {
			return err
		}
	}
	return errClose
}

// runBatch runs what is buffered from mark on. again says that only reads were
// run, their lease ended, and the reader is back at the first unanswered one.
func (c *conn) runBatch(mark int) (again bool, err error) {
	for !c.quit {
		args, ok, err := c.rd.Next()
		if err != nil {
			c.out = resp.AppendError(c.out, "ERR "+err.Error())
			c.quit = true
			break
		}
		if !ok {
			break
		}
		c.srv.commands.Add(1)
		c.run(args)
		if len(c.out) >= outMax {
			if again, err := c.flush(mark); again || err != nil {
				return again, err
			}
			mark = c.rd.Mark()
		}
	}
	return c.flush(mark)
}

// flush confirms the leases of what was run and sends the replies.
func (c *conn) flush(mark int) (again bool, err error) {
	if len(c.out) == 0 {
		return false, nil
	}
	switch err := c.srv.backend.Commit(&c.sess); {
	case err == nil:
	case errors.Is(err, ErrStale) && c.sess.writes == 0:
		c.out = c.out[:0]
		c.rd.Rewind(mark)
		c.quit = false
		return true, nil
	default:
		return false, errClose
	}
	c.sess.writes = 0
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout))
	_, err = c.nc.Write(c.out)
	if cap(c.out) > outKeep {
		c.out = nil
	} else {
		c.out = c.out[:0]
	}
	return false, err
}

// settle sends what was run before a command that may have to wait, so that a
// parked command holds no earlier reply back. A stale read among them cannot be
// run again from here: the connection is closed.
func (c *conn) settle() bool {
	again, err := c.flush(c.rd.Mark())
	if again || err != nil {
		c.quit = true
		c.out = c.out[:0]
		return false
	}
	return true
}
