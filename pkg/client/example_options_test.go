package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

// DefaultConfig fills every field; what differs is changed in it.
func ExampleConfig() {
	srv := clienttest.Start() // a node in this process
	defer srv.Close()

	cfg := client.DefaultConfig([]string{srv.Addr()}) // into cfg.Seeds; one node that lives is enough
	cfg.Seeds = append(cfg.Seeds, "127.0.0.1:1")      // this one does not
	cfg.Timeout = 2 * time.Second                     // of calls whose context has no deadline
	cfg.DialTimeout = 500 * time.Millisecond
	cfg.StallTimeout = 800 * time.Millisecond // a silent connection is given up
	cfg.RefreshEvery = 5 * time.Minute        // beside the maps that nodes push
	cfg.ConnsPerNode = 1
	cfg.MaxInflight, cfg.MaxQueueBytes = 1000, 256<<10 // calls beyond wait for room
	cfg.MaxKeyBytes, cfg.MaxValueBytes = 200, 1000
	c, err := client.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	fmt.Println(c.Set(ctx, "small", make([]byte, 1000)))
	err = c.Set(ctx, "large", make([]byte, 1001))
	fmt.Println(errors.Is(err, client.ErrTooLarge), err)
	// Output:
	// <nil>
	// true SET "large": client: key or value too large: value of 1001 bytes, at most 1000
}

// What the server refused unapplied is tried again until the call's deadline.
func ExampleRetryPolicy() {
	srv, c, done := example(func(cfg *client.Config) {
		cfg.Retry = client.RetryPolicy{Base: time.Millisecond, Cap: 50 * time.Millisecond, Ratio: 0.2, PerSecond: 20}
	})
	defer done()

	srv.Fail("k", 3, clienttest.Unavailable)
	err := c.Set(ctx, "k", []byte("v"))
	s := c.Stats()
	fmt.Println(err, s.Retries)

	srv.Fail("k", 1, clienttest.Ambiguous) // applied, and the answer is lost: not tried again
	err = c.Set(ctx, "k", []byte("w"))
	var op *client.OpError
	fmt.Println(errors.Is(err, client.ErrAmbiguous), errors.As(err, &op) && op.Applied())
	// Output:
	// <nil> 3
	// true true
}

// A deadline goes along to the node (CLIENT DEADLINE): what it takes up later is refused, not
// applied. The caller cannot know that, but who reads the key afterwards can rely on it.
func ExampleClient_Set_deadline() {
	srv, c, done := example()
	defer done()
	if err := c.Set(ctx, "k", []byte("before")); err != nil {
		log.Fatal(err)
	}

	release := srv.Hold("k") // the node does not get to it
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err := c.Set(short, "k", []byte("late"))
	fmt.Println(errors.Is(err, client.ErrAmbiguous), errors.Is(err, client.ErrTimeout))
	release() // now it does

	v, err := c.Get(ctx, "k")
	fmt.Println(string(v), err)
	// Output:
	// true true
	// before <nil>
}

// slowLine is a connection whose answers are late once late is set.
type slowLine struct {
	net.Conn
	late *atomic.Bool
	end  <-chan struct{}
}

func (s *slowLine) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.late.Load() {
		<-s.end
	}
	return n, err
}

// A read whose answer is late travels again, on the node's other connection.
func ExampleHedgePolicy() {
	var late [2]atomic.Bool // by connection
	var dialed atomic.Int32
	end := make(chan struct{})
	_, c, done := example(func(cfg *client.Config) {
		cfg.Hedge = client.HedgePolicy{After: 5 * time.Millisecond, MaxExtra: 0.5} // of all calls
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", addr)
			return &slowLine{nc, &late[min(dialed.Add(1)-1, 1)], end}, err
		}
	})
	defer done()
	defer close(end)

	for i := range 20 { // some calls, over both connections
		if err := c.Set(ctx, fmt.Sprint("key:", i), []byte("v")); err != nil {
			log.Fatal(err)
		}
	}
	late[0].Store(true)
	answered := 0
	for i := range 10 {
		if v, err := c.Get(ctx, fmt.Sprint("key:", i)); err == nil && string(v) == "v" {
			answered++
		}
	}
	s := c.Stats()
	fmt.Println(answered, s.HedgeWins > 0, s.Hedged <= s.Calls/2)
	// Output: 10 true true
}

