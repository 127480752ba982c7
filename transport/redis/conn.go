package redis

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// conn is one client. Its goroutine owns everything but stopping and the span.
type conn struct {
	srv  *Server
	nc   net.Conn
	sock *socket // how nc is read and written
	rd   *resp.Reader
	sess Session

	*work                   // held while commands are run, nil while idle
	multi      multi        // the transaction being collected
	mark       int          // reader position of the first command whose reply has not left
	before     before       // what was said before it
	start      int          // reader position of the command under way
	replyAt    int          // where its reply begins in out
	applied    int          // changes that it made
	counted    int64        // bytes of buffers, as counted last
	charged    atomic.Int64 // the same, what waits to be pushed, and replies on their way from other nodes
	doomed     atomic.Bool  // closed because of them: they count no more
	split      bool         // a part of the command under way was committed before its end
	rerun      bool         // the reader is back at mark: run from there again
	executing  bool         // EXEC runs its commands, which must not wait
	execAt     int          // where EXEC's reply begins in out
	lcsSpent   int          // pairs of bytes that EXEC has compared
	mute       muting       // CLIENT REPLY
	silent     bool         // a reply was dropped: there is something to commit
	restless   bool         // a command about the connection was run: its card may be old
	card       atomic.Pointer[card]
	lastRun    atomic.Pointer[command]
	began      time.Duration // the pipeline, since the server's start; later when it had to wait
	timed      uint64        // commands that the slow log has looked at
	group      group         // commands whose time is not counted yet
	lap        time.Duration // when they began, since the server's start
	lastAt     atomic.Int64  // begin of the last pipeline, for others
	ran        atomic.Uint64 // commands, as published last
	lasting    atomic.Bool   // CLIENT NO-EVICT
	stopping   atomic.Bool
	waiting    atomic.Int32  // whether it is in WAIT, and what CLIENT UNBLOCK wants
	batches    atomic.Uint32 // pipelines run: Shutdown sees by it who is quiet
	quit       bool
	parting    bool                   // CLIENT CAPA farewell: the end is said
	pushes     *pushes                // nil until the client asks for any
	mailbox    atomic.Pointer[pushes] // the same, for those who redirect to it
	tracking   tracking
	redirect   atomic.Pointer[redirect] // of its tracking; nil = to itself
	bcast      atomic.Bool              // of its tracking: no single keys are remembered for it
	capable    capable
	until      time.Duration // CLIENT DEADLINE, since the server's start; 0 = none
	subscribed bool          // to invalidateChannel
	forwarder  Forwarder     // of the gateway port; nil on the client port
	window     int           // commands that are forwarded together
	wrote      []uint32      // by shard, on the gateway port: see noteWrite
	span       atomic.Uint64 // slots read in READONLY mode: first+1 <<32 | last; 0 = none
}

// before is the state that commands after mark may have changed, and that a rerun
// begins with.
type before struct {
	multi    multi
	proto    int
	tracking tracking
	mute     muting
	reads    ReadMode
	quiet    bool

	subscribed bool
	deadline   time.Duration
}

// setMark notes that all replies before a reader position have left.
func (c *conn) setMark(at int) {
	c.mark, c.before = at, before{c.multi, c.sess.Proto, c.tracking, c.mute, c.sess.ReadMode, c.sess.Quiet, c.subscribed, c.until}
}

// rewind goes back to mark.
func (c *conn) rewind() {
	c.rd.Rewind(c.mark)
	c.multi, c.sess.Proto = c.before.multi, c.before.proto
	c.sess.ReadMode, c.sess.Quiet = c.before.reads, c.before.quiet
	c.retrack(c.before.tracking)
	c.mute, c.silent, c.until = c.before.mute, false, c.before.deadline
	c.quit, c.rerun, c.group = false, true, group{}
	if c.pushes != nil {
		c.subscribed = c.before.subscribed
		c.pushes.listen(c.subscribed)
		c.pushes.speak(c.sess.Proto)
		c.pushes.cuts = c.pushes.cuts[:0]
	}
}

// pushAt is where pushes may stand: before the reply of the command under way, never
// inside it.
func (c *conn) pushAt() int {
	if c.executing {
		return c.execAt
	}
	return c.replyAt
}

// work is what a connection needs only while it runs commands. Idle connections
// give it back, so that ten thousand of them cost little.
type work struct {
	out   []byte
	ahead [warmMax][]byte // keys that are warmed
	op    Op
	res   Result

	compares  bool   // SET ... IFEQ compare
	versioned bool   // SET ... IFVER compare
	compare   []byte // aliases the connection's buffer

	fw forwards // of gateway connections
}

