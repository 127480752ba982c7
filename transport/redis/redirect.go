package redis

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// invalidateChannel is the one channel there is: clients of RESP2, which has no pushes,
// hear on it what another connection of theirs must forget (CLIENT TRACKING REDIRECT).
const invalidateChannel = "__redis__:invalidate"

// redirect says which connection hears what this one must forget. Unlike pushes on the
// connection itself they come in no order with its replies, as in Redis.
type redirect struct {
	to     *conn
	broken atomic.Bool
}

// forget sends a frame about what the connection has read to where the client wants it.
// With once it is not sent again while the same is the last that waits.
func (c *conn) forget(frame []byte, once bool) {
	r := c.redirect.Load()
	switch {
	case r == nil && once:
		c.pushes.queueOnce(frame)
	case r == nil:
		c.pushes.queue(frame)
	case !r.reaches(frame, once):
		r.broken.Store(true)
		c.pushes.queue(resp.AppendInt(resp.AppendBulk(resp.AppendPush(nil, 2), "tracking-redir-broken"), r.to.sess.ID))
	}
}

// overPushes are those of every connection that is over without having had any.
var overPushes = &pushes{gone: true}

// reaches hands a frame over; false when the other connection is over.
func (r *redirect) reaches(frame []byte, once bool) bool {
	p := r.to.mailbox.Load()
	return p == nil || p.redirected(frame, once) // nil: it speaks RESP2 and listens to nothing
}

// redirected queues what another connection must forget; false when this one is over.
func (p *pushes) redirected(frame []byte, once bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
		return false
	case p.resp3:
	case !p.subscribed:
		return true
	default:
		frame = asMessage(frame)
	}
	if !once || !p.waitsLast(frame) {
		p.add(frame)
	}
	return true
}

// asMessage turns an invalidation into what RESP2 has for it.
func asMessage(frame []byte) []byte {
	keys := bytes.TrimPrefix(frame, appendInvalidateHead(nil))
	if keys[0] == '_' {
		keys = []byte("$-1\r\n")
	}
	b := resp.AppendBulk(resp.AppendBulk(resp.AppendArray(nil, 3), "message"), invalidateChannel)
	return append(b, keys...)
}

// redirectTo finds the connection that a client names, or says what is wrong with it.
func (c *conn) redirectTo(word []byte) *redirect {
	id, ok := parseInt(word)
	if !ok {
		c.fail(errInteger)
		return nil
	}
	if o := c.srv.connOf(id); o != nil {
		return &redirect{to: o}
	}
	c.fail("ERR The client ID you want redirect to does not exist")
	return nil
}

// sendTo sets where invalidations go; to the connection itself they go anyhow.
func (c *conn) sendTo(r *redirect) {
	if r != nil && r.to == c {
		r = nil
	}
	c.redirect.Store(r)
}

// debts are keys that a command under way has changed, for those who broadcast to
// another connection. Redis gathers them into one message for a prefix, and RESP2
// clients read it so. They are paid when the command ends; one that was forwarded here
// ends elsewhere, and its debts are paid after debtTime.
type debts struct {
	any  atomic.Bool
	mu   sync.Mutex
	list []debt
}

type debt struct {
	origin int64
	to     broadcast
	keys   [][]byte
}

const debtTime = 50 * time.Millisecond

func (d *debts) owe(to broadcast, key []byte, origin int64) {
	key = bytes.Clone(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.list {
		if e := &d.list[i]; e.origin == origin && e.to.c == to.c && bytes.Equal(e.to.prefix, to.prefix) {
			e.keys = append(e.keys, key)
			return
		}
	}
	d.list = append(d.list, debt{origin, to, [][]byte{key}})
	d.any.Store(true)
	time.AfterFunc(debtTime, func() { d.pay(origin) })
}

// pay sends what a command owes.
func (d *debts) pay(origin int64) {
	d.mu.Lock()
	defer d.mu.Unlock() // while they are sent: a later command's must not overtake them
	left := d.list[:0]
	for _, e := range d.list {
		if e.origin == origin {
			e.to.c.forget(invalidation(e.keys...), false)
		} else {
			left = append(left, e)
		}
	}
	clear(d.list[len(left):])
	d.list = left
	d.any.Store(len(left) > 0)
}

// subscriptionCommands exist for invalidateChannel alone: messages are not passed
// between clients.
func subscriptionCommands() []*command {
	const flags = "pubsub noscript loading stale"
	return []*command{
		{name: "subscribe", arity: -2, flags: flags, rights: rightsConnection, atOnce: true, summary: "Listens to " + invalidateChannel + ", on which RESP2 hears invalidations.", run: cmdSubscribe},
		{name: "unsubscribe", arity: -1, flags: flags, rights: rightsConnection, atOnce: true, summary: "Ends that.", run: cmdUnsubscribe},
	}
}

func cmdSubscribe(c *conn, args [][]byte) {
	if c.multi.on {
		c.fail("ERR SUBSCRIBE inside MULTI is not allowed")
		return
	}
	for _, channel := range args[1:] {
		if string(channel) != invalidateChannel {
			c.fail("ERR messages are not passed between clients: there is one channel, " + invalidateChannel)
			return
		}
	}
	c.pushing().listen(true)
	c.subscribed = true
	for range args[1:] {
		c.subscription("subscribe", []byte(invalidateChannel))
	}
}

func cmdUnsubscribe(c *conn, args [][]byte) {
	if c.multi.on {
		c.fail("ERR UNSUBSCRIBE inside MULTI is not allowed")
		return
	}
	channels := args[1:]
	if len(channels) == 0 {
		channels = [][]byte{nil}
		if c.subscribed {
			channels[0] = []byte(invalidateChannel)
		}
	}
	for _, channel := range channels {
		if string(channel) == invalidateChannel {
			c.unsubscribe()
		}
		c.subscription("unsubscribe", channel)
	}
}

func (c *conn) unsubscribe() {
	if c.subscribed {
		c.subscribed = false
		c.pushes.listen(false)
	}
}

// subscription answers that the connection listens to a channel, or does not.
func (c *conn) subscription(kind string, channel []byte) {
	b := resp.AppendArray(c.out, 3)
	if c.sess.Proto >= 3 {
		b = resp.AppendPush(c.out, 3)
	}
	b = resp.AppendBulk(b, kind)
	if channel == nil {
		b = resp.AppendNull(b, c.sess.Proto)
	} else {
		b = resp.AppendBulk(b, channel)
	}
	n := int64(0)
	if c.subscribed {
		n = 1
	}
	c.out = resp.AppendInt(b, n)
}

// listen says whether the connection is subscribed.
func (p *pushes) listen(on bool) {
	p.mu.Lock()
	p.subscribed = on
	p.mu.Unlock()
}

// listens says whether the connection cannot be asked a command now: in RESP2 a reply
// could not be told from a message.
func (c *conn) listens(cmd *command) bool {
	if !c.subscribed || c.sess.Proto >= 3 {
		return false
	}
	switch cmd.name {
	case "subscribe", "unsubscribe", "ping", "quit", "reset":
		return false
	}
	c.fail("ERR Can't execute '" + cmd.name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
	return true
}
