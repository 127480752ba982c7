package suite

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// ear listens on all connections of one client that others wrote, for what such clients
// drop: the versions that nodes tell beside replies. It also knows which commands have
// left, and so which ones a node may have although the client gave up. The client is asked
// for one command at a time; an earlier one may leave late, or never.
type ear struct {
	mu  sync.Mutex
	now *heard // what it was asked for last
}

// heard is a command that a client was asked for, and what was heard of it.
type heard struct {
	command  []byte
	open     int // how often it has left without an answer so far
	node     string
	versions []shardmap.Version // beside its last answer
}

// await says that the client is asked for a command from now on.
func (e *ear) await(words []string) *heard {
	h := &heard{command: resp.AppendCommand(nil, words...)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = h
	return h
}

// end gives what was heard of a command whose client has answered.
func (e *ear) end(h *heard) heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *h
}

// left takes note of a command that leaves for a node: nil when nobody waits for it. An
// earlier one of the same words that leaves late counts for the one that is waited for: it
// stands before that in the queue, and so does its answer.
func (e *ear) left(command []byte, node string) *heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.now
	if h == nil || !bytes.Equal(h.command, command) {
		return nil
	}
	h.open++
	h.node = node
	return h
}

func (e *ear) answered(h *heard, versions []shardmap.Version) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h.open--
	h.versions = versions
}

// tap is one connection that an ear listens on. Nothing of what passes is changed.
type tap struct {
	net.Conn
	ear  *ear
	node string

	sending sync.Mutex
	out     []byte // the beginning of a command

	mu    sync.Mutex
	asked []*heard // that wait for their replies; nil for what nobody listens for

	receiving sync.Mutex
	in        []byte // the beginning of a reply
}

// tapped connects to a node, and lets it tell versions and wait with replies to writes as
// long as a level says, before a client has the connection.
func (e *ear) tapped(ctx context.Context, addr, level string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &line{c, bufio.NewReader(c), addr}
	if err := l.greet(tryMax, []string{"CLIENT", "CAPA", "aegis"}, []string{"AEGIS.DURABILITY", level}); err != nil {
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err} // nothing of the client's has left
	}
	return &tap{Conn: c, ear: e, node: addr}, c.SetDeadline(time.Time{})
}

// SyscallConn lets clients look whether the connection stands, as on any other.
func (t *tap) SyscallConn() (syscall.RawConn, error) { return t.Conn.(syscall.Conn).SyscallConn() }

// Write implements net.Conn. Commands count as left before they are.
func (t *tap) Write(b []byte) (int, error) {
	t.sending.Lock()
	defer t.sending.Unlock()
	t.out = whole(append(t.out, b...), func(command []byte) {
		h := t.ear.left(command, t.node)
		t.mu.Lock()
		t.asked = append(t.asked, h)
		t.mu.Unlock()
	})
	return t.Conn.Write(b)
}

// Read implements net.Conn. Versions are known before the client has the reply.
func (t *tap) Read(b []byte) (int, error) {
	t.receiving.Lock()
	defer t.receiving.Unlock()
	n, err := t.Conn.Read(b)
	t.in = whole(append(t.in, b[:n]...), t.hear)
	return n, err
}

// hear takes one value that the node sent, with the attributes before it.
func (t *tap) hear(value []byte) {
	var versions []shardmap.Version
	switch value[0] {
	case '>':
		return
	case '|':
		versions, _ = versionsBefore(bufio.NewReader(bytes.NewReader(value)))
	}
	t.mu.Lock()
	var h *heard
	if len(t.asked) > 0 {
		h = t.asked[0]
		t.asked = t.asked[1:]
	}
	t.mu.Unlock()
	if h != nil {
		t.ear.answered(h, versions)
	}
}

// whole hands on every value that is whole, and gives what is left.
func whole(b []byte, each func([]byte)) []byte {
	for len(b) > 0 {
		n := resp.ReplyLen(b)
		if n == 0 {
			return b
		}
		each(b[:n])
		b = b[n:]
	}
	return nil
}
