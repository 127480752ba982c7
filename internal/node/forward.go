package node

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// forwarder carries the commands of gateway connections to the client ports of nodes,
// over a few connections per node that all gateway clients share. pkg/client was the
// other way: it decodes every reply, knows three commands, and is for callers that
// each wait for one.
type forwarder struct {
	done chan struct{} // closed by close
	wg   sync.WaitGroup

	mu      sync.Mutex // guards the rest
	lines   map[lineKey]*line
	watched bool // watch runs
	closed  bool
}

var (
	errSilent = errors.New("it owes replies and sends none")
	errIdle   = errors.New("nobody uses it")
	errClosed = errors.New("the node stops")
)

// lineKey names a connection. Ack levels have connections of their own, because a
// level belongs to a connection; so have the versions of RESP and what is no hit.
type lineKey struct {
	addr  string
	proto int
	quiet bool
	level string
	lane  int64
}

const (
	// linesPerNode is how many connections carry the commands of one kind to a node.
	linesPerNode = 2
	// gatewayClient is the library name of these connections. Like our Go client they
	// carry many callers' commands, so none is parked at the holder.
	gatewayClient = "aegiskv-gateway"
	// wireWatch is how often connections are looked at, and wireSilence ends one that
	// owes replies and brings nothing. An ack may take ackMax besides.
	wireWatch   = 250 * time.Millisecond
	wireSilence = 2 * time.Second
	// lineIdle ends a connection that nobody used.
	lineIdle = time.Minute
	// redial is the pause after a dial that failed, doubled up to five times.
	redial = 10 * time.Millisecond
)

func newForwarder() *forwarder {
	return &forwarder{lines: make(map[lineKey]*line), done: make(chan struct{})}
}

// Forward implements redis.Forwarder.
func (f *forwarder) Forward(to shardmap.NodeInfo, via redis.Via, calls []*redis.Call) {
	key := lineKey{net.JoinHostPort(to.Host, strconv.Itoa(to.Port)), via.Proto, via.Quiet, via.Level, via.Lane % linesPerNode}
	if w := f.line(key, to.HexID()); w != nil {
		calls = w.queue(calls)
	}
	unsent(calls)
}

func unsent(calls []*redis.Call) {
	for _, k := range calls {
		k.Done(redis.ErrUnsent)
	}
}

// line is the connection of a key, which may be under way; nil right after a dial
// that failed.
func (f *forwarder) line(key lineKey, node string) *wire {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lines[key]
	if l == nil {
		l = &line{}
		f.lines[key] = l
		if !f.watched {
			f.watched = f.runLocked(f.watch)
		}
	}
	l.used = time.Now()
	fails := 0
	switch {
	case l.wire == nil:
	case !l.wire.failed():
		return l.wire
	case !l.wire.stood():
		if fails = l.fails + 1; l.used.Sub(l.dialed) < redial<<min(l.fails, 5) {
			return nil
		}
	}
	w := newWire(key, node)
	if !f.runLocked(func() { w.run(f) }) {
		return nil
	}
	l.wire, l.dialed, l.fails = w, l.used, fails
	return w
}

// line remembers what became of the connections of a key.
type line struct {
	wire   *wire     // the newest
	dialed time.Time // when it was begun
	used   time.Time
	fails  int // dials in a row that failed
}

// run starts a goroutine that close waits for; false after close.
func (f *forwarder) run(fn func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runLocked(fn)
}

func (f *forwarder) runLocked(fn func()) bool {
	if f.closed {
		return false
	}
	f.wg.Go(fn)
	return true
}

// watch ends connections that owe replies and are silent, and those nobody uses. It ends
// with the last of them, so that a node whose gateway nobody uses does not wake up for it.
func (f *forwarder) watch() {
	tick := time.NewTicker(wireWatch)
	defer tick.Stop()
	for {
		select {
		case <-f.done:
			return
		case <-tick.C:
		}
		if !f.look(time.Now()) {
			return
		}
	}
}

// look reports whether there is a connection left to be watched.
func (f *forwarder) look(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, l := range f.lines {
		if l.wire != nil && l.wire.silent(now) {
			l.wire.fail(errSilent)
		}
		if now.Sub(l.used) > lineIdle {
			l.wire.fail(errIdle)
			delete(f.lines, key)
		}
	}
	f.watched = len(f.lines) > 0
	return f.watched
}

// close ends all connections; what is under way is lost or unsent.
func (f *forwarder) close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.done)
		for _, l := range f.lines {
			l.wire.fail(errClosed)
		}
	}
	f.mu.Unlock()
	f.wg.Wait()
}
