package client

import (
	"errors"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// answer is a reply with what the node said of it. Versions and epochs come as
// attributes from nodes that took CLIENT CAPA aegis, and are 0 from all others.
type answer struct {
	resp.Reply                  // of a GET into the caller's memory only the length, in Int
	epoch      uint64           // of the node's map
	version    shardmap.Version // of the key, after the command; 0: not told, or no such key
	node       string           // address that answered
	conn       *conn            // that brought it; set by await
}

// ears hear what a node says beside its answers. They run on the reader goroutine of
// the connection: before any answer that came later is given to its caller, and all
// answers of the connection wait meanwhile.
type ears struct {
	push  func(c *conn, r resp.Reply)
	epoch func(e uint64)   // the first answer on the connection with a newer map epoch
	wrote func(key string) // the answer to a write of the key; nil without a near cache
}

// due is the reader's part of the queue of calls. It takes all that wait at once, so
// that it locks once for the answers to many commands; it was once for each, and two
// cores spent a tenth of their time on that lock.
type due struct {
	queue
	answered atomic.Uint64 // calls completed, for those who ask how many wait
	epoch    uint64        // newest seen
	key      [16]byte      // memory for the name of an attribute
}

// intoMax is the largest value whose memory stays with its call for the next one.
const intoMax = 64 << 10

// errUnasked is the end of a connection whose node says more than it was asked.
var errUnasked = errors.New("client: an answer that nobody asked for")

// readLoop is the reader goroutine; it ends with the connection.
func (c *conn) readLoop() {
	for {
		if err := c.readOne(); err != nil {
			c.fail(err)
			c.giveBack()
			return
		}
	}
}

// readOne reads one answer and completes its call, or hears one push.
func (c *conn) readOne() error {
	var a answer
	kind, err := c.kind(&a)
	if err != nil {
		return err
	}
	if kind == '>' {
		r, err := resp.ReadValue(c.read, nil)
		if err == nil && c.ears.push != nil {
			c.ears.push(c, r)
		}
		return err
	}
	k := c.nextDue()
	if k == nil {
		return errUnasked
	}
	var buf []byte
	if k.into {
		buf = k.buf[:cap(k.buf)]
	}
	if a.Reply, err = resp.ReadValue(c.read, buf); err != nil {
		return err
	}
	if k.skip > 0 {
		k.skip--
		return nil
	}
	if k.into && a.Kind == '$' && cap(a.Text) <= intoMax {
		k.buf = a.Text
	}
	c.due.pop()
	c.due.answered.Add(1)
	if c.full.Load() {
		c.freeRoom()
	}
	if k.clock {
		c.hearClock(a.Reply)
	}
	if k.token {
		c.setToken(a.Reply)
	}
	if k.wrote != "" {
		c.ears.wrote(k.wrote)
	}
	k.complete(a, nil)
	return nil
}

// kind is the type byte of the value that comes next; attributes before it are read
// into a.
func (c *conn) kind(a *answer) (byte, error) {
	for {
		b, err := c.read.Peek(1)
		if err != nil {
			return 0, err
		}
		if b[0] != '|' {
			return b[0], nil
		}
		if err := c.readAttributes(a); err != nil {
			return 0, err
		}
	}
}

// readAttributes takes "e" and "v"; what else there is, is for others.
func (c *conn) readAttributes(a *answer) error {
	_, n, err := resp.ReadHead(c.read)
	for ; err == nil && n > 0; n-- {
		var name, value resp.Reply
		if name, err = resp.ReadValue(c.read, c.due.key[:]); err != nil {
			return err
		}
		if value, err = resp.ReadValue(c.read, nil); err != nil {
			return err
		}
		if value.Kind == '*' && len(value.Items) == 1 {
			value = value.Items[0] // of a command that takes a list of keys, and had one
		}
		switch {
		case value.Kind != ':' || value.Int < 0:
		case string(name.Text) == "e":
			a.epoch = uint64(value.Int)
		case string(name.Text) == "v":
			a.version = shardmap.Version(value.Int)
		}
	}
	if a.epoch > c.due.epoch {
		if c.due.epoch = a.epoch; c.ears.epoch != nil {
			c.ears.epoch(a.epoch)
		}
	}
	return err
}

// nextDue is the call that the next answer belongs to; nil when none waits.
func (c *conn) nextDue() *call {
	if c.due.n == 0 {
		c.mu.Lock()
		c.due.queue, c.waiting = c.waiting, c.due.queue
		c.mu.Unlock()
	}
	return c.due.front()
}

// giveBack leaves the calls that the reader took to those who end the connection.
// REQUIRES: the connection has failed, and the caller is its reader.
func (c *conn) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.due.n > 0 {
		c.waiting.push(c.due.pop())
	}
	if !c.inWrite {
		c.abandonLocked()
	}
}

// inFlight is how many calls wait for an answer.
// REQUIRES: c.mu is held.
func (c *conn) inFlight() int { return int(c.asked - c.due.answered.Load()) }

// pushed does what a push asks for.
func (c *Client) pushed(k *conn, r resp.Reply) {
	if len(r.Items) == 0 {
		return
	}
	if hear := c.pushes[string(r.Items[0].Text)]; hear != nil {
		hear(k, r)
	}
}

// hearMap takes the push "aegis-map <epoch>".
func (c *Client) hearMap(_ *conn, r resp.Reply) {
	if len(r.Items) > 1 && r.Items[1].Kind == ':' && r.Items[1].Int > 0 {
		c.heardEpoch(uint64(r.Items[1].Int))
	}
}

// hearLost takes the push "aegis-lost <shard> <after> <last>": somebody's writes are lost,
// perhaps ours, so the newest ones of every connection are judged at once.
func (c *Client) hearLost(*conn, resp.Reply) {
	if c.losses != nil {
		c.judgeNewest()
	}
}

// heardEpoch asks for the map when a node knows a newer one.
func (c *Client) heardEpoch(e uint64) {
	if v := c.view.Load(); v != nil && e > v.table.epoch {
		c.wantMap(true)
	}
}
