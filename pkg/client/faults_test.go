package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func TestWriteOfUnknownOutcomeIsSentOnce(t *testing.T) {
	for name, hangUp := range map[string]func(p *peer){
		"closed without an answer": func(p *peer) { _ = p.Close() },
		"closed inside the answer": func(p *peer) { p.say([]byte("+O")); _ = p.Close() },
		"half closed":              func(p *peer) { _ = p.Conn.(*net.TCPConn).CloseWrite() },
		"silent":                   func(*peer) {},
		"answer is no RESP":        func(p *peer) { p.say([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			c := open1(t, stall(w.seeds()))
			w.nodes[0].on(isWord("SET", func(p *peer, args []string) bool {
				p.node.run(p, args) // applied, and nobody is told
				hangUp(p)
				return true
			}))
			err := c.Set(ctx, "k", []byte("v"))
			wantIs(t, err, ErrAmbiguous)
			wantNot(t, err, ErrUnavailable)
			var op *OpError
			if !errors.As(err, &op) || !op.Applied() || op.Attempts != 1 || op.Key != "k" || op.Node != w.nodes[0].addr {
				t.Errorf("%#v", op)
			}
			if n := w.count("k"); n != 1 {
				t.Errorf("applied %d times", n)
			}
			if v, err := c.Get(ctx, "k"); string(v) != "v" || err != nil {
				t.Errorf("afterwards: %q %v", v, err)
			}
		})
	}
}

// TestNoWriteOvertakesALaterOne: a write whose connection broke may be applied at any time
// afterwards. Had it been repeated, and the caller gone on after the second answer, the
// first sending would replace what was written since.
func TestNoWriteOvertakesALaterOne(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	var broken atomic.Bool
	held := make(chan func(), 1) // what lies in the node's socket
	w.nodes[0].on(isWord("SET", func(p *peer, args []string) bool {
		if broken.Swap(true) {
			return false
		}
		held <- func() { p.node.run(p, args) }
		_ = p.Close()
		return true
	}))
	first := c.Set(ctx, "k", []byte("1"))
	second := c.Set(ctx, "k", []byte("2"))
	(<-held)()
	v, err := c.Get(ctx, "k")
	if first == nil && second == nil && string(v) != "2" {
		t.Errorf("P5: one client wrote 1 and then 2, was told so, and reads %q, %v", v, err)
	}
	wantIs(t, first, ErrAmbiguous) // the caller decides, and knows that it may come yet
	if second != nil {
		t.Error(second)
	}
}

func TestReadSurvivesBrokenConnections(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, stall(w.seeds()))
	w.set(func() { w.data["k"] = "value" })
	var n atomic.Int32
	w.nodes[0].on(isWord("GET", func(p *peer, _ []string) bool {
		switch n.Add(1) {
		case 1:
			_ = p.Close()
		case 2:
			p.say([]byte("$5\r\nval"))
			_ = p.Close()
		case 3: // silence
		default:
			return false
		}
		return true
	}))
	if v, err := c.Get(ctx, "k"); string(v) != "value" || err != nil || n.Load() != 4 {
		t.Fatalf("%q %v after %d", v, err, n.Load())
	}
}

func TestAnswersInPieces(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	big := strings.Repeat("0123456789", 300_000)
	w.set(func() { w.data["big"] = big })
	w.nodes[0].on(func(p *peer, args []string) bool {
		b := p.node.run(p, args)
		if args[0] == "GET" { // a push and an attribute go before the answer
			b = append([]byte(">2\r\n+aegis-map\r\n:7\r\n|1\r\n+e\r\n:1\r\n"), b...)
		}
		for len(b) > 0 {
			n := 1
			if len(b) > 64 {
				n = len(b) / 2
			}
			p.say(b[:n])
			b = b[n:]
		}
		return true
	})
	if v, err := c.Get(ctx, "big"); string(v) != big || err != nil {
		t.Fatalf("%d bytes %v", len(v), err)
	}
	if err := c.Set(ctx, "big2", []byte(big)); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Get(ctx, "big2"); string(v) != big || err != nil {
		t.Fatalf("%d bytes %v", len(v), err)
	}
}

// A shard between two leaseholders: calls wait it out, and each write is applied once.
func TestRefusalsAreWaitedOut(t *testing.T) {
	for _, word := range []string{"CLUSTERDOWN Hash slot not served", "LOADING busy", "NOREPLICAS no", "TRYAGAIN x", "MASTERDOWN x", "READONLY x"} {
		w := newWorld(t, 2)
		c := open1(t, quick(w.seeds()))
		down := time.Now().Add(150 * time.Millisecond)
		for _, n := range w.nodes {
			n.on(func(p *peer, args []string) bool {
				if args[0] != "SET" && args[0] != "GET" || time.Now().After(down) {
					return false
				}
				p.say(resp.AppendError(nil, word))
				return true
			})
		}
		if err := c.Set(ctx, "k", []byte("v")); err != nil || w.count("k") != 1 {
			t.Errorf("%s: %v, applied %d times", word, err, w.count("k"))
		}
		if v, err := c.Get(ctx, "k"); string(v) != "v" || err != nil {
			t.Errorf("%s: %q %v", word, v, err)
		}
	}
}

