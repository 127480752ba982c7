package node

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/redis"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// wire is one connection of a forwarder, from its dial to its end. Commands are copied
// behind one another under the mutex, so that bytes and calls have one order; a writer
// goroutine hands all that gathered to the kernel at once, and a reader goroutine gives
// the replies to the calls, first in first out.
type wire struct {
	key   lineKey
	node  string        // the CLUSTER MYID that must answer there
	wake  chan struct{} // to the writer, one token
	gone  chan struct{} // closed when it has failed
	heard atomic.Int64  // bytes that came

	mu      sync.Mutex // guards the rest; never held across I/O
	nc      net.Conn   // nil until it stands
	err     error      // why it has failed
	pending []byte     // commands that no write has taken
	spare   []byte     // the other buffer
	inWrite bool       // the kernel has the other buffer
	queued  uint64     // bytes ever put into pending
	written uint64     // of them taken by the kernel
	calls   []wireCall // from head on: without a reply, in order
	head    int
	reading bool      // the reply of one more is being read
	seen    int64     // heard at the last look
	since   time.Time // when something came last, or was owed first
}

// wireCall is a call and where its command ends in the stream.
type wireCall struct {
	*redis.Call
	end uint64
}

const (
	// wirePending bounds the bytes that wait for a write; one command is always taken.
	wirePending = 1 << 20
	// wireKeep is the longest buffer that is kept, and wireStep the most that one write
	// is given.
	wireKeep = 256 << 10
	wireStep = 256 << 10
	// dialMax bounds a dial with its handshake.
	dialMax = 300 * time.Millisecond
)

func newWire(key lineKey, node string) *wire {
	return &wire{key: key, node: node, wake: make(chan struct{}, 1), gone: make(chan struct{}), since: time.Now()}
}

// queue takes calls in order and gives those back that it does not take: from the
// first without room on all, because one behind it would overtake it.
func (w *wire) queue(calls []*redis.Call) []*redis.Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.owes() {
		w.since = time.Now()
	}
	for len(calls) > 0 && w.err == nil {
		b := calls[0].Command
		if len(w.pending) > 0 && len(w.pending)+len(b) > wirePending {
			break
		}
		w.pending = append(w.pending, b...)
		w.queued += uint64(len(b))
		w.calls = append(w.calls, wireCall{calls[0], w.queued})
		calls = calls[1:]
	}
	select {
	case w.wake <- struct{}{}:
	default: // it was told, and will find these bytes too
	}
	return calls
}

func (w *wire) owes() bool { return w.reading || w.head < len(w.calls) }

// run is the goroutine of a wire: it dials, then reads.
func (w *wire) run(f *forwarder) {
	nc, err := net.DialTimeout("tcp", w.key.addr, dialMax)
	if err != nil {
		w.fail(err)
		return
	}
	r := bufio.NewReaderSize(counted{nc, &w.heard}, 32<<10)
	_ = nc.SetDeadline(time.Now().Add(dialMax))
	if err := w.greet(nc, r); err != nil {
		_ = nc.Close()
		w.fail(err)
		return
	}
	_ = nc.SetDeadline(time.Time{})
	w.mu.Lock()
	w.nc = nc
	w.mu.Unlock()
	if !f.run(w.write) {
		w.fail(errClosed)
	}
	w.fail(w.read(r))
	_ = nc.Close() // it may have failed before it stood
}

// greet says what the connection is for and makes sure that the right node answers: at
// an address that changed hands there may be one of another cluster.
func (w *wire) greet(nc net.Conn, r *bufio.Reader) error {
	b := resp.AppendCommand(nil, "HELLO", fmt.Sprint(w.key.proto), "SETNAME", gatewayClient)
	b = resp.AppendCommand(b, "CLIENT", "SETINFO", "LIB-NAME", gatewayClient)
	b = resp.AppendCommand(b, "AEGIS.DURABILITY", w.key.level)
	b = resp.AppendCommand(b, "CLIENT", "NO-TOUCH", map[bool]string{true: "ON", false: "OFF"}[w.key.quiet])
	b = resp.AppendCommand(b, "CLIENT", "CAPA", "farewell")
	b = resp.AppendCommand(b, "CLUSTER", "MYID")
	if _, err := nc.Write(b); err != nil {
		return err
	}
	const last = 5
	for i := range last + 1 {
		v, err := resp.ReadReply(r)
		switch {
		case err != nil:
			return err
		case v.IsError():
			return fmt.Errorf("%s refused the handshake: %s", w.key.addr, v.Text)
		case i == last && string(v.Text) != w.node:
			return fmt.Errorf("%s is not the node that was meant", w.key.addr)
		}
	}
	return nil
}

