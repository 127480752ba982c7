package redis

import (
	"bytes"
	"strings"
	"sync"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// pushMax bounds the bytes of pushes that wait for one connection: a client that
// does not take them is closed.
const pushMax = 1 << 20

// pushes are the out-of-band messages to one connection. Anybody may queue one, with
// any lock held: queueing does not block. While the connection runs commands it sends
// them itself, each behind the replies that were made before it and before those that
// were made after; while it is idle a goroutine of the moment does. Connections of
// RESP2 that never asked for any have none of this.
type pushes struct {
	c *conn

	sending sync.Mutex // held by who writes to the socket
	mu      sync.Mutex // guards the next nine
	buf     []byte     // whole frames
	last    int        // where the last frame begins
	held    bool       // the connection runs commands
	writing bool       // a goroutine sends
	resp3   bool       // the client understands them
	gone    bool       // nothing is queued any more
	atReply bool       // the client reads what it is told of moves with its next reply only
	urgent  bool       // something waits that is to be read before

	subscribed bool // in RESP2 it hears invalidations of others as messages

	// The connection's own: what goes where among its replies.
	before int // of the queued bytes: they waited when it began to run commands
	cuts   []place
	own    []byte // frames about its own command, which follow its reply
}

// place says that of the queued bytes the first n go before the reply at an offset of
// the connection's out.
type place struct{ at, n int }

// pushing gives the connection its pushes, if it has none yet.
func (c *conn) pushing() *pushes {
	if c.pushes == nil {
		c.pushes = &pushes{c: c, held: true, resp3: c.sess.Proto >= 3}
		c.mailbox.Store(c.pushes)
	}
	return c.pushes
}

// queue appends one whole frame. Frames beyond pushMax close the connection.
func (p *pushes) queue(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resp3 {
		p.add(frame)
	}
}

// atReplyMax is how many bytes wait for the next reply; what is more is sent at once.
const atReplyMax = 16 << 10

// queueMove appends a frame that tells of moves: it goes with the next reply to a client
// that would not read it before.
func (p *pushes) queueMove(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resp3 {
		p.urgent = p.urgent || !p.atReply || len(p.buf) > atReplyMax
		p.put(frame)
	}
}

// reads takes note of how the client does, by the name of its library. go-redis looks at an
// idle connection only when it takes it for a command. Whether the other side has closed
// it, it does not see behind a push that lies there; when a node left after its leases
// had moved, such connections failed one by one, and a command that met four of them
// in a row.
func (p *pushes) reads(library string) {
	p.mu.Lock()
	p.atReply = strings.HasPrefix(library, "go-redis")
	p.mu.Unlock()
}

// waitsLast says whether a frame is the last of those that wait. The caller holds mu.
func (p *pushes) waitsLast(frame []byte) bool {
	return len(p.buf) > 0 && bytes.Equal(p.buf[p.last:], frame)
}

// add is queue of whatever the client understands. The caller holds mu.
func (p *pushes) add(frame []byte) {
	p.urgent = true
	p.put(frame)
}

// put is add of what may wait, too. The caller holds mu.
func (p *pushes) put(frame []byte) {
	if p.gone {
		return
	}
	if len(p.buf)+len(frame) > pushMax {
		p.gone = true
		p.c.srv.evicted.Add(1)
		p.c.nc.Close()
		return
	}
	p.last = len(p.buf)
	p.buf = append(p.buf, frame...)
	p.count(len(frame))
	if p.c.srv.buffered.Load() > p.c.srv.cfg.BuffersMax && !p.c.srv.relieve(p.c) {
		p.gone = true
		return
	}
	p.start()
}

// queueOnce is queue, unless the same frame is the last that waits.
func (p *pushes) queueOnce(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resp3 && !p.waitsLast(frame) {
		p.add(frame)
	}
}

// start lets somebody send what waits. The caller holds mu.
func (p *pushes) start() {
	if len(p.buf) > 0 && p.urgent && !p.held && !p.writing && !p.gone {
		p.writing = true
		p.c.srv.wg.Add(1) // the connection is in it too, until its end() is through
		go p.drain()
	}
}

// drain sends what waits until nothing does or the connection runs commands.
func (p *pushes) drain() {
	defer p.c.srv.wg.Done()
	for p.sendIdle() {
	}
}

func (p *pushes) sendIdle() bool {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	if p.held || len(p.buf) == 0 {
		p.writing = false
		p.mu.Unlock()
		return false
	}
	b := p.take(len(p.buf))
	p.mu.Unlock()
	if p.c.send(b) != nil {
		p.c.nc.Close()
	}
	p.count(-len(b))
	return true
}

// take gives the first bytes that wait, whole frames, to the caller, who uncounts them once
// they have left. The caller holds mu.
func (p *pushes) take(n int) []byte {
	b := p.buf[:n:n]
	if p.buf, p.last = p.buf[n:], max(p.last-n, 0); len(p.buf) == 0 {
		p.buf, p.urgent = nil, false
	}
	return b
}

// count adds bytes to what the connection and the server hold.
func (p *pushes) count(n int) {
	p.c.charged.Add(int64(n))
	p.c.srv.buffered.Add(int64(n))
}

// hold says that the connection begins to run commands, and sends from now on. What
// waits goes before the first reply: another connection may have had its answer to what
// caused it, and a client may take this reply for a sign that nothing is on its way.
func (p *pushes) hold() {
	p.mu.Lock()
	p.held, p.before = true, len(p.buf)
	p.mu.Unlock()
}

// holdPushes begins to run commands. What is not held any more is taken back before
// their replies: the process may have been stopped since the last ones.
func (c *conn) holdPushes() {
	c.pushes.hold()
	if c.tracking.on {
		c.srv.backend.Awake()
	}
}

// release says that it is idle again.
func (p *pushes) release() {
	p.cuts = p.cuts[:0]
	p.mu.Lock()
	p.held = false
	p.start()
	p.mu.Unlock()
}

// cutHere puts what is queued so far before the reply that begins at an offset of
// out, and what comes later behind it. It is called in the hold of the shard in which
// the command did what it answers; the first call for a reply counts.
func (p *pushes) cutHere(at int) {
	if n := len(p.cuts); n > 0 && p.cuts[n-1].at == at {
		return
	}
	p.mu.Lock()
	n := len(p.buf)
	p.mu.Unlock()
	if mutant.Is("push-behind") {
		n = 0
	}
	p.cuts = append(p.cuts, place{at, n})
}

// due is how many of the bytes that wait go with the replies of now. The caller holds mu.
func (p *pushes) due() int {
	if p.urgent {
		return len(p.buf)
	}
	n := p.before
	for _, k := range p.cuts {
		n = max(n, k.n)
	}
	return n
}

// sendWith sends replies and all that waits, in order; but what may wait for the next
// reply and was caused later than these.
func (p *pushes) sendWith(out []byte) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	b := p.take(p.due())
	p.mu.Unlock()
	replied, pushed := 0, p.before
	p.before = 0
	if len(b) == 0 {
		p.cuts = p.cuts[:0]
		return p.c.send(out)
	}
	defer p.count(-len(b))
	both := make([]byte, 0, len(b)+len(out))
	both = append(both, b[:pushed]...)
	for _, k := range p.cuts {
		n := max(k.n, pushed)
		both = append(append(both, out[replied:k.at]...), b[pushed:n]...)
		replied, pushed = k.at, n
	}
	p.cuts = p.cuts[:0]
	both = append(append(both, out[replied:]...), b[pushed:]...)
	return p.c.send(both)
}

