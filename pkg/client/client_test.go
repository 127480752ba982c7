package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestMain fails the package when a goroutine of the client outlives its Close.
func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.After(3 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	for leaked := ""; ; {
		buf := make([]byte, 1<<20)
		leaked = ""
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "pkg/client.(*") && !strings.Contains(g, "TestMain") {
				leaked += g + "\n\n"
			}
		}
		if leaked == "" {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-deadline:
		}
		fmt.Println("goroutines outlive the tests:\n" + leaked)
		code = 1
		break
	}
	os.Exit(code)
}

var ctx = context.Background()

func TestPublishedAPI(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()[:1]))
	for i := range 50 {
		key := fmt.Sprint("key", i)
		if v, err := c.Get(ctx, key); v != nil || err != ErrNotFound {
			t.Fatalf("missing key: %q %v", v, err)
		}
		if err := c.Set(ctx, key, []byte("v"+key)); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Get(ctx, key); string(v) != "v"+key || err != nil {
			t.Fatalf("%q %v", v, err)
		}
		if err := c.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx, key); err != nil {
			t.Fatal("deleting an absent key:", err)
		}
	}
	if err := c.Set(ctx, "empty", nil); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Get(ctx, "empty"); v == nil || len(v) != 0 || err != nil {
		t.Fatalf("an empty value is not a missing one: %v %v", v, err)
	}
	var ttl atomic.Value
	for _, n := range w.nodes {
		n.on(isWord("SET", func(_ *peer, args []string) bool { ttl.Store(strings.Join(args[3:], " ")); return false }))
	}
	if err := c.SetWithTTL(ctx, "k", []byte("v"), 5000); err != nil || ttl.Load() != "PX 5000" {
		t.Fatal(err, ttl.Load())
	}
	if err := c.SetWithTTL(ctx, "k", []byte("v"), 0); err == nil {
		t.Fatal("a time to live of 0 was taken")
	}
}

func TestRefusedConfigGivesClientThatAnswersItsError(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no seeds":   DefaultConfig(nil),
		"no port":    DefaultConfig([]string{"localhost"}),
		"negative":   {Seeds: []string{"a:1"}, Timeout: -1},
		"durability": {Seeds: []string{"a:1"}, Durability: "some"},
		"name":       {Seeds: []string{"a:1"}, Name: "a b"},
		"on lost":    {Seeds: []string{"a:1"}, OnLost: func(*LostWritesError) {}},
	} {
		c, err := New(cfg)
		if c == nil || !errors.Is(err, ErrConfig) {
			t.Fatalf("%s: %v %v", name, c, err)
		}
		v, err1 := c.Get(ctx, "k")
		for _, e := range []error{err1, c.Set(ctx, "k", nil), c.SetWithTTL(ctx, "k", nil, -1), c.Delete(ctx, "k"), c.Close()} {
			if e != err || v != nil {
				t.Errorf("%s: call answered %v, New said %v", name, e, err)
			}
		}
	}
}

func TestRedirectIsNeverAMiss(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	w.set(func() { w.data[key] = "here" })
	if v, err := c.Get(ctx, key); string(v) != "here" {
		t.Fatal(v, err)
	}
	w.set(func() { w.owner = func(shardmap.Slot) int { return 2 } })
	var moved atomic.Int32
	w.nodes[0].on(isWord("GET", func(*peer, []string) bool { moved.Add(1); return false }))
	for range 20 {
		if v, err := c.Get(ctx, key); string(v) != "here" {
			t.Fatal(v, err)
		}
	}
	if n := moved.Load(); n != 1 {
		t.Errorf("the old node was asked %d times: a MOVED moves the slot at once", n)
	}
	until(t, "the refresh brings the other slots", func() bool {
		v := c.view.Load()
		return len(v.table.nodes) == 1 && v.table.nodes[0] == w.nodes[2].addr
	})
}

// The whole cluster changes hands again and again under load.
func TestMovedStorm(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprintf("g%d-%d", g, i%20)
				if g == 0 && i%10 == 0 {
					w.set(func() {
						shift := i / 10
						w.epoch++
						w.owner = func(s shardmap.Slot) int { return (int(s)/64 + shift) % 3 }
					})
				}
				want := fmt.Sprint(i)
				if err := c.Set(ctx, key, []byte(want)); err != nil {
					t.Error(err)
					return
				}
				if v, err := c.Get(ctx, key); string(v) != want || err != nil {
					t.Errorf("%s is %q, want %s: %v", key, v, want, err)
					return
				}
			}
		})
	}
	wg.Wait()
	w.set(func() {
		for key, n := range w.applied {
			if n != 10 {
				t.Errorf("%s was set %d times", key, n)
			}
		}
	})
}

