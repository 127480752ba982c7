package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// node is one address and its few connections. A slot always takes the same
// connection, so commands on one key keep their order.
type node struct {
	client *Client
	addr   string
	lines  []line
	unused int // keeper ticks without a slot; guarded by Client.mu
}

// line is one connection of a node: live, being dialed, or waiting to be.
type line struct {
	live atomic.Pointer[conn]

	mu       sync.Mutex // guards everything below; never held across I/O
	dialing  *dialing
	failures int
	retryAt  time.Duration // on the client's clock: no dial before
	lastErr  error
}

// dialing is one attempt to connect that everybody who needs the line waits for.
type dialing struct {
	done chan struct{} // closed behind the fields below
	conn *conn
	err  error
}

func newNode(c *Client, addr string) *node {
	return &node{client: c, addr: addr, lines: make([]line, c.cfg.ConnsPerNode)}
}

// conn is the connection for a line number, dialing when there is none. All its
// errors are unsent.
func (n *node) conn(w *patience, i int) (*conn, error) {
	l := &n.lines[i%len(n.lines)]
	if c := l.live.Load(); c != nil {
		return c, nil
	}
	d, err := n.startDial(l)
	if err != nil {
		return nil, &unsentError{err}
	}
	if err := w.wait(d.done); err != nil {
		return nil, &unsentError{err}
	}
	if d.err != nil {
		return nil, &unsentError{d.err}
	}
	return d.conn, nil
}

// startDial joins the dial that runs or starts one, unless the last failed just now.
func (n *node) startDial(l *line) (*dialing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dialing != nil {
		return l.dialing, nil
	}
	if c := l.live.Load(); c != nil {
		d := &dialing{done: make(chan struct{}), conn: c}
		close(d.done)
		return d, nil
	}
	if n.client.now() < l.retryAt {
		return nil, l.lastErr
	}
	d := &dialing{done: make(chan struct{})}
	if !n.client.start(func(ctx context.Context) { n.dial(ctx, l, d) }) {
		return nil, ErrClosed
	}
	l.dialing = d
	return d, nil
}

// dial is the goroutine of one attempt.
func (n *node) dial(ctx context.Context, l *line, d *dialing) {
	c, err := dial(ctx, &n.client.cfg, n.addr, &n.client.tick)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(d.done)
	l.dialing = nil
	if err == nil && !n.client.adopt(c, l) {
		err = ErrClosed
	}
	if err != nil {
		d.err = fmt.Errorf("dial %s: %w", n.addr, err)
		l.lastErr = d.err
		l.retryAt = n.client.now() + redialPause(l.failures, n.client.random())
		l.failures++
		return
	}
	d.conn, l.failures = c, 0
	l.live.Store(c)
}

// drop forgets a connection that has failed.
func (l *line) drop(c *conn) { l.live.CompareAndSwap(c, nil) }

// close ends all connections of the node.
func (n *node) close(err error) {
	for i := range n.lines {
		if c := n.lines[i].live.Load(); c != nil {
			c.fail(err)
		}
	}
}

// idle reports that nobody waits on any connection of the node.
func (n *node) idle() bool {
	for i := range n.lines {
		if c := n.lines[i].live.Load(); c != nil && !c.idle() {
			return false
		}
	}
	return true
}
