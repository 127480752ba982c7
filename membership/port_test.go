package membership

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// line is a listener and a socket of one loopback address that can be cut: nothing
// passes in either direction then.
type line struct {
	net.Listener
	net.PacketConn
	cut atomic.Bool
}

// openLine opens a port; "" chooses one.
func openLine(t testing.TB, addr string) *line {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	for range 100 {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return &line{Listener: ln, PacketConn: pc}
		}
		ln.Close()
	}
	t.Fatal("no port is free for TCP and UDP")
	return nil
}

func (l *line) addr() string { return l.Listener.Addr().String() }

// tcp is the listener of a line: a cut connection ends at once.
type tcp struct{ *line }

func (l tcp) Addr() net.Addr { return l.Listener.Addr() }
func (l tcp) Close() error   { return l.Listener.Close() }
func (l tcp) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !l.cut.Load() {
			return c, err
		}
		c.Close()
	}
}

// udp is the socket of a line: cut packets are lost.
type udp struct{ *line }

func (l udp) Close() error { return l.PacketConn.Close() }
func (l udp) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		if err != nil || !l.cut.Load() {
			return n, from, err
		}
	}
}

func (l udp) WriteTo(b []byte, to net.Addr) (int, error) {
	if l.cut.Load() {
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, to)
}

// openPort serves a line with an answer that names the question and where it came.
func openPort(t testing.TB, l *line, secret string) *Port {
	t.Helper()
	return NewPort(tcp{l}, udp{l}, []byte(secret), func(q Question, at net.Addr) Reply {
		return Reply{Name: fmt.Sprintf("%s at %s", q.Word, at)}
	}, func(net.Addr, error) {})
}

// until waits for a condition.
func until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for: %s", limit, what)
		}
	}
}

// noLeak fails when goroutines of this package or of memberlist outlive the test.
func noLeak(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		ours := func() []byte {
			buf := make([]byte, 4<<20)
			var left []byte
			for i, g := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
				if i > 0 && (bytes.Contains(g, []byte("/membership.")) || bytes.Contains(g, []byte("hashicorp/memberlist"))) && !bytes.Contains(g, []byte("testing.tRunner")) {
					left = append(append(left, g...), "\n\n"...)
				}
			}
			return left
		}
		limit := time.Now().Add(15 * time.Second)
		for len(ours()) > 0 {
			if time.Now().After(limit) {
				t.Fatalf("goroutines are left:\n%s", ours())
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestQuestionsNeedTheSecret(t *testing.T) {
	noLeak(t)
	for _, c := range []struct{ its, mine string }{{"s", "s"}, {"s", "other"}, {"s", ""}, {"", "s"}} {
		l, refused := openLine(t, ""), make(chan error, 1)
		p := NewPort(tcp{l}, udp{l}, []byte(c.its), func(Question, net.Addr) Reply { return Reply{Name: "here"} },
			func(_ net.Addr, err error) { refused <- err })
		r, err := Ask(context.Background(), l.addr(), Question{Word: AskWho}, []byte(c.mine))
		if c.its == c.mine {
			if err != nil || r.Name != "here" {
				t.Errorf("%+v, %v", r, err)
			}
		} else {
			if !errors.Is(err, ErrSecret) || r.Name != "" {
				t.Errorf("secret %q asked %q: %+v, %v; want to hear that they differ", c.mine, c.its, r, err)
			}
			if err := <-refused; !errors.Is(err, ErrSecret) {
				t.Errorf("the asked one says %v", err)
			}
		}
		p.Close()
	}
}

// dial opens a connection that lives as long as the test.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// askQuickly puts a question and wants its answer within a second.
func askQuickly(t *testing.T, addr string) {
	t.Helper()
	begun := time.Now()
	if _, err := Ask(context.Background(), addr, Question{Word: AskWho}, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("a question took %v", took)
	}
}

// TestIdleAndStrangeConnectionsAreInNobodysWay opens 1,000 connections that say
// nothing, or begin and stop: questions are answered meanwhile, the crowd stays
// bounded, and whoever lost a place is closed.
func TestIdleAndStrangeConnectionsAreInNobodysWay(t *testing.T) {
	for name, first := range map[string][]byte{
		"silent":                nil,
		"half a question":       {questionByte, questionFormat, 0, 0, 1},
		"a huge question":       append([]byte{questionByte, questionFormat, 0xff, 0xff, 0xff, 0xff}, make([]byte, 16)...),
		"a question that stops": append([]byte{questionByte, questionFormat, 0, 7, 0, 0}, make([]byte, 1000)...),
		"garbage":               []byte("GET / HTTP/1.0\r\n\r\n"),
		"half a label":          {244, 32, 'a'},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			l := openLine(t, "")
			patience := time.Second
			p := newPort(tcp{l}, udp{l}, nil, func(Question, net.Addr) Reply { return Reply{} }, func(net.Addr, error) {}, patience)
			defer p.Close()
			w := newWire(p, "ours", netip.MustParseAddrPort("127.0.0.1:1"), func(string) {})
			defer w.Shutdown()
			var all []net.Conn
			for i := range 1000 {
				c := dial(t, l.addr())
				if _, err := c.Write(first); err != nil && first == nil {
					t.Fatal(err)
				}
				all = append(all, c)
				if i%250 == 249 {
					askQuickly(t, l.addr())
				}
			}
			if n, s := p.askers.size(), w.accepted.size(); n > askersMax || s > streamsMax {
				t.Errorf("%d connections stand in the crowd, %d are streams", n, s)
			}
			for _, i := range []int{0, 999} {
				_ = all[i].SetReadDeadline(time.Now().Add(3 * patience))
				if _, err := io.ReadAll(all[i]); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("connection %d was never closed", i)
				}
			}
			until(t, 3*patience, "nobody stands there for ever", func() bool { return p.askers.size()+w.accepted.size() == 0 })
			askQuickly(t, l.addr())
		})
	}
}

