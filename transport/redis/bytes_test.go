package redis

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestBadInputIsAnsweredAndClosed(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	for in, want := range map[string]string{
		"*1\r\n$4294967296\r\n":  "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$-5\r\n":          "-ERR Protocol error: invalid bulk length\r\n",
		"*4294967296\r\n":        "-ERR Protocol error: invalid multibulk length\r\n",
		"*2\r\nGET\r\n":          "-ERR Protocol error: expected '$', got 'G'\r\n",
		"get \"a\r\n":            "-ERR Protocol error: unbalanced quotes in request\r\n",
		"PING\r\n*x\r\nPING\r\n": "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
	} {
		p := dial(t, addr)
		p.send(in)
		p.want(want)
		p.wantClosed()
	}
	p := dial(t, addr)
	p.send("*0\r\n\r\n*-1\r\n*1\r\n$0\r\n\r\nPING\r\n") // zero lengths are no violation
	p.want("-ERR unknown command '', with args beginning with: \r\n+PONG\r\n")
}

func TestAHugeInlineLineIsCutOff(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	before := heap()
	p := dial(t, addr)
	block := []byte(strings.Repeat("x", 1<<20))
	sent := 0
	for ; sent < 100; sent++ {
		if _, err := p.nc.Write(block); err != nil {
			break
		}
	}
	if sent == 100 {
		t.Fatal("100 MB without a line end were taken")
	}
	_, _ = io.Copy(io.Discard, p.nc)
	if grown := int64(heap()) - int64(before); grown > 16<<20 {
		t.Fatalf("it took %d bytes", grown)
	}
}

func TestAClientThatNeverReadsIsClosed(t *testing.T) {
	cfg := testConfig()
	cfg.WriteTimeout = 100 * time.Millisecond
	s, addr := start(t, cfg, newMemory())
	p := dial(t, addr)
	p.do("SET", "a", strings.Repeat("x", 1<<20))
	before := heap()
	_, err := p.nc.Write([]byte(strings.Repeat("GET a\r\n", 100000)))
	eventually(t, func() bool { return s.Clients() == 0 })
	if grown := int64(heap()) - int64(before); grown > 32<<20 {
		t.Fatalf("100 GB of unread replies took %d bytes (write: %v)", grown, err)
	}
}

// TestADeadlineEndsWithItsReply: only what the client does not take at once has a
// deadline, and none is left behind for the replies after it.
func TestADeadlineEndsWithItsReply(t *testing.T) {
	cfg := testConfig()
	cfg.WriteTimeout = 500 * time.Millisecond
	_, addr := start(t, cfg, newMemory())
	p := dial(t, addr)
	value := strings.Repeat("x", 8<<20) // more than the socket's buffers hold
	if v := p.do("SET", "a", value); v.IsError() {
		t.Fatal(v)
	}
	begin := time.Now()
	if v := p.do("GET", "a"); len(v.Text) != len(value) {
		t.Fatal(v.Kind, len(v.Text))
	}
	<-time.After(2*cfg.WriteTimeout - time.Since(begin))
	if v := p.do("PING"); string(v.Text) != "PONG" {
		t.Fatalf("%c %q", v.Kind, v.Text)
	}
}

func TestABufferTooMuchClosesTheConnectionThatAsked(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersMax = 4 << 20
	s, addr := start(t, cfg, newMemory())
	small := dial(t, addr)
	big := strings.Repeat("x", 1<<20)
	if v := small.do("SET", "a", big); v.IsError() {
		t.Fatal(v)
	}
	// An unfinished command, and a reply, may each not grow without end.
	p := dial(t, addr)
	_, _ = p.nc.Write([]byte("*1000\r\n" + strings.Repeat("$1048576\r\n"+big+"\r\n", 32)))
	_, _ = io.Copy(io.Discard, p.nc)
	q := dial(t, addr)
	q.send("MGET" + strings.Repeat(" a", 1000) + "\r\n")
	q.wantClosed()
	if s.evicted.Load() != 2 {
		t.Errorf("%d connections were closed for their buffers, want 2", s.evicted.Load())
	}
	if v := small.do("GET", "a"); len(v.Text) != len(big) {
		t.Error("others suffer:", v.Kind)
	}
}

// TestTheLargestBufferPays: who holds much of the connections' memory makes room
// for who needs a little, not the other way round.
func TestTheLargestBufferPays(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersMax = 8 << 20
	s, addr := start(t, cfg, newMemory())
	hog := dial(t, addr)
	hog.send("*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$6000000\r\n" + strings.Repeat("x", 5900000))
	eventually(t, func() bool { return s.buffered.Load() > 5900000 })
	modest := dial(t, addr)
	value := strings.Repeat("v", 900000)
	if v := modest.do("SET", "m", value); v.IsError() {
		t.Fatal(v)
	}
	if v := modest.do("MGET", "m", "m"); len(v.Items) != 2 || len(v.Items[1].Text) != len(value) {
		t.Fatal("no two values:", v.Kind)
	}
	hog.wantClosed()
	if n := s.evicted.Load(); n != 1 {
		t.Errorf("%d connections were closed for their buffers, want 1", n)
	}
}