// write is the writer goroutine.
func (w *wire) write() {
	for {
		select {
		case <-w.wake:
		case <-w.gone:
			return
		}
		for w.writePending() {
		}
	}
}

// writePending hands what gathered to the kernel; true when more has.
func (w *wire) writePending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || len(w.pending) == 0 {
		return false
	}
	b := w.pending
	w.pending, w.spare, w.inWrite = w.spare[:0], nil, true
	w.mu.Unlock()
	n, err := 0, error(nil)
	for n < len(b) && err == nil {
		var step int
		step, err = w.nc.Write(b[n:min(len(b), n+wireStep)])
		n += step
		w.heard.Add(1) // a long command that moves is no silence
	}
	w.mu.Lock()
	w.written += uint64(n)
	w.inWrite = false
	if cap(b) <= wireKeep {
		w.spare = b[:0]
	}
	if err != nil {
		w.failLocked(err)
	}
	if w.err != nil {
		w.abandon()
	}
	return len(w.pending) > 0
}

var (
	errUnasked  = errors.New("a reply that nobody asked for")
	errFarewell = errors.New("the node stops and has run nothing more")
)

// read gives replies to calls until the connection ends.
func (w *wire) read(r *bufio.Reader) error {
	for {
		if err := parting(r); err != nil {
			return err
		}
		k := w.take()
		if k == nil {
			return errUnasked
		}
		ok, err := reply(r, k)
		w.mu.Lock()
		w.reading = false
		w.mu.Unlock()
		switch {
		case errors.Is(err, errFarewell):
			k.Done(redis.ErrUnsent)
			return err
		case err != nil:
			k.Done(redis.ErrLost)
			return err
		case !ok:
			k.Done(redis.ErrLost)
		default:
			k.Done(nil)
		}
	}
}

// parting waits for a byte and says whether it begins a farewell.
func parting(r *bufio.Reader) error {
	b, err := r.Peek(1)
	if err == nil && b[0] == redis.Farewell[0] {
		return errFarewell
	}
	return err
}

// reply reads what belongs to a call. A transaction whose EXEC has no reply before the
// farewell was not run.
func reply(r *bufio.Reader, k *redis.Call) (ok bool, err error) {
	for range k.Skip {
		if k.Reply, ok, err = resp.CopyReply(r, k.Reply[:0], k.Room); err != nil {
			return ok, err
		}
		k.Skipped(k.Reply)
		if err = parting(r); err != nil {
			return false, err
		}
	}
	k.Reply, ok, err = resp.CopyReply(r, k.Reply[:0], k.Room)
	return ok, err
}

// take is the call whose reply has begun to come.
func (w *wire) take() *redis.Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.head == len(w.calls) {
		return nil
	}
	k := w.calls[w.head].Call
	w.calls[w.head] = wireCall{}
	w.head++
	switch {
	case w.head == len(w.calls):
		w.calls, w.head = w.calls[:0], 0
	case w.head >= 1024 && w.head*2 >= len(w.calls):
		n := copy(w.calls, w.calls[w.head:])
		clear(w.calls[n:])
		w.calls, w.head = w.calls[:n], 0
	}
	w.reading = true
	return k
}

// fail ends the connection.
func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(err)
	if !w.inWrite {
		w.abandon()
	} // else that write ends at once, and only it knows how far it came
}

func (w *wire) failLocked(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	close(w.gone)
	if w.nc != nil {
		_ = w.nc.Close()
	}
}

// abandon tells every call that no reply will come. A command whose last byte the
// kernel has not taken is run by nobody: the rest never follows. Nor is one that a node
// says farewell before.
func (w *wire) abandon() {
	for _, k := range w.calls[w.head:] {
		if k.end > w.written || errors.Is(w.err, errFarewell) {
			k.Done(redis.ErrUnsent)
		} else {
			k.Done(redis.ErrLost)
		}
	}
	w.calls, w.head, w.pending, w.spare = nil, 0, nil, nil
}

func (w *wire) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// stood reports that the connection was made, whatever became of it.
func (w *wire) stood() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nc != nil
}

// silent reports that replies have been owed for too long without a byte.
func (w *wire) silent(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if heard := w.heard.Load(); heard != w.seen || !w.owes() {
		w.seen, w.since = heard, now
	}
	most := wireSilence
	if w.key.level != "async" {
		most += ackMax
	}
	return w.err == nil && now.Sub(w.since) > most
}

// counted counts the bytes that are read.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}
