package transport

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"testing"
)

// TestPacketsOfEverySocket: the kernel wants addresses in the form of the socket's family.
func TestPacketsOfEverySocket(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", ":0"} {
		from, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		to, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		said := bytes.Repeat([]byte("lease"), 100)
		newPackets(from).send(said, to.LocalAddr())
		buf := make([]byte, 1024)
		n, err := newPackets(to).receive(buf)
		if err != nil || !bytes.Equal(buf[:n], said) {
			t.Errorf("by %s: %d bytes arrive: %v", at, n, err)
		}
		from.Close()
		to.Close()
		if _, err := newPackets(to).receive(buf); err == nil {
			t.Errorf("by %s: a closed socket receives", at)
		}
	}
}

// TestAStreamWritesWhatThePeerDoesNotTakeAtOnce: more than the kernel's buffers hold.
func TestAStreamWritesWhatThePeerDoesNotTakeAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	all := make([]byte, 32<<20)
	for i := range all {
		all[i] = byte(i * i >> 8)
	}
	ended := make(chan error, 1)
	go func() {
		defer c.Close()
		to := newStream(c)
		for rest := all; len(rest) > 0; { // more than once: a deadline of the first must not stand
			step := min(len(rest), 12<<20)
			if n, err := to.Write(rest[:step]); err != nil || n != step {
				ended <- err
				return
			}
			rest = rest[step:]
		}
		ended <- nil
	}()
	h := sha256.New()
	n, err := io.Copy(h, newStream(peer)) // until the end is seen
	if err != nil || n != int64(len(all)) {
		t.Fatalf("%d of %d bytes arrive: %v", n, len(all), err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(all); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("other bytes arrive than were written")
	}
}
