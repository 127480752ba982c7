package transport

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/baxromumarov/aegisKV/internal/direct"
)

// socket is a connection to a peer, or the socket of lease packets, whose reads and
// writes are one system call each that Go's scheduler is not told of. Three idle nodes
// exchange some two hundred small messages a second each, and to be told of them cost
// more than to handle them. Waiting is left to the runtime.
//
// One goroutine may read and one may write at a time.
type socket struct {
	raw syscall.RawConn // nil: no socket of the kernel

	read, write func(fd uintptr) bool // made once: they would be allocated with each call
	in, out     []byte
	got, sent   int
	gotErr      error
	sentErr     error
}

func newSocket(c any) *socket {
	s := &socket{}
	if sc, ok := c.(syscall.Conn); ok && direct.Works {
		s.raw, _ = sc.SyscallConn()
	}
	s.read, s.write = s.readNow, s.writeNow
	return s
}

// wait reads what there is, and waits until there is something.
func (s *socket) wait(b []byte) (int, error) {
	s.in, s.got, s.gotErr = b, 0, nil
	err := s.raw.Read(s.read)
	if s.in = nil; err != nil {
		return 0, err
	}
	return s.got, s.gotErr
}

// readNow reads; false when nothing is there, to be called again when something is.
func (s *socket) readNow(fd uintptr) bool {
	n, errno := direct.Read(fd, s.in)
	if errno == syscall.EAGAIN {
		return false
	}
	if s.got = n; errno != 0 {
		s.gotErr = errno
	}
	return true
}

// writeSome writes what the connection takes at once.
func (s *socket) writeSome(b []byte) (int, error) {
	s.out, s.sent, s.sentErr = b, 0, nil
	err := s.raw.Write(s.write)
	if s.out = nil; err != nil {
		return 0, err
	}
	return s.sent, s.sentErr
}

func (s *socket) writeNow(fd uintptr) bool {
	n, errno := direct.Write(fd, s.out)
	switch errno {
	case 0:
		s.sent = n
	case syscall.EAGAIN:
	default:
		s.sentErr = errno
	}
	return true
}

// stream is a connection to a peer.
type stream struct {
	c net.Conn
	s *socket
}

func newStream(c net.Conn) stream { return stream{c, newSocket(c)} }

// Read implements io.Reader.
func (t stream) Read(b []byte) (int, error) {
	if t.s.raw == nil || len(b) == 0 {
		return t.c.Read(b)
	}
	n, err := t.s.wait(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write implements io.Writer. A deadline is set only for what the peer does not take.
func (t stream) Write(b []byte) (n int, err error) {
	if t.s.raw != nil && len(b) > 0 {
		if n, err = t.s.writeSome(b); err != nil || n == len(b) {
			return n, err
		}
	}
	_ = t.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	m, err := t.c.Write(b[n:])
	if err == nil {
		err = t.c.SetWriteDeadline(time.Time{})
	}
	return n + m, err
}

// packets is the socket of lease packets. Any goroutine may send.
type packets struct {
	pc   net.PacketConn
	s    *socket
	ipv6 bool
}

func newPackets(pc net.PacketConn) packets {
	p := packets{pc: pc, s: newSocket(pc)}
	if p.s.raw != nil {
		_ = p.s.raw.Control(func(fd uintptr) { p.ipv6 = direct.IPv6(fd) })
	}
	return p
}

// receive waits for a packet.
func (p packets) receive(b []byte) (int, error) {
	if p.s.raw == nil {
		n, _, err := p.pc.ReadFrom(b)
		return n, err
	}
	return p.s.wait(b)
}

// send sends a packet, or loses it where the kernel has no room for it.
func (p packets) send(b []byte, to net.Addr) {
	if at, ok := to.(*net.UDPAddr); ok && p.s.raw != nil && at.Zone == "" && at.IP != nil {
		if ap := at.AddrPort(); p.ipv6 || ap.Addr().Unmap().Is4() {
			p.sendNow(b, ap)
			return
		}
	}
	_, _ = p.pc.WriteTo(b, to)
}

func (p packets) sendNow(b []byte, to netip.AddrPort) {
	_ = p.s.raw.Control(func(fd uintptr) { _ = direct.SendTo(fd, b, to, p.ipv6) })
}
