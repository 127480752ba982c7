package redis

import (
	"bytes"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// hole is a place among the replies of a pipeline that tasks will fill.
type hole struct {
	at       int // it stands before this byte of conn.out
	cmd      *command
	since    time.Duration // of the server's start, when it began
	from, to int           // its tasks
	gather   *gather       // makes one reply of several; nil: there is one task
	mute     bool          // the client does not want it
}

// forwards is what a gateway connection has under way between two flushes.
type forwards struct {
	routes  *shardmap.Map // one map for all commands
	strayed bool          // a command was forwarded against it
	tasks   []task
	holes   []hole
	next    int     // the first hole that was not delivered
	from    int     // what of conn.out was delivered
	text    []byte  // replies about to leave
	bytes   int     // of replies that came from other nodes
	calls   []*Call // about to be handed over together
	timer   *time.Timer
}

const (
	forwardPause = time.Millisecond // between attempts, doubled up to ten times that

	// windowMin and windowMax bound how many commands are forwarded together. Where
	// replies are large it becomes fewer, because nobody knows their sizes beforehand.
	windowMin = 64
	windowMax = 1024
)

// forward leaves a hole for the reply that gather makes of tasks; for the reply of
// the only task when gather is nil.
func (c *conn) forward(cmd *command, g *gather, tasks ...task) {
	c.through(tasks)
	f := &c.fw
	h := hole{at: len(c.out), cmd: cmd, since: c.lap, from: len(f.tasks), gather: g, mute: c.mute != muting{}}
	f.tasks = append(f.tasks, tasks...)
	h.to = len(f.tasks)
	f.holes = append(f.holes, h)
}

// through says by which connection tasks go: that of this client's other commands.
func (c *conn) through(tasks []task) {
	level, _ := c.srv.backend.SetLevel(&c.sess, "")
	for i := range tasks {
		tasks[i].via = Via{Proto: c.sess.Proto, Quiet: c.sess.Quiet, Level: level, Lane: c.sess.ID}
	}
}

// full reports that what waits to be forwarded should leave now.
func (f *forwards) full(window int) bool { return len(f.tasks) >= window }

// drop forgets everything; calls whose replies are there go back.
func (f *forwards) drop() {
	for i := range f.tasks {
		if k := f.tasks[i].call; k != nil && k.state.Load() == callDone {
			k.release()
		}
	}
	text := f.text[:0]
	if cap(text) > outKeep {
		text = nil
	}
	if cap(f.tasks) > windowMin {
		f.tasks, f.holes, f.calls = nil, nil, nil
	}
	clear(f.tasks)
	clear(f.holes)
	*f = forwards{tasks: f.tasks[:0], holes: f.holes[:0], calls: f.calls[:0], text: text, timer: f.timer}
}

// resolve forwards the tasks and sends all replies, each in its place. It sends those
// that are there before it waits for others to become possible.
func (c *conn) resolve() error {
	defer c.fw.drop()
	return c.carry(c.deliver)
}

// ask forwards tasks for the command under way and waits for what they answer. Earlier
// replies have left: see settle. nil when a write may or may not have been applied: the
// connection is closed.
func (c *conn) ask(tasks ...task) (replies [][]byte) {
	c.through(tasks)
	f := &c.fw
	f.tasks = append(f.tasks, tasks...)
	_ = c.carry(func() error { return nil })
	defer f.drop()
	for i := range f.tasks {
		if f.tasks[i].unsure() {
			c.srv.forwardedLost.Add(1)
			c.failWith(ErrUnknown)
			return nil
		}
		replies = append(replies, bytes.Clone(f.tasks[i].reply()))
	}
	return replies
}

// carry sends the tasks until each is done, and calls after behind every attempt.
func (c *conn) carry(after func() error) error {
	f := &c.fw
	begun := time.Now()
	c.srv.forwarded.Add(int64(len(f.tasks)))
	for pause := forwardPause; ; {
		c.await(c.attempt())
		retry, soon := f.judge(c.srv.backend.Map(), time.Since(begun))
		if err := after(); err != nil || !retry {
			return err
		}
		c.srv.forwardedAgain.Add(1)
		if !soon {
			time.Sleep(pause)
			pause = min(2*pause, 10*forwardPause)
		}
	}
}

// attempt hands over the tasks that are not done, those that go one way together.
func (c *conn) attempt() *round {
	f, m := &c.fw, c.srv.backend.Map()
	r := newRound(hold(f.tasks))
	for i := range f.tasks {
		if t := &f.tasks[i]; !t.done && !t.held {
			t.begin(c, r, m)
		}
	}
	for i := range f.tasks {
		if f.tasks[i].waits() {
			c.handOver(f.tasks[i:], m)
		}
	}
	return r
}

// handOver gives the calls that go the way of the first task to the Forwarder.
func (c *conn) handOver(tasks []task, m *shardmap.Map) {
	f := &c.fw
	to, via := tasks[0].to, tasks[0].via
	f.calls = f.calls[:0]
	for i := range tasks {
		if t := &tasks[i]; t.waits() && t.to == to && t.via == via {
			t.sent = true
			f.calls = append(f.calls, t.call)
		}
	}
	if n, ok := m.Node(to); ok {
		c.forwarder.Forward(n, via, f.calls)
		return
	}
	for _, k := range f.calls {
		k.Done(ErrUnsent)
	}
}

// await waits until every call of a round is done, or left because its node will
// not answer.
func (c *conn) await(r *round) {
	f := &c.fw
	if f.timer == nil {
		f.timer = time.NewTimer(forwardLook)
	} else {
		f.timer.Reset(forwardLook)
	}
	defer f.timer.Stop()
	for {
		select {
		case <-r.ready:
			return
		case <-f.timer.C:
		}
		m := c.srv.backend.Map()
		for i := range f.tasks {
			if t := &f.tasks[i]; !t.done && !t.held && t.call != nil {
				t.leave(m)
			}
		}
		f.timer.Reset(forwardLook)
	}
}

// judge looks at every reply; retry when some task is to be sent again, soon when that
// needs no pause.
func (f *forwards) judge(m *shardmap.Map, elapsed time.Duration) (retry, soon bool) {
	soon = true
	for i := range f.tasks {
		t := &f.tasks[i]
		if t.done {
			continue
		}
		at := t.held || t.judge(m, elapsed)
		if !t.done {
			retry, soon = true, soon && at
		}
	}
	return retry && keepOrder(f.tasks), soon
}

// deliver sends the replies up to the first that is not there.
func (c *conn) deliver() error {
	f, now := &c.fw, c.srv.since()
	for ; f.next < len(f.holes); f.next++ {
		h := &f.holes[f.next]
		tasks := f.tasks[h.from:h.to]
		if !allDone(tasks) {
			break
		}
		f.text = append(f.text, c.out[f.from:h.at]...)
		f.from = h.at
		if !c.answer(h, tasks, now) {
			_ = c.send(f.text) // what came before it is known
			c.srv.forwardedLost.Add(1)
			return errClose
		}
		if len(f.text) >= outMax {
			if err := c.sendText(); err != nil {
				return err
			}
		}
	}
	if f.next == len(f.holes) {
		f.text = append(f.text, c.out[f.from:]...)
		f.from = len(c.out)
		c.widen()
	}
	return c.sendText()
}

func allDone(tasks []task) bool {
	for i := range tasks {
		if !tasks[i].done {
			return false
		}
	}
	return true
}

// answer appends the reply of a hole and counts its command; false when the outcome is not
// known.
func (c *conn) answer(h *hole, tasks []task, now time.Duration) bool {
	f := &c.fw
	for i := range tasks {
		if tasks[i].unsure() {
			return false
		}
		f.bytes += len(tasks[i].reply())
	}
	at := len(f.text)
	if h.gather == nil {
		f.text = append(f.text, tasks[0].reply()...)
	} else {
		var ok bool
		if f.text, ok = h.gather.merge(f.text, tasks); !ok {
			return false
		}
	}
	failed := int64(0)
	if f.text[at] == '-' {
		failed = 1
		c.srv.errors.count(f.text[at:])
	}
	if h.mute {
		f.text = f.text[:at]
	}
	h.cmd.add(1, failed, now-h.since)
	for i := range tasks {
		if k := tasks[i].call; k != nil {
			tasks[i].call, tasks[i].err = nil, ErrDown
			k.release()
		}
	}
	return true
}

func (c *conn) sendText() error {
	f := &c.fw
	if len(f.text) == 0 {
		return nil
	}
	if !c.fits(c.rd.Size()) {
		return errClose
	}
	err := c.send(f.text)
	f.text = f.text[:0]
	return err
}

// widen sets how many commands are forwarded together next time, by the replies of
// this time.
func (c *conn) widen() {
	f := &c.fw
	if f.bytes <= outMax {
		c.window = min(2*c.window, windowMax)
	} else {
		c.window = max(1, len(f.tasks)*outMax/f.bytes)
	}
}
