package transport

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// FuzzHandshake: whoever speaks on either side of a handshake, what is let in
// belongs to the cluster and speaks to this node.
func FuzzHandshake(f *testing.F) {
	self := Identity{Cluster: [16]byte{7}, Node: 1, Counter: 2, Nonce: 3}
	peer := hello{id: Identity{Cluster: self.Cluster, Node: 2, Counter: 1}, min: 1, max: 1, target: 1, class: Data, conn: 9}
	f.Add(append(peer.append(nil), make([]byte, macBytes)...), false)
	var said bytes.Buffer
	_, _ = acceptHandshake(&talk{in: bytes.NewReader(peer.append(nil)), out: &said}, self, nil)
	f.Add(said.Bytes(), true)
	f.Add([]byte("AEGX\xff\xffno"), true)
	f.Fuzz(func(t *testing.T, in []byte, dialled bool) {
		rw := &talk{in: bytes.NewReader(in), out: io.Discard}
		if dialled {
			if id, err := dialHandshake(rw, peer, nil); err == nil && id.Node != peer.target {
				t.Fatalf("node %d was taken for node %d", id.Node, peer.target)
			} else if err != nil && len(err.Error()) > 1<<10 {
				t.Fatalf("a refusal of %d bytes", len(err.Error()))
			}
			return
		}
		if h, err := acceptHandshake(rw, self, nil); err == nil && (h.id.Cluster != self.Cluster || h.target != self.Node || h.id.Node == self.Node || h.class > Lease) {
			t.Fatalf("%+v was let in", h)
		}
	})
}

// talk is one end of a connection: what it hears is given beforehand.
type talk struct {
	in  io.Reader
	out io.Writer
}

func (t *talk) Read(b []byte) (int, error)  { return t.in.Read(b) }
func (t *talk) Write(b []byte) (int, error) { return t.out.Write(b) }

// FuzzLeasePacket: what is opened is of this cluster, and no packet is opened twice.
func FuzzLeasePacket(f *testing.F) {
	cfg := Config{Self: Identity{Cluster: [16]byte{7}, Node: 1, Counter: 5, Nonce: 6}}
	f.Add(append([]byte{datagramFormat, 1, 2, 3, 4}, make([]byte, datagramHead)...))
	f.Add([]byte{datagramFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDatagrams(cfg, nil, newRecorder())
		if len(b) >= datagramHead { // the digest is not to be guessed
			b[1], b[2], b[3], b[4] = byte(d.digest>>24), byte(d.digest>>16), byte(d.digest>>8), byte(d.digest)
		}
		from, payload, ok := d.open(b)
		if !ok {
			return
		}
		if from.Cluster != cfg.Self.Cluster || len(payload) != len(b)-datagramHead {
			t.Fatalf("opened as %+v with %d bytes", from, len(payload))
		}
		if _, _, again := d.open(b); again {
			t.Fatal("a packet was opened twice")
		}
	})
}

// FuzzCodec: the body of a frame whose checksum is right, as a peer may send it. It
// is decoded in bounded time and space or refused.
func FuzzCodec(f *testing.F) {
	b, _ := appendFrame(nil, bytes.Repeat([]byte("a"), 5000), nil, true)
	f.Add(b[frameHead], b[frameHead+1:])
	f.Add(byte(codecNone), []byte("plain"))
	f.Add(byte(9), []byte{})
	f.Add(byte(codecS2), []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, codec byte, body []byte) {
		var r frameReader
		begun := time.Now()
		plain, err := r.decode(codec, body)
		if err == nil && len(plain) > FrameMax {
			t.Fatalf("%d bytes", len(plain))
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Fatalf("%d bytes took %v", len(body), took)
		}
	})
}
