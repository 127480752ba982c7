package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

var ctx = context.Background()

// connected is a client of a server in this process; outside of tests it is
// client.Open("aegis://host1:7000,host2:7000").
func connected(options ...client.Option) (c *client.Client, closeAll func()) {
	srv := clienttest.Start()
	c, err := client.Open("aegis://"+srv.Addr(), options...)
	if err != nil {
		panic(err)
	}
	return c, func() { _ = c.Close(); srv.Close() }
}

func ExampleOpen() {
	c, err := client.Open("aegis://node1:7000,node2:7000?timeout=500ms", client.WithConns(4))
	if err != nil {
		fmt.Println(err) // a word that was not understood; no node needs to be up yet
	}
	defer c.Close()

	_, err = client.Open("aegis://node1?timeout=soon")
	fmt.Println(errors.Is(err, client.ErrConfig))
	// Output: true
}

func ExampleClient_SetX() {
	c, closeAll := connected()
	defer closeAll()

	_, err := c.SetX(ctx, "leader", []byte("a"), client.IfAbsent(), client.TTL(time.Minute))
	fmt.Println(err)
	_, err = c.SetX(ctx, "leader", []byte("b"), client.IfAbsent())
	fmt.Println(errors.Is(err, client.ErrExists))
	old, err := c.SetX(ctx, "leader", []byte("c"), client.KeepTTL(), client.ReturnOld())
	fmt.Println(string(old.Value), err)
	// Output:
	// <nil>
	// true
	// a <nil>
}

func ExampleClient_Get() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "key", []byte("value"))
	c.SetWithTTL(ctx, "session", []byte("data"), 5000) // milliseconds
	value, err := c.Get(ctx, "key")
	fmt.Println(string(value), err)
	fmt.Println(c.TTL(ctx, "session"))
	c.Delete(ctx, "key")
	_, err = c.Get(ctx, "key")
	fmt.Println(err == client.ErrNotFound)
	// Output:
	// value <nil>
	// 5s <nil>
	// true
}

// A counter that somebody else may change between the read and the write.
func ExampleIfVersion() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "stock", []byte("5"))
	item, _ := c.GetItem(ctx, "stock")
	_, err := c.SetX(ctx, "stock", []byte("4"), client.IfVersion(item.Version))
	fmt.Println(err)
	_, err = c.SetX(ctx, "stock", []byte("3"), client.IfVersion(item.Version)) // of before
	fmt.Println(errors.Is(err, client.ErrVersionMismatch))
	_, err = c.SetX(ctx, "none", []byte("0"), client.IfPresent())
	fmt.Println(err == client.ErrNotFound)
	// Output:
	// <nil>
	// true
	// true
}

func ExampleClient_GetItem() {
	c, closeAll := connected()
	defer closeAll()

	c.SetX(ctx, "session", []byte("Ada"), client.TTL(time.Hour))
	item, err := c.GetItem(ctx, "session")
	fmt.Println(string(item.Value), time.Until(item.ExpiresAt) > 59*time.Minute, err)
	// Output: Ada true <nil>
}

func ExampleClient_GetInto() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "a", []byte("one"))
	c.Set(ctx, "b", []byte("two"))
	var buf []byte // used again and again
	for _, key := range []string{"a", "b"} {
		var err error
		if buf, err = c.GetInto(ctx, key, buf[:0]); err == nil {
			fmt.Println(string(buf))
		}
	}
	// Output:
	// one
	// two
}

// Another caller that came between makes the write fail, not vanish.
func ExampleClient_DeleteIf() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "job", []byte("1"))
	item, _ := c.GetItem(ctx, "job")
	c.Set(ctx, "job", []byte("2")) // another caller
	err := c.DeleteIf(ctx, "job", item.Version)
	var other *client.VersionError
	fmt.Println(errors.Is(err, client.ErrVersionMismatch), errors.As(err, &other) && other.Current > item.Version)
	// Output: true true
}

