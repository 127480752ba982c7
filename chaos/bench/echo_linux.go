package bench

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// echo is the third server of the latency cells: it answers every read with as many
// bytes as a reply needs, and does nothing else. What it takes is the machine's share.
// It is a thread of this process that sleeps until something comes, as servers do.
type echo struct {
	listener net.Listener
	epoll    int
	stopped  chan struct{}
	wake     [2]int // a pipe
}

// startEcho listens on a port of its own and answers on a core.
func startEcho(core int) (*echo, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &echo{listener: l, stopped: make(chan struct{})}
	if e.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		err = unix.Pipe2(e.wake[:], unix.O_CLOEXEC)
	}
	if err == nil {
		err = e.watch(e.wake[0])
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("echo server: %w", err)
	}
	go e.accept()
	begun := make(chan error)
	go e.serve(core, begun)
	return e, <-begun
}

func (e *echo) watch(fd int) error {
	return unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// accept takes sockets out of Go's poller, which would wake another thread for them.
func (e *echo) accept() {
	for {
		nc, err := e.listener.Accept()
		if err != nil {
			return
		}
		fd, err := ownSocket(nc)
		if err == nil {
			_ = e.watch(fd)
		}
	}
}

// serve answers until the pipe is closed.
func (e *echo) serve(core int, begun chan<- error) {
	defer close(e.stopped)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, pinned as it is
	_, err := pin(core)
	begun <- err
	events, buf := make([]unix.EpollEvent, 64), make([]byte, 64<<10)
	open := map[int]bool{}
	defer func() {
		for fd := range open {
			unix.Close(fd)
		}
	}()
	for err == nil || errors.Is(err, unix.EINTR) {
		var n int
		n, err = unix.EpollWait(e.epoll, events, -1)
		for _, ev := range events[:max(0, n)] {
			fd := int(ev.Fd)
			if fd == e.wake[0] {
				return
			}
			open[fd] = true
			if !answerOnce(fd, buf) {
				unix.Close(fd)
				delete(open, fd)
			}
		}
	}
}

// answerOnce answers what has come on a socket; false when it is at its end.
func answerOnce(fd int, buf []byte) bool {
	n, err := unix.Read(fd, buf)
	if err != nil {
		return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
	}
	if n == 0 {
		return false
	}
	_, err = unix.Write(fd, echoReply)
	return err == nil
}

// echoReply is a reply as long as that of a GET of 100 bytes.
var echoReply = fmt.Appendf(nil, "$100\r\n%0100d\r\n", 0)

func (e *echo) stop() {
	e.listener.Close()
	unix.Close(e.wake[1])
	<-e.stopped
	unix.Close(e.wake[0])
	unix.Close(e.epoll)
}
