package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// peer is one other node as seen from here: a bounded queue or a wake-up flag
// per class, and a goroutine per class that keeps a connection.
type peer struct {
	mux    *Mux
	id     shardmap.NodeID
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards everything below
	addr   string
	hint   string // a second address that may be right, "" none
	queues [Lease + 1]queue
	said   string // the last refusal that was reported
}

// queue is what waits for one class.
type queue struct {
	frames [][]byte
	bytes  int
	since  time.Time     // when the connection stood; zero while there is none
	signal chan struct{} // capacity 1
}

func newPeer(m *Mux, id shardmap.NodeID, addr string) *peer {
	p := &peer{mux: m, id: id, addr: addr}
	p.ctx, p.cancel = context.WithCancel(m.ctx)
	for i := range p.queues {
		p.queues[i].signal = make(chan struct{}, 1)
	}
	return p
}

func (p *peer) setAddr(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addr = addr
}

func (p *peer) setHint(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hint = addr
}

// address is where the given try to connect goes: every other one to the hint.
func (p *peer) address(try int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hint != "" && try%2 == 1 {
		return p.hint
	}
	return p.addr
}

func (p *peer) enqueue(class Class, frame []byte) bool {
	limit := p.mux.cfg.ControlQueueMax
	if class == Bulk {
		limit = p.mux.cfg.BulkQueueMax
	}
	p.mu.Lock()
	q := &p.queues[class]
	full := q.bytes > 0 && (q.bytes+len(frame) > limit || !p.mux.room(class, len(frame)))
	if full || p.ctx.Err() != nil {
		p.mu.Unlock()
		return false
	}
	q.frames = append(q.frames, append([]byte(nil), frame...))
	q.bytes += len(frame)
	p.mux.queued[class].Add(int64(len(frame)))
	p.mu.Unlock()
	p.wake(class)
	return true
}

func (p *peer) wake(class Class) {
	select {
	case p.queues[class].signal <- struct{}{}:
	default:
	}
}

// takeMax is how many bytes of frames are put together for one write, about: they are
// copied for it, and were twice what waits at worst.
const takeMax = 1 << 20

// take gives the next frames that wait for a class, one at least.
func (p *peer) take(class Class) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.queues[class]
	n, bytes := 0, 0
	for n < len(q.frames) && (n == 0 || bytes+len(q.frames[n]) <= takeMax) {
		bytes += len(q.frames[n])
		n++
	}
	frames := q.frames[:n:n]
	if q.frames = q.frames[n:]; len(q.frames) == 0 {
		q.frames = nil
	}
	q.bytes -= bytes
	p.mux.queued[class].Add(-int64(bytes))
	return frames
}

// drop forgets what waits for a class.
func (p *peer) drop(class Class) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.queues[class]
	p.mux.queued[class].Add(-int64(q.bytes))
	q.frames, q.bytes = nil, 0
}

// run keeps a connection of one class until the peer is gone. Waits between
// tries grow and vary, so that a restarted node is not met by all at once.
func (p *peer) run(class Class) {
	defer p.drop(class)
	for try, pause := 0, retryMin; p.ctx.Err() == nil; try++ {
		if up := p.connect(class, try); up > retryMax {
			pause = retryMin
		}
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, retryMax)
		if class != Bulk {
			p.drop(class) // what waited for a dead connection is stale
		}
	}
}

// connect dials, serves the connection until it breaks, and says how long it stood.
func (p *peer) connect(class Class, try int) time.Duration {
	addr := p.address(try)
	c, err := p.mux.cfg.Network.Dial(p.ctx, addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	stop := context.AfterFunc(p.ctx, func() { c.Close() })
	defer stop()
	conn := p.mux.newConnNumber()
	_ = c.SetDeadline(time.Now().Add(handshakeTimeout))
	h := hello{id: p.mux.cfg.Self, min: versionMin, max: versionMax, target: p.id, class: class, conn: conn}
	if _, err := dialHandshake(c, h, p.mux.cfg.Secret); err != nil {
		p.refused(addr, err)
		return 0
	}
	_ = c.SetDeadline(time.Time{})
	p.mux.udp.reached(p.id, addr)
	start := time.Now()
	p.stands(class, start)
	defer p.stands(class, time.Time{})
	p.mux.handler.Up(p.id, class, conn)
	defer p.mux.handler.Down(p.id, class, conn)
	gone := make(chan struct{})
	go func() { // the peer never writes here: a read returns when it is gone
		var b [1]byte
		_, _ = c.Read(b[:])
		close(gone)
	}()
	p.write(c, class, gone)
	c.Close()
	<-gone
	return time.Since(start)
}

// stands notes since when there is a connection of a class.
func (p *peer) stands(class Class, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queues[class].since = since
}

// links appends the connections that stand.
func (p *peer) links(all []Link) []Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.queues {
		if !q.since.IsZero() {
			all = append(all, Link{Peer: p.id, Since: q.since, QueuedBytes: int64(q.bytes)})
		}
	}
	return all
}

func (p *peer) refused(addr string, err error) {
	var r *RefusedError
	if !errors.As(err, &r) {
		return
	}
	p.mu.Lock()
	again := p.said == r.Reason
	p.said = r.Reason
	p.mu.Unlock()
	if !again {
		p.mux.handler.Refused(p.id, addr, err)
	}
}

// write sends what there is for the class whenever it is woken.
func (p *peer) write(c net.Conn, class Class, gone <-chan struct{}) {
	var out, body, scratch []byte
	to := newStream(c)
	pull := class == Data || class == Ack
	for {
		sent := false
		out = out[:0]
		if pull {
			if body = p.mux.handler.Next(p.id, class, body[:0]); len(body) > 0 {
				out, scratch = appendFrame(out, body, scratch, class == Data)
			}
		} else {
			for _, f := range p.take(class) {
				out, scratch = appendFrame(out, f, scratch, class == Bulk)
			}
		}
		if len(out) > 0 {
			if _, err := to.Write(out); err != nil {
				return
			}
			sent = true
			if cap(out) > 4<<20 {
				out, body, scratch = nil, nil, nil
			}
		}
		if sent {
			select {
			case <-gone:
				return
			default:
				continue
			}
		}
		select {
		case <-p.queues[class].signal:
		case <-gone:
			return
		case <-p.ctx.Done():
			return
		}
	}
}
