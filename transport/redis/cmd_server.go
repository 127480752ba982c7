package redis

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

func serverCommands() []*command {
	return []*command{
		{name: "info", arity: -1, flags: "loading stale", wide: true, rights: rightsConnection, summary: "Returns information and statistics about the server.", run: cmdInfo},
		{name: "time", arity: 1, flags: "loading stale fast", rights: rightsConnection, summary: "Returns the server time.", run: cmdTime},
		{name: "role", arity: 1, flags: "noscript loading stale fast", rights: rightsConnection, summary: "Returns the replication role.", run: cmdRole},
	}
}

func cmdCommand(c *conn, _ [][]byte) {
	c.out = resp.AppendArray(c.out, len(c.srv.table.names))
	for _, n := range c.srv.table.names {
		c.describe(c.srv.table.byName[strings.ToUpper(n)])
	}
}

func cmdCommandInfo(c *conn, args [][]byte) {
	names := c.srv.table.names
	if len(args) > 2 {
		names = nil
		for _, a := range args[2:] {
			names = append(names, string(a))
		}
	}
	c.out = resp.AppendArray(c.out, len(names))
	for _, n := range names {
		if cmd := c.srv.table.findAny(n); cmd != nil {
			c.describe(cmd)
		} else {
			c.null()
		}
	}
}

func cmdConfigGet(c *conn, args [][]byte) {
	var hits [][2]string
	for _, kv := range c.settings() {
		for _, p := range args[2:] {
			if globs([]byte(strings.ToLower(string(p))), []byte(kv[0])) {
				hits = append(hits, kv)
				break
			}
		}
	}
	c.out = resp.AppendMap(c.out, c.sess.Proto, len(hits))
	for _, kv := range hits {
		c.out = resp.AppendBulk(resp.AppendBulk(c.out, kv[0]), kv[1])
	}
}

// settings are what CONFIG GET knows, of the port that is asked.
func (c *conn) settings() [][2]string {
	all := append(c.srv.backend.Settings(), c.srv.ownSettings()...)
	for i := range all {
		switch kv := &all[i]; {
		case !c.gateway():
		case kv[0] == "cluster-enabled":
			kv[1] = "no"
		case kv[0] == "port":
			kv[1] = c.localPort()
		}
	}
	return all
}

func cmdTime(c *conn, _ [][]byte) {
	now := time.Now()
	c.out = resp.AppendArray(c.out, 2)
	c.out = resp.AppendBulk(c.out, strconv.FormatInt(now.Unix(), 10))
	c.out = resp.AppendBulk(c.out, strconv.Itoa(now.Nanosecond()/1000))
}

func cmdRole(c *conn, _ [][]byte) {
	c.out = resp.AppendArray(c.out, 3)
	c.out = resp.AppendBulk(c.out, "master")
	c.out = resp.AppendInt(c.out, 0)
	c.out = resp.AppendArray(c.out, 0)
}

func waitCommand() *command {
	return &command{name: "wait", arity: 3, flags: "blocking", wide: true, rights: rightsConnection, summary: "Blocks until the writes of this connection are held by n followers.", run: cmdWait}
}

func cmdWait(c *conn, args [][]byte) {
	n, timeout, ok := c.waitArgs(args)
	if !ok || !c.settle() {
		return
	}
	held, err := c.wait(n, timeout)
	if err != nil {
		c.failWith(err)
		return
	}
	c.int(int64(held))
}

// waitArgs reads the arguments of WAIT.
func (c *conn) waitArgs(args [][]byte) (n int, timeout time.Duration, ok bool) {
	count, ok := parseInt(args[1])
	if !ok {
		c.fail(errInteger)
		return 0, 0, false
	}
	ms, ok := parseInt(args[2])
	switch {
	case !ok:
		c.fail("ERR timeout is not an integer or out of range")
		return 0, 0, false
	case ms < 0:
		c.fail("ERR timeout is negative")
		return 0, 0, false
	}
	if c.executing {
		ms = 1 // as Redis: what is held by now
	}
	return int(min(max(count, 0), math.MaxInt32)), time.Duration(min(ms, int64(waitMax/time.Millisecond))) * time.Millisecond, true
}

const (
	waitMax   = 10 * 365 * 24 * time.Hour // longer timeouts are the same as none
	waitSlice = 250 * time.Millisecond
)

// wait asks the Backend in slices, so that neither a client that left nor a
// shutdown is waited for. No timeout means until the lease goes.
func (c *conn) wait(n int, timeout time.Duration) (held int, err error) {
	c.waits()
	defer c.waited()
	c.waiting.Store(waitOn)
	defer c.waiting.Store(waitNone)
	for begin := time.Now(); ; {
		slice := waitSlice
		if timeout > 0 {
			slice = min(slice, max(time.Millisecond, timeout-time.Since(begin)))
		}
		asked := time.Now()
		held, err = c.srv.backend.Wait(&c.sess, n, slice)
		if err != nil || held >= n || time.Since(asked) < slice/2 {
			return held, err // an early answer is the last word: there is nothing to wait for
		}
		if timeout > 0 && time.Since(begin) >= timeout {
			return held, nil
		}
		switch c.waiting.Load() {
		case waitTimeout:
			return held, nil
		case waitError:
			return held, ReplyError("UNBLOCKED client unblocked via CLIENT UNBLOCK")
		}
		switch {
		case c.stopping.Load():
			return held, nil // fewer than were asked for, which the client sees
		case c.left():
			c.quit = true
			return held, nil
		}
	}
}

// left reports that the client has closed its side. It looks only while nothing
// is buffered: a client that sends more is there.
func (c *conn) left() bool {
	if c.rd.Buffered() > 0 {
		return false
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(time.Millisecond))
	err := c.rd.Fill()
	_ = c.nc.SetReadDeadline(time.Time{})
	c.setMark(c.rd.Mark()) // Fill moves the buffer; everything before this command has been answered
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}
