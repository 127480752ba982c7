package redis

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// When is a forwarded command sent again? When no node can have applied it: it was
// never sent whole, or the node refused it with a word that says so; and when it only
// reads. A write whose reply is lost is never repeated and never answered: its
// client's connection is closed, as on the client port.

// task is one command to forward, through all its attempts.
type task struct {
	command []byte
	slot    shardmap.Slot
	write   bool // may change something
	skip    int  // replies before the one that counts
	via     Via

	hint  shardmap.NodeID // where a MOVED pointed to
	to    shardmap.NodeID // where the last attempt went
	moves int             // times that a node said MOVED
	looks int             // times that somebody else was seen to hold the slot while it waited
	call  *Call           // the last attempt
	again bool            // the last attempt was refused
	held  bool            // not sent this time: an earlier one on its slot is tried first
	sent  bool            // it was handed over
	done  bool            // the reply is what it will be
	err   error           // done without a reply of a node
}

const (
	forwardPark  = 200 * time.Millisecond // as long as the client port parks a command
	forwardDelay = 50 * time.Millisecond  // and waits for replicas
	movesMax     = 3                      // how many MOVED are followed without a pause

	// forwardLook is how often it is looked who holds the slots of commands without a
	// reply. After so many looks at a new holder a read goes to it, and a write is given
	// up: what a holder that hands over was sent, it answers sooner.
	forwardLook = 50 * time.Millisecond
	looksRead   = 2
	looksWrite  = 8
)

// begin prepares an attempt: where the last MOVED pointed to, else where the map does.
func (t *task) begin(c *conn, r *round, m *shardmap.Map) {
	if t.call != nil {
		t.call.release()
	}
	switch {
	case t.hint != 0:
		t.to = t.hint
	default:
		t.to = m.LeaderOf(t.slot)
	}
	k := callPool.Get().(*Call)
	k.Command, k.Skip, k.conn, k.round = t.command, t.skip, c, r
	t.call, t.hint, t.looks, t.again, t.sent, t.err = k, 0, 0, false, false, nil
}

// waits reports that the task is to be handed over.
func (t *task) waits() bool { return !t.done && !t.held && !t.sent }

// leave gives an attempt up when somebody else holds the slot by now and the reply
// has had its time. The call is left to the Forwarder.
func (t *task) leave(m *shardmap.Map) {
	if now := m.LeaderOf(t.slot); now == 0 || now == t.to {
		return
	}
	most := looksRead
	if t.write {
		most = looksWrite
	}
	if t.looks++; t.looks < most {
		return
	}
	if r := t.call.round; t.call.state.CompareAndSwap(callWaiting, callLeft) {
		t.call, t.err = nil, ErrLost
		r.finish()
	}
}

// judge decides after an attempt whether the reply stands; if not, whether the next
// attempt is made at once. elapsed is the time since the first.
func (t *task) judge(m *shardmap.Map, elapsed time.Duration) (soon bool) {
	t.again = true
	if t.call != nil {
		t.err = t.call.err
	}
	switch {
	case t.err == nil:
		return t.judgeReply(m, elapsed)
	case errors.Is(t.err, ErrLost) && t.write:
		t.done = true
	case elapsed >= forwardPark:
		t.done, t.err = true, ErrDown
	}
	return false
}

func (t *task) judgeReply(m *shardmap.Map, elapsed time.Duration) (soon bool) {
	switch code := errorCode(t.call.Reply); {
	case code == "MOVED":
		t.hint = movedTo(t.call.Reply, m)
		t.moves++
		if elapsed >= forwardPark && !mutant.Is("proxy-loop") {
			t.done, t.err = true, ErrDown
		}
		return t.hint != 0 && t.moves <= movesMax
	case code == "NOREPLICAS" && elapsed < forwardDelay, slices.Contains(passing, code) && elapsed < forwardPark:
		return false
	}
	t.done = true
	return false
}

// passing are the refusals, MOVED and NOREPLICAS apart, that have changed nothing and
// may be over soon.
var passing = []string{"CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN"}

// mayPass reports that a command refused with this word would be tried again.
func mayPass(code string) bool {
	return code == "MOVED" || code == "NOREPLICAS" || slices.Contains(passing, code)
}

// errorCode is the first word of an error reply, "" of any other.
func errorCode(reply []byte) string {
	if len(reply) == 0 || reply[0] != '-' {
		return ""
	}
	word, _, _ := bytes.Cut(reply[1:], []byte(" "))
	return string(bytes.TrimRight(word, "\r\n"))
}

// unsure reports that the command may have been applied, and nobody knows.
func (t *task) unsure() bool { return t.done && errors.Is(t.err, ErrLost) }

var replyDown = []byte("-CLUSTERDOWN Hash slot not served\r\n")

// reply is what a task that is done answers.
func (t *task) reply() []byte {
	if t.err != nil {
		return replyDown
	}
	return t.call.Reply
}

// hold keeps back what would be sent again beside an earlier task on its slot that was
// refused as well: it could be taken although that one is refused once more. It says
// how many tasks are to be sent.
func hold(tasks []task) (open int) {
	var tried map[shardmap.Slot]bool
	for i := range tasks {
		t := &tasks[i]
		if t.done {
			continue
		}
		if t.held = tried[t.slot]; t.held {
			continue
		}
		open++
		if t.again {
			if tried == nil {
				tried = make(map[shardmap.Slot]bool)
			}
			tried[t.slot] = true
		}
	}
	return open
}

// keepOrder gives up tasks that would be sent again although a later one on the same
// slot is done: what a client sent in order is not done in another.
func keepOrder(tasks []task) (retry bool) {
	wrote := map[shardmap.Slot]bool{} // slots of later tasks that are done; whether one may have written
	for i := len(tasks) - 1; i >= 0; i-- {
		t := &tasks[i]
		later, any := wrote[t.slot]
		switch {
		case t.done:
			wrote[t.slot] = later || t.write
		case any && (t.write || later):
			t.done = true
			if t.err != nil || errorCode(t.call.Reply) == "MOVED" {
				t.err = ErrDown
			}
		default:
			retry = true
		}
	}
	return retry
}
