package redis

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/baxromumarov/aegisKV/internal/direct"
)

// socket reads and writes a client's connection with one system call each, past what
// net.Conn does besides: a buffer is needed only once there are bytes for it, and a
// deadline only when the client does not take what is written. Waiting is left to the
// runtime, deadlines to the net.Conn; both go on working.
//
// One goroutine may read and one may write at a time.
type socket struct {
	nc  net.Conn
	raw syscall.RawConn // nil: no socket of the kernel, net.Conn does it all

	read, write func(fd uintptr) bool // made once: they would be allocated with each call
	room        func() []byte
	idle        func()
	got         int
	gotErr      error

	out     []byte
	sent    int
	sentErr error

	received, written atomic.Int64 // bytes, since the begin
}

func newSocket(nc net.Conn) *socket {
	s := &socket{nc: nc}
	if sc, ok := nc.(syscall.Conn); ok && direct.Works {
		s.raw, _ = sc.SyscallConn()
	}
	s.read, s.write = s.readNow, s.writeNow
	return s
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.nc.Read(b)
	s.received.Add(int64(n))
	return n, err
}

// ReadInto implements resp.Patient.
func (s *socket) ReadInto(room func() []byte, idle func()) (int, error) {
	if s.raw == nil {
		return s.Read(room())
	}
	s.room, s.idle, s.got, s.gotErr = room, idle, 0, nil
	if err := s.raw.Read(s.read); err != nil {
		return 0, err
	}
	s.received.Add(int64(max(0, s.got)))
	return s.got, s.gotErr
}

// readNow reads what is there; false when nothing is, to be called again when there is.
func (s *socket) readNow(fd uintptr) bool {
	n, errno := direct.Read(fd, s.room())
	switch {
	case errno == syscall.EAGAIN:
		s.idle()
		return false
	case errno != 0:
		s.gotErr = errno
	case n == 0:
		s.gotErr = io.EOF
	}
	s.got = n
	return true
}

// writeSome writes what the connection takes at once.
func (s *socket) writeSome(b []byte) (int, error) {
	if s.raw == nil {
		return 0, nil
	}
	s.out, s.sent, s.sentErr = b, 0, nil
	err := s.raw.Write(s.write)
	s.out = nil
	if err != nil {
		return 0, err
	}
	s.written.Add(int64(s.sent))
	return s.sent, s.sentErr
}

func (s *socket) writeNow(fd uintptr) bool {
	n, errno := direct.Write(fd, s.out)
	switch {
	case errno == 0:
		s.sent = n
	case errno != syscall.EAGAIN:
		s.sentErr = errno
	}
	return true
}

// cork holds back what is written until it is taken off or the connection ends: the last
// bytes and the end are one packet then. Where there is no such thing they leave at once.
func (s *socket) cork(on bool) {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { corkFD(fd, on) })
	}
}

// unread says whether bytes have arrived that were not read.
func (s *socket) unread() (any bool) {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { any = unreadFD(fd) })
	}
	return any
}
