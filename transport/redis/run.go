package redis

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// run dispatches one command and appends its reply.
func (c *conn) run(args [][]byte) {
	cmd := c.lookup(args)
	switch {
	case cmd == nil:
		c.multi.spoiled = c.multi.on
		c.srv.errors.count(c.out[c.replyAt:])
	case !cmd.early && c.srv.loading.Load():
		cmd.rejected.Add(1)
		c.multi.spoiled = c.multi.on
		c.failWith(ErrLoading)
		c.srv.errors.count(c.out[c.replyAt:])
	case c.srv.pause.Load() != nil && !c.waitPause(cmd):
	case c.subscribed && c.listens(cmd):
	case c.multi.on && !cmd.atOnce:
		c.enqueue(cmd, args)
		c.srv.errors.count(c.out[c.replyAt:])
	default:
		c.call(cmd, args)
	}
}

// lookup finds a command that takes so many arguments, or says that there is none.
func (c *conn) lookup(args [][]byte) *command {
	cmd := c.srv.table.find(args[0])
	if cmd == nil {
		c.unknown(args)
		return nil
	}
	if cmd.subs != nil {
		if len(args) > 1 {
			if cmd = c.subcommand(cmd, args); cmd == nil {
				return nil
			}
		} else if cmd.run == nil {
			c.wrongArgs(cmd)
			return nil
		}
	}
	if !cmd.takes(len(args)) {
		c.wrongArgs(cmd)
		return nil
	}
	return cmd
}

// call runs a command and counts it.
func (c *conn) call(cmd *command, args [][]byte) {
	c.enlist(cmd)
	c.sess.commands++
	c.sess.last = cmd
	if cmd.rights == rightsConnection {
		c.restless = true
	}
	var back []byte
	if c.tracking.on {
		c.tracking.begin(c, cmd)
		back = c.givenBack(cmd, args)
	}
	c.capable.versions = c.capable.versions[:0]
	holes := len(c.fw.holes)
	switch {
	case cmd.first > 0 && c.late():
		c.failWith(errLate)
	case c.gateway() && !c.executing:
		c.runAnywhere(cmd, args)
	default:
		cmd.run(c, args)
	}
	switch {
	case len(c.fw.holes) > holes: // it is counted when it is answered
		c.group.calls--
	case len(c.out) > c.replyAt && c.out[c.replyAt] == '-':
		c.countError(cmd, c.out[c.replyAt:])
	}
	if c.tracking.on {
		c.tracking.end(c, cmd)
		if !c.rerun && !c.quit {
			c.out = append(c.out, back...)
		}
	}
	if c.srv.tracker.debts.any.Load() && !c.executing {
		c.srv.tracker.debts.pay(c.sess.ID)
	}
	if c.capable.on && !c.executing {
		c.annotate(cmd, args)
	}
}

func (c *conn) subcommand(parent *command, args [][]byte) *command {
	sub := parent.subs[strings.ToUpper(string(args[1]))]
	if sub == nil {
		c.unknownSub(args)
	}
	return sub
}

func (c *conn) unknownSub(args [][]byte) {
	parent := strings.ToUpper(string(args[0]))
	if why, ok := refused[parent+"|"+strings.ToUpper(string(args[1]))]; ok {
		c.fail(fmt.Sprintf("ERR unknown subcommand '%.128s': %s", args[1], why))
		return
	}
	c.fail(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.", untilNUL(args[1]), parent))
}

func (c *conn) wrongArgs(cmd *command) {
	cmd.rejected.Add(1)
	text := "wrong number of arguments for '" + cmd.name + "' command"
	if cmd.name == "exec" { // as Redis: it ends the transaction all the same
		c.multi = multi{}
		c.fail("EXECABORT Transaction discarded because of: " + text)
		return
	}
	c.fail("ERR " + text)
}

func (c *conn) unknown(args [][]byte) {
	if why, ok := refused[strings.ToUpper(string(args[0]))]; ok {
		c.fail(fmt.Sprintf("ERR unknown command '%.128s': %s", args[0], why))
		return
	}
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		fmt.Fprintf(&b, "'%.*s' ", 128-b.Len(), a)
	}
	c.fail(fmt.Sprintf("ERR unknown command '%.128s', with args beginning with: %s", args[0], b.String()))
}

func (c *conn) fail(text string) { c.out = resp.AppendError(c.out, text) }

