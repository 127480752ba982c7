package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// conn is one multiplexed connection. Callers append their command to the pending
// bytes and their call to the queue under one mutex, so bytes and queue have one
// order; a writer goroutine hands all pending bytes to the kernel in one write,
// a reader goroutine matches answers first in first out.
//
// A small command on an idle connection is written by its caller: nothing is
// in flight, so the socket buffer is empty and the write cannot block, and two
// goroutine switches are saved. A channel of calls in front of the writer was
// the simpler way; it costs a switch per command and a copy of every value.
type conn struct {
	nc    net.Conn
	addr  string
	lim   limits
	read  *bufio.Reader
	wake  chan struct{} // to the writer, one token
	gone  chan struct{} // closed when the connection has failed
	tick  *atomic.Int64 // the keeper's count, in place of a clock
	heard atomic.Int64  // tick of the last bytes, or of the last idle to busy
	full  atomic.Bool   // room is set
	ears  ears          // written before the loops start

	life     uint64 // node.lives when it was dialed; written before the loops start
	lane     lane   // whose commands it carries; written before the loops start
	tracking bool   // the node tells when what was read changes; written before the loops start
	due      due    // the reader's own

	mu      sync.Mutex    // guards everything below; never held across I/O
	pending []byte        // encoded, not yet handed to a write
	spare   []byte        // the other buffer
	queued  uint64        // stream offset behind pending
	sent    uint64        // stream offset handed to the kernel
	writing bool          // somebody is seeing to pending: a write runs, or the writer was woken
	inWrite bool          // the kernel has the other buffer right now
	waiting queue         // calls that the reader has not taken yet
	asked   uint64        // calls ever queued
	room    chan struct{} // closed when calls that found no room may look again
	err     error         // why the connection has failed
	tokens  bool          // follow writes by AEGIS.TOKEN
	wrote   bool          // pending holds a write that no AEGIS.TOKEN follows yet
	token   string        // the newest answer to it
	mode    readMode      // said last

	deadlines deadlines // rules
}

// limits of one connection, from Config.
type limits struct {
	inflight, queueBytes int
}

// inlineMax is the largest command that its caller writes itself: it fits every
// socket buffer.
const inlineMax = 8 << 10

// writeStep is the most that goes into one write call.
const writeStep = 256 << 10

// keepMax is the largest buffer kept for the next write.
const keepMax = 256 << 10

// errFull says that there is no room; wait on the channel that came with it.
var errFull = errors.New("client: connection is full")

// send queues a command. When there is no room it answers errFull and a channel that is
// closed when it is worth trying again; any other error means that no
// byte of the command left.
func (c *conn) send(cmd *command) (*call, <-chan struct{}, error) {
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		return nil, nil, &unsentError{err}
	}
	if room := c.roomLocked(cmd); room != nil {
		c.mu.Unlock()
		return nil, room, errFull
	}
	idle := c.inFlight() == 0
	if idle {
		c.heard.Store(c.tick.Load())
	}
	k := newCall(cmd)
	c.queueLocked(k, cmd)
	c.startWriteLocked(idle)
	return k, nil, nil
}

// roomLocked is nil when there is room for a command, else the channel to wait for. It
// looks twice: the reader, which counts without the lock, sees that somebody wants room
// or its count is seen here.
func (c *conn) roomLocked(cmd *command) <-chan struct{} {
	for range 2 {
		if c.inFlight() < c.lim.inflight && (len(c.pending) == 0 || len(c.pending)+cmd.size() <= c.lim.queueBytes) {
			return nil
		}
		if c.room == nil {
			c.room = make(chan struct{})
			c.full.Store(true)
		}
	}
	return c.room
}

// queueLocked encodes a command and lets its call wait for the answer.
func (c *conn) queueLocked(k *call, cmd *command) {
	if cmd.op != opControl && !cmd.until.IsZero() && !c.deadlines.base.IsZero() && c.deadlines.wantsClock(cmd.begun) {
		c.askClockLocked()
	}
	before := len(c.pending)
	if cmd.op != opControl && !cmd.until.IsZero() && !c.deadlines.base.IsZero() {
		c.sayDeadlineLocked(k, cmd)
	}
	if cmd.near && c.tracking {
		c.pending = append(c.pending, cachingYes...)
		k.skip++
	}
	if cmd.lane == laneCopies {
		c.sayModeLocked(k, cmd)
	}
	if c.ears.wrote != nil && k.write {
		k.wrote = cmd.key
	}
	c.pending = cmd.append(c.pending)
	c.queued += uint64(len(c.pending) - before)
	k.end = c.queued
	c.asked++
	c.waiting.push(k)
	c.wrote = c.wrote || k.write
}

// startWriteLocked sees to it that pending bytes get written, and unlocks.
func (c *conn) startWriteLocked(idle bool) {
	if c.writing {
		c.mu.Unlock()
		return
	}
	c.writing = true
	if !idle || len(c.pending) > inlineMax {
		c.mu.Unlock()
		c.wake <- struct{}{} // the token's place is free: writing was false
		return
	}
	more := c.writePendingLocked()
	if more {
		c.mu.Unlock()
		c.wake <- struct{}{}
		return
	}
	c.writing = false
	c.mu.Unlock()
}

