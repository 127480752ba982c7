package redis

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// gate is a backend that holds commands on the key "held" until it is let.
type gate struct {
	*memory
	arrived, let chan struct{}
	over         <-chan struct{}
}

func newGate(t *testing.T) *gate {
	return &gate{newMemory(), make(chan struct{}, 8), make(chan struct{}, 8), t.Context().Done()}
}

func (g *gate) hold(key []byte) {
	if string(key) == "held" {
		g.arrived <- struct{}{}
		select {
		case <-g.let:
		case <-g.over:
		}
	}
}

func (g *gate) Get(s *Session, slot shardmap.Slot, key, dst []byte) ([]byte, bool, error) {
	g.hold(key)
	return g.memory.Get(s, slot, key, dst)
}

func (g *gate) Do(s *Session, op *Op, res *Result) error {
	g.hold(op.Key)
	return g.memory.Do(s, op, res)
}

// shut asks the server to end at once and says when it has.
func shut(s *Server) <-chan struct{} {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Shutdown(ctx) }()
	return done
}

func (s *Server) stopped() (all bool) {
	all = true
	s.each(func(c *conn) { all = all && c.stopping.Load() })
	return all
}

// TestWhatArrivesDuringTheLastCommandIsAnswered: the last commands take longer than a
// silent client is given, and more come meanwhile.
func TestWhatArrivesDuringTheLastCommandIsAnswered(t *testing.T) {
	g := newGate(t)
	s, addr := start(t, testConfig(), g)
	p := dial(t, addr)
	other, there := start(t, testConfig(), newMemory())
	silent := dial(t, there)
	silent.do("PING")
	p.send("INCR held\r\n")
	<-g.arrived
	done := shut(s)
	eventually(t, s.stopped)
	p.send("INCR held\r\n")
	g.let <- struct{}{}
	p.want(":1\r\n")
	<-g.arrived
	p.send("INCR c\r\nINCR c\r\n")
	ended := shut(other)
	silent.wantClosed() // a silence that began now is over, and so is theirs
	<-ended
	g.let <- struct{}{}
	p.want(":2\r\n:1\r\n:2\r\n")
	p.wantClosed()
	<-done
}

// TestFarewellIsSaid to who wants it, behind the last reply, and to nobody else.
func TestFarewellIsSaid(t *testing.T) {
	g := newGate(t)
	s, addr := start(t, testConfig(), g)
	wants, pushed, does := dial(t, addr), dial(t, addr), dial(t, addr)
	wants.do("CLIENT", "CAPA", "farewell")
	pushed.do("HELLO", "3")
	pushed.do("CLIENT", "CAPA", "aegis", "FAREWELL")
	does.do("CLIENT", "CAPA", "other")
	for _, p := range []*peer{wants, does} {
		p.send("GET held\r\n")
		<-g.arrived
	}
	done := shut(s)
	eventually(t, s.stopped)
	g.let <- struct{}{} // both: whoever comes to the gate first takes one
	g.let <- struct{}{}
	for _, p := range []*peer{wants, does} {
		p.want("$-1\r\n")
		if p == wants {
			p.want(Farewell)
		}
		p.wantClosed()
	}
	pushed.want(Farewell)
	pushed.wantClosed()
	<-done
}

// TestALeaseThatEndsCutsNoReply of a reader, nor a transaction that it is in. A client that
// pauses longer than a silent one is given is tried again: the machine did that.
func TestALeaseThatEndsCutsNoReply(t *testing.T) {
	g := newGate(t)
	s, addr := start(t, testConfig(), g)
	for range 50 {
		p := dial(t, addr)
		p.send("READONLY\r\nGET held\r\nMULTI\r\n")
		<-g.arrived
		s.LeaseEnded(0, 16383)
		p.send("GET foo\r\n")
		from := time.Now()
		g.let <- struct{}{}
		p.want("+OK\r\n$-1\r\n+OK\r\n+QUEUED\r\n")
		_, _ = p.nc.Write([]byte("EXEC\r\n"))
		if time.Since(from) < farewellFor {
			p.want("*1\r\n$-1\r\n")
			p.wantClosed()
			return
		}
	}
	t.Error("inconclusive: this machine is too slow")
}

