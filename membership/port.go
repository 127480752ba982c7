package membership

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	askersMax  = 64 // connections that have not said yet what they want
	answersMax = 64 // questions being answered
	firstMax   = 2 * time.Second
	retryPause = 50 * time.Millisecond // after an error that is not the end
)

// Port is a node's gossip address: one TCP listener and one UDP socket, shared by
// bootstrap questions and gossip. The first byte of a connection tells them apart:
// 0xA5 begins a question, everything else belongs to gossip. A connection that says
// nothing waits for a bounded time in a bounded crowd and is in nobody's way.
type Port struct {
	ln       net.Listener
	pc       net.PacketConn
	secret   []byte
	answer   func(q Question, at net.Addr) Reply
	refused  func(from net.Addr, err error)
	patience time.Duration // with a connection that has not said what it wants

	askers  *crowd
	answers chan struct{}
	gossip  atomic.Pointer[wire] // takes streams and packets; nil until gossip has begun
	done    chan struct{}
	wg      sync.WaitGroup
}

// NewPort serves a listener and a socket of the same address until Close. answer is
// told at which address of this node the question came, refused who asked under
// another secret.
func NewPort(ln net.Listener, pc net.PacketConn, secret []byte, answer func(q Question, at net.Addr) Reply, refused func(from net.Addr, err error)) *Port {
	return newPort(ln, pc, secret, answer, refused, firstMax)
}

func newPort(ln net.Listener, pc net.PacketConn, secret []byte, answer func(q Question, at net.Addr) Reply, refused func(from net.Addr, err error), patience time.Duration) *Port {
	p := &Port{
		ln: ln, pc: pc, secret: secret, answer: answer, refused: refused, patience: patience,
		askers: newCrowd(askersMax), answers: make(chan struct{}, answersMax), done: make(chan struct{}),
	}
	p.wg.Add(2)
	go p.accept()
	go p.receive()
	return p
}

// Close ends everything and waits for the answers under way. Gossip must have been
// closed before.
func (p *Port) Close() {
	close(p.done)
	p.ln.Close()
	p.pc.Close()
	p.askers.close()
	p.wg.Wait()
}

// over says whether an error is the end, and waits a moment when it is not: out of
// descriptors, others may close.
func (p *Port) over(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return true
	}
	select {
	case <-p.done:
		return true
	case <-time.After(retryPause):
		return false
	}
}

func (p *Port) accept() {
	defer p.wg.Done()
	for {
		c, err := p.ln.Accept()
		switch {
		case err == nil && p.askers.enter(c):
			p.wg.Add(1)
			go func() { defer p.wg.Done(); p.meet(c) }()
		case err == nil:
			c.Close()
		case p.over(err):
			return
		}
	}
}

// meet finds out what a connection wants.
func (p *Port) meet(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(p.patience))
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		p.askers.leave(c)
		c.Close()
		return
	}
	if first[0] == questionByte {
		p.hear(c)
		return
	}
	p.askers.leave(c)
	if g := p.gossip.Load(); g != nil {
		g.stream(&begun{Conn: c, first: first[:]})
		return
	}
	c.Close()
}

// hear reads a question, of which the first byte is known, and answers it. The
// asker stands in the crowd until its question is complete.
func (p *Port) hear(c net.Conn) {
	defer c.Close()
	var q Question
	err := readMessage(io.MultiReader(bytes.NewReader([]byte{questionByte}), c), questionMax, &q, p.secret)
	if !p.askers.leave(c) {
		return
	}
	if errors.Is(err, ErrSecret) {
		// An answer that says nothing: the asker cannot verify it, and so learns why.
		_ = writeMessage(c, Reply{}, p.secret)
		p.refused(c.RemoteAddr(), err)
	}
	if err != nil {
		return
	}
	select {
	case p.answers <- struct{}{}:
		defer func() { <-p.answers }()
	default:
		return // too many: it will ask again
	}
	rep := p.answer(q, c.LocalAddr())
	_ = c.SetDeadline(time.Now().Add(p.patience))
	_ = writeMessage(c, rep, p.secret)
}

func (p *Port) receive() {
	defer p.wg.Done()
	buf := make([]byte, 64<<10)
	for {
		n, from, err := p.pc.ReadFrom(buf)
		switch g := p.gossip.Load(); {
		case err == nil && n > 0 && g != nil:
			g.packet(buf[:n], from, time.Now())
		case err != nil && p.over(err):
			return
		}
	}
}

// begun is a connection whose first bytes have been read.
type begun struct {
	net.Conn
	first []byte
}

// Read gives the first bytes again, then goes on.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	return n, nil
}
