package transport

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestConnectionNumbersRiseAcrossRestarts: the receiver drops the frames of a lower
// connection number without a word (data-protocol 5), so the numbers must rise from
// one incarnation to the next, whatever the wall clock does in between. Inside
// the bubble it is the year 2000: the node restarts with a clock that went back.
func TestConnectionNumbersRiseAcrossRestarts(t *testing.T) {
	first := number(t, Identity{Node: 1, Counter: 1})
	synctest.Test(t, func(t *testing.T) {
		if next := number(t, Identity{Node: 1, Counter: 2}); next <= first {
			t.Errorf("incarnation 2 dials with connection %d after %d: its peers will drop all it sends until its clock has caught up, %v from now",
				next, first, time.Duration((first-next)>>16)*time.Millisecond)
		}
	})
}

func number(t *testing.T, self Identity) uint64 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{Self: self, Network: TCP{}}, nil, ln, pc)
	defer m.Close()
	return m.newConnNumber()
}