func TestRefusalUntilDeadlineIsUnavailable(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	w.nodes[0].on(isWord("SET", func(p *peer, _ []string) bool {
		p.say([]byte("-CLUSTERDOWN Hash slot not served\r\n"))
		return true
	}))
	// On a busy machine the deadline can come while the last attempt is under way, whose
	// outcome is then unknown indeed; not again and again.
	err := ErrAmbiguous
	for tries := 0; errors.Is(err, ErrAmbiguous) && tries < 10; tries++ {
		within(t, 400*time.Millisecond, func() {
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			err = c.Set(short, "k", nil)
		})
	}
	wantIs(t, err, ErrUnavailable)
	wantNot(t, err, ErrAmbiguous)
	var se *ServerError
	if !errors.As(err, &se) || se.Code != "CLUSTERDOWN" {
		t.Errorf("the server's word is lost: %v", err)
	}
}

func TestFinalErrorsAreNotRetried(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	for text, is := range map[string]error{
		"OOM value larger than this node can hold (1 MiB)":        ErrTooLarge,
		"OOM command not allowed when used memory > 'maxmemory'.": ErrUnavailable,
		"ERR something": nil,
		"WRONGTYPE Operation against a key holding the wrong kind of value": nil,
	} {
		var n atomic.Int32
		w.nodes[0].on(isWord("SET", func(p *peer, _ []string) bool {
			n.Add(1)
			p.say(resp.AppendError(nil, text))
			return true
		}))
		err := c.Set(ctx, "k", nil)
		if is != nil {
			wantIs(t, err, is)
		}
		wantNot(t, err, ErrAmbiguous)
		if err == nil || n.Load() != 1 || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v after %d", text, err, n.Load())
		}
	}
	cfg := quick(w.seeds())
	cfg.MaxKeyBytes, cfg.MaxValueBytes = 8, 8
	c = open1(t, cfg)
	wantIs(t, c.Set(ctx, "123456789", nil), ErrTooLarge)
	wantIs(t, c.Set(ctx, "1", []byte("123456789")), ErrTooLarge)
	_, err := c.Get(ctx, "123456789")
	wantIs(t, err, ErrTooLarge)
}

func TestDeadlineOfTheCaller(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.StallTimeout = time.Minute
	c := open1(t, cfg)
	_ = c.Set(ctx, "k", nil)
	w.nodes[0].on(func(_ *peer, args []string) bool { return args[0] == "SET" || args[0] == "GET" })
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	within(t, 300*time.Millisecond, func() {
		wantIs(t, c.Set(short, "k", nil), ErrAmbiguous, context.DeadlineExceeded)
	})
	_, err := c.Get(short, "k")
	wantIs(t, err, ErrUnavailable, context.DeadlineExceeded)
	cfg.Timeout = 50 * time.Millisecond
	c = open1(t, cfg)
	within(t, 300*time.Millisecond, func() {
		wantIs(t, c.Set(ctx, "k", nil), ErrAmbiguous, context.DeadlineExceeded)
		_, err := c.Get(ctx, "k")
		wantIs(t, err, ErrUnavailable, context.DeadlineExceeded)
		wantNot(t, err, ErrAmbiguous)
	})
	cancelled, stop := context.WithCancel(ctx)
	stop()
	err = c.Set(cancelled, "k", nil)
	wantIs(t, err, context.Canceled)
	wantNot(t, err, ErrAmbiguous, ErrUnavailable)
	w.nodes[0].on(nil)
}

