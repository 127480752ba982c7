package cluster

import (
	"net"
	"testing"
)

// TestTheKernelKnowsWhoseAStreamIs: the inode of a connection's dialler is the one that
// /proc/net/tcp lists, and one that has ended has none.
func TestTheKernelKnowsWhoseAStreamIs(t *testing.T) {
	ln, err := net.Listen("tcp", setHost+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ownHost)}}
	out, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	own, other := in.RemoteAddr().(*net.TCPAddr), in.LocalAddr().(*net.TCPAddr)
	got, err := inodeOfStream(own, other)
	if want := inodeOf(own.Port); err != nil || got != want || want == "" {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	_ = out.Close()
	_ = in.Close()
	if got, err := inodeOfStream(own, other); err == nil {
		t.Errorf("the socket of an ended connection has inode %q", got)
	}
}