// How many copies a write waits for, for a client and for one call.
func ExampleWithDurability() {
	c, closeAll := connected(client.WithDurability("majority"))
	defer closeAll()

	fmt.Println(c.Set(ctx, "order:1", []byte("paid")))
	_, err := c.SetX(ctx, "order:2", []byte("paid"), client.AllCopies())
	fmt.Println(err)

	srv, other, done := example(func(cfg *client.Config) { cfg.Durability = "async" })
	defer done()
	_, err = other.SetX(ctx, "order:3", []byte("paid"), client.Majority())
	entry, stored := srv.Entry("order:3")
	fmt.Println(err, stored, string(entry.Value))
	// Output:
	// <nil>
	// <nil>
	// <nil> true paid
}

// A failover that lost acknowledged writes of this client is told, to a function and to the
// next call on the shard.
func ExampleWithLosses() {
	told := make(chan *client.LostWritesError, 1)
	srv, _, done := example()
	defer done()
	c, err := client.Open("aegis://"+srv.Addr(), client.WithLosses(func(e *client.LostWritesError) { told <- e })) // Config.Losses and OnLost
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	if err := c.Set(ctx, "k", []byte("v")); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Get(ctx, "k"); err != nil {
		log.Fatal(err)
	}
	srv.Failover(1) // the newest write is lost with its node
	if err := c.Ping(ctx); err != nil {
		log.Fatal(err)
	}
	e := <-told
	fmt.Println(e.Last > e.After)
	_, err = c.Get(ctx, "k")
	fmt.Println(errors.Is(err, client.ErrLostWrites))
	_, err = c.Get(ctx, "k")
	fmt.Println(err == client.ErrNotFound)
	// Output:
	// true
	// true
	// true
}

// What befalls a client goes to a slog.Logger.
func ExampleWithLogger() {
	quiet := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "epoch" {
			return slog.Attr{}
		}
		return a
	}}
	_, c, done := example(func(cfg *client.Config) { // or client.WithLogger(l), with Open
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stdout, quiet))
	})
	defer done()

	err := c.Set(ctx, "k", []byte("v"))
	c.Close()
	fmt.Println(err)
	// Output:
	// level=INFO msg="took a map" nodes=1
	// <nil>
}

// counting is a hook that counts operations and their bytes.
type counting struct{ reads, writes, bytes atomic.Int64 }

func (*counting) Before(ctx context.Context, _ *client.Op) context.Context { return ctx }

func (h *counting) After(_ context.Context, op *client.Op) {
	if op.Name == "GET" {
		h.reads.Add(1)
	} else {
		h.writes.Add(1)
	}
	h.bytes.Add(int64(op.Bytes + op.Text))
}

func ExampleWithHooks() {
	h := &counting{}
	_, c, done := example(func(cfg *client.Config) { // or client.WithHooks(h), with Open
		cfg.Hooks = []client.Hook{h}
	})
	defer done()

	c.Set(ctx, "k", []byte("value"))
	c.Get(ctx, "k")
	c.MGet(ctx, "k", "none") // counts as two
	fmt.Println(h.reads.Load(), h.writes.Load(), h.bytes.Load())
	// Output: 3 1 15
}

// A server without a password takes any.
func ExampleWithLogin() {
	c, closeAll := connected(client.WithLogin("default", "secret"), client.WithTimeout(time.Second), client.WithConns(1))
	defer closeAll()

	fmt.Println(c.Ping(ctx))
	// Output: <nil>
}
