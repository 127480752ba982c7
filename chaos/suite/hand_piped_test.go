package suite

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/baxromumarov/aegisKV/chaos"
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

// TestAHandWithATableAsksForItAgain: one answer tells where all slots are, and one MOVED
// makes the hand ask anew.
func TestAHandWithATableAsksForItAgain(t *testing.T) {
	var asked, moved atomic.Int64
	var nodes [2]net.Listener
	for i := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		nodes[i] = l
	}
	port := nodes[0].Addr().(*net.TCPAddr).Port
	answer := func(words []resp.Reply) string {
		switch string(words[0].Text) {
		case "CLUSTER":
			asked.Add(1)
			return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$1\r\na\r\n", port)
		case "GET":
			if moved.Add(1) == 2 {
				return fmt.Sprintf("-MOVED 1 %s\r\n", nodes[1].Addr())
			}
		}
		return "+OK\r\n"
	}
	for _, l := range nodes {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					in := bufio.NewReader(c)
					for {
						r, err := resp.ReadReply(in)
						if err != nil {
							return
						}
						_, _ = c.Write([]byte(answer(r.Items)))
					}
				}()
			}
		}()
	}
	h := newPlainHand([]string{nodes[0].Addr().String()}, "async", false, 1)
	h.table = true
	defer h.close()
	for i, want := range []int64{1, 1, 2} { // the second reading is moved, and another slot then needs the table
		o := chaos.Told{Kind: chaos.Read, Key: []string{"a", "b", "c"}[i]}
		if h.do(&o); o.Outcome != chaos.OK || asked.Load() != want {
			t.Errorf("reading %d: %v %s, the table was asked for %d times, want %d", i, o.Outcome, o.Word, asked.Load(), want)
		}
	}
}
