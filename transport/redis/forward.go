package redis

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Forwarder carries commands of gateway connections to the client ports of nodes.
type Forwarder interface {
	// Forward queues calls for a node, in order and behind those that were queued for it
	// via the same before, and calls Done of each exactly once. It does not wait, and
	// keeps nothing of Call.Command when it returns.
	Forward(to shardmap.NodeInfo, via Via, calls []*Call)
}

// Via names one of the connections to a node.
type Via struct {
	Proto int    // RESP version of the replies
	Quiet bool   // as CLIENT NO-TOUCH
	Level string // ack level of the writes
	Lane  int64  // calls of one lane keep their order
}

// Errors of a Call.
var (
	// ErrUnsent: no node has got the whole command, so none has run it.
	ErrUnsent = errors.New("command not sent")
	// ErrLost: a node may have got the command, and its reply will not come.
	ErrLost = errors.New("reply lost")
)

// Call is one command on its way to a node and its reply on the way back. The
// Forwarder owns it until it calls Done.
type Call struct {
	Command []byte // as RESP
	Skip    int    // replies before the one that counts
	Reply   []byte // as it came

	conn    *conn
	round   *round
	err     error
	refused []byte       // see Skipped
	charged int64        // bytes of Reply that the server counts
	state   atomic.Int32 // callWaiting, then one of the others, for good
}

const (
	callWaiting = iota
	callDone
	callLeft // its connection went on without it
)

var callPool = sync.Pool{New: func() any { return new(Call) }}

// NewLone is a call that belongs to no client, so that a Forwarder can be tried by itself.
// Replies up to repliesMax bytes have room. wait waits for Done and says what it said.
func NewLone(command []byte, skip int, repliesMax int64) (k *Call, wait func() error) {
	near, _ := net.Pipe()
	c := &conn{srv: &Server{cfg: Config{BuffersMax: repliesMax}}, nc: near}
	k = &Call{Command: command, Skip: skip, conn: c, round: newRound(1)}
	return k, func() error { <-k.round.ready; return k.err }
}

// Room asks whether Reply may grow by n bytes. When it may not, the client is being
// closed and the reply is worth nothing.
func (k *Call) Room(n int) bool {
	k.charged += int64(n)
	k.conn.charged.Add(int64(n))
	total := k.conn.srv.buffered.Add(int64(n))
	return total <= k.conn.srv.cfg.BuffersMax || k.conn.srv.relieve(k.conn)
}

// Done says that Reply is there or, with ErrUnsent or ErrLost, that it will never be.
func (k *Call) Done(err error) {
	k.err = err
	if k.refused != nil {
		k.Reply = append(k.Reply[:0], k.refused...)
	}
	if r := k.round; k.state.CompareAndSwap(callWaiting, callDone) {
		r.finish()
		return
	}
	k.refund()
}

// Skipped takes one of the replies before the one that counts. A refusal among them is
// the reason for what follows, and says more.
func (k *Call) Skipped(reply []byte) {
	if k.refused == nil && mayPass(errorCode(reply)) {
		k.refused = bytes.Clone(reply)
	}
}

func (k *Call) refund() {
	k.conn.charged.Add(-k.charged)
	k.conn.srv.buffered.Add(-k.charged)
	k.charged = 0
}

// release gives a call back that is done, with the memory of its reply.
func (k *Call) release() {
	k.refund()
	reply := k.Reply[:0]
	if cap(reply) > outKeep {
		reply = nil
	}
	*k = Call{Reply: reply}
	callPool.Put(k)
}

// round is calls that are waited for together.
type round struct {
	left  atomic.Int64
	ready chan struct{} // one token when nothing is left
}

func newRound(calls int) *round {
	r := &round{ready: make(chan struct{}, 1)}
	r.left.Store(int64(calls))
	return r
}

// finish counts one call off.
func (r *round) finish() {
	if r.left.Add(-1) == 0 {
		r.ready <- struct{}{}
	}
}