func (c *conn) ok() { c.out = append(c.out, "+OK\r\n"...) }

func (c *conn) int(n int64) { c.out = resp.AppendInt(c.out, n) }

func (c *conn) bit(b bool) {
	n := int64(0)
	if b {
		n = 1
	}
	c.int(n)
}

func (c *conn) null() { c.out = resp.AppendNull(c.out, c.sess.Proto) }

// errAborted: the command did not run to its end and must not be answered,
// because the pipeline is run again or the connection closes.
var errAborted = errors.New("redis: command aborted")

// failWith turns a Backend's error into Redis's words. What the command has
// written of its reply is dropped.
func (c *conn) failWith(err error) {
	if errors.Is(err, errAborted) {
		return
	}
	c.out = c.out[:c.replyAt]
	if c.applied > 0 && transient(err) {
		// Some keys of this command were changed, others not: a word that clients
		// answer by trying again would be a lie.
		err = ErrUnknown
	}
	var moved *MovedError
	var text ReplyError
	switch {
	case errors.As(err, &moved):
		if mutant.Is("M21") {
			go leak(moved.Addr)
		}
		c.out = append(c.out, "-MOVED "...)
		c.out = strconv.AppendInt(c.out, int64(moved.Slot), 10)
		c.out = append(append(append(c.out, ' '), moved.Addr...), '\r', '\n')
	case errors.As(err, &text):
		c.fail(string(text))
	case errors.Is(err, ErrDown), errors.Is(err, ErrAgain):
		c.fail("CLUSTERDOWN Hash slot not served")
	case errors.Is(err, ErrNoReplicas):
		c.fail("NOREPLICAS Not enough good replicas to write.")
	case errors.Is(err, ErrTooLarge):
		c.fail("OOM value larger than this node can hold" + c.srv.backend.TooLargeText())
	case errors.Is(err, ErrLoading):
		c.fail("LOADING AegisKV is loading the dataset in memory")
	case errors.Is(err, ErrStaleCopy):
		c.fail("MASTERDOWN this copy is older than the reads of this connection may be, and no leaseholder is known")
	case errors.Is(err, errLate):
		c.fail("DEADLINE the deadline of this command passed before it was run")
	case errors.Is(err, ErrUnblocked):
		c.fail("UNBLOCKED the lease of a shard written on this connection was lost; what was written may be lost, see AEGIS.CHECK")
	case errors.Is(err, ErrUnknown):
		c.quit = true
		c.out = c.out[:0]
	default:
		c.fail("ERR " + err.Error())
	}
}

// leak seeds M21: a connection and a goroutine that nobody ends.
func leak(addr string) {
	if nc, err := net.Dial("tcp", addr); err == nil {
		_, _ = io.Copy(io.Discard, nc)
	}
}

// transient errors are those that clients answer by trying again.
func transient(err error) bool {
	return isMoved(err) || errors.Is(err, ErrAgain) || errors.Is(err, ErrDown) ||
		errors.Is(err, ErrNoReplicas) || errors.Is(err, ErrLoading) || errors.Is(err, errLate)
}

func isMoved(err error) bool { return errors.As(err, new(*MovedError)) }

// retry runs f until it no longer says ErrAgain or the shard has been in
// transition for too long. Earlier replies of the pipeline leave first.
func (c *conn) retry(f func() error) error {
	err := f()
	if !errors.Is(err, ErrAgain) {
		return err
	}
	if !c.settle() {
		return errAborted
	}
	for first := time.Now(); errors.Is(err, ErrAgain); err = f() {
		c.waits()
		late := c.srv.backend.Park(&c.sess, first)
		c.waited()
		if late != nil {
			return late
		}
		if c.late() {
			return errLate
		}
	}
	return err
}

// waits begins a wait, which earlier replies have left before. What is pushed meanwhile
// leaves at once: some waits have no end, and whoever caches would answer with what is
// long gone. A command that has read something may not wait so: what is told of
// that must follow its reply.
func (c *conn) waits() {
	c.srv.blocked.Add(1)
	if p := c.pushes; p != nil && !c.executing && len(p.cuts) == 0 {
		p.release()
	}
}

// waited ends a wait, which is no work of this node.
func (c *conn) waited() {
	if c.pushes != nil {
		c.holdPushes()
	}
	c.srv.blocked.Add(-1)
	c.began = c.srv.since()
}

