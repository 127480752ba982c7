package client

import (
	"context"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// job is one command of several that travel together.
type job struct {
	cmd  command
	slot shardmap.Slot
	st   callState
	to   string // address to ask next; "" = the slot's own

	call   *call // under way
	conn   *conn
	answer answer
	err    error // why there is no answer

	op   *Op // nil without hooks
	told []context.Context
}

// doAll runs several commands to their ends. They go out in rounds: all that are left
// are written at once, each connection's in one piece, then the answers are waited for,
// and what the rules of retry.go send again makes the next round.
// Commands of one slot are run in their order, except that one which is sent again
// comes behind those of its round.
func (c *Client) doAll(ctx context.Context, jobs []job) {
	if c.refused != nil {
		for i := range jobs {
			jobs[i].err = c.refused
		}
		return
	}
	var w patience
	w.begin(ctx, c.cfg.Timeout)
	defer w.end()
	closed := c.begin(len(jobs))
	if closed == nil {
		defer c.ended.Add(uint64(len(jobs)))
	}
	left := make([]*job, 0, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		j.slot = shardmap.SlotOfString(j.cmd.key)
		j.st.op = j.cmd.op
		if len(c.cfg.Hooks) > 0 {
			j.op, j.told = c.before(ctx, &j.cmd, j.slot)
		}
		if err := orElse(closed, c.admit(&j.cmd, j.slot)); err != nil {
			c.give(&w, j, err)
		} else {
			left = append(left, j)
		}
	}
	for len(left) > 0 {
		left = c.round(&w, left)
	}
}

// round sends what is left once and gives what is left then.
func (c *Client) round(w *patience, jobs []*job) (left []*job) {
	if cause := w.over(); cause != nil {
		for _, j := range jobs {
			c.give(w, j, j.st.expired(j.err, cause))
		}
		return nil
	}
	c.sendRound(w, jobs)
	var pause time.Duration
	for _, j := range jobs {
		if j.err == nil {
			j.err = plain(errorOf(j.answer.Reply))
		}
		if j.err == nil {
			c.end(w, j)
			continue
		}
		if j.cmd.stale > 0 { // a follower's word; the leaseholder is asked
			j.cmd.lane, j.cmd.stale, j.cmd.least = laneUsual, 0, 0
			left = append(left, j)
			continue
		}
		s := c.cfg.Retry.next(&j.st, j.err, j.answer.node, w.left(), c.random(), c.takeRetry)
		c.learn(s)
		if s.err != nil {
			c.give(w, j, s.err)
			continue
		}
		j.to, j.cmd.asking = s.addr, s.ask
		if s.elsewhere {
			j.to = c.other(j.answer.node)
		}
		pause = max(pause, s.pause)
		left = append(left, j)
	}
	if len(left) > 0 && pause > 0 {
		_ = w.pause(pause, c.ctx.Done()) // the next round asks whether time is over, and a closed client answers ErrClosed
	}
	return left
}

// give ends a job with an error.
func (c *Client) give(w *patience, j *job, err error) {
	j.err = c.opError(w, &j.cmd, &j.st, j.answer.node, err)
	c.end(w, j)
}

// end tells the hooks that a job is over.
func (c *Client) end(w *patience, j *job) {
	if j.op != nil {
		c.after(j.op, j.told, &j.st, &j.answer, j.err, w.elapsed())
	}
}

// sendRound sends the jobs in their order, all connections at the same time, and
// waits for the answers.
func (c *Client) sendRound(w *patience, jobs []*job) {
	var lines []*line
	parts := map[*line]*part{}
	var last placed
	for _, j := range jobs {
		j.st.attempts++
		j.answer, j.err = answer{}, nil
		n, err := c.nodeFor(w, j.slot, j.to)
		if err != nil {
			j.err = err
			continue
		}
		if j.cmd.stale > 0 {
			n = c.placeRead(j, n, &last)
		}
		j.answer.node = n.addr
		l := n.line(int(j.slot), j.cmd.lane)
		if parts[l] == nil {
			parts[l] = &part{node: n, line: l}
			lines = append(lines, l)
		}
		parts[l].jobs = append(parts[l].jobs, j)
	}
	var others sync.WaitGroup
	for i, l := range lines {
		if i == len(lines)-1 {
			parts[l].exchange(w)
			break
		}
		others.Go(func() {
			own := w.fork()
			defer own.end()
			parts[l].exchange(&own)
		})
	}
	others.Wait()
}

// placed is where the last read went that may be stale.
type placed struct {
	slot shardmap.Slot
	node *node
}

// placeRead is the node for a read that may be stale, the same for neighbours of one slot:
// what is asked of one key together is answered by one copy.
func (c *Client) placeRead(j *job, leader *node, last *placed) *node {
	if last.node == nil || last.slot != j.slot {
		*last = placed{j.slot, c.copyFor(j.slot, leader)}
	}
	if last.node == leader {
		j.cmd.lane, j.cmd.stale, j.cmd.least = laneUsual, 0, 0
	} else {
		j.cmd.lane = laneCopies
	}
	return last.node
}

// part is the jobs of a round that travel on one connection.
type part struct {
	node *node
	line *line
	jobs []*job
}

// exchange sends the jobs of a part and waits for their answers.
func (p *part) exchange(w *patience) {
	c := p.node.client
	if p.line.lane == laneCopies && p.line.live.Load() == nil {
		refuse(p.jobs, errSlow) // it has ended since; nobody waits for a dial
		return
	}
	begun := p.node.follower.begin(c)
	defer p.node.follower.end(c, begun)
	for _, j := range p.jobs {
		j.cmd.begun, j.cmd.until = w.begun, w.until
	}
	p.node.queue(w, p.line, p.jobs)
	for _, j := range p.jobs {
		if j.call == nil {
			continue
		}
		if p.line.lane == laneCopies && c.tooLate(w, j.call, followerPatience-(c.now()-begun)) {
			j.call.release()
			j.answer, j.err, j.call, j.conn = answer{node: p.node.addr}, errSlow, nil, nil
		} else {
			a, err := j.conn.await(w, j.call, &j.cmd)
			a.node = p.node.addr
			j.answer, j.err, j.call, j.conn = a, err, nil, nil
		}
		if p.line.lane == laneCopies {
			c.judgeFollower(p.node, j.slot, j.cmd.least, orElse(j.err, plain(errorOf(j.answer.Reply))))
		}
	}
}

// queue puts the jobs of one line on its way, waiting for room where there is none. Jobs that
// cannot be sent get their error.
func (n *node) queue(w *patience, l *line, jobs []*job) {
	for len(jobs) > 0 {
		c, err := n.conn(w, l)
		if err != nil {
			refuse(jobs, err)
			return
		}
		sent, room, err := c.sendAll(jobs)
		jobs = jobs[sent:]
		switch {
		case err == nil:
		case room == nil:
			l.drop(c)
		default:
			if err := w.wait(room); err != nil {
				refuse(jobs, &unsentError{because(ErrOverloaded, err)})
				return
			}
		}
	}
}

func refuse(jobs []*job, err error) {
	for _, j := range jobs {
		j.err = err
	}
}

// sendAll queues as many of the jobs as there is room for, in one piece, and says how
// many. See send for the rest.
func (c *conn) sendAll(jobs []*job) (int, <-chan struct{}, error) {
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		return 0, nil, &unsentError{err}
	}
	idle := c.inFlight() == 0
	if idle {
		c.heard.Store(c.tick.Load())
	}
	for i, j := range jobs {
		if room := c.roomLocked(&j.cmd); room != nil {
			c.startWriteLocked(idle)
			return i, room, errFull
		}
		j.call, j.conn = newCall(&j.cmd), c
		c.queueLocked(j.call, &j.cmd)
	}
	c.startWriteLocked(idle)
	return len(jobs), nil, nil
}
