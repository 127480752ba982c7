package membership

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	streamsMax     = 8       // that others opened, at a time: memberlist may need much memory for one
	streamBytesMax = 8 << 20 // of one stream; the state of ten thousand members
	dialledMax     = 64      // streams that this node opened, at a time
	packetsMax     = 64      // packets that wait for memberlist
	strangersMax   = 8       // labels of other clusters that are reported
	labelLen       = 32      // a cluster id in hexadecimal digits
)

// wire is memberlist's Transport over a Port, for one life of a memberlist.
// Whatever does not carry this cluster's label ends here: memberlist would write a
// line about every packet of a neighbour that took a wrong turn.
type wire struct {
	port      *Port
	label     string
	advertise netip.AddrPort
	stranger  func(label string) // called once per foreign label

	ctx      context.Context
	cancel   context.CancelFunc
	packets  chan *memberlist.Packet
	streams  chan net.Conn
	accepted *crowd
	dialled  *crowd

	mu     sync.Mutex // guards labels
	labels map[string]struct{}
}

var _ memberlist.NodeAwareTransport = (*wire)(nil)

// newWire takes the port's gossip from now on.
func newWire(p *Port, label string, advertise netip.AddrPort, stranger func(string)) *wire {
	w := &wire{
		port: p, label: label, advertise: advertise, stranger: stranger,
		packets: make(chan *memberlist.Packet, packetsMax), streams: make(chan net.Conn),
		accepted: newCrowd(streamsMax), dialled: newCrowd(dialledMax), labels: make(map[string]struct{}),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	p.gossip.Store(w)
	return w
}

// Shutdown implements memberlist.Transport: no call of it waits any longer, no
// stream of it stays open. It may be called again.
func (w *wire) Shutdown() error {
	w.port.gossip.CompareAndSwap(w, nil)
	w.cancel()
	w.accepted.close()
	w.dialled.close()
	return nil
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (w *wire) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return w.advertise.Addr().Unmap().AsSlice(), int(w.advertise.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (w *wire) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = w.port.pc.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (w *wire) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return w.WriteTo(b, a.Addr)
}

// DialTimeout implements memberlist.Transport.
func (w *wire) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: timeout}).DialContext(w.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return w.track(c, w.dialled)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (w *wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return w.DialTimeout(a.Addr, timeout)
}

// PacketCh implements memberlist.Transport.
func (w *wire) PacketCh() <-chan *memberlist.Packet { return w.packets }

// StreamCh implements memberlist.Transport.
func (w *wire) StreamCh() <-chan net.Conn { return w.streams }

// packet hands a copy of a datagram to memberlist, without its label.
func (w *wire) packet(b []byte, from net.Addr, at time.Time) {
	b, label, err := memberlist.RemoveLabelHeaderFromPacket(b)
	if err != nil || !w.ours(label) || len(b) == 0 {
		return
	}
	select {
	case w.packets <- &memberlist.Packet{Buf: append([]byte(nil), b...), From: from, Timestamp: at}:
	case <-w.ctx.Done():
	}
}

// stream hands a connection to memberlist, without its label.
func (w *wire) stream(c net.Conn) {
	s, err := w.track(c, w.accepted)
	if err != nil {
		return
	}
	bare, label, err := memberlist.RemoveLabelHeaderFromStream(s)
	if err != nil || !w.ours(label) {
		s.Close()
		return
	}
	select {
	case w.streams <- bare:
	case <-w.ctx.Done():
		bare.Close()
	}
}

// ours reports whether a label is this cluster's. What could be another cluster's is
// reported once; the rest is noise.
func (w *wire) ours(label string) bool {
	if _, err := hex.DecodeString(label); label == w.label || len(label) != labelLen || err != nil {
		return label == w.label
	}
	w.mu.Lock()
	_, said := w.labels[label]
	say := !said && len(w.labels) < strangersMax
	if say {
		w.labels[label] = struct{}{}
	}
	w.mu.Unlock()
	if say {
		w.stranger(label)
	}
	return false
}

// track puts a stream into a crowd that it leaves when it is closed.
func (w *wire) track(c net.Conn, in *crowd) (net.Conn, error) {
	s := &stream{Conn: c, in: in, left: streamBytesMax}
	if !in.enter(s) {
		c.Close()
		return nil, net.ErrClosed
	}
	return s, nil
}

var errStreamTooLong = fmt.Errorf("membership: a stream of more than %d bytes", streamBytesMax)

// stream is a connection of memberlist.
type stream struct {
	net.Conn
	in   *crowd
	left int // bytes that may still be read
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errStreamTooLong
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.in.leave(s)
	return s.Conn.Close()
}

// addressOf finds the IP address that memberlist needs of an announced host:port;
// of a name's addresses the first IPv4 one, else the first.
func addressOf(ctx context.Context, addr string) (netip.AddrPort, error) {
	all, err := addressesOf(ctx, addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, a := range all {
		if a.Addr().Is4() {
			return a, nil
		}
	}
	return all[0], nil
}

// addressesOf looks a host:port up.
func addressesOf(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, errors.New("membership: no address behind " + host)
	}
	all := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		all[i] = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return all, nil
}
