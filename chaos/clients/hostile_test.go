package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	siegeMemory = 64 << 20 // of each node
	// siegeSlack is what a process may hold beyond --max-memory-bytes: its program
	// text and what the Go runtime keeps for itself.
	siegeSlack = 48 << 20
	siegeGap   = time.Second // the longest that other clients may be kept waiting
	idleConns  = 10_000
)

// siege is a cluster with full stores, and clients that want to be served while
// one of its nodes is treated badly.
type siege struct {
	*rig
	victim *restartable
	opens  uint64
}

// attack is one way to treat a node badly; it ends when the node has done with it.
type attack struct {
	name string
	run  func(t *testing.T, s *siege)
}

var attacks = []attack{
	{"a length of 4 GB for a client's argument", func(t *testing.T, s *siege) {
		s.refuses(t, clientPort, []byte("*2\r\n$3\r\nGET\r\n$4294967296\r\n"), "-ERR Protocol error: invalid bulk length")
	}},
	{"4 GB of arguments", func(t *testing.T, s *siege) {
		s.refuses(t, clientPort, []byte("*4294967296\r\n"), "-ERR Protocol error: invalid multibulk length")
	}},
	{"an inline line of 100 MB", func(t *testing.T, s *siege) {
		c := s.dial(t, clientPort)
		if n := pour(c, 100<<20); n >= 100<<20 {
			t.Error("all of it was taken")
		}
	}},
	{"arguments of 60 MB each from 20 clients", func(t *testing.T, s *siege) {
		s.each(t, 20, func(int) {
			c := s.dial(t, clientPort)
			_, _ = c.Write([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$62914560\r\n"))
			pour(c, 60<<20)
			_, _ = c.Write([]byte("\r\n"))
			_, _ = io.Copy(io.Discard, c)
		})
	}},
	{"half a command from 2,000 clients", func(t *testing.T, s *siege) {
		held := s.crowd(t, clientPort, 2000, []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n"+strings.Repeat("x", 60_000)))
		t.Logf("%d of them are still connected", open(held))
	}},
	{"a byte at a time from 500 clients", func(t *testing.T, s *siege) {
		held := s.crowd(t, clientPort, 500, nil)
		for i := range 30 {
			for _, c := range held {
				_, _ = c.Write([]byte("*2\r\n$3\r\nGET\r\n$100\r\nxxxxxxxxxxxxxxx")[i : i+1])
			}
			time.Sleep(20 * time.Millisecond)
		}
	}},
	{"50 clients that never read their replies", func(t *testing.T, s *siege) {
		key := s.largeKey(t)
		held := s.crowd(t, clientPort, 50, nil)
		gets := []byte(strings.Repeat("GET "+key+"\r\n", 1000))
		for _, c := range held {
			_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = c.Write(gets)
		}
		s.settle()
	}},
	{"one command with a reply of 1 GB from 20 clients", func(t *testing.T, s *siege) {
		key := s.largeKey(t)
		s.each(t, 20, func(int) {
			c := s.dial(t, clientPort)
			_, _ = c.Write([]byte("MGET" + strings.Repeat(" "+key, 5000) + "\r\n"))
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
		})
	}},
	{"10,000 idle connections to the client port", func(t *testing.T, s *siege) { s.idle(t, clientPort) }},
	{"10,000 idle connections to the cluster port", func(t *testing.T, s *siege) { s.idle(t, clusterPort) }},
	{"10,000 idle connections to the gossip port", func(t *testing.T, s *siege) { s.idle(t, gossipPort) }},
	{"half a handshake from 2,000 connections", func(t *testing.T, s *siege) {
		held := s.crowd(t, clusterPort, 2000, s.hello(t, s.nodes[1])[:40])
		until(t, 10*time.Second, "the node has hung up", func() bool { return open(held) == 0 })
	}},
	{"a frame of 4 GB after a handshake", func(t *testing.T, s *siege) {
		c := s.shakeHands(t)
		_, _ = c.Write(frameOf(math.MaxUint32))
		s.hangsUp(t, c)
	}},
	{"a frame of no bytes after a handshake", func(t *testing.T, s *siege) {
		c := s.shakeHands(t)
		_, _ = c.Write(frameOf(0))
		s.hangsUp(t, c)
	}},
	{"a length of 4 GB for a bootstrap question", func(t *testing.T, s *siege) {
		c := s.dial(t, gossipPort)
		_, _ = c.Write(append([]byte{0xa5, 1, 0xff, 0xff, 0xff, 0xff}, make([]byte, 16)...))
		s.hangsUp(t, c)
	}},
	{"random bytes on every TCP port", func(t *testing.T, s *siege) {
		random := rand.NewChaCha8([32]byte{1})
		for i := range 300 {
			c := s.dial(t, []port{clientPort, clusterPort, gossipPort}[i%3])
			b := make([]byte, 1+i*20)
			_, _ = random.Read(b)
			_, _ = c.Write(b)
			_ = c.Close()
		}
	}},
	{"random datagrams on the cluster and gossip ports", func(t *testing.T, s *siege) {
		random := rand.NewChaCha8([32]byte{2})
		for _, p := range []port{clusterPort, gossipPort} {
			c, err := net.Dial("udp", s.at(t, p))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 2000)
			for i := range 50_000 {
				_, _ = random.Read(b)
				b[0] = byte(i % 3) // often the right format
				_, _ = c.Write(b[:i%len(b)])
			}
			_ = c.Close()
		}
	}},
}

// TestBadInput treats a node of a running cluster badly in every way of the list.
// It must answer with an error or hang up in bounded time, stay within its memory,
// serve other clients meanwhile, and keep its leases.
func TestBadInput(t *testing.T) {
	s := besiege(t)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			s.ready(t, s.nodes[1].addr)
			resetPeak(t, s.victim)
			from := time.Now()
			a.run(t, s)
			s.servedSince(t, time.Now())
			s.judge(t, from)
		})
	}
	s.stop()
	s.majority.verify(t, s.client, 100)
	sameCopies(t, s.addrs)
}