var workPool = sync.Pool{New: func() any { return new(work) }}

const (
	// outMax is how many bytes of replies are gathered before they are sent
	// although the pipeline goes on.
	outMax = 256 << 10
	// outKeep is the longest buffer that goes back to the pool.
	outKeep = 64 << 10
	// sendStep is how much one write deadline covers: a slow client that takes
	// its replies is never closed, however long they are.
	sendStep = 256 << 10
	// reruns is how often reads are run again because their lease ended before
	// the reply could leave.
	reruns = 3
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, window: windowMin, sock: newSocket(nc)}
	c.rd = resp.NewReader(c.sock, s.cfg.BulkMax)
	c.sess = Session{ID: s.nextID.Add(1), Proto: 2, Addr: nc.RemoteAddr(), Local: nc.LocalAddr(), Created: time.Now()}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.sess.Loopback = a.IP.IsLoopback()
	}
	return c
}

// noteRead remembers, for a READONLY connection, which slots it read.
func (c *conn) noteRead(slot shardmap.Slot) {
	if !c.sess.ReadOnly {
		return
	}
	first, last, any := c.readSpan()
	if !any {
		first, last = slot, slot
	}
	first, last = min(first, slot), max(last, slot)
	c.span.Store((uint64(first)+1)<<32 | uint64(last))
}

func (c *conn) readSpan() (first, last shardmap.Slot, any bool) {
	s := c.span.Load()
	if s == 0 {
		return 0, 0, false
	}
	return shardmap.Slot(s>>32 - 1), shardmap.Slot(s & 0xffff), true
}

// errClose ends a connection whose replies cannot be trusted or delivered.
var errClose = errors.New("redis: close the connection")

// serve runs the connection: read what came, run it all, answer with one write.
func (c *conn) serve() {
	defer c.nc.Close()
	defer c.count(0)
	c.srv.backend.Open(&c.sess)
	defer c.srv.backend.Closed(&c.sess)
	defer c.endPushes()
	for !c.stopping.Load() {
		if err := c.rd.Fill(); err != nil {
			if c.stopping.Load() {
				break
			}
			return
		}
		if err := c.runBuffered(); err != nil || c.quit {
			return
		}
	}
	c.farewell()
}

const (
	// connBytes is what a connection holds before it buffers anything: its reader,
	// its goroutine's stack and the runtime's part of it.
	connBytes = 8 << 10
	// chargeStep is the unit in which buffers are counted; less costs nothing.
	chargeStep = 4 << 10
)

// fits counts the connection's buffers, its reader's among them; false when it must
// be closed because all of them together are too large and its own are the largest.
func (c *conn) fits(reader int) bool {
	bytes := int64(reader + c.multi.size())
	if c.work != nil {
		bytes += int64(cap(c.out) + cap(c.res.Value) + cap(c.fw.text))
	}
	bytes &^= chargeStep - 1
	before := c.counted
	if bytes == before {
		return true
	}
	total := c.count(bytes)
	return bytes < before || total <= c.srv.cfg.BuffersMax || c.srv.relieve(c)
}

// count says how many bytes the connection's buffers have now; it answers what all have.
func (c *conn) count(bytes int64) (total int64) {
	more := bytes - c.counted
	c.counted = bytes
	c.charged.Add(more)
	return c.srv.buffered.Add(more)
}

// runBuffered runs every command that has arrived and sends the replies.
func (c *conn) runBuffered() error {
	c.batches.Add(1)
	if !c.fits(c.rd.Size()) {
		return errClose
	}
	c.work = workPool.Get().(*work)
	c.setMark(c.rd.Mark())
	c.began = c.srv.since()
	c.lap = c.began
	c.lastAt.Store(int64(c.began))
	if c.pushes != nil {
		c.holdPushes()
	}
	err := c.runAll()
	if c.pushes != nil {
		c.pushes.release()
	}
	c.noteRun()
	if c.restless {
		c.restless = false
		c.showCard()
	}
	w := c.work
	c.work = nil
	if cap(w.out) > outKeep {
		w.out = nil
	}
	if cap(w.res.Value) > outKeep {
		w.res.Value = nil
	}
	w.out, w.op, w.compare = w.out[:0], Op{}, nil
	w.fw.drop()
	workPool.Put(w)
	if err == nil && !c.fits(c.rd.Ahead()) {
		err = errClose
	}
	return err
}

