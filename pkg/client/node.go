package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// node is one address and its few connections. A slot always takes the same
// connection, so commands on one key keep their order. Each other lane has connections of
// its own.
type node struct {
	client *Client
	addr   string
	lines  []line                // of the usual lane
	apart  [laneCount - 1][]line // of the others, by lane-1; dialed when one is used

	foreign atomic.Bool // it does not know AEGIS.MAP

	follower follower

	// down is why the node did not answer last, nil from the next dial that succeeds.
	down atomic.Pointer[error]

	lives atomic.Uint64 // times that the last connection ended: the process may be another since
}

// lane is on which of a node's connections a command travels. Writes that wait for other
// acks than the client's usual ones have their own: on a shared one the answers behind
// theirs would wait with them. So have reads that followers may answer: their connections
// are READONLY, and a node closes those when a copy that was read changes its history.
type lane uint8

const (
	laneUsual lane = iota // acks as Config.Durability says, or else as the server does
	laneMajority
	laneAll
	laneCopies
	laneCount
)

// durability is what AEGIS.DURABILITY is told, "" when it is not said.
func (l lane) durability(cfg *Config) string {
	return [laneCount]string{cfg.Durability, "majority", "all", ""}[l]
}

// line is one connection of a node: live, being dialed, or waiting to be.
type line struct {
	live atomic.Pointer[conn]
	lane lane

	mu       sync.Mutex // guards everything below; never held across I/O
	dialing  *dialing
	failures int
	retryAt  time.Duration // on the client's clock: no dial before
}

// dialing is one attempt to connect that everybody who needs the line waits for.
type dialing struct {
	done chan struct{} // closed behind the fields below
	conn *conn
	err  error
}

func newNode(c *Client, addr string) *node {
	n := &node{client: c, addr: addr, lines: make([]line, c.cfg.ConnsPerNode)}
	for i := range n.apart {
		n.apart[i] = make([]line, c.cfg.ConnsPerNode)
		for j := range n.apart[i] {
			n.apart[i][j].lane = lane(i + 1)
		}
	}
	return n
}

// line is where commands of a slot travel.
func (n *node) line(slot int, a lane) *line {
	if a != laneUsual {
		return &n.apart[a-1][slot%len(n.lines)]
	}
	return &n.lines[slot%len(n.lines)]
}

// conn is the connection of a line, dialing when there is none. All its errors are
// unsent.
func (n *node) conn(w *patience, l *line) (*conn, error) {
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

// startDial joins the dial that runs or starts one. After a failure nobody waits
// for a dial: it goes on beside, and callers hear of the last failure at once, so
// that a node which does not even refuse costs nobody a second.
func (n *node) startDial(l *line) (*dialing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.live.Load(); c != nil {
		d := &dialing{done: make(chan struct{}), conn: c}
		close(d.done)
		return d, nil
	}
	down := n.down.Load()
	if l.dialing == nil && (down == nil || n.client.now() >= l.retryAt) {
		d := &dialing{done: make(chan struct{})}
		if !n.client.start(func(ctx context.Context) { n.dial(ctx, l, d) }) {
			return nil, ErrClosed
		}
		l.dialing = d
	}
	if down != nil {
		return nil, *down
	}
	return l.dialing, nil
}

// dial is the goroutine of one attempt.
func (n *node) dial(ctx context.Context, l *line, d *dialing) {
	c, err := dial(ctx, &n.client.cfg, n.addr, l.lane.durability(&n.client.cfg), &n.client.tick)
	wasDown := n.down.Load() != nil
	n.settle(l, d, c, err)
	switch {
	case d.err != nil && !wasDown:
		n.tellDown(d.err)
	case d.err == nil && wasDown:
		n.tellUp()
	}
}

// settle makes the end of a dial known.
func (n *node) settle(l *line, d *dialing, c *conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(d.done)
	l.dialing = nil
	if err == nil && !n.client.adopt(c, n, l) {
		err = ErrClosed
	}
	if err != nil {
		d.err = fmt.Errorf("dial %s: %w", n.addr, err)
		n.down.Store(&d.err)
		l.retryAt = n.client.now() + redialPause(l.failures, n.client.random())
		l.failures++
		return
	}
	d.conn, l.failures, l.retryAt = c, 0, 0
	n.down.Store(nil)
	l.live.Store(c)
}

// drop forgets a connection that has failed.
func (l *line) drop(c *conn) { l.live.CompareAndSwap(c, nil) }

// connected reports that one of the node's connections is up.
func (n *node) connected() bool {
	for i := range n.lines {
		if n.lines[i].live.Load() != nil {
			return true
		}
	}
	return false
}

// silent reports that one of the node's connections owes answers for a while.
func (n *node) silent() bool {
	for i := range n.lines {
		if c := n.lines[i].live.Load(); c != nil && c.stalled(ticksPerDoubt) {
			return true
		}
	}
	return false
}

// suspect makes callers pass the node by until a dial has succeeded.
func (n *node) suspect(err error) {
	if n.down.Swap(&err) == nil {
		n.tellDown(err)
	}
}
