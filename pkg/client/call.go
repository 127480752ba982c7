package client

import (
	"sync"
	"sync/atomic"
)

// call is one command on its way: the caller waits on done, the connection
// completes it. Both hold it, and the last to let go returns it to the pool,
// so a caller may leave at any moment.
type call struct {
	done chan struct{} // one token when reply or err is set
	refs atomic.Int32

	end   uint64 // offset in the connection's stream behind the command; guarded by conn.mu
	skip  int    // answers to pass over before the command's own (ASKING)
	write bool   // changes data
	token bool   // the connection's own AEGIS.TOKEN; nobody waits
	clock bool   // the connection's own CLIENT DEADLINE; nobody waits
	wrote string // the key of a write that the connection's ears want to hear of
	into  bool   // the text of the answer goes into buf, and the caller copies it
	buf   []byte // the reader's until done; memory that stays with the call

	answer answer // set before done
	err    error  // set before done
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newCall(cmd *command) *call {
	k := calls.Get().(*call)
	k.refs.Store(2)
	k.write, k.token, k.clock, k.into = cmd.writes(), false, false, cmd.into
	k.skip, k.wrote = 0, ""
	if cmd.asking {
		k.skip = 1
	}
	return k
}

// complete gives the caller its answer, or why there is none, and lets go.
func (k *call) complete(a answer, err error) {
	k.answer, k.err = a, err
	k.done <- struct{}{} // never blocks: one token, taken or drained
	k.release()
}

// release lets go of the call; nothing may touch it afterwards.
func (k *call) release() {
	if k.refs.Add(-1) > 0 {
		return
	}
	select {
	case <-k.done:
	default:
	}
	k.answer, k.err = answer{}, nil
	calls.Put(k)
}

// queue is the calls of one connection that wait for answers, first in first out.
type queue struct {
	ring []*call // power of two
	head int
	n    int
}

func (q *queue) push(k *call) {
	if q.n == len(q.ring) {
		grown := make([]*call, max(16, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = k
	q.n++
}

// front is the call whose answer comes next, nil when none is due.
func (q *queue) front() *call {
	if q.n == 0 {
		return nil
	}
	return q.ring[q.head]
}

func (q *queue) pop() *call {
	k := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return k
}
