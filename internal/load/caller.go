package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// caller runs the batches of one worker: it fills in miss, error and done of every op.
type caller interface {
	call(ops []op, clock func() int64)
	close()
}

// respCaller speaks RESP2 on one connection to each node.
type respCaller struct {
	cluster *cluster
	socks   map[string]*sock
	round   []*sock // those with requests in this round
	moved   []*op
}

// sock is one connection and the part of a batch that goes to it.
type sock struct {
	addr string
	nc   net.Conn
	in   *bufio.Reader
	out  []byte
	ops  []*op
	down time.Time // when it could not be connected
}

// redialPause is how long a node that refused is left alone.
const redialPause = 50 * time.Millisecond

// redirectsMax is how many MOVED one request follows.
const redirectsMax = 5

func newRESPCaller(c *cluster) *respCaller { return &respCaller{cluster: c, socks: map[string]*sock{}} }

func (r *respCaller) close() {
	for _, s := range r.socks {
		s.fail("", 0)
	}
}

// connect dials the nodes, so that the run does not begin with it.
func (r *respCaller) connect() error {
	for _, a := range r.cluster.nodes() {
		if err := r.sock(a).dial(); err != nil {
			return err
		}
	}
	return nil
}

func (r *respCaller) sock(addr string) *sock {
	s := r.socks[addr]
	if s == nil {
		s = &sock{addr: addr}
		r.socks[addr] = s
	}
	return s
}

func (r *respCaller) call(ops []op, clock func() int64) {
	for i := range ops {
		r.queue(&ops[i])
	}
	for range redirectsMax {
		r.flush(clock)
		if len(r.moved) == 0 {
			return
		}
		again := r.moved
		r.moved = nil
		for _, o := range again {
			o.error = ""
			r.queue(o)
		}
	}
	r.flush(clock)
	r.moved = nil // what is redirected still keeps its MOVED
}

func (r *respCaller) queue(o *op) {
	s := r.sock(*r.cluster.owners[shardmap.SlotOf(o.key)].Load())
	if len(s.ops) == 0 {
		r.round = append(r.round, s)
	}
	s.ops = append(s.ops, o)
	s.out = appendRequest(s.out, o)
}

func appendRequest(b []byte, o *op) []byte {
	switch {
	case !o.set:
		return resp.AppendBulk(append(b, "*2\r\n$3\r\nGET\r\n"...), o.key)
	case o.ttl == "":
		b = resp.AppendBulk(append(b, "*3\r\n$3\r\nSET\r\n"...), o.key)
		return resp.AppendBulk(b, o.value)
	}
	b = resp.AppendBulk(append(b, "*5\r\n$3\r\nSET\r\n"...), o.key)
	b = append(resp.AppendBulk(b, o.value), "$2\r\nPX\r\n"...)
	return resp.AppendBulk(b, o.ttl)
}

// flush sends to all nodes of the round before it reads from the first.
func (r *respCaller) flush(clock func() int64) {
	for _, s := range r.round {
		if err := s.send(); err != nil {
			s.fail("CONNECTION", clock())
		}
	}
	for _, s := range r.round {
		r.receive(s, clock)
		s.ops, s.out = s.ops[:0], s.out[:0]
	}
	r.round = r.round[:0]
}

// inlineMax is the longest batch that is written before its answers are read: it fits
// the buffers of a socket. A longer one is written beside, or both sides might wait for
// each other.
const inlineMax = 64 << 10

func (s *sock) send() error {
	if s.nc == nil {
		if time.Since(s.down) < redialPause {
			time.Sleep(redialPause)
		}
		if err := s.dial(); err != nil {
			return err
		}
	}
	_ = s.nc.SetDeadline(time.Now().Add(replyTimeout))
	if len(s.out) > inlineMax {
		nc, out := s.nc, bytes.Clone(s.out)
		go func() { _, _ = nc.Write(out) }() // ends with the deadline; what it could not send is seen by the reader
		return nil
	}
	_, err := s.nc.Write(s.out)
	return err
}

func (s *sock) dial() error {
	nc, err := net.DialTimeout("tcp", s.addr, dialTimeout)
	if err != nil {
		s.down = time.Now()
		return err
	}
	s.nc, s.in = nc, bufio.NewReaderSize(nc, 64<<10)
	return nil
}

// fail drops the connection; the operations that it still owes get the error.
func (s *sock) fail(code string, now int64) {
	if s.nc != nil {
		_ = s.nc.Close()
		s.nc = nil
	}
	for _, o := range s.ops {
		o.error, o.done = code, now
	}
	s.ops = s.ops[:0]
}

func (r *respCaller) receive(s *sock, clock func() int64) {
	for len(s.ops) > 0 {
		o := s.ops[0]
		refusal, miss, err := readOutcome(s.in)
		if err != nil {
			s.fail("CONNECTION", clock())
			return
		}
		o.miss, o.done = miss, clock()
		if refusal != "" {
			o.error = code(refusal)
			if addr, ok := ParseMoved(refusal); ok {
				r.cluster.redirects.Add(1)
				r.cluster.owners[shardmap.SlotOf(o.key)].Store(&addr)
				r.moved = append(r.moved, o)
			}
		}
		s.ops = s.ops[1:]
	}
}

func code(refusal string) string {
	word, _, _ := bytes.Cut([]byte(refusal), []byte(" "))
	return string(word)
}

// readOutcome reads one answer to GET or SET and drops the value: resp.ReadReply would
// keep it, which costs an allocation for each.
func readOutcome(r *bufio.Reader) (refusal string, miss bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", false, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return "", false, resp.ErrReply
	}
	switch line[0] {
	case '+', ':':
		return "", false, nil
	case '-':
		return string(line[1:]), false, nil
	case '_':
		return "", true, nil
	case '$':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n < 0 {
			return "", err == nil, err
		}
		_, err = r.Discard(n + 2)
		return "", false, err
	}
	return "", false, fmt.Errorf("%w: %q", resp.ErrReply, line)
}

// nativeCaller is one caller of our Go client; all callers share the client.
type nativeCaller struct {
	ctx    context.Context
	client *client.Client
}

func (n *nativeCaller) close() {}

func (n *nativeCaller) call(ops []op, clock func() int64) {
	for i := range ops {
		o := &ops[i]
		err := n.one(o)
		if errors.Is(err, client.ErrNotFound) {
			o.miss, err = true, nil
		}
		if err != nil {
			o.error = nativeCode(err)
		}
		o.done = clock()
	}
}

func (n *nativeCaller) one(o *op) error {
	switch {
	case !o.set:
		_, err := n.client.Get(n.ctx, string(o.key))
		return err
	case o.ttl != "":
		ms, err := strconv.ParseInt(o.ttl, 10, 64)
		if err != nil {
			return err
		}
		return n.client.SetWithTTL(n.ctx, string(o.key), o.value, ms)
	}
	return n.client.Set(n.ctx, string(o.key), o.value)
}

// nativeCode is one word for an error of the client.
func nativeCode(err error) string {
	var server *client.ServerError
	for _, c := range []struct {
		is   error
		code string
	}{
		{client.ErrAmbiguous, "AMBIGUOUS"},
		{client.ErrLostWrites, "LOST"},
		{client.ErrUnavailable, "UNAVAILABLE"},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	if errors.As(err, &server) {
		return server.Code
	}
	return "OTHER"
}
