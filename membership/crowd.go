package membership

import (
	"container/list"
	"net"
	"sync"
)

// crowd is a bounded set of connections. A newcomer to a full one costs the oldest
// its place, not itself: whoever means it says what it wants along with its
// connection, so the oldest that has not is the one to lose. Refusing newcomers
// would let idle connections keep everybody out.
type crowd struct {
	max int

	mu     sync.Mutex // guards the rest
	order  *list.List // of net.Conn, the oldest first
	places map[net.Conn]*list.Element
	closed bool
}

func newCrowd(most int) *crowd {
	return &crowd{max: most, order: list.New(), places: make(map[net.Conn]*list.Element)}
}

// enter takes a connection in; false when the crowd is closed.
func (c *crowd) enter(nc net.Conn) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	var oldest net.Conn
	if len(c.places) >= c.max {
		e := c.order.Front()
		oldest = e.Value.(net.Conn)
		c.removeLocked(e)
	}
	c.places[nc] = c.order.PushBack(nc)
	c.mu.Unlock()
	if oldest != nil {
		oldest.Close() // outside the lock: closing may mean leaving
	}
	return true
}

// leave lets a connection go, open; false when it had lost its place already.
func (c *crowd) leave(nc net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.places[nc]
	if ok {
		c.removeLocked(e)
	}
	return ok
}

func (c *crowd) removeLocked(e *list.Element) {
	delete(c.places, e.Value.(net.Conn))
	c.order.Remove(e)
}

// size is how many are in.
func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.places)
}

// close closes every connection and takes none any more.
func (c *crowd) close() {
	c.mu.Lock()
	c.closed = true
	left := make([]net.Conn, 0, len(c.places))
	for nc := range c.places {
		left = append(left, nc)
	}
	clear(c.places)
	c.order.Init()
	c.mu.Unlock()
	for _, nc := range left {
		nc.Close()
	}
}