// writePendingLocked hands pending bytes to the kernel, unlocked meanwhile, and
// says whether more have gathered. It is one write up to writeStep; what is longer
// goes in steps, so that a large value on a slow line is seen to move.
func (c *conn) writePendingLocked() bool {
	if c.tokens && c.wrote {
		c.askTokenLocked()
	}
	c.wrote = false
	buf := c.pending
	c.pending, c.spare = c.spare[:0], nil
	c.inWrite = true
	c.mu.Unlock()
	var n int
	var err error
	for n < len(buf) && err == nil {
		var step int
		step, err = c.nc.Write(buf[n:min(len(buf), n+writeStep)])
		if n += step; n > writeStep {
			c.heard.Store(c.tick.Load())
		}
	}
	c.mu.Lock()
	c.inWrite = false
	c.sent += uint64(n)
	if cap(buf) <= keepMax {
		c.spare = buf[:0]
	}
	c.freeRoomLocked()
	if err != nil {
		c.failLocked(err)
	}
	if c.err != nil {
		c.abandonLocked()
		return false
	}
	return len(c.pending) > 0
}

// tokenCommand asks for the newest version written on this connection in each shard.
var tokenCommand = command{op: opControl, words: []string{"AEGIS.TOKEN"}}

// askTokenLocked lets an AEGIS.TOKEN follow the writes that are about to leave, so that
// its answer comes in the same flush as theirs.
func (c *conn) askTokenLocked() {
	k := newCall(&tokenCommand)
	k.token = true
	k.refs.Store(1) // nobody waits
	c.queueLocked(k, &tokenCommand)
}

// clockCommand asks for the node's clock.
var clockCommand = command{op: opControl, words: []string{"CLIENT", "DEADLINE"}}

// askClockLocked asks for the node's clock beside what others ask.
func (c *conn) askClockLocked() {
	k := newCall(&clockCommand)
	k.clock = true
	k.refs.Store(1) // nobody waits
	c.queueLocked(k, &clockCommand)
}

// sayDeadlineLocked lets the deadline of a command go before it, unless the one that was
// said last will do.
func (c *conn) sayDeadlineLocked(k *call, cmd *command) {
	end, ok := c.deadlines.say(cmd.begun, cmd.until)
	if !ok {
		return
	}
	c.pending = append(c.pending, "*3\r\n$6\r\nCLIENT\r\n$8\r\nDEADLINE\r\n"...)
	c.pending = appendBulkInt(c.pending, end.Microseconds())
	k.skip++
}

// hearClock takes the answer to clockCommand.
func (c *conn) hearClock(r resp.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Kind == ':' {
		c.deadlines.heard(time.Duration(r.Int)*time.Microsecond, time.Now())
	}
}

// setToken keeps the answer to an AEGIS.TOKEN; a server that does not know it is not
// asked again.
func (c *conn) setToken(r resp.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.IsError() {
		c.tokens = false
		return
	}
	c.token = string(r.Text)
}

// newestToken names the newest writes on the connection, "" when there are none.
func (c *conn) newestToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// writeLoop is the writer goroutine; it ends when the connection has failed.
func (c *conn) writeLoop() {
	for {
		select {
		case <-c.wake:
		case <-c.gone:
			return
		}
		runtime.Gosched() // who is about to send joins this write
		c.mu.Lock()
		if c.err != nil {
			c.mu.Unlock()
			return
		}
		for c.writePendingLocked() {
		}
		c.writing = false
		c.mu.Unlock()
	}
}

// Read counts what arrives, for the keeper's watch over silent connections.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.nc.Read(p)
	if n > 0 {
		c.heard.Store(c.tick.Load())
	}
	return n, err
}

func (c *conn) freeRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freeRoomLocked()
}

func (c *conn) freeRoomLocked() {
	if c.room != nil && c.inFlight() <= c.lim.inflight*3/4 && len(c.pending) <= c.lim.queueBytes*3/4 {
		c.closeRoomLocked()
	}
}

func (c *conn) closeRoomLocked() {
	if c.room != nil {
		close(c.room)
		c.room = nil
		c.full.Store(false)
	}
}

// fail ends the connection: every waiting call gets an error that says whether
// its command can have reached the node.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
	if !c.inWrite {
		c.abandonLocked()
	} // else that write ends at once, and only it knows how far it came
}

func (c *conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = fmt.Errorf("%s: %w", c.addr, err)
	_ = c.nc.Close() // the error that counts is err
	close(c.gone)
	c.closeRoomLocked()
}

// abandonLocked completes the waiting calls of a failed connection; those that its
// reader took are left to its reader. A command whose
// last byte was not taken by the kernel cannot be run: the rest never follows.
// REQUIRES: err is set and inWrite is not.
func (c *conn) abandonLocked() {
	for c.waiting.n > 0 {
		k := c.waiting.pop()
		c.due.answered.Add(1)
		if k.end > c.sent {
			k.complete(answer{}, &unsentError{c.err})
		} else {
			k.complete(answer{}, &brokenError{c.err})
		}
	}
	c.pending, c.spare = nil, nil
}

// stalled reports a connection that owes answers and brought no byte for more
// than limit ticks.
func (c *conn) stalled(limit int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && c.inFlight() > 0 && c.tick.Load()-c.heard.Load() > limit
}

// failedBy reports that err ended the connection.
func (c *conn) failedBy(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Is(c.err, err)
}

// idle reports that no call waits on the connection.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight() == 0
}