// TestStreamsAndPacketsNeedTheLabel sends what memberlist would: only this cluster's
// label passes, another one is named once.
func TestStreamsAndPacketsNeedTheLabel(t *testing.T) {
	noLeak(t)
	l := openLine(t, "")
	p := openPort(t, l, "")
	defer p.Close()
	strangers := make(chan string, 10)
	w := newWire(p, "ours", netip.MustParseAddrPort("127.0.0.1:1"), func(s string) { strangers <- s })
	send := func(label, body string) {
		b, err := memberlist.AddLabelHeaderToPacket([]byte(body), label)
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.Dial("udp", l.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		if _, err := u.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := dial(t, l.addr()).Write(b); err != nil {
			t.Fatal(err)
		}
	}
	theirs := strings.Repeat("0f", labelLen/2)
	for range 2 {
		send(theirs, "no")
		send("noise", "no")
		send("", "\x07no")
	}
	send("ours", "yes")
	if got := <-w.PacketCh(); string(got.Buf) != "yes" {
		t.Errorf("packet %q", got.Buf)
	}
	c := <-w.StreamCh()
	body := make([]byte, 3)
	if _, err := io.ReadFull(c, body); err != nil || string(body) != "yes" {
		t.Errorf("stream %q, %v", body, err)
	}
	if got := <-strangers; got != theirs || len(strangers) != 0 {
		t.Errorf("the stranger is %q, and %d more", got, len(strangers))
	}
	if err := w.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(body); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a stream outlived its transport: %v", err)
	}
	if _, err := w.DialTimeout(l.addr(), time.Second); err == nil {
		t.Error("a transport that was shut down dials")
	}
}

func TestAStreamIsBounded(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	s := &stream{Conn: server, in: newCrowd(1), left: 10}
	go func() { _, _ = client.Write(make([]byte, 11)); client.Close() }()
	n, err := io.Copy(io.Discard, s)
	if n != 10 || !errors.Is(err, errStreamTooLong) {
		t.Errorf("%d bytes, %v", n, err)
	}
	s.Close()
}

// spoken is a connection that says what it is given, and keeps what it is told.
type spoken struct {
	io.Reader
	bytes.Buffer
	closed bool
}

func (s *spoken) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s *spoken) Close() error                     { s.closed = true; return nil }
func (s *spoken) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *spoken) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *spoken) SetDeadline(time.Time) error      { return nil }
func (s *spoken) SetReadDeadline(time.Time) error  { return nil }
func (s *spoken) SetWriteDeadline(time.Time) error { return nil }

// FuzzFirstBytes gives a port the beginning of a connection: a question is answered
// and nothing else, gossip comes out behind the label byte by byte, and nothing
// stays in a crowd.
func FuzzFirstBytes(f *testing.F) {
	var q bytes.Buffer
	if err := writeMessage(&q, Question{Word: AskWho}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(q.Bytes())
	f.Add(append([]byte{244, 4}, "oursand more"...))
	f.Add([]byte{})
	f.Add([]byte{questionByte, questionFormat, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		p := &Port{askers: newCrowd(2), answers: make(chan struct{}, 1), answer: func(Question, net.Addr) Reply { return Reply{Name: "answered"} }, refused: func(net.Addr, error) {}}
		w := newWire(p, "ours", netip.MustParseAddrPort("127.0.0.1:1"), func(string) {})
		w.streams = make(chan net.Conn, 1)
		c := &spoken{Reader: bytes.NewReader(in)}
		p.askers.enter(c)
		p.meet(c)
		if p.askers.size() != 0 || len(p.answers) != 0 {
			t.Fatal("it still stands in the crowd")
		}
		header := append([]byte{244, 4}, "ours"...)
		if len(w.streams) == 1 {
			s := <-w.streams
			rest, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(append(header, rest...), in) {
				t.Fatalf("gossip %q came out as %q, %v", in, rest, err)
			}
			s.Close()
		} else if bytes.HasPrefix(in, header) {
			t.Fatalf("gossip %q did not come out", in)
		}
		if !c.closed || w.accepted.size() != 0 {
			t.Fatal("the connection is left open")
		}
		if c.Len() > 0 && (len(in) == 0 || in[0] != questionByte) {
			t.Fatalf("%q was answered", in)
		}
		_ = w.Shutdown()
		w.packet(in, c.RemoteAddr(), time.Now())
	})
}

func FuzzBootstrapMessages(f *testing.F) {
	var b bytes.Buffer
	if err := writeMessage(&b, Question{Word: AskWho}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		var q Question
		if readMessage(bytes.NewReader(in), questionMax, &q, nil) == nil {
			var out bytes.Buffer
			if err := writeMessage(&out, q, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}
