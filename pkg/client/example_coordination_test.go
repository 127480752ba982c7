package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

// example is a server of its own and a client of it.
func example(change ...func(*client.Config)) (*clienttest.Server, *client.Client, func()) {
	srv := clienttest.Start()
	cfg := srv.Config()
	for _, f := range change {
		f(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	return srv, c, func() { c.Close(); srv.Close() }
}

// The report is made by one process at a time, and the store refuses what a process
// writes that lost the lock without noticing.
func ExampleClient_Lock() {
	_, c, done := example()
	defer done()
	ctx := context.Background()

	newest := client.Version(0) // what the store has seen
	store := func(token client.Version, report string) error {
		if token < newest {
			return errors.New("an older holder")
		}
		newest = token
		fmt.Println(report)
		return nil
	}

	lock, err := c.Lock(ctx, "report", 10*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-lock.Lost(): // work that takes long ends here
	default:
	}
	if lock.Held() {
		err = store(lock.Token(), "made once")
	}
	fmt.Println(err, lock.Unlock(ctx))
	// Output:
	// made once
	// <nil> <nil>
}

// TryLock does not wait for the holder.
func ExampleClient_TryLock() {
	_, c, done := example()
	defer done()
	ctx := context.Background()

	first, _ := c.TryLock(ctx, "migration", 10*time.Second)
	_, err := c.TryLock(ctx, "migration", 10*time.Second)
	fmt.Println(first.Held(), errors.Is(err, client.ErrLocked))
	// Output: true true
}

// A missing value is loaded once, however many ask for it and wherever.
func ExampleClient_GetOrLoad() {
	srv, c, done := example()
	defer done()
	ctx := context.Background()

	load := func(ctx context.Context) ([]byte, error) {
		fmt.Println("asking the database")
		return []byte("Ada"), nil
	}
	for range 2 {
		name, err := c.GetOrLoad(ctx, "user:1", time.Minute, load)
		fmt.Println(string(name), err)
	}
	srv.Advance(time.Minute)
	name, err := c.GetOrLoad(ctx, "user:1", time.Minute, load)
	fmt.Println(string(name), err)
	// Output:
	// asking the database
	// Ada <nil>
	// Ada <nil>
	// asking the database
	// Ada <nil>
}

// Who changes what the loader reads tells the cache to forget it: a loader that runs at
// that moment does not bring the old value back.
func ExampleClient_Forget() {
	_, c, done := example()
	defer done()
	ctx := context.Background()

	database := "Ada"
	load := func(ctx context.Context) ([]byte, error) { return []byte(database), nil }
	before, _ := c.GetOrLoad(ctx, "user:1", time.Hour, load)
	database = "Grace"
	err := c.Forget(ctx, "user:1")
	after, _ := c.GetOrLoad(ctx, "user:1", time.Hour, load)
	fmt.Println(string(before), err, string(after))
	// Output: Ada <nil> Grace
}

// An old value is used while a new one is fetched.
func ExampleStaleFor() {
	srv, c, done := example()
	defer done()
	ctx := context.Background()

	price := "100"
	load := func(ctx context.Context) ([]byte, error) { return []byte(price), nil }
	get := func() string {
		v, err := c.GetOrLoad(ctx, "price", time.Minute, load, client.StaleFor(time.Hour))
		if err != nil {
			log.Fatal(err)
		}
		return string(v)
	}
	fmt.Println(get())
	price = "101"
	srv.Advance(2 * time.Minute)
	fmt.Println(get()) // at once; the new price is on its way
	for get() != "101" {
	}
	fmt.Println(get())
	// Output:
	// 100
	// 100
	// 101
}

// A session reads what it wrote, or says that it was lost.
func ExampleClient_Session() {
	srv, c, done := example()
	defer done()
	ctx := context.Background()

	s := c.Session()
	if err := s.Set(ctx, "cart", []byte("2 books")); err != nil {
		log.Fatal(err)
	}
	srv.Failover(1) // the newest write is lost with its node
	_, err := s.Get(ctx, "cart")
	fmt.Println(errors.Is(err, client.ErrLostWrites))
	_, err = s.Get(ctx, "cart") // told once
	fmt.Println(err == client.ErrNotFound)
	// Output:
	// true
	// true
}

// The next request of the same user is served by another process.
func ExampleClient_ResumeSession() {
	srv, c, done := example()
	defer done()
	ctx := context.Background()

	s := c.Session()
	if err := s.Set(ctx, "cart", []byte("2 books")); err != nil {
		log.Fatal(err)
	}
	cookie := s.Token()

	other, err := client.New(srv.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	s, err = other.ResumeSession(cookie)
	if err != nil {
		log.Fatal(err)
	}
	cart, err := s.Get(ctx, "cart")
	fmt.Println(string(cart), err)
	// Output: 2 books <nil>
}

// Values of one prefix are kept in the process until the server tells that they changed.
func ExampleNearConfig() {
	srv, c, done := example(func(cfg *client.Config) {
		cfg.Near = client.NearConfig{MaxBytes: 16 << 20, Prefixes: []string{"flag:"}}
		cfg.Near.MaxTTL = time.Hour          // even if the server never tells of a change
		cfg.Near.MaxStale = 10 * time.Second // and the lease: no answer is older, whatever fails
	})
	defer done()
	ctx := context.Background()
	if err := c.Set(ctx, "flag:dark", []byte("off")); err != nil {
		log.Fatal(err)
	}
	for c.NearStats().Hits == 0 { // the first reads go to the node
		if _, err := c.Get(ctx, "flag:dark"); err != nil {
			log.Fatal(err)
		}
	}

	other, err := client.New(srv.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	if err := other.Set(ctx, "flag:dark", []byte("on")); err != nil {
		log.Fatal(err)
	}
	for v := []byte(nil); string(v) != "on"; { // told within one way through the network
		v, _ = c.Get(ctx, "flag:dark")
	}
	fmt.Println(c.NearStats().Invalidations > 0)

	item := client.Item{}
	for !item.FromNear { // GetItem and MGet are answered from here too
		if item, err = c.GetItem(ctx, "flag:dark"); err != nil {
			log.Fatal(err)
		}
	}
	items, err := c.MGet(ctx, "flag:dark", "other")
	fmt.Println(string(items[0].Value), items[0].FromNear, items[1].FromNear, err)
	// Output:
	// true
	// on true false <nil>
}

// Followers answer reads that may be half a second old. What cannot be read so is read at
// the leaseholder; who needs the newest value asks for it.
func ExampleClient_Reads() {
	srv, _, done := example()
	defer done()
	ctx := context.Background()
	c, err := client.Open("aegis://"+srv.Addr(), client.WithFollowerReads(500*time.Millisecond)) // Config.MaxStale
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	err = c.Set(ctx, "headline", []byte("news"))
	old, _ := c.Get(ctx, "headline")
	older, _ := c.Reads(2*time.Second).Get(ctx, "headline")
	newest, _ := c.Reads(0).Get(ctx, "headline")
	fmt.Println(err, len(old) > 0, len(older) > 0, string(newest))
	// Output: <nil> true true news
}

// A session has the whole data API; its reads never go back.
func ExampleSession_SetX() {
	_, c, done := example()
	defer done()
	ctx := context.Background()
	s := c.Session()

	item, err := s.SetX(ctx, "cart", []byte("apple"), client.TTL(time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.SetX(ctx, "cart", []byte("pear"), client.IfVersion(item.Version))
	if err != nil {
		log.Fatal(err)
	}
	now, err := s.GetItem(ctx, "cart")
	fmt.Println(string(now.Value), now.Version > item.Version, now.ExpiresAt.IsZero(), err)
	// Output: pear true true <nil>
}
