package redis

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

func clientWords() map[string]*command {
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return wide(&command{name: "client|" + name, arity: arity, flags: "noscript loading stale", rights: rightsConnection, run: run})
	}
	admin := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return wide(&command{name: "client|" + name, arity: arity, flags: "admin noscript loading stale", rights: rightsAdmin, run: run})
	}
	return map[string]*command{
		"LIST":     admin("list", -2, cmdClientList),
		"KILL":     admin("kill", -3, cmdClientKill),
		"PAUSE":    admin("pause", -3, cmdClientPause),
		"UNBLOCK":  admin("unblock", -3, cmdClientUnblock),
		"UNPAUSE":  admin("unpause", 2, cmdClientUnpause),
		"NO-EVICT": admin("no-evict", 3, cmdNoEvict),
		"NO-TOUCH": sub("no-touch", 3, cmdNoTouch),
		"REPLY":    sub("reply", 3, cmdClientReply),
	}
}

// card is what others may read of a connection. It is made anew, at the end of a
// pipeline, when it is not true any more.
type card struct {
	name, libName, libVer string
	proto                 int
	readOnly, quiet       bool
	multi, watched, bytes int
	subscribed            int
	marks                 string // flags of tracking
	redirect              int64
}

// showCard publishes the card. Only commands about the connection change it.
func (c *conn) showCard() {
	s := &c.sess
	now := card{
		name: s.Name, libName: s.LibName, libVer: s.LibVer, proto: s.Proto, readOnly: s.ReadOnly, quiet: s.Quiet,
		multi: c.multi.depth(), watched: len(c.multi.watched), bytes: c.multi.size(), marks: c.tracking.marks(), redirect: c.tracking.redirectID(),
	}
	if c.subscribed {
		now.subscribed = 1
	}
	if have := c.card.Load(); have == nil || *have != now {
		c.card.Store(&now)
	}
}

// shown is the card, before the first command what it would be.
func (c *conn) shown() *card {
	if k := c.card.Load(); k != nil {
		return k
	}
	return &card{proto: 2, multi: -1, redirect: -1}
}

// idle is how long ago the last pipeline began.
func (c *conn) idle() time.Duration { return c.srv.since() - time.Duration(c.lastAt.Load()) }

// line describes a connection as CLIENT LIST does.
func (c *conn) line() string {
	k := c.shown()
	flags := c.flags(k)
	last := "NULL"
	if cmd := c.lastRun.Load(); cmd != nil {
		last = cmd.name
	}
	held := c.charged.Load()
	return fmt.Sprintf("id=%d addr=%v laddr=%v fd=-1 name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=0 ssub=0 multi=%d watch=%d qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=%d rbs=0 rbp=0 obl=0 oll=0 omem=%d tot-mem=%d events=r cmd=%s user=default redir=%d resp=%d lib-name=%s lib-ver=%s tot-net-in=%d tot-net-out=%d tot-cmds=%d\n",
		c.sess.ID, c.sess.Addr, c.sess.Local, k.name, int(time.Since(c.sess.Created).Seconds()), int(c.idle().Seconds()), flags, k.subscribed, k.multi, k.watched, k.bytes, held, held+connBytes, last, k.redirect, k.proto, k.libName, k.libVer, c.sock.received.Load(), c.sock.written.Load(), c.ran.Load())
}

// flags are the letters of Redis, in its order.
func (c *conn) flags(k *card) (letters string) {
	for _, f := range []struct {
		on     bool
		letter string
	}{
		{k.subscribed > 0, "P"},
		{k.multi >= 0, "x"},
		{c.waiting.Load() != waitNone, "b"},
		{true, k.marks},
		{k.readOnly, "r"},
		{c.lasting.Load(), "e"},
		{k.quiet, "T"},
	} {
		if f.on {
			letters += f.letter
		}
	}
	if letters == "" {
		return "N"
	}
	return letters
}

// marks are the flags of a connection that tracks.
func (t *tracking) marks() (letters string) {
	if !t.on {
		return ""
	}
	letters = "t"
	if t.redirect != nil && t.redirect.broken.Load() {
		letters += "R"
	}
	if t.bcast {
		letters += "B"
	}
	return letters
}

func cmdClientInfo(c *conn, _ [][]byte) {
	c.noteRun()
	c.showCard()
	c.out = resp.AppendVerbatim(c.out, c.sess.Proto, c.line())
}

// everyConn is all connections in the order in which they came.
func (s *Server) everyConn() []*conn {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *conn) int { return int(a.sess.ID - b.sess.ID) })
	return all
}

// connOf finds a connection; nil when there is none with that id.
func (s *Server) connOf(id int64) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.sess.ID == id {
			return c
		}
	}
	return nil
}

