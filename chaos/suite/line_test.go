package suite

import (
	"errors"
	"net"
	"testing"
	"time"
)

// TestALineThatHasEndedSendsNothing: a command that nobody will read has a known outcome,
// one that the node may have read has none.
func TestALineThatHasEndedSendsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nodes := make(chan *net.TCPConn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for range 3 { // what a line says first
				if _, err = c.Read(make([]byte, 512)); err == nil {
					_, err = c.Write([]byte("+OK\r\n"))
				}
			}
			if err != nil {
				t.Error(err)
			}
			nodes <- c.(*net.TCPConn)
		}
	}()
	for what, c := range map[string]struct {
		says string
		end  func(*net.TCPConn) error
		sent bool
	}{
		"ended":                      {"", (*net.TCPConn).CloseWrite, false},
		"ended after pushes":         {">1\r\n+a\r\n>1\r\n+b\r\n", (*net.TCPConn).CloseWrite, false},
		"closed":                     {"", (*net.TCPConn).Close, false},
		"open":                       {"", nil, true},
		"open with a push":           {">1\r\n+a\r\n", nil, true},
		"said what nobody asked for": {"+OK\r\n", nil, false},
	} {
		opened := make(chan *line)
		go func() {
			a, err := dial(l.Addr().String(), "async", false)
			if err != nil {
				t.Error(err)
			}
			opened <- a
		}()
		node := <-nodes
		a := <-opened
		if _, err := node.Write([]byte(c.says)); err != nil {
			t.Fatal(err)
		}
		if c.end == nil {
			go func() { _, _ = node.Read(make([]byte, 512)); node.Close() }()
		} else if err := c.end(node); err != nil {
			t.Fatal(err)
		}
		arrived := func() bool { n, _ := a.waiting(); return n > 0 || c.says == "" }
		if c.end != nil {
			arrived = a.ended
		}
		for !arrived() {
			time.Sleep(time.Millisecond)
		}
		if _, err := a.do(time.Second, "PING"); err == nil || errors.Is(err, errNotSent) == c.sent {
			t.Errorf("%s: %v", what, err)
		}
		a.Close()
		node.Close()
	}
}