// Answers of calls whose callers left must not be given to others.
func TestAbandonedCallsKeepTheOrder(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.ConnsPerNode = 1
	c := open1(t, cfg)
	for i := range 8 {
		_ = c.Set(ctx, fmt.Sprint("k", i), fmt.Append(nil, "v", i))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			key, want := fmt.Sprint("k", g), fmt.Sprint("v", g)
			for i := range 500 {
				c2, cancel := context.WithCancel(ctx)
				if i%3 == 0 {
					go cancel()
				}
				v, err := c.Get(c2, key)
				cancel()
				if err == nil && string(v) != want || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%s is %q: %v", key, v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	cfg := quick([]string{addr})
	cfg.Timeout = 200 * time.Millisecond
	c := open1(t, cfg)
	within(t, 400*time.Millisecond, func() {
		err := c.Set(ctx, "k", nil)
		wantIs(t, err, ErrUnavailable)
		wantNot(t, err, ErrAmbiguous)
	})
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: map[string]string{}, applied: map[string]int{}, owner: func(shardmap.Slot) int { return 0 }}
	n := &fakeNode{w: w, ln: ln, addr: addr, resp: 3}
	w.nodes = []*fakeNode{n}
	n.wg.Go(n.accept)
	t.Cleanup(n.stop)
	longer, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := c.Set(longer, "k", nil); err != nil {
		t.Error("a node that came up later:", err)
	}
}

// The leaseholder dies; whoever takes over is asked before the map is refreshed.
func TestFailoverToAnotherNode(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	if err := c.Set(ctx, key, []byte("v")); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].stop()
	w.set(func() { w.epoch++; w.owner = func(s shardmap.Slot) int { return 1 + int(s)%2 } })
	within(t, time.Second, func() {
		if v, err := c.Get(ctx, key); string(v) != "v" {
			t.Fatal(err)
		}
		if err := c.Set(ctx, key, []byte("w")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFullConnectionMakesCallersWait(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.MaxInflight, cfg.ConnsPerNode, cfg.StallTimeout = 4, 1, time.Minute
	c := open1(t, cfg)
	_ = c.Set(ctx, "k", nil)
	release := make(chan struct{})
	var seen atomic.Int32
	w.nodes[0].on(isWord("SET", func(*peer, []string) bool {
		seen.Add(1)
		<-release
		return false
	}))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := c.Set(ctx, "k", nil); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "the connection is full", func() bool {
		k := c.conns()[0]
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.waiting.n == 4
	})
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	err := c.Set(short, "k", nil)
	wantIs(t, err, ErrUnavailable, context.DeadlineExceeded)
	wantNot(t, err, ErrAmbiguous) // it never left
	wg.Go(func() {
		if err := c.Set(ctx, "k", nil); err != nil {
			t.Error(err)
		}
	})
	close(release)
	wg.Wait()
}

func TestCloseEndsCalls(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	_ = c.Set(ctx, "k", nil)
	var held sync.WaitGroup
	held.Add(2)
	w.nodes[0].on(func(_ *peer, args []string) bool {
		if args[0] != "SET" && args[0] != "GET" {
			return false
		}
		held.Done()
		return true
	})
	errs := make(chan error, 2)
	go func() { errs <- c.Set(ctx, "k", nil) }()
	go func() { _, err := c.Get(ctx, "j"); errs <- err }()
	held.Wait()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var ambiguous int
	for range 2 {
		err := <-errs
		wantIs(t, err, ErrClosed)
		if errors.Is(err, ErrAmbiguous) {
			ambiguous++
		}
	}
	if ambiguous != 1 {
		t.Errorf("%d calls ended ambiguous, the write alone is", ambiguous)
	}
	wantIs(t, c.Set(ctx, "k", nil), ErrClosed)
	if err := c.Close(); err != nil {
		t.Error("second Close:", err)
	}
	unused, _ := New(quick([]string{"127.0.0.1:1"}))
	_ = unused.Close()
	wantIs(t, unused.Delete(ctx, "k"), ErrClosed)
}

func TestWrongPasswordIsToldAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.nodes[0].on(isWord("HELLO", func(p *peer, _ []string) bool {
		p.say([]byte("-WRONGPASS invalid username-password pair or user is disabled.\r\n"))
		return true
	}))
	c := open1(t, quick(w.seeds()))
	within(t, time.Second, func() {
		_, err := c.Get(ctx, "k")
		if err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Error(err)
		}
	})
}

// A stopped process takes connections and never answers. One stall is the price,
// paid once: nobody waits for a dial to it afterwards.
func TestStoppedNodeCostsOneStall(t *testing.T) {
	w := newWorld(t, 3)
	cfg := stall(w.seeds())
	cfg.DialTimeout = 10 * time.Second
	c := open1(t, cfg)
	key := keyOn(w, 0, "k")
	if err := c.Set(ctx, key, []byte("v")); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].on(func(*peer, []string) bool { return true })
	w.set(func() { w.epoch++; w.owner = func(s shardmap.Slot) int { return 1 + int(s)%2 } })
	within(t, 2*cfg.StallTimeout, func() {
		if v, err := c.Get(ctx, key); string(v) != "v" {
			t.Error(err)
		}
	})
	within(t, 2*cfg.StallTimeout, func() {
		for i := range 50 {
			if err := c.Set(ctx, keyOn(w, 0, fmt.Sprint("after", i)), nil); err != nil {
				t.Error(err)
			}
		}
	})
}