// TestACommandThatFillsItsBufferIsCountedOnce: a buffer that a command fits exactly
// will not grow for it.
func TestACommandThatFillsItsBufferIsCountedOnce(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersMax = 8 << 20
	m := newMemory()
	arrived := make(chan struct{})
	m.again = func([]byte) error { <-arrived; return nil }
	s, addr := start(t, cfg, m)
	var wg sync.WaitGroup
	for i := range 6 {
		p := dial(t, addr)
		wg.Go(func() {
			if v := p.do("SET", fmt.Sprint("k", i), strings.Repeat("v", 900000)); v.IsError() {
				t.Errorf("%q", v.Text)
			}
		})
	}
	eventually(t, func() bool { return s.Commands() == 6 || s.evicted.Load() > 0 })
	close(arrived)
	wg.Wait()
	if n := s.evicted.Load(); n != 0 {
		t.Errorf("%d connections were closed for their buffers", n)
	}
}

// TestManySmallBuffersAreBoundedToo: halves of commands that are small each, and
// small replies that nobody reads, add up.
func TestManySmallBuffersAreBoundedToo(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersMax = 4 << 20
	s, addr := start(t, cfg, newMemory())
	half := "*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$60000\r\n" + strings.Repeat("x", 50000)
	for range 200 {
		_, _ = dial(t, addr).nc.Write([]byte(half))
	}
	eventually(t, func() bool { return s.evicted.Load() > 100 && s.buffered.Load() <= cfg.BuffersMax })
	dial(t, addr).do("PING")
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	const n = 2000 // two descriptors each; the default limit may be 4096
	s, addr := start(t, testConfig(), newMemory())
	before := heap()
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	pong := make([]byte, 7)
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if _, err := c.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, pong); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return s.Clients() == n })
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes each, the client's half included", each)
	if each > connBytes && !raceBuild {
		t.Errorf("an idle connection holds %d bytes", each)
	}
}

func TestHitsAndEqualSetsAllocateNothing(t *testing.T) {
	if raceBuild {
		return
	}
	s := NewServer(testConfig(), newMemory())
	value := strings.Repeat("v", 100)
	in := []byte(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100\r\n%s\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", value))
	nc := &loop{in: in}
	c := newConn(s, nc)
	turn := func() {
		nc.at = 0
		if err := c.rd.Fill(); err != nil {
			t.Fatal(err)
		}
		if err := c.runBuffered(); err != nil {
			t.Fatal(err)
		}
	}
	turn()
	if n := testing.AllocsPerRun(2000, turn); n != 0 {
		t.Fatalf("%v allocations for a SET and a GET", n)
	}
	if want := "+OK\r\n$100\r\n" + value + "\r\n"; string(nc.out) != want || nc.writes != 2002 {
		t.Fatalf("%d writes, the last %q", nc.writes, nc.out)
	}
}

// loop is a connection that receives the same bytes again and again.
type loop struct {
	net.TCPConn
	in, out []byte
	at      int
	writes  int
}

func (l *loop) Read(b []byte) (int, error) {
	n := copy(b, l.in[l.at:])
	l.at += n
	return n, nil
}

func (l *loop) Write(b []byte) (int, error) {
	l.out = append(l.out[:0], b...)
	l.writes++
	return len(b), nil
}

func (l *loop) SetWriteDeadline(time.Time) error { return nil }
func (l *loop) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (l *loop) LocalAddr() net.Addr              { return &net.TCPAddr{} }

// TestWhoIsClosedForBuffers: the largest, and who asked to last after all others.
func TestWhoIsClosedForBuffers(t *testing.T) {
	make := func(bytes int64, lasting bool) *conn {
		c := new(conn)
		c.charged.Store(bytes)
		c.lasting.Store(lasting)
		return c
	}
	for _, x := range []struct {
		a, b *conn
		want bool
	}{
		{make(2, false), make(1, false), true},
		{make(1, false), make(2, false), false},
		{make(1, false), make(9, true), true},
		{make(9, true), make(1, false), false},
		{make(9, true), make(1, true), true},
		{make(0, false), make(9, true), false}, // closing it would free nothing
	} {
		if got := x.a.goesBefore(x.b); got != x.want {
			t.Errorf("%d (lasts: %v) before %d (%v): %v", x.a.charged.Load(), x.a.lasting.Load(), x.b.charged.Load(), x.b.lasting.Load(), got)
		}
	}
}