// besiege starts the cluster and fills its stores.
func besiege(t *testing.T) *siege {
	t.Helper()
	s := &siege{rig: newRig(t, siegeMemory, "")}
	s.victim = s.nodes[0]
	s.ready(t, s.addrs[0])
	fillStores(t, s.addrs)
	s.ready(t, s.addrs[0])
	s.opens = statusOf(s.addrs[0]).opens()
	for _, n := range s.nodes {
		t.Logf("%s is full and holds %d MiB", n.name, peak(t, n)>>20)
	}
	return s
}

// judge looks at what an attack did.
func (s *siege) judge(t *testing.T, from time.Time) {
	t.Helper()
	worst := time.Duration(0)
	for _, p := range s.probes {
		worst = max(worst, time.Duration(p.gap.Load()))
	}
	held := peak(t, s.victim)
	t.Logf("at most %d MiB held, others waited %v at most, it took %v", held>>20, worst.Round(time.Millisecond), time.Since(from).Round(time.Millisecond))
	if held > siegeMemory+siegeSlack {
		t.Errorf("it held %d MiB, the limit is %d and %d for the runtime", held>>20, siegeMemory>>20, siegeSlack>>20)
	}
	if worst > siegeGap && !s.witness.disturbed(from, time.Now(), siegeGap) {
		t.Errorf("others waited %v, over %v", worst, siegeGap)
	}
	if n := statusOf(s.nodes[1].addr).opens(); n != s.opens {
		t.Errorf("%d leases changed", n-s.opens)
		s.opens = n
	}
}

// port is one of a node's ports, counted from the client port.
type port int

const (
	clientPort port = iota
	clusterPort
	gossipPort
)

func (s *siege) at(t *testing.T, p port) string {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", s.victim.addr)
	if err != nil {
		t.Fatal(err)
	}
	a.Port += int(p)
	return a.String()
}

func (s *siege) dial(t *testing.T, p port) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.at(t, p), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// refuses wants an answer and the end of the connection.
func (s *siege) refuses(t *testing.T, p port, said []byte, answer string) {
	t.Helper()
	c := s.dial(t, p)
	_, _ = c.Write(said)
	got, _ := io.ReadAll(io.LimitReader(c, 1<<10))
	if !bytes.HasPrefix(got, []byte(answer)) {
		t.Errorf("%q is answered with %q, want %q", said, got, answer)
	}
}

// hangsUp wants the node to end the connection.
func (s *siege) hangsUp(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil && os.IsTimeout(err) {
		t.Error("the connection is still there after ten seconds")
	}
}

// each runs f n times at once.
func (s *siege) each(t *testing.T, n int, f func(i int)) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// crowd opens connections that each say the same and stay.
func (s *siege) crowd(t *testing.T, p port, n int, said []byte) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = s.dial(t, p)
		_, _ = conns[i].Write(said)
	}
	s.settle()
	return conns
}

// settle gives the node the time to take what was sent.
func (s *siege) settle() { time.Sleep(500 * time.Millisecond) }

