package redis

import (
	"errors"
	"io"
	"os"
	"time"
)

// The end of a connection that the node wants to end. Whatever was read is answered,
// and nothing is read that is not: a client whose command has no reply when the end
// comes knows that it was not run. A client that waits for each reply is to have no
// such command at all, so it gets its last reply and the end in one piece: whoever looks
// whether a connection has ended before it is used again, as pools do, never uses this
// one again. To end it between a reply and the next command is not enough, because that
// is the very moment when the next command is on its way.

const (
	// farewellFor is how long a client must be silent to be ended without a last
	// command, and how long it may take to see the end.
	farewellFor = 20 * time.Millisecond
	// farewellMax ends those who always have more to say.
	farewellMax = 500 * time.Millisecond

	// Farewell is said last to a client that sent CLIENT CAPA farewell: no command that
	// has no reply before it was run, and none will be. One that carries the commands of
	// many at once, as a gateway does, always has some on their way, and could not tell
	// them from commands of a node that died. The byte begins no reply.
	Farewell = ".\r\n"
)

// stop makes a waiting read return, so that the connection ends after the
// pipeline it is in and what has arrived by then.
func (c *conn) stop() {
	if !c.stopping.Swap(true) {
		_ = c.nc.SetReadDeadline(time.Now())
	}
}

// farewell answers what arrives last and then ends the connection in the order
// that loses no reply: our end first, then theirs. Closing at once would throw
// away replies on their way when a command arrives meanwhile.
func (c *conn) farewell() {
	if !c.lastWords() {
		return
	}
	if c.parting && c.bid() != nil {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(farewellFor))
	_, _ = io.Copy(io.Discard, c.nc)
}

// bid says farewell.
func (c *conn) bid() error {
	if c.pushes != nil {
		return c.pushes.sendWith([]byte(Farewell))
	}
	return c.send([]byte(Farewell))
}

// lastWords runs what still comes, until all of it is answered or nothing comes any
// more; false when there is nobody to say anything to. The last replies may wait in the
// socket for the end.
func (c *conn) lastWords() bool {
	for end := time.Now().Add(farewellMax); time.Now().Before(end); {
		silent := time.Now().Add(farewellFor)
		_ = c.nc.SetReadDeadline(silent)
		switch err := c.rd.Fill(); {
		case err == nil:
			c.sock.cork(true)
			if c.runBuffered() != nil || c.quit {
				return false
			}
			if c.rd.Buffered() == 0 && !c.multi.on && !c.sock.unread() {
				return true
			}
			c.sock.cork(false)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case time.Now().Before(silent): // that was the deadline of stop, which came late
		case !c.sock.unread():
			return true
		}
	}
	return true
}
