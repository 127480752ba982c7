package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// flipping turns over one bit of what is written first.
type flipping struct {
	net.Conn
	at   int // byte, -1 = none
	done bool
}

func (f *flipping) Write(b []byte) (int, error) {
	if !f.done && f.at >= 0 {
		b = append([]byte(nil), b...)
		b[f.at] ^= 0x40
	}
	f.done = true
	return f.Conn.Write(b)
}

// TestADamagedHelloIsRefused: who believed in a bit of a hello that was turned over on its
// way would take later connections of that peer for older ones, and drop all they bring,
// for good. No secret is needed to see it.
func TestADamagedHelloIsRefused(t *testing.T) {
	self := Identity{Node: 2, Counter: 1}
	h := hello{id: Identity{Node: 1, Counter: 3}, min: versionMin, max: versionMax, target: 2, class: Data, conn: 7}
	for at := -1; at < helloBytes; at++ {
		a, b := net.Pipe()
		for _, c := range []net.Conn{a, b} {
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		}
		go func() { _, _ = dialHandshake(&flipping{Conn: a, at: at}, h, nil); a.Close() }()
		_, err := acceptHandshake(b, self, nil)
		b.Close()
		if (err == nil) != (at < 0) {
			t.Errorf("byte %d of the hello turned over: %v", at, err)
		}
	}
}

// lengthOnly is a head of a frame whose length is sound and whose body is not there.
func lengthOnly(n uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, n)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, 0, 0, 0, 0)
}

// TestEveryBitOfAFrameIsChecked: a frame with any bit turned over is refused when its own
// bytes are there. What is read beyond them would be waited for on a connection, for as
// long as it stands, and all that comes behind it would be swallowed.
func TestEveryBitOfAFrameIsChecked(t *testing.T) {
	sound, _ := appendFrame(nil, []byte("a vote"), nil, false)
	for bit := range 8 * len(sound) {
		damaged := bytes.Clone(sound)
		damaged[bit/8] ^= 1 << (bit % 8)
		r := frameReader{src: bufio.NewReader(bytes.NewReader(damaged))}
		if frame, err := r.next(); !errors.Is(err, ErrFrame) {
			t.Errorf("bit %d turned over: %q, %v", bit, frame, err)
		}
	}
	for _, n := range []uint32{0, FrameMax + 2, 1<<32 - 1} {
		r := frameReader{src: bufio.NewReader(bytes.NewReader(lengthOnly(n)))}
		if _, err := r.next(); !errors.Is(err, ErrFrame) {
			t.Errorf("a frame of %d bytes: %v", n, err)
		}
	}
}

// growing is a Network whose first connections make the next frame longer than it is.
type growing struct {
	TCP
	left atomic.Int32 // connections that still do
}

func (g *growing) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := g.TCP.Dial(ctx, addr)
	return &grown{Conn: c, g: g}, err
}

// grown is a connection of such a Network.
type grown struct {
	net.Conn
	g      *growing
	writes int
}

// Write turns over a bit of the third thing that is said: after hello and proof that is
// the first frame, which claims 16 MiB from then on.
func (c *grown) Write(b []byte) (int, error) {
	if c.writes++; c.writes == 3 && c.g.left.Add(-1) >= 0 {
		b = bytes.Clone(b)
		b[0] ^= 1
	}
	return c.Conn.Write(b)
}

// TestADamagedLengthCostsOneConnection: what is said next gets through again. A peer that
// waited for what a damaged length promised heard nothing more of that class, votes and
// questions neither, for as long as both nodes ran.
func TestADamagedLengthCostsOneConnection(t *testing.T) {
	b := start(t, 2, 7, "")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	wire := &growing{}
	wire.left.Store(1)
	rec := newRecorder()
	m := New(Config{Self: Identity{Cluster: [16]byte{7}, Node: 1, Counter: 1}, Network: wire}, rec, ln, pc)
	t.Cleanup(m.Close)
	m.SetPeers(map[shardmap.NodeID]string{2: b.at})
	rec.await(t, "up 2 class 1")
	if !m.Send(2, Control, []byte("lost")) {
		t.Fatal("nothing could be sent")
	}
	rec.await(t, "down 2 class 1")
	heard := false
	for end := time.Now().Add(time.Minute); !heard && time.Now().Before(end); time.Sleep(time.Millisecond) {
		m.Send(2, Control, []byte("heard"))
		b.rec.mu.Lock()
		heard = b.rec.got["frame 1 class 1 heard"] > 0
		b.rec.mu.Unlock()
	}
	if !heard {
		t.Error("nothing more got through")
	}
}
