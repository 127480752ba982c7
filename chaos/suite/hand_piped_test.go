package suite

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestPipesAnswerInOrder: of two commands in one pipe that ends after the first reply, the
// second one has an unknown outcome, and the next command takes a new connection.
func TestPipesAnswerInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conns := make(chan int, 10)
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- n
			in := bufio.NewReader(c)
			for range 3 { // what a line says first
				if _, err := resp.ReadReply(in); err == nil {
					_, _ = c.Write([]byte("+OK\r\n"))
				}
			}
			for range 2 {
				_, _ = resp.ReadReply(in)
			}
			_, _ = c.Write([]byte(">1\r\n+push\r\n|1\r\n$1\r\nv\r\n:7\r\n+first\r\n"))
			_ = c.Close()
		}
	}()
	ps := newPipes()
	defer ps.close()
	for round := range 2 {
		var wg sync.WaitGroup
		var got [2]said
		var errs [2]error
		for i := range got {
			wg.Go(func() { got[i], errs[i] = ps.do(l.Addr().String(), "async", []string{"GET", "k"}) })
		}
		wg.Wait()
		first := 0
		if errs[0] != nil {
			first = 1
		}
		if errs[first] != nil || string(got[first].Text) != "first" || got[first].version() != 7 {
			t.Errorf("%q, %v", got[first].Text, errs[first])
		}
		if err := errs[1-first]; err == nil || errors.Is(err, errNotSent) {
			t.Errorf("the one without a reply: %v", err)
		}
		if n := <-conns; n != round+1 {
			t.Errorf("connection %d in round %d", n, round)
		}
	}
}