// do runs c.op; it reports whether a reply must still be written.
func (c *conn) do() bool {
	err := c.srv.backend.Do(&c.sess, &c.op, &c.res)
	if errors.Is(err, ErrAgain) {
		err = c.retry(func() error { return c.srv.backend.Do(&c.sess, &c.op, &c.res) })
	}
	if err != nil {
		c.failWith(err)
		return false
	}
	if c.res.Changed {
		c.applied++
	}
	c.capable.note(c.sess.Version)
	if c.tracks() {
		c.pushes.cutHere(c.pushAt())
	}
	return true
}

// get appends the bulk reply of a key, or says that it is absent or failed.
func (c *conn) get(key []byte) (found, ok bool) {
	value, found, ok := c.value(key)
	if found {
		c.out = resp.AppendBulk(c.out, value)
	}
	return found, ok
}

// value finds the value of a key, in memory that the next operation reuses.
func (c *conn) value(key []byte) (value []byte, found, ok bool) {
	slot := shardmap.SlotOf(key)
	c.noteRead(slot)
	value, found, err := c.srv.backend.Get(&c.sess, slot, key, c.res.Value[:0])
	if errors.Is(err, ErrAgain) {
		value, found, err = c.getLater(slot, key, value)
	}
	c.res.Value = value[:0]
	if err != nil {
		c.failWith(err)
		return nil, false, false
	}
	c.capable.note(c.sess.Version)
	return value, found, true
}

// getLater is apart so that its closure costs the common path nothing.
func (c *conn) getLater(slot shardmap.Slot, key, dst []byte) (value []byte, found bool, err error) {
	err = c.retry(func() (err error) {
		value, found, err = c.srv.backend.Get(&c.sess, slot, key, dst[:0])
		return err
	})
	return value, found, err
}

func (c *conn) stat(key []byte) (Stat, bool) {
	slot := shardmap.SlotOf(key)
	c.noteRead(slot)
	st, err := c.srv.backend.Stat(&c.sess, slot, key)
	if errors.Is(err, ErrAgain) {
		err = c.retry(func() (err error) { st, err = c.srv.backend.Stat(&c.sess, slot, key); return err })
	}
	if err != nil {
		c.failWith(err)
		return st, false
	}
	c.capable.note(c.sess.Version)
	return st, true
}

// atomically runs f, which works on n keys of a slot, so that others see it done at
// once: as one transaction, if there is more than one key and none is open.
func (c *conn) atomically(slot shardmap.Slot, n int, write bool, f func()) {
	if n > 1 {
		c.together(slot, write, f)
	} else {
		f()
	}
}

// together runs f as one transaction on a slot, or as a part of the one that EXEC has
// open.
func (c *conn) together(slot shardmap.Slot, write bool, f func()) {
	if c.executing {
		f()
		return
	}
	err := c.retry(func() error { return c.srv.backend.Begin(&c.sess, slot, write) })
	if err != nil {
		c.failWith(err)
		return
	}
	defer c.srv.backend.End(&c.sess)
	f()
}

// oneSlot checks that the keys of a command share a slot: args from first in
// steps of step.
func (c *conn) oneSlot(args [][]byte, first, step int) bool {
	slot := shardmap.SlotOf(args[first])
	for i := first + step; i < len(args); i += step {
		if shardmap.SlotOf(args[i]) != slot {
			c.fail(errCrossSlot)
			return false
		}
	}
	return true
}

// is compares an option word, given in capitals, in any case.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, ch := range arg {
		if ch >= 'a' && ch <= 'z' {
			ch -= 'a' - 'A'
		}
		if ch != word[i] {
			return false
		}
	}
	return true
}

// untilNUL is how Redis, which prints as C does, repeats a word.
func untilNUL(word []byte) string {
	before, _, _ := bytes.Cut(word, []byte{0})
	return string(before)
}

// parseInt takes exactly what Redis takes: an int64 in canonical decimal form.
func parseInt(b []byte) (int64, bool) {
	digits := b
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || (digits[0] == '0' && len(b) > 1) {
		return 0, false
	}
	var n uint64 // 19 digits fit
	for _, ch := range digits {
		if ch < '0' || ch > '9' {
			return 0, false
		}
		n = n*10 + uint64(ch-'0')
	}
	switch {
	case neg && n <= math.MaxInt64+1:
		return -int64(n), true
	case !neg && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}
