package redis

import (
	"errors"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func transactionCommands() []*command {
	g := rightsConnection
	return []*command{
		{name: "multi", arity: 1, flags: "noscript loading stale fast allow_busy", rights: g, atOnce: true, summary: "Starts a transaction on keys of one slot.", run: cmdMulti},
		{name: "exec", arity: 1, flags: "noscript loading stale skip_slowlog", rights: g, atOnce: true, summary: "Executes all commands of a transaction.", run: cmdExec},
		{name: "discard", arity: 1, flags: "noscript loading stale fast allow_busy", rights: g, atOnce: true, summary: "Discards a transaction.", run: cmdDiscard},
		{name: "watch", arity: -2, flags: "noscript loading stale fast allow_busy", first: 1, last: -1, step: 1, rights: g, atOnce: true, summary: "Lets the next transaction run only if keys of its slot stay as they are.", run: cmdWatch},
		{name: "unwatch", arity: 1, flags: "noscript loading stale fast allow_busy", rights: g, summary: "Forgets what is watched.", run: cmdUnwatch},
	}
}

const errCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot"

// multi is the transaction that a client collects, and what it watches. Its slices
// only grow: a copy of the struct is the state as it was, which a rerun needs.
type multi struct {
	on      bool
	spoiled bool // something could not be queued
	crossed bool // its keys lie in several slots, which Redis says at EXEC only
	write   bool
	wide    bool // a command that is not about one slot is among them
	slot    soleSlot
	queue   []queued
	words   [][]byte // arguments of all of them
	bytes   int      // of the arguments
	watched []watched
}

// queued is a command and how many of the words are its own.
type queued struct {
	cmd   *command
	words int
}

// watched is a key as it was when the client began to watch it.
type watched struct {
	key  []byte
	seen Glance
}

// soleSlot is a slot, or none yet.
type soleSlot struct {
	slot  shardmap.Slot
	known bool
}

// meet notes a slot; false when another one is known.
func (o *soleSlot) meet(slot shardmap.Slot) bool {
	if o.known {
		return o.slot == slot
	}
	o.slot, o.known = slot, true
	return true
}

// Sizes of what a connection keeps for a transaction, in bytes.
const (
	queuedBytes  = 16
	watchedBytes = 24 + 16
)

// size is the memory that it holds.
func (m *multi) size() int {
	return m.bytes + cap(m.queue)*queuedBytes + cap(m.words)*24 + cap(m.watched)*watchedBytes
}

// depth is how many commands it has, -1 when there is none.
func (m *multi) depth() int {
	if !m.on {
		return -1
	}
	return len(m.queue)
}

// keep copies bytes out of the connection's buffer.
func (m *multi) keep(b []byte) []byte {
	k := append([]byte(nil), b...)
	m.bytes += cap(k)
	return k
}

func cmdMulti(c *conn, _ [][]byte) {
	if c.multi.on {
		c.fail("ERR MULTI calls can not be nested")
		return
	}
	c.multi.on = true
	c.ok()
}

func cmdDiscard(c *conn, _ [][]byte) {
	if !c.multi.on {
		c.fail("ERR DISCARD without MULTI")
		return
	}
	c.multi = multi{}
	c.ok()
}

func cmdUnwatch(c *conn, _ [][]byte) {
	if !c.executing { // EXEC has forgotten them already
		c.multi = multi{}
	}
	c.ok()
}

// cmdWatch notes what the keys are now.
func cmdWatch(c *conn, args [][]byte) {
	if !c.mayWatch(args) {
		return
	}
	seen := make([]Glance, len(args)-1)
	for i, key := range args[1:] {
		var err error
		if seen[i], err = c.look(key); err != nil {
			c.failWith(err)
			return
		}
	}
	c.watch(args[1:], seen)
	c.ok()
}

// mayWatch refuses what cannot be watched. A transaction happens in one slot, and what
// it depends on must lie there too: two shards cannot be looked at as one.
func (c *conn) mayWatch(args [][]byte) bool {
	if c.multi.on {
		c.fail("ERR WATCH inside MULTI is not allowed")
		return false
	}
	if !c.oneSlot(args, 1, 1) {
		return false
	}
	if m := &c.multi; m.slot.known && m.slot.slot != shardmap.SlotOf(args[1]) {
		c.fail("CROSSSLOT Keys that are watched don't hash to the same slot; UNWATCH the others first")
		return false
	}
	return true
}

// watch makes the next transaction depend on keys of one slot.
func (c *conn) watch(keys [][]byte, seen []Glance) {
	c.multi.slot.meet(shardmap.SlotOf(keys[0]))
	for i, key := range keys {
		c.multi.watched = append(c.multi.watched, watched{c.multi.keep(key), seen[i]})
	}
}

func (c *conn) look(key []byte) (seen Glance, err error) {
	err = c.retry(func() (err error) {
		seen, err = c.srv.backend.Look(&c.sess, shardmap.SlotOf(key), key)
		return err
	})
	return seen, err
}

// enqueue keeps a command for EXEC, or says why it cannot run there.
func (c *conn) enqueue(cmd *command, args [][]byte) {
	m := &c.multi
	switch first, any := cmd.firstKey(args); {
	case c.gateway() && !any && !relayed[cmd.name]:
		m.spoiled = true
		c.fail("ERR '" + cmd.name + "' cannot be in a transaction on the gateway port")
		return
	case any:
		if !c.enqueueKeys(cmd, args, first) {
			return
		}
	case cmd.wide:
		m.wide = true
	}
	if m.wide && m.slot.known {
		m.spoiled = true
		c.fail("ERR commands that are not about one slot cannot be in a transaction with keys: '" + cmd.name + "'")
		return
	}
	m.write = m.write || cmd.rights == rightsWrite
	m.queue = append(m.queue, queued{cmd, len(args)})
	for _, a := range args {
		m.words = append(m.words, m.keep(a))
	}
	c.out = append(c.out, "+QUEUED\r\n"...)
}

// enqueueKeys looks where the keys of a command lie. A slot that is served elsewhere
// is said at once, as clients expect it; one in transition may be here by EXEC.
func (c *conn) enqueueKeys(cmd *command, args [][]byte, first int) bool {
	m := &c.multi
	slot, fits := cmd.slot(args)
	if !fits {
		m.spoiled = true
		c.fail(errCrossSlot)
		return false
	}
	if m.slot.known {
		m.crossed = m.crossed || !m.slot.meet(slot) && !m.spoiled // what follows a refusal is not queued in Redis
		return true
	}
	if c.gateway() { // EXEC goes where the slot is by then
		return m.slot.meet(slot)
	}
	_, err := c.srv.backend.Look(&c.sess, slot, args[first])
	if err != nil && !errors.Is(err, ErrAgain) {
		m.spoiled = true
		c.failWith(err)
		return false
	}
	return m.slot.meet(slot)
}

// cmdExec runs what was collected. With keys it is one transaction of their shard:
// whatever has to be waited for is waited for before it begins.
func cmdExec(c *conn, _ [][]byte) {
	m := c.multi
	switch {
	case !m.on:
		c.fail("ERR EXEC without MULTI")
		return
	case m.crossed && len(m.watched) > 0:
		c.fail("CROSSSLOT Keys of the transaction and watched keys don't hash to the same slot")
	case m.crossed:
		c.fail(errCrossSlot)
	case m.spoiled:
		c.fail("EXECABORT Transaction discarded because of previous errors.")
	case m.slot.known && c.late():
		c.failWith(errLate)
	case m.slot.known:
		c.execSlot(&m)
		return
	case !c.settle(): // these may wait, each for itself
		return
	default:
		c.multi = multi{}
		c.execAll(&m)
		return
	}
	c.multi = multi{}
}

// execSlot runs a transaction with keys. The connection's state changes only once
// nothing can send it back to a command before this one.
func (c *conn) execSlot(m *multi) {
	err := c.retry(func() error { return c.srv.backend.Begin(&c.sess, m.slot.slot, m.write) })
	if err == nil {
		defer c.srv.backend.End(&c.sess)
	}
	if errors.Is(err, errAborted) {
		return
	}
	c.multi = multi{}
	switch {
	case err != nil:
		c.failWith(err)
	case !c.unchanged(m):
		c.nullArray()
	default:
		c.execAll(m)
	}
}

// unchanged looks whether every watched key is as it was. The transaction is open:
// nothing can change between this and its commands.
func (c *conn) unchanged(m *multi) bool {
	for _, w := range m.watched {
		if seen, err := c.srv.backend.Look(&c.sess, m.slot.slot, w.key); err != nil || seen != w.seen {
			return false
		}
	}
	return true
}

// execAll runs the commands and gathers their replies. Each has its own errors.
func (c *conn) execAll(m *multi) {
	start, words := c.replyAt, m.words
	c.out = resp.AppendArray(c.out, len(m.queue))
	c.executing, c.execAt, c.lcsSpent = true, start, 0
	c.within(func() {
		for _, q := range m.queue {
			c.replyAt, c.applied = len(c.out), 0
			c.call(q.cmd, words[:q.words])
			words = words[q.words:]
			if !c.quit && len(c.out)-start > replyMax && !c.fits(c.rd.Size()) {
				c.out, c.quit = c.out[:0], true
			}
			if c.quit {
				break
			}
		}
	})
	c.executing = false
	c.replyAt = start
}

// nullArray is EXEC's answer when a watched key changed.
func (c *conn) nullArray() {
	if c.sess.Proto >= 3 {
		c.null()
		return
	}
	c.out = append(c.out, "*-1\r\n"...)
}