// A node that hears nobody does not know who serves its slots now. It answers, but later
// than callers wait, so that no answer tells the client anything, and nothing is stalled.
func TestCallersWithLittleTimeFindTheNextHolder(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	if err := c.Set(ctx, key, []byte("v")); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].on(isWord("GET", func(p *peer, _ []string) bool {
		<-time.After(50 * time.Millisecond)
		p.say(resp.AppendError(nil, "CLUSTERDOWN Hash slot not served"))
		return true
	}))
	w.set(func() { w.epoch++; w.owner = func(shardmap.Slot) int { return 1 } })
	stalled := quick(nil).StallTimeout
	within(t, stalled/2, func() {
		until(t, "a call within its 20 ms", func() bool {
			short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			_, err := c.Get(short, key)
			return err == nil
		})
	})
}

// A node that led every slot, and is cut off from the others, gives the map that it had.
func TestTheMapOfANodeThatIsCutOffIsNotTheLastWord(t *testing.T) {
	for name, knows := range map[string]bool{"AEGIS.MAP": true, "CLUSTER SLOTS": false} {
		t.Run(name, func(t *testing.T) {
			w, f := copiedWorld(t, 3)
			w.set(func() { w.owner = func(shardmap.Slot) int { return 0 } })
			foreign := isWord("AEGIS.MAP", func(p *peer, _ []string) bool {
				p.say(resp.AppendError(nil, "ERR unknown command 'AEGIS.MAP'"))
				return true
			})
			for _, n := range w.nodes {
				if !knows {
					n.on(foreign)
				}
			}
			seeds := w.seeds()
			if knows {
				seeds = seeds[:1] // its map names the others
			}
			c := open1(t, quick(seeds))
			if err := c.Set(ctx, "k", []byte("v")); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			slots := w.slotsLocked()
			w.mu.Unlock()
			own := f.mapReply()
			w.nodes[0].on(func(p *peer, args []string) bool {
				switch word := strings.ToUpper(args[0]); {
				case word == "AEGIS.MAP" && knows:
					p.say(own)
				case word == "AEGIS.MAP":
					return foreign(p, args)
				case word == "CLUSTER" && strings.EqualFold(args[1], "INFO"):
					p.say(resp.AppendBulk(nil, "cluster_current_epoch:1\r\n"))
				case word == "CLUSTER":
					p.say(slots)
				case word == "GET":
					p.say(resp.AppendError(nil, "CLUSTERDOWN Hash slot not served"))
				default:
					return false
				}
				return true
			})
			w.set(func() { w.epoch++; w.owner = func(shardmap.Slot) int { return 1 } })
			within(t, quick(nil).StallTimeout/2, func() {
				until(t, "a call that is answered", func() bool {
					short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
					defer cancel()
					_, err := c.Get(short, "k")
					return err == nil
				})
			})
		})
	}
}

// A host that is gone answers nothing, not even a refusal.
// A node that hangs is asked for the map last, and the map is asked for often
// enough that whoever serves its slots is found soon.
func TestAHungNodeIsAskedForTheMapLast(t *testing.T) {
	w := newWorld(t, 3)
	cfg := stall(w.seeds())
	c := open1(t, cfg)
	key := keyOn(w, 0, "k")
	if err := c.Set(ctx, key, []byte("v")); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].on(func(*peer, []string) bool { return true }) // takes everything, answers nothing
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	wantIs(t, c.Set(short, key, nil), ErrAmbiguous)
	hung := w.nodes[0].addr
	until(t, "the node is known to be silent", func() bool {
		n, err := c.node(hung)
		return err == nil && n.silent()
	})
	for range 20 {
		if addrs := c.candidates(); addrs[len(addrs)-1] != hung {
			t.Fatalf("%v are asked in this order, %s hangs", addrs, hung)
		}
	}
	for same := range 100 {
		for _, rnd := range []float64{0, 0.5, 0.999} {
			if d := refreshPause(same, rnd); d < 10*time.Millisecond || d > 80*time.Millisecond {
				t.Fatalf("after %d rounds without news the next comes in %v", same, d)
			}
		}
	}
}

func TestVanishedHostIsPassedBy(t *testing.T) {
	w := newWorld(t, 2)
	cfg := quick(w.seeds())
	cfg.DialTimeout = 500 * time.Millisecond
	var gone atomic.Bool
	cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		if gone.Load() && addr == w.nodes[0].addr {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
	c := open1(t, cfg)
	key := keyOn(w, 0, "k")
	if err := c.Set(ctx, key, []byte("v")); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	w.nodes[0].hangUp()
	w.set(func() { w.owner = func(shardmap.Slot) int { return 1 } })
	within(t, 2*cfg.DialTimeout, func() {
		if v, err := c.Get(ctx, key); string(v) != "v" {
			t.Error(err)
		}
	})
	within(t, cfg.DialTimeout, func() {
		for range 50 {
			if v, err := c.Get(ctx, key); string(v) != "v" {
				t.Error(err)
			}
		}
	})
}
