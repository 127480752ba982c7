package cluster

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twoEnds is a cluster of two nodes of which this test is both: a listener behind the
// relay of the second one, and a dialler whom the kernel knows as the first.
func twoEnds(t *testing.T) (c *Cluster, accepted chan net.Conn, back *net.UDPConn) {
	t.Helper()
	c, err := New(Config{Dir: t.TempDir(), Nodes: 2, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c.Nodes[0].runs(&exec.Cmd{Process: self})
	t.Cleanup(func() { c.Nodes[0].runs(nil) }) // before Close kills it
	addr := net.JoinHostPort(ownHost, strconv.Itoa(c.Nodes[1].port+1))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if back, err = net.ListenUDP("udp", u); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); back.Close() })
	accepted = make(chan net.Conn, 1)
	go func() {
		if a, err := l.Accept(); err == nil {
			accepted <- a
		}
	}()
	return c, accepted, back
}

// TestPortsThatSomebodyTookAreTold, so that others are tried.
func TestPortsThatSomebodyTookAreTold(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Nodes: 2, Seed: 1}
	first, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Close)
	base := first.Nodes[0].port
	if _, err := at(base, t.TempDir(), cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ports that are taken: %v", err)
	}
	again, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// runs says what process a node is. Relays ask for it, from goroutines of their own.
func (n *Node) runs(cmd *exec.Cmd) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd = cmd
}

func (c *Cluster) front(node int) string {
	return net.JoinHostPort(setHost, strconv.Itoa(c.Nodes[node].port+1))
}

func dialThrough(t *testing.T, c *Cluster, accepted chan net.Conn) (near, far net.Conn) {
	t.Helper()
	near, err := net.Dial("tcp", c.front(1))
	if err != nil {
		t.Fatal(err)
	}
	far = <-accepted
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func says(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("%q, %v, want %q", got, err, text)
	}
}

// silent says that nothing comes although it was sent.
func silent(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	_ = to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := to.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes came through", n)
	}
}

func TestOneDirectionOfAStreamIsCut(t *testing.T) {
	c, accepted, _ := twoEnds(t)
	near, far := dialThrough(t, c, accepted)
	says(t, near, far, "there")
	says(t, far, near, "and back")
	c.Set(0, 1, Rule{Cut: true})
	silent(t, near, far, "late")
	says(t, far, near, "this way is free")
	if c.Carried(0, 1).Kept == 0 || c.Carried(1, 0).Kept != 0 {
		t.Errorf("held back: %+v there, %+v back", c.Carried(0, 1), c.Carried(1, 0))
	}
	c.Heal()
	says(t, near, far, "") // what was held back comes now
	got := make([]byte, 4)
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "late" {
		t.Errorf("after the cut: %q, %v", got, err)
	}
}

func TestStreamsAreSlowedDamagedAndBroken(t *testing.T) {
	c, accepted, _ := twoEnds(t)
	near, far := dialThrough(t, c, accepted)
	const delay = 100 * time.Millisecond
	c.Set(0, 1, Rule{Delay: delay})
	from := time.Now()
	says(t, near, far, "slow")
	if took := time.Since(from); took < delay || c.Carried(0, 1).Delayed == 0 {
		t.Errorf("took %v", took)
	}
	c.Set(0, 1, Rule{Flip: 1})
	sent := strings.Repeat("a", 100)
	if _, err := io.WriteString(near, sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, []byte(sent)) || c.Carried(0, 1).Damaged == 0 {
		t.Errorf("nothing is damaged: %+v", c.Carried(0, 1))
	}
	if n := c.Break(0, 1); n != 1 {
		t.Errorf("%d streams stood", n)
	}
	if _, err := near.Read(got); err == nil {
		t.Error("the stream still stands")
	}
}

func TestPacketsAreLostAndDoubled(t *testing.T) {
	c, _, back := twoEnds(t)
	local, err := net.ResolveUDPAddr("udp", net.JoinHostPort(ownHost, strconv.Itoa(c.Nodes[0].port+1)))
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", c.front(1))
	if err != nil {
		t.Fatal(err)
	}
	near, err := net.DialUDP("udp", local, to)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	receive := func() (string, *net.UDPAddr) {
		b := make([]byte, 100)
		_ = back.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, from, err := back.ReadFromUDP(b)
		if err != nil {
			return err.Error(), nil
		}
		return string(b[:n]), from
	}
	send := func(text string) {
		if _, err := near.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	send("one")
	got, from := receive()
	if got != "one" {
		t.Fatal(got)
	}
	if _, err := back.WriteToUDP([]byte("answer"), from); err != nil { // it finds back
		t.Fatal(err)
	}
	b := make([]byte, 100)
	_ = near.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := near.Read(b); err != nil || string(b[:n]) != "answer" {
		t.Errorf("%q, %v", b[:n], err)
	}
	c.Set(0, 1, Rule{Loss: 1})
	send("lost")
	if err := Await(5*time.Second, "a packet is lost", func() bool { return c.Carried(0, 1).Kept == 1 }); err != nil {
		t.Error(err)
	}
	c.Set(0, 1, Rule{Twice: 1})
	send("two")
	for range 2 {
		if got, _ := receive(); got != "two" {
			t.Errorf("%q", got)
		}
	}
}

// TestClientsHaveARelayOfTheirOwn: what clients send and hear can be cut apart, and a
// connection that they gave up stands on at the node as long as a rule says so.
func TestClientsHaveARelayOfTheirOwn(t *testing.T) {
	c, err := New(Config{Dir: t.TempDir(), Nodes: 1, Seed: 1, Fronted: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l, err := net.Listen("tcp", c.Nodes[0].listens())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	near, err := net.Dial("tcp", c.Nodes[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	says(t, near, far, "there")
	c.Set(0, Clients, Rule{Cut: true})
	silent(t, far, near, "back")
	says(t, near, far, "this way is free")
	if c.Carried(0, Clients).Kept == 0 || c.Carried(Clients, 0).Kept != 0 {
		t.Errorf("held back: %+v there, %+v back", c.Carried(Clients, 0), c.Carried(0, Clients))
	}
	c.Heal()
	c.Set(Clients, 0, Rule{Linger: true})
	c.Abandon(Clients, 0)
	if err := Await(5*time.Second, "the connection is left standing", func() bool { return c.Carried(Clients, 0).Kept > 0 }); err != nil {
		t.Fatal(err)
	}
	_ = far.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the node's end ended: %v", err)
	}
	c.Heal()
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the fault: %v", err)
	}
}
