package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// recorder is a Handler that keeps what arrives and lets tests wait for it.
type recorder struct {
	mu   sync.Mutex
	cond *sync.Cond
	got  map[string]int
	pull [][]byte
}

func newRecorder() *recorder {
	r := &recorder{got: map[string]int{}}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	r.got[s]++
	r.mu.Unlock()
	r.cond.Broadcast()
}

// await waits until something was noted, for a minute at most.
func (r *recorder) await(t *testing.T, s string) {
	t.Helper()
	stop := time.AfterFunc(time.Minute, r.cond.Broadcast)
	defer stop.Stop()
	deadline := time.Now().Add(time.Minute)
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.got[s] == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s; what came: %v", s, r.got)
		}
		r.cond.Wait()
	}
}

func (r *recorder) Frame(from Identity, class Class, _ uint64, frame []byte) error {
	if len(frame) > 64 {
		r.note(fmt.Sprintf("frame %d class %d bytes %d", from.Node, class, len(frame)))
		return nil
	}
	r.note(fmt.Sprintf("frame %d class %d %s", from.Node, class, frame))
	return nil
}

func (r *recorder) Datagram(from Identity, p []byte, tcp bool) {
	r.note(fmt.Sprintf("packet %d %s tcp %v", from.Node, p, tcp))
}

func (r *recorder) Up(peer shardmap.NodeID, class Class, _ uint64) {
	r.note(fmt.Sprintf("up %d class %d", peer, class))
}

func (r *recorder) Down(peer shardmap.NodeID, class Class, _ uint64) {
	r.note(fmt.Sprintf("down %d class %d", peer, class))
}

func (r *recorder) Next(_ shardmap.NodeID, class Class, buf []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if class != Data || len(r.pull) == 0 {
		return nil
	}
	f := r.pull[0]
	r.pull = r.pull[1:]
	return append(buf, f...)
}

func (r *recorder) Refused(_ shardmap.NodeID, _ string, err error) { r.note("refused: " + err.Error()) }

type end struct {
	mux *Mux
	rec *recorder
	id  Identity
	at  string
}