// TestACopyThatIsOverwrittenIsNotReadOn: what is under way is not answered then.
func TestACopyThatIsOverwrittenIsNotReadOn(t *testing.T) {
	g := newGate(t)
	s, addr := start(t, testConfig(), g)
	p := dial(t, addr)
	p.do("READONLY")
	p.do("GET", "foo")
	p.send("GET held\r\n")
	<-g.arrived
	s.Overwritten(0, 16383)
	g.let <- struct{}{}
	p.wantClosed()
}

// TestWaitIsAnsweredAtTheEnd with what is held by then.
func TestWaitIsAnsweredAtTheEnd(t *testing.T) {
	m := newMemory()
	m.holders = 1
	s, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("SET a 1\r\nWAIT 2 0\r\n")
	p.want("+OK\r\n")
	eventually(t, func() bool { return s.blocked.Load() == 1 })
	done := shut(s)
	p.want(":1\r\n")
	p.wantClosed()
	<-done
}

// asker is a client that waits for each reply, and looks whether the connection has
// ended before it is used again, as pools do.
type asker struct {
	nc  *net.TCPConn
	raw syscall.RawConn
	r   *bufio.Reader
}

func newAsker(t *testing.T, addr string) *asker {
	p := dial(t, addr)
	p.do("PING") // it is taken: what still queues for that is not read at the end
	nc := p.nc.(*net.TCPConn)
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return &asker{nc, raw, p.r}
}

func (a *asker) ended() (yes bool) {
	_ = a.raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		yes = err == nil && n == 0
	})
	return yes
}

// ask counts up until the connection ends; unanswered when it ended with a command under
// way, which had not been held up between the look and the socket.
func (a *asker) ask(key string, answered *atomic.Int64) (unanswered bool) {
	incr := resp.AppendCommand(nil, "INCR", key)
	for {
		looked := time.Now()
		if a.ended() {
			return false
		}
		_, err := a.nc.Write(incr)
		prompt := time.Since(looked) < farewellFor/2
		if err != nil {
			return prompt
		}
		if r, err := resp.ReadReply(a.r); err != nil || r.IsError() {
			return prompt
		}
		answered.Add(1)
	}
}

// TestWhoWaitsForRepliesGetsAllOfThem ends servers under clients that never pause.
func TestWhoWaitsForRepliesGetsAllOfThem(t *testing.T) {
	const rounds, clients = 20, 8
	var answered, unanswered atomic.Int64
	ran := int64(0)
	for range rounds {
		m := newMemory()
		s, addr := start(t, testConfig(), m)
		var wg sync.WaitGroup
		for i := range clients {
			a := newAsker(t, addr)
			wg.Go(func() {
				if a.ask(string(rune('a'+i)), &answered) {
					unanswered.Add(1)
				}
			})
		}
		from := answered.Load()
		eventually(t, func() bool { return answered.Load() >= from+10*clients })
		<-shut(s)
		wg.Wait()
		ran += s.Commands() - clients // their PINGs
	}
	if n := unanswered.Load(); n > 0 || ran != answered.Load() {
		t.Errorf("%d of %d connections ended with a command under way; %d commands were run and %d answered", n, rounds*clients, ran, answered.Load())
	}
}

// TestWhatAPipelineDidIsAnswered: a client that never waits is told of all that was run,
// and can know that the rest was not.
func TestWhatAPipelineDidIsAnswered(t *testing.T) {
	s, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	var sent sync.WaitGroup
	sent.Go(func() {
		for some := []byte(strings.Repeat("INCR c\r\n", 50)); ; {
			if _, err := p.nc.Write(some); err != nil {
				return
			}
		}
	})
	replies, done := int64(0), (<-chan struct{})(nil)
	for {
		r, err := resp.ReadReply(p.r)
		if err != nil {
			break
		}
		if replies++; r.Int != replies {
			t.Fatalf("reply %d is %d", replies, r.Int)
		}
		if replies == 1000 {
			done = shut(s)
		}
	}
	p.nc.Close()
	sent.Wait()
	<-done
	if ran := s.Commands(); ran != replies {
		t.Errorf("%d commands were run, %d answered", ran, replies)
	}
}