// speak says whether the client understands pushes from here on.
func (p *pushes) speak(proto int) {
	p.mu.Lock()
	p.resp3 = proto >= 3
	p.mu.Unlock()
}

// end forgets what waits: the connection is over.
func (p *pushes) end() {
	p.mu.Lock()
	p.gone = true
	p.count(-len(p.take(len(p.buf))))
	p.mu.Unlock()
}

// answered queues what the command under way caused about itself.
func (p *pushes) answered() {
	if len(p.own) > 0 {
		p.queue(p.own)
		p.own = p.own[:0]
	}
}

// invalidateAll is the push that takes every key back.
const invalidateAll = ">2\r\n$10\r\ninvalidate\r\n_\r\n"

// appendInvalidateHead begins a push that takes keys back; their array follows.
func appendInvalidateHead(b []byte) []byte {
	return resp.AppendBulk(resp.AppendPush(b, 2), "invalidate")
}

// invalidation is the push that takes keys back.
func invalidation[K string | []byte](keys ...K) []byte {
	b := resp.AppendArray(appendInvalidateHead(nil), len(keys))
	for _, k := range keys {
		b = resp.AppendBulk(b, k)
	}
	return b
}

// endPushes forgets the pushes of a connection that is over.
func (c *conn) endPushes() {
	c.mailbox.CompareAndSwap(nil, overPushes)
	if c.pushes != nil {
		c.untrack()
		c.srv.capable.leave(c)
		c.srv.moves.leave(c)
		c.pushes.end()
	}
}

// resetPushes takes back all that the client asked to be told (RESET).
func (c *conn) resetPushes() {
	if c.pushes != nil {
		c.untrack()
		c.srv.capable.leave(c)
		c.srv.moves.leave(c)
		c.capable.on = false
		c.unsubscribe()
		c.pushes.speak(c.sess.Proto)
	}
}