func ExampleClient_MGet() {
	c, closeAll := connected()
	defer closeAll()

	err := c.MSet(ctx, []client.KV{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}}, client.TTL(time.Hour))
	fmt.Println(err)
	items, err := c.MGet(ctx, "a", "none", "b")
	for _, i := range items {
		fmt.Printf("%s %v %q\n", i.Key, i.Found, i.Value)
	}
	fmt.Println(err)
	n, err := c.MDelete(ctx, "a", "none", "b")
	fmt.Println(n, err)
	// Output:
	// <nil>
	// a true "1"
	// none false ""
	// b true "2"
	// <nil>
	// 2 <nil>
}

// A call on many keys fails key by key.
func ExampleKeysError() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "taken", nil)
	err := c.MSet(ctx, []client.KV{{Key: "free"}, {Key: "taken"}}, client.IfAbsent())
	var failed *client.KeysError
	if errors.As(err, &failed) {
		for _, k := range failed.Keys {
			fmt.Println(k.Index, k.Key, k.Err)
		}
	}
	// Output: 1 taken client: key exists
}

func ExampleClient_Incr() {
	c, closeAll := connected()
	defer closeAll()

	c.Incr(ctx, "visits", 2)
	n, err := c.Decr(ctx, "visits", 1)
	fmt.Println(n, err)
	length, err := c.Append(ctx, "log", []byte("line\n"))
	fmt.Println(length, err)
	// Output:
	// 1 <nil>
	// 5 <nil>
}

func ExampleClient_Expire() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "k", []byte("v"))
	fmt.Println(c.Expire(ctx, "k", time.Minute))
	fmt.Println(c.TTL(ctx, "k"))
	c.Persist(ctx, "k")
	d, _ := c.TTL(ctx, "k")
	fmt.Println(d == client.NoTTL, c.Expire(ctx, "none", time.Minute))
	v, err := c.GetEx(ctx, "k", time.Second) // reads and lets it live for a second more
	fmt.Println(string(v), err)
	v, err = c.GetDel(ctx, "k")
	fmt.Println(string(v), err)
	// Output:
	// <nil>
	// 1m0s <nil>
	// true client: key not found
	// v <nil>
	// v <nil>
}

// Times are those of the server.
func ExampleClient_ExpireAt() {
	srv, c, done := example()
	defer done()

	noon := srv.Now().Add(12 * time.Hour)
	c.SetX(ctx, "menu", []byte("soup"), client.ExpireAt(noon))
	fmt.Println(c.TTL(ctx, "menu"))
	fmt.Println(c.ExpireAt(ctx, "menu", noon.Add(time.Hour)))
	fmt.Println(c.TTL(ctx, "menu"))
	// Output:
	// 12h0m0s <nil>
	// <nil>
	// 13h0m0s <nil>
}

func ExampleClient_Exists() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "a", nil)
	c.Set(ctx, "b", nil)
	fmt.Println(c.Exists(ctx, "a", "b", "none"))
	fmt.Println(c.Touch(ctx, "a", "none")) // counts as used
	// Output:
	// 2 <nil>
	// 1 <nil>
}

func ExampleClient_Batch() {
	c, closeAll := connected()
	defer closeAll()

	b := c.Batch()
	b.Set("user:1", []byte("Ada"), client.TTL(time.Hour))
	name := b.Get("user:1")
	visits := b.Incr("visits", 1)
	gone := b.Delete("old")
	length := b.Raw("STRLEN", "user:1")
	fmt.Println(b.Len())
	if err := b.Do(ctx); err != nil {
		fmt.Println(err) // which commands have no answer
	}
	v, err := name.Result()
	fmt.Println(string(v), err)
	n, err := visits.Result()
	fmt.Println(n, err)
	existed, err := gone.Result()
	fmt.Println(existed, err)
	r, err := length.Result()
	fmt.Println(r.Int, err)
	// Output:
	// 5
	// Ada <nil>
	// 1 <nil>
	// false <nil>
	// 3 <nil>
}

func ExampleClient_Do() {
	c, closeAll := connected()
	defer closeAll()

	c.Do(ctx, "SET", "k", 42)
	r, err := c.Do(ctx, "STRLEN", "k")
	fmt.Println(r.Int, err)
	_, err = c.Do(ctx, "SUBSCRIBE", "news")
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// SUBSCRIBE "": client: SUBSCRIBE belongs to a connection, and all callers share theirs
}