// Two nodes that point at each other for ever cost pauses, not a hot loop.
func TestRedirectLoopEndsUnavailable(t *testing.T) {
	w := newWorld(t, 2)
	cfg := quick(w.seeds())
	c := open1(t, cfg)
	var asked atomic.Int32
	for i, n := range w.nodes {
		n.on(isWord("GET", func(p *peer, args []string) bool {
			asked.Add(1)
			p.say(resp.AppendError(nil, fmt.Sprintf("MOVED %d %s", shardmap.SlotOfString(args[1]), w.nodes[1-i].addr)))
			return true
		}))
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	within(t, 600*time.Millisecond, func() {
		_, err := c.Get(short, "k")
		wantIs(t, err, ErrUnavailable)
		wantNot(t, err, ErrNotFound, ErrAmbiguous)
	})
	if n := asked.Load(); n < 4 || n > 200 {
		t.Errorf("%d requests in 300 ms", n)
	}
}

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
			c := open1(t, quick(w.seeds()))
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

func TestReadSurvivesBrokenConnections(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
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
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	within(t, 400*time.Millisecond, func() {
		err := c.Set(short, "k", nil)
		wantIs(t, err, ErrUnavailable)
		wantNot(t, err, ErrAmbiguous)
		var se *ServerError
		if !errors.As(err, &se) || se.Code != "CLUSTERDOWN" {
			t.Errorf("the server's word is lost: %v", err)
		}
	})
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
	within(t, 500*time.Millisecond, func() {
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

func TestOldServersAreSpokenToInRESP2(t *testing.T) {
	w := newWorld(t, 1)
	w.nodes[0].resp = 2
	cfg := quick(w.seeds())
	cfg.Password = "secret"
	var words []string
	var mu sync.Mutex
	w.nodes[0].on(func(p *peer, args []string) bool {
		mu.Lock()
		defer mu.Unlock()
		words = append(words, strings.Join(args, " "))
		if args[0] == "AUTH" {
			p.say([]byte("+OK\r\n"))
			return true
		}
		return false
	})
	c := open1(t, cfg)
	if v, err := c.Get(ctx, "k"); v != nil || err != ErrNotFound {
		t.Fatal(v, err)
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(words, "|")
	for _, want := range []string{"AUTH secret", "CLIENT SETNAME aegiskv-go"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %s", want, all)
		}
	}
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

func TestAskIsFollowedForOneCommand(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	var asking atomic.Int32
	w.nodes[0].on(isWord("GET", func(p *peer, args []string) bool {
		p.say(resp.AppendError(nil, fmt.Sprintf("ASK %d %s", shardmap.SlotOfString(args[1]), w.nodes[1].addr)))
		return true
	}))
	w.nodes[1].on(func(p *peer, args []string) bool {
		switch args[0] {
		case "ASKING":
			asking.Add(1)
		case "GET":
			p.say([]byte("$5\r\nthere\r\n"))
			return true
		}
		return false
	})
	for range 2 {
		if v, err := c.Get(ctx, key); string(v) != "there" {
			t.Fatal(v, err)
		}
	}
	if asking.Load() != 2 {
		t.Errorf("ASKING was said %d times", asking.Load())
	}
}

// One call costs one allocation: the value, or the text of the OK.
func TestAllocations(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.StallTimeout = time.Minute
	c := open1(t, cfg)
	// A raw server behind the handshake, which allocates nothing itself.
	w.nodes[0].on(isWord("SET", func(p *peer, _ []string) bool {
		buf := make([]byte, 4096)
		p.say([]byte("+OK\r\n"))
		ok, value := []byte("+OK\r\n"), []byte("$5\r\nvalue\r\n")
		for {
			n, err := p.Read(buf)
			if err != nil {
				return true
			}
			if n > 8 && buf[8] == 'S' {
				p.say(ok)
			} else {
				p.say(value)
			}
		}
	}))
	value := []byte("value")
	if err := c.Set(ctx, "k", value); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(500, func() { _, _ = c.Get(ctx, "k") }); n > 1 && !raceBuild {
		t.Errorf("Get allocates %v times", n)
	}
	if n := testing.AllocsPerRun(500, func() { _ = c.Set(ctx, "k", value) }); n > 1 && !raceBuild {
		t.Errorf("Set allocates %v times", n)
	}
	deadline, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if n := testing.AllocsPerRun(500, func() { _, _ = c.Get(deadline, "k") }); n > 1 && !raceBuild {
		t.Errorf("Get with a deadline allocates %v times", n)
	}
}