// cmdNoEvict has the connection closed for its buffers only when there is no other that
// could be: memory is bounded all the same.
func cmdNoEvict(c *conn, args [][]byte) {
	if on, ok := c.onOrOff(args[2]); ok {
		c.lasting.Store(on)
	}
}

// cmdNoTouch has no command of the connection but TOUCH count as a use of its keys, so
// that one who looks through all of them does not change which are evicted.
func cmdNoTouch(c *conn, args [][]byte) {
	if on, ok := c.onOrOff(args[2]); ok {
		c.sess.Quiet = on
	}
}

// onOrOff reads a switch and answers for it.
func (c *conn) onOrOff(arg []byte) (on, ok bool) {
	if on = is(arg, "ON"); !on && !is(arg, "OFF") {
		c.fail(errSyntax)
		return false, false
	}
	c.ok()
	return on, true
}

// What CLIENT UNBLOCK has asked of a connection that is in WAIT.
const (
	waitNone = iota // it is in none
	waitOn
	waitTimeout
	waitError
)

// cmdClientUnblock ends a WAIT as if its time had passed, or with an error. The other
// connection looks every waitSlice.
func cmdClientUnblock(c *conn, args [][]byte) {
	how := int32(waitTimeout)
	if len(args) > 4 || len(args) == 4 && !is(args[3], "TIMEOUT") && !is(args[3], "ERROR") {
		c.fail("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	if len(args) == 4 && is(args[3], "ERROR") {
		how = waitError
	}
	id, ok := parseInt(args[2])
	if !ok {
		c.fail(errInteger)
		return
	}
	o := c.srv.connOf(id)
	c.bit(o != nil && o.waiting.CompareAndSwap(waitOn, how))
}

// pause holds commands back until a time.
type pause struct {
	until time.Time
	all   bool // reads too
	over  chan struct{}
}

func cmdClientPause(c *conn, args [][]byte) {
	p := &pause{all: true, over: make(chan struct{})}
	if len(args) > 4 {
		c.fail(errSyntax)
		return
	}
	if len(args) == 4 {
		p.all = is(args[3], "ALL")
		if !p.all && !is(args[3], "WRITE") {
			c.fail("ERR CLIENT PAUSE mode must be WRITE or ALL")
			return
		}
	}
	ms, ok := parseInt(args[2])
	switch {
	case !ok || ms > math.MaxInt64/int64(time.Millisecond):
		c.fail("ERR timeout is not an integer or out of range")
		return
	case ms < 0:
		c.fail("ERR timeout is negative")
		return
	}
	p.until = time.Now().Add(time.Duration(ms) * time.Millisecond)
	c.srv.pauseWith(p)
	c.ok()
}

// pauseWith adds a pause to the one that there may be: the later end and the wider
// scope count.
func (s *Server) pauseWith(p *pause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.pause.Load()
	if old != nil && time.Now().Before(old.until) {
		p.all = p.all || old.all
		if old.until.After(p.until) {
			p.until = old.until
		}
	}
	s.pause.Store(p)
	if old != nil {
		close(old.over) // who waits looks at the new one
	}
}

func cmdClientUnpause(c *conn, _ [][]byte) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	if p := c.srv.pause.Swap(nil); p != nil {
		close(p.over)
	}
	c.ok()
}

// waitPause waits while commands like this one are paused; the CLIENT words are not, so
// that a pause can be ended. It reports false when the command must not run now.
func (c *conn) waitPause(cmd *command) bool {
	for p := c.srv.pause.Load(); p != nil && time.Now().Before(p.until) && !c.stopping.Load(); p = c.srv.pause.Load() {
		writes := cmd.rights == rightsWrite || cmd.name == "exec" && c.multi.write
		if strings.HasPrefix(cmd.name, "client|") || !p.all && !writes {
			break
		}
		if !c.settle() {
			return false
		}
		c.waits()
		t := time.NewTimer(min(waitSlice, time.Until(p.until)))
		select {
		case <-p.over:
		case <-t.C:
		}
		t.Stop()
		c.waited()
	}
	return true
}

// muting says which replies a client wants to have (CLIENT REPLY).
type muting struct {
	off  bool
	skip uint8 // so many of the next, the one under way included
}

func cmdClientReply(c *conn, args [][]byte) {
	switch {
	case is(args[2], "ON"):
		c.mute = muting{}
		c.ok()
	case is(args[2], "OFF"):
		c.mute.off = true
	case is(args[2], "SKIP"):
		if !c.mute.off {
			c.mute.skip = 2
		}
	default:
		c.fail(errSyntax)
	}
}

// silence drops the reply of the command under way. What it did is committed all the
// same before the pipeline ends.
func (c *conn) silence() {
	if c.rerun || c.quit {
		return
	}
	c.out = c.out[:c.replyAt]
	c.silent = true
	if c.mute.skip > 0 {
		c.mute.skip--
	}
}