func start(t *testing.T, node shardmap.NodeID, cluster byte, secret string) end {
	t.Helper()
	ln, err := TCP{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := TCP{}.ListenPacket(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{Cluster: [16]byte{cluster}, Node: node, Counter: 1, Nonce: uint64(node)}
	rec := newRecorder()
	m := New(Config{Self: id, Secret: []byte(secret), Network: TCP{}}, rec, ln, pc)
	t.Cleanup(m.Close)
	return end{m, rec, id, ln.Addr().String()}
}

func TestEveryClassArrives(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	a.rec.pull = [][]byte{[]byte("d1"), big}
	a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
	for _, c := range classes {
		a.rec.await(t, fmt.Sprintf("up 2 class %d", c))
	}
	if !a.mux.Send(2, Control, []byte("hello")) || !a.mux.Send(2, Bulk, big) || a.mux.Send(9, Control, nil) {
		t.Fatal("a frame was not queued, or one for a stranger was")
	}
	a.mux.Wake(2, Data)
	a.mux.Datagram(2, []byte("beat"), false)
	a.mux.Datagram(2, []byte("beat"), true)
	for _, want := range []string{
		"frame 1 class 1 hello", fmt.Sprintf("frame 1 class 4 bytes %d", len(big)),
		"frame 1 class 2 d1", fmt.Sprintf("frame 1 class 2 bytes %d", len(big)),
		"packet 1 beat tcp false", "packet 1 beat tcp true",
	} {
		b.rec.await(t, want)
	}
	b.mux.Close()
	a.rec.await(t, "down 2 class 1")
}

// TestLinksAreListed while they stand: five of our own to a peer, five of its to us.
func TestLinksAreListed(t *testing.T) {
	a, b := start(t, 1, 7, "secret"), start(t, 2, 7, "secret")
	wait := func(m *Mux, want string) {
		t.Helper()
		got, began := "", time.Now()
		for got != want {
			if got = ""; time.Since(began) > time.Minute {
				t.Fatalf("%v, want %s", m.Links(), want)
			}
			for _, l := range m.Links() {
				if l.Since.After(time.Now()) || l.Since.IsZero() || l.QueuedBytes != 0 {
					t.Fatalf("%+v", l)
				}
				got += fmt.Sprintf("%d %v,", l.Peer, l.Inbound)
			}
		}
	}
	a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
	wait(a.mux, strings.Repeat("2 false,", 5))
	wait(b.mux, strings.Repeat("1 true,", 5))
	b.mux.SetPeers(map[shardmap.NodeID]string{1: a.at})
	wait(b.mux, strings.Repeat("1 false,", 5)+strings.Repeat("1 true,", 5))
	a.mux.SetPeers(nil)
	wait(b.mux, strings.Repeat("1 false,", 5))
	wait(a.mux, strings.Repeat("2 true,", 5))
}

func TestStrangersAreRefusedInOneSentence(t *testing.T) {
	a := start(t, 1, 7, "secret")
	for name, c := range map[string]struct {
		cluster byte
		secret  string
		node    shardmap.NodeID
		want    string
	}{
		"another cluster":    {8, "secret", 2, "a node of cluster"},
		"another secret":     {7, "other", 3, "another cluster secret"},
		"another node there": {7, "secret", 4, "answers at the address"},
	} {
		b := start(t, c.node, c.cluster, c.secret)
		target := shardmap.NodeID(1)
		if strings.HasPrefix(name, "another node") {
			target = 9
		}
		b.mux.SetPeers(map[shardmap.NodeID]string{target: a.at})
		found := false
		deadline := time.Now().Add(time.Minute)
		for !found && time.Now().Before(deadline) {
			b.rec.mu.Lock()
			for s := range b.rec.got {
				found = found || strings.Contains(s, c.want) || strings.Contains(s, "was dialled at the address")
			}
			b.rec.mu.Unlock()
		}
		if !found {
			t.Errorf("%s: %v", name, b.rec.got)
		}
	}
}

// TestBothSidesSayThatSecretsDiffer: one of them may have none.
func TestBothSidesSayThatSecretsDiffer(t *testing.T) {
	for _, c := range []struct{ asked, dials string }{{"secret", "other"}, {"secret", ""}, {"", "secret"}} {
		a, b := start(t, 1, 7, c.asked), start(t, 2, 7, c.dials)
		b.mux.SetPeers(map[shardmap.NodeID]string{1: a.at})
		b.rec.await(t, "refused: the other node has another cluster secret, or none: "+oneSecret)
		a.rec.await(t, "refused: node 2 has another cluster secret, or none: "+oneSecret)
	}
}

func TestReplayedAndForgedPacketsAreDropped(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	cfg := Config{Self: Identity{Cluster: [16]byte{1}, Node: 1, Counter: 5, Nonce: 6}, Secret: []byte("s")}
	d := newDatagrams(cfg, pc, newRecorder())
	sender := newDatagrams(Config{Self: Identity{Cluster: [16]byte{1}, Node: 2, Counter: 3, Nonce: 4}, Secret: []byte("s")}, pc, newRecorder())
	var packets [][]byte
	capture, _ := net.ListenPacket("udp", "127.0.0.1:0")
	defer capture.Close()
	sender.setPeers(map[shardmap.NodeID]string{1: capture.LocalAddr().String()})
	for range 2 {
		sender.send(1, []byte("p"))
		buf := make([]byte, 2048)
		n, _, err := capture.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, buf[:n])
	}
	forged := append([]byte(nil), packets[1]...)
	forged[len(forged)-1] ^= 1
	for i, c := range []struct {
		b  []byte
		ok bool
	}{{forged, false}, {packets[1], true}, {packets[1], false}, {packets[0], false}, {packets[1][:20], false}} {
		if _, _, ok := d.open(c.b); ok != c.ok {
			t.Errorf("packet %d: taken %v, want %v", i, ok, c.ok)
		}
	}
}

// TestMadeUpSendersAreNotRemembered: whoever reaches the port of a cluster without a secret
// cannot make a node remember more and more, nor keep it from hearing its peers.
func TestMadeUpSendersAreNotRemembered(t *testing.T) {
	cfg := Config{Self: Identity{Cluster: [16]byte{1}, Node: 1, Counter: 5, Nonce: 6}}
	d := newDatagrams(cfg, nil, newRecorder())
	packet := func(from shardmap.NodeID) []byte {
		b := binary.BigEndian.AppendUint32([]byte{datagramFormat}, d.digest)
		b = appendIdentity(b, Identity{Node: from, Counter: 1})
		b = binary.BigEndian.AppendUint64(b, 1)
		m := mac(nil, 'd', b, nil)
		return append(b, m[:]...)
	}
	for id := range shardmap.NodeID(4 * sendersMax) {
		d.open(packet(id + 100))
	}
	if len(d.seen) != sendersMax {
		t.Errorf("%d senders are remembered", len(d.seen))
	}
	d.setPeers(map[shardmap.NodeID]string{2: "127.0.0.1:1"})
	if _, _, ok := d.open(packet(2)); !ok {
		t.Error("a peer is not heard any more")
	}
}

func FuzzFrames(f *testing.F) {
	b, _ := appendFrame(nil, bytes.Repeat([]byte("a"), 5000), nil, true)
	f.Add(b)
	for _, n := range []uint32{0, FrameMax, math.MaxUint32} {
		f.Add(lengthOnly(n))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := frameReader{src: bufio.NewReader(bytes.NewReader(in))}
		for {
			if _, err := r.next(); err != nil {
				break
			}
		}
		if cap(r.raw) > len(in)+2*readStep {
			t.Fatalf("%d bytes of input took %d", len(in), cap(r.raw))
		}
		_, _ = decodeHello(in)
	})
}

// TestSilentConnectionsKeepNobodyOut: of many that say nothing a bounded number
// stays, and a peer gets through at once.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	a, b := start(t, 1, 7, ""), start(t, 2, 7, "")
	silent := make([]net.Conn, 2*greetingMax)
	for i := range silent {
		c, err := net.Dial("tcp", b.at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent[i] = c
	}
	a.mux.SetPeers(map[shardmap.NodeID]string{2: b.at})
	a.rec.await(t, "up 2 class 1")
	b.mux.mu.Lock()
	held := len(b.mux.greeting)
	b.mux.mu.Unlock()
	if held > greetingMax {
		t.Errorf("%d connections wait to be greeted, at most %d should", held, greetingMax)
	}
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(2 * handshakeTimeout))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a silent connection was not closed: %v", err)
		}
	}
}