// noteRun publishes what the pipeline was.
func (c *conn) noteRun() {
	if c.lastRun.Load() != c.sess.last { // a load costs nothing, a store ten nanoseconds
		c.lastRun.Store(c.sess.last)
	}
	c.ran.Store(c.sess.commands)
}

func (c *conn) runAll() error {
	for range reruns {
		c.rerun = false
		if err := c.runBatch(); err != nil || !c.rerun {
			return err
		}
	}
	return errClose
}

const (
	// warmMax is how many keys are warmed together: about as many cache lines as a
	// processor waits for at once.
	warmMax = 16
	// warmMin is how many must be there for it to pay.
	warmMin = 3
)

// warm prepares the backend for the keys of the next commands, if it can be, and says
// after how many commands to ask again. The second word of a command is its key,
// or the first of them, nearly always.
func (c *conn) warm() int {
	if c.srv.warmer == nil {
		return warmMax
	}
	keys := c.rd.Peek(c.ahead[:0])
	if len(keys) >= warmMin {
		c.srv.warmer.Warm(keys)
	}
	clear(keys) // the buffer is the reader's
	return max(len(keys), warmMin)
}

// runBatch runs what is buffered from mark on and sends the replies, or leaves
// rerun set.
func (c *conn) runBatch() error {
	warmed := 0 // how many of the next commands
	for ; !c.quit; warmed-- {
		if warmed == 0 {
			warmed = c.warm()
		}
		c.start = c.rd.Mark()
		c.replyAt, c.applied = len(c.out), 0
		args, ok, err := c.rd.Next()
		if err != nil {
			c.fail("ERR " + err.Error())
			c.quit = true
			break
		}
		if !ok {
			break
		}
		c.run(args)
		if c.mute != (muting{}) {
			c.silence()
		}
		if c.rerun {
			return nil
		}
		if len(c.out) >= outMax || c.fw.full(c.window) {
			c.timeSlow()
			if err := c.flush(c.rd.Mark()); err != nil || c.rerun {
				return err
			}
			c.lap = c.srv.since()
		}
	}
	c.timeSlow()
	return c.flush(c.rd.Mark())
}

// flush confirms the leases of what was run and sends the replies. next is the
// first command that is not answered by them.
func (c *conn) flush(next int) error {
	if len(c.out) == 0 && !c.silent && (c.quit || len(c.fw.holes) == 0) {
		c.fw.drop() // without the replies before them those of other nodes are worth nothing
		return nil
	}
	switch err := c.srv.backend.Commit(&c.sess); {
	case err == nil:
	case errors.Is(err, ErrStale) && !c.split:
		c.out = c.out[:0]
		c.fw.drop() // nothing has left: leases are checked before anything is forwarded
		c.rewind()
		return nil
	default:
		return errClose
	}
	c.setMark(next)
	c.split, c.silent = false, false
	if !c.fits(c.rd.Size()) {
		return errClose
	}
	var err error
	switch {
	case len(c.fw.holes) > 0:
		err = c.resolve()
	case c.pushes != nil:
		err = c.pushes.sendWith(c.out)
	case len(c.out) > 0:
		err = c.send(c.out)
	}
	c.out, c.fw.routes = c.out[:0], nil
	return err
}

// send writes b. What the client does not take at once is sent in steps, each of
// which has its own deadline.
func (c *conn) send(b []byte) error {
	n, err := c.sock.writeSome(b)
	if b = b[n:]; err != nil || len(b) == 0 {
		return err
	}
	defer func() { _ = c.nc.SetWriteDeadline(time.Time{}) }()
	for len(b) > 0 {
		n := min(len(b), sendStep)
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout))
		wrote, err := c.nc.Write(b[:n])
		c.sock.written.Add(int64(wrote))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// settle sends the replies of earlier commands before one that may have to wait,
// so that it holds none of them back. What the command has written of its own
// reply stays. It reports false when the command must not go on: the connection
// is to be closed, or the pipeline is run again from mark.
func (c *conn) settle() bool {
	if c.executing || c.replyAt == 0 && len(c.fw.holes) == 0 {
		return true
	}
	partial := append([]byte(nil), c.out[c.replyAt:]...)
	c.out = c.out[:c.replyAt]
	if err := c.flush(c.start); err != nil {
		c.quit = true
		c.out = c.out[:0]
		return false
	}
	c.replyAt = 0
	if c.rerun {
		return false
	}
	c.split = c.applied > 0
	c.out = append(c.out, partial...)
	return true
}
