package suite

import (
	"errors"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// pipes are connections that hands share, one to each node and level: commands of all of
// them leave together and are answered in their order, as clients with automatic
// pipelining do it.
type pipes struct {
	mu  sync.Mutex
	all map[string]*pipe
}

// pipe is one shared connection.
type pipe struct {
	line *line
	wake chan struct{} // capacity 1: something is to be sent

	mu      sync.Mutex
	unsent  []byte
	waiting []*waiter
	end     error // why it is of no use any more
}

// waiter is a command that is on its way.
type waiter struct {
	left bool // its bytes are with the kernel
	said chan answer
}

type answer struct {
	said said
	err  error
}

func newPipes() *pipes { return &pipes{all: map[string]*pipe{}} }

// do sends a command by the pipe to a node, and waits for its reply.
func (ps *pipes) do(addr, level string, words []string) (said, error) {
	p, err := ps.to(addr, level)
	if err != nil {
		return said{}, errors.Join(errNotSent, err)
	}
	w := &waiter{said: make(chan answer, 1)}
	p.mu.Lock()
	if p.end != nil {
		p.mu.Unlock()
		return said{}, errors.Join(errNotSent, p.end)
	}
	p.unsent = resp.AppendCommand(p.unsent, words...)
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	late := time.NewTimer(replyMax)
	defer late.Stop()
	select {
	case a := <-w.said:
		return a.said, a.err
	case <-late.C:
		p.fail(errLate)
		a := <-w.said
		return a.said, a.err
	}
}

var errLate = errors.New("no reply in time")

// to is the pipe to a node, opened when there is none.
func (ps *pipes) to(addr, level string) (*pipe, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	name := addr + " " + level
	if p := ps.all[name]; p != nil && !p.ended() {
		return p, nil
	}
	l, err := dial(addr, level, false)
	if err != nil {
		return nil, err
	}
	_ = l.SetDeadline(time.Time{})
	p := &pipe{line: l, wake: make(chan struct{}, 1)}
	ps.all[name] = p
	go p.write()
	go p.read()
	return p, nil
}

func (p *pipe) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end != nil
}

func (ps *pipes) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		p.fail(errNotSent)
	}
	clear(ps.all)
}

// write sends what waits, all of it at once.
func (p *pipe) write() {
	for range p.wake {
		p.mu.Lock()
		b := p.unsent
		p.unsent = nil
		for _, w := range p.waiting {
			w.left = true
		}
		ended := p.end != nil
		p.mu.Unlock()
		if ended {
			return
		}
		if _, err := p.line.Write(b); err != nil {
			p.fail(err)
			return
		}
	}
}

// read hands replies to those who wait for them, in order.
func (p *pipe) read() {
	for {
		a, err := p.line.reply()
		p.mu.Lock()
		if err == nil && len(p.waiting) > 0 {
			p.waiting[0].said <- answer{said: a}
			p.waiting = p.waiting[1:]
			p.mu.Unlock()
			continue
		}
		p.mu.Unlock()
		p.fail(errors.Join(err, errors.New("the connection ended")))
		return
	}
}

// fail ends the pipe: what has left has an unknown outcome, the rest was not sent.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return
	}
	p.end = err
	_ = p.line.Close()
	for _, w := range p.waiting {
		if w.left {
			w.said <- answer{err: err}
		} else {
			w.said <- answer{err: errors.Join(errNotSent, err)}
		}
	}
	p.waiting = nil
	select {
	case p.wake <- struct{}{}: // its writer ends
	default:
	}
}
