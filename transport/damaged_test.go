package transport

import (
	"net"
	"testing"
	"time"
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