// idle opens connections that say nothing.
func (s *siege) idle(t *testing.T, p port) {
	t.Helper()
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	n := idleConns
	if room := int(limit.Cur) - 1000; room < n {
		n = max(room, 100)
		t.Logf("only %d, because of the limit of %d open files", n, limit.Cur)
	}
	held := s.crowd(t, p, n, nil)
	t.Logf("%d of %d are connected", open(held), n)
	for _, c := range held {
		_ = c.Close()
	}
}

// open counts the connections that the other side has not ended.
func open(conns []net.Conn) (n int) {
	b := make([]byte, 1<<10)
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Microsecond))
		for {
			if _, err := c.Read(b); err == nil {
				continue
			} else if os.IsTimeout(err) {
				n++
			}
			break
		}
	}
	return n
}

// pour writes n bytes without a line end, or as many as are taken.
func pour(c net.Conn, n int) (sent int) {
	block := bytes.Repeat([]byte("x"), 1<<20)
	for sent < n {
		m, err := c.Write(block)
		if sent += m; err != nil {
			break
		}
	}
	return sent
}

// largeKey is a key of the victim's with a value of 100 KiB.
func (s *siege) largeKey(t *testing.T) string {
	t.Helper()
	key := s.probes[s.groupsOf(t, s.victim, s.nodes[1].addr)[0]].key
	key = "{" + key + "}large"
	if got := ask(s.victim.addr, "set", key, strings.Repeat("x", 100<<10)); got != "OK" {
		t.Fatal(got)
	}
	return key
}

// hello is what another node says first on the victim's cluster port.
func (s *siege) hello(t *testing.T, as *restartable) []byte {
	t.Helper()
	r := statusOf(s.nodes[1].addr)
	cluster, err := hex.DecodeString(r.Cluster)
	if err != nil || len(cluster) != 16 {
		t.Fatalf("cluster %q", r.Cluster)
	}
	id := func(n *restartable) uint32 {
		return r.Nodes[slices.IndexFunc(r.Nodes, func(o nodeReport) bool { return o.Name == n.name })].Node
	}
	b := append([]byte("AEGI\x01\x01\x00\x00\x00\x00"), cluster...)
	b = binary.BigEndian.AppendUint32(b, id(as))
	b = append(b, make([]byte, 16)...) // incarnation
	b = binary.BigEndian.AppendUint32(b, id(s.victim))
	b = append(b, 4) // the class of bulk frames
	return append(b, make([]byte, 8+16)...)
}

// frameOf is the head of a frame that claims so many bytes.
func frameOf(n uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, n)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, 0, 0, 0, 0)
}

// shakeHands is a connection to the cluster port that is taken for a node's: there
// is no secret, and the proof that it is not damaged anybody can give.
func (s *siege) shakeHands(t *testing.T) net.Conn {
	t.Helper()
	c := s.dial(t, clusterPort)
	said := s.hello(t, s.nodes[1])
	_, _ = c.Write(said)
	answer := make([]byte, 4+1+4+4+16+16+16)
	if _, err := io.ReadFull(bufio.NewReaderSize(c, 16), answer); err != nil || string(answer[:4]) != "AEGI" {
		t.Fatalf("the handshake is answered with %q, %v", answer, err)
	}
	h := hmac.New(sha256.New, nil)
	h.Write(slices.Concat([]byte("c"), said, answer))
	_, _ = c.Write(h.Sum(nil)[:16])
	_ = c.SetReadDeadline(time.Now().Add(time.Second / 2)) // who is refused is hung up on at once
	if n, err := c.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Fatalf("the handshake was refused: %v", err)
	}
	return c
}

// fillStores writes until the stores of all nodes evict.
func fillStores(t *testing.T, addrs []string) {
	t.Helper()
	c, _ := goRedis(t, addrs...)
	value := strings.Repeat("v", 100)
	for batch := range slices.Chunk(indexes(400_000), 2000) {
		p := c.Pipeline()
		for _, i := range batch {
			p.Set(context.Background(), fmt.Sprint("fill:", i), value, 0)
		}
		if _, err := p.Exec(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// resetPeak makes the kernel measure a process's peak anew.
func resetPeak(t *testing.T, n *restartable) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Logf("the peak is that since the start: %v", err)
	}
}

// peak is the most memory that a process has held at once, in bytes.
func peak(t *testing.T, n *restartable) (bytes int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("%s is gone: %v", n.name, err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	if _, err := fmt.Sscanf(after, "%d kB", &bytes); err != nil {
		t.Fatalf("no peak in %s", b)
	}
	return bytes << 10
}