func ExampleTyped() {
	type user struct{ Name string }
	c, closeAll := connected()
	defer closeAll()

	users := client.Typed(c, client.JSON[user]())
	users.Set(ctx, "user:1", user{"Ada"}, client.TTL(time.Hour))
	u, err := users.Get(ctx, "user:1")
	fmt.Println(u.Name, err)
	stored, _ := c.Get(ctx, "user:1")
	fmt.Println(string(stored))
	// Output:
	// Ada <nil>
	// {"Name":"Ada"}
}

// The same change by many callers, each of whom sees the value that it changes.
func ExampleTypedClient_Update() {
	type cart struct{ Books int }
	c, closeAll := connected()
	defer closeAll()

	carts := client.Typed(c, client.Gob[cart]())
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			carts.Update(ctx, "cart:1", func(old cart, found bool) (cart, error) {
				old.Books++
				return old, nil
			}, client.TTL(time.Hour))
		})
	}
	all.Wait()
	now, err := carts.Get(ctx, "cart:1")
	fmt.Println(now.Books, err)
	// Output: 10 <nil>
}

func ExampleText() {
	c, closeAll := connected()
	defer closeAll()

	names := client.Typed(c, client.Text())
	fmt.Println(names.Set(ctx, "user:1", "Ada"))
	all, err := names.MGet(ctx, "user:1", "none")
	fmt.Println(all, err)
	raw, err := client.Typed(c, client.Bytes()).Get(ctx, "user:1")
	fmt.Println(raw, err)
	// Output:
	// <nil>
	// map[user:1:Ada] <nil>
	// [65 100 97] <nil>
}

// All keys of the cluster, those that stay at least once.
func ExampleClient_Scan() {
	c, closeAll := connected()
	defer closeAll()

	c.MSet(ctx, []client.KV{{Key: "user:1"}, {Key: "user:2"}, {Key: "order:1"}})
	for key, err := range c.Scan(ctx, client.ScanMatch("user:*"), client.ScanCount(500)) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(key)
	}
	// Unordered output:
	// user:1
	// user:2
}

// DoNode asks one node, whatever its slots.
func ExampleClient_DoNode() {
	c, closeAll := connected()
	defer closeAll()

	c.Set(ctx, "k", []byte("v"))
	keys := int64(0)
	for _, n := range c.Stats().Nodes {
		r, err := c.DoNode(ctx, n.Addr, "DBSIZE")
		if err != nil {
			fmt.Println(err)
		}
		keys += r.Int
	}
	fmt.Println(keys)
	// Output: 1
}

// slow tells of operations that took long.
type slow struct{ limit time.Duration }

func (slow) Before(ctx context.Context, _ *client.Op) context.Context { return ctx }

func (s slow) After(_ context.Context, op *client.Op) {
	if op.Duration > s.limit || op.Attempts > 1 {
		fmt.Println(op.Name, op.Key, "at", op.Node, "took", op.Duration, "and", op.Attempts, "attempts")
	}
}

func ExampleHook() {
	c, closeAll := connected(
		client.WithHooks(slow{time.Second}),
		client.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	defer closeAll()

	fmt.Println(c.Set(ctx, "k", []byte("v")))
	// Output: <nil>
}

func ExampleClient_Stats() {
	c, closeAll := connected()
	defer closeAll()

	fmt.Println(c.Ping(ctx))
	s := c.Stats()
	fmt.Println(s.Calls, s.Retries, len(s.Nodes), s.Nodes[0].Slots)
	m, err := c.ShardMap(ctx)
	fmt.Println(m.AddrOf("key") == s.Nodes[0].Addr, err)
	// Output:
	// <nil>
	// 1 0 1 16384
	// true <nil>
}

// Shutdown waits for calls that are under way.
func ExampleClient_Shutdown() {
	c, closeAll := connected()
	defer closeAll()

	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fmt.Println(c.Shutdown(soon))
	_, err := c.Get(ctx, "k")
	fmt.Println(errors.Is(err, client.ErrClosed))
	// Output:
	// <nil>
	// true
}
