package bench

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// generator is one thread that offers load to many connections. It spins: a
// sleeping one would be late by the timers' grain, and would be charged nothing for
// its turns on a core that it does not share with the servers.
type generator struct {
	epoll  int
	links  []*link
	events []unix.EpollEvent
	work   *work
	spare  int // ms that epoll may wait: 0 but on a machine with one core
}

// newGenerator connects n times to each address in turn; keysOf says which key
// numbers the server of address i answers.
func newGenerator(addrs []string, n int, keysOf func(i int) [][]int) (*generator, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	g := &generator{epoll: epoll, events: make([]unix.EpollEvent, n), work: newWork()}
	if runtime.NumCPU() == 1 {
		g.spare = 1
	}
	for i := range n {
		fd, err := connect(addrs[i%len(addrs)])
		if err != nil {
			g.close()
			return nil, err
		}
		g.links = append(g.links, &link{fd: fd, keys: keysOf(i % len(addrs)), in: make([]byte, 64<<10)})
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			g.close()
			return nil, err
		}
	}
	return g, nil
}

// connect gives a non-blocking socket of our own: Go's poller must not see it.
func connect(addr string) (fd int, err error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, err
	}
	return ownSocket(nc)
}

// ownSocket makes a non-blocking socket of a connection, which is closed.
func ownSocket(nc net.Conn) (fd int, err error) {
	defer nc.Close()
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := rc.Control(func(s uintptr) { fd, err = syscall.Dup(int(s)) }); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	syscall.CloseOnExec(fd)
	return fd, syscall.SetNonblock(fd, true)
}

func (g *generator) close() {
	for _, l := range g.links {
		unix.Close(l.fd)
	}
	unix.Close(g.epoll)
}

// turn is one system under one cell for one window.
type turn struct {
	g       *generator
	latency *hdrhistogram.Histogram
	sample  sample
	every   int64 // ns between batches, 0 = as many as are answered
	open    bool  // the window
	cpu     func() (time.Duration, error)
}

// run offers load for warm and then the window, and waits for what is under way. A window
// without any answer stays open for a while.
func (t *turn) run(c Cell, rate int, warm, window time.Duration) error {
	g := t.g
	g.work.set(c)
	if rate > 0 {
		t.every = int64(time.Second) * int64(c.Depth) / int64(rate)
	}
	base := time.Now()
	clock := func() int64 { return int64(time.Since(base)) }
	var cpuBefore time.Duration
	var opened int64
	due, turn := int64(0), 0
	for {
		now := clock()
		if !t.open && now >= int64(warm) {
			var err error
			if cpuBefore, err = t.cpu(); err != nil {
				return err
			}
			opened, t.open = clock(), true
			now = opened
		}
		if over := now - int64(warm+window); over >= int64(drainMax) || over >= 0 && t.sample.ops > 0 {
			break
		}
		for ; t.every > 0 && due <= now; due, turn = due+t.every, turn+1 {
			if err := t.offer(g.links[turn%len(g.links)], due); err != nil {
				return err
			}
		}
		if err := t.poll(clock, t.every == 0); err != nil {
			return err
		}
	}
	after, err := t.cpu()
	if err != nil {
		return err
	}
	t.open = false
	t.sample.took, t.sample.cpu = time.Duration(clock()-opened), after-cpuBefore
	return t.drain(clock)
}

// offer sends a batch at its time, or after the one that the connection is in.
func (t *turn) offer(l *link, due int64) error {
	if l.left > 0 {
		l.waiting = append(l.waiting, due)
		return nil
	}
	return l.begin(t.g.work, due)
}

// poll takes the replies that have come. greedy starts a batch on every idle link.
func (t *turn) poll(clock func() int64, greedy bool) error {
	if greedy {
		for _, l := range t.g.links {
			if l.left == 0 {
				if err := l.begin(t.g.work, clock()); err != nil {
					return err
				}
			}
		}
	}
	n, err := unix.EpollWait(t.g.epoll, t.g.events, t.g.spare)
	if err != nil && err != unix.EINTR {
		return err
	}
	for _, ev := range t.g.events[:max(0, n)] {
		l := t.g.links[ev.Fd]
		if err := l.fill(); err != nil {
			return err
		}
		if err := t.take(l, clock()); err != nil {
			return err
		}
	}
	return nil
}

// take counts the replies of a link; the last one of a batch starts the next.
func (t *turn) take(l *link, now int64) error {
	for l.left > 0 {
		reply, err := l.next()
		if err != nil {
			return err
		}
		if reply == nil {
			return nil
		}
		l.left--
		t.count(reply, now-l.due)
	}
	if len(l.waiting) == 0 {
		return nil
	}
	due := l.waiting[0]
	l.waiting = l.waiting[:copy(l.waiting, l.waiting[1:])]
	return l.begin(t.g.work, due)
}

func (t *turn) count(reply []byte, took int64) {
	if !t.open {
		return
	}
	t.sample.ops++
	load.Record(t.latency, took)
	if reply[0] == '-' || (reply[0] == '$' && reply[1] == '-') {
		t.sample.errors++
		if t.sample.first == "" {
			t.sample.first = string(reply)
		}
	}
}

// drainMax is how long the last replies may take.
const drainMax = 5 * time.Second

// drain drops what was not sent and waits for what was.
func (t *turn) drain(clock func() int64) error {
	until := clock() + int64(drainMax)
	for _, l := range t.g.links {
		l.waiting = l.waiting[:0]
	}
	for _, l := range t.g.links {
		for l.left > 0 {
			if clock() > until {
				return fmt.Errorf("a reply did not come within %v", drainMax)
			}
			if err := t.poll(clock, false); err != nil {
				return err
			}
		}
	}
	return nil
}
