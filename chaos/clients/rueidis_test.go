package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// goClient holds the phases' conversation for a client in Go.
type goClient struct {
	name     string
	number   string
	set      func(ctx context.Context, key, value string) error
	get      func(ctx context.Context, key string) (string, error)
	commands func(ctx context.Context) error
	// turn is one step of the load and how many operations it was: nil = a key is written
	// and read. workers take it side by side, 0 = four.
	turn    func(ctx context.Context, key, value string) (ops int, err error)
	workers int
	routes  func(ctx context.Context) error // nil = keys of all ranges are written and read
	mapless bool                            // it follows redirections and remembers nothing
	moves   *atomic.Int64                   // MOVED that it was told; nil = it does not say
	load    *goLoad
}

func (g *goClient) version() string { return g.number }
func (g *goClient) close()          {}

func (g *goClient) say(word string) string {
	ctx, cancel := context.WithTimeout(context.Background(), answerMax)
	defer cancel()
	var err error
	switch word {
	case "commands":
		err = g.commands(ctx)
	case "routing":
		if g.mapless {
			return noMap
		}
		err = g.routing(ctx)
	case "load":
		g.load = startLoad(g)
	case "more":
		err = g.load.more(ctx)
	case "mark":
		g.load.mark()
	case "stop":
		return g.load.end()
	}
	if err != nil {
		return "FAIL " + err.Error()
	}
	return passed
}

func (g *goClient) routing(ctx context.Context) error {
	if g.routes != nil {
		return g.routes(ctx)
	}
	for i := range 512 {
		if err := g.wroteAndReads(ctx, fmt.Sprint("route:", i), strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

func (g *goClient) wroteAndReads(ctx context.Context, key, value string) error {
	if err := g.set(ctx, key, value); err != nil {
		return err
	}
	got, err := g.get(ctx, key)
	if err == nil && got != value {
		err = fmt.Errorf("%s is %q after writing %q", key, got, value)
	}
	return err
}

// step is one step of the load.
func (g *goClient) step(ctx context.Context, key, value string) (ops int, err error) {
	if g.turn != nil {
		return g.turn(ctx, key, value)
	}
	return 2, g.wroteAndReads(ctx, key, value)
}

// goLoad is goroutines that write and read keys of their own.
type goLoad struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex // guards everything below
	ops    int
	failed int
	last   error
}

func startLoad(g *goClient) *goLoad {
	ctx, stop := context.WithCancel(context.Background())
	l := &goLoad{stop: stop}
	for w := range cmp.Or(g.workers, 4) {
		l.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				one, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				ops, err := g.step(one, fmt.Sprintf("load:%s:%d:%d", g.name, w, i%100), strconv.Itoa(i))
				cancel()
				l.count(ops, err)
			}
		})
	}
	return l
}

func (l *goLoad) count(ops int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.ops += ops
		return
	}
	l.failed++
	l.last = err
}

func (l *goLoad) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops, l.failed, l.last = 0, 0, nil
}

// more waits for so many operations since load or mark; failures count, so that it ends.
func (l *goLoad) more(ctx context.Context) error {
	for ; ; wait(ctx, time.Millisecond) {
		l.mu.Lock()
		done := l.ops+l.failed >= afterwards
		l.mu.Unlock()
		if done || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (l *goLoad) end() string {
	l.stop()
	l.wg.Wait()
	return fmt.Sprintf("load %d %d %v", l.ops, l.failed, l.last)
}

// TestGoClientsInEveryPhase: clients in Go that no one here wrote, with default options.
func TestGoClientsInEveryPhase(t *testing.T) {
	t.Parallel()
	nodes := phaseCluster(t)
	clients := map[string]conversation{}
	for name, open := range map[string]func(*testing.T, []string) *goClient{
		"rueidis": openRueidis, "go-redis": openGoRedis,
		"go-redis, gateway": openGoRedisGateway, "rueidis, gateway": openRueidisGateway,
	} {
		c := open(t, addresses(nodes))
		c.name = name
		clients[name] = c
	}
	for name, c := range openTools(t, addresses(nodes)) {
		clients[name] = c
	}
	found := inEveryPhase(t, nodes, clients)
	for name, c := range clients {
		record(t, name, c, found)
	}
}

func openGoRedis(t *testing.T, addrs []string) *goClient {
	moves := &countMoved{}
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, NewClient: func(o *redis.Options) *redis.Client {
		n := redis.NewClient(o)
		n.AddHook(moves)
		return n
	}})
	t.Cleanup(func() { _ = c.Close() })
	return &goClient{
		moves:  &moves.n,
		number: moduleVersion("github.com/redis/go-redis/v9"),
		set:    func(ctx context.Context, k, v string) error { return c.Set(ctx, k, v, 0).Err() },
		get:    func(ctx context.Context, k string) (string, error) { return c.Get(ctx, k).Result() },
		commands: func(ctx context.Context) error {
			n, err := c.MasterForKey(ctx, "k")
			if err != nil {
				return err
			}
			return goRedisCommands(ctx, c, n)
		},
	}
}

// countMoved counts the MOVED that go-redis is told and follows by itself.
type countMoved struct{ n atomic.Int64 }

func (m *countMoved) note(err error) {
	if err != nil && strings.HasPrefix(err.Error(), "MOVED ") {
		m.n.Add(1)
	}
}

func (m *countMoved) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *countMoved) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		m.note(err)
		return err
	}
}

func (m *countMoved) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			m.note(cmd.Err())
		}
		return err
	}
}

// openGoRedisGateway opens the client that knows no cluster, at one gateway. The node of
// that gateway is among those that leave and are killed.
func openGoRedisGateway(t *testing.T, addrs []string) *goClient {
	c := redis.NewClient(&redis.Options{Addr: gatewayOf(addrs[0])})
	t.Cleanup(func() { _ = c.Close() })
	return &goClient{
		number:   moduleVersion("github.com/redis/go-redis/v9"),
		set:      func(ctx context.Context, k, v string) error { return c.Set(ctx, k, v, 0).Err() },
		get:      func(ctx context.Context, k string) (string, error) { return c.Get(ctx, k).Result() },
		commands: func(ctx context.Context) error { return errors.Join(goRedisCommands(ctx, c, c), goRedisAcross(ctx, c)) },
	}
}

// goRedisAcross are commands on keys of several slots, which only a standalone server has.
func goRedisAcross(ctx context.Context, c *redis.Client) error {
	pairs, keys := []any{}, []string{}
	for i := range 20 {
		keys = append(keys, fmt.Sprint("across:", i))
		pairs = append(pairs, keys[i], i)
	}
	stored := answer(c.MSet(ctx, pairs...).Result())
	walked := 0
	for it := c.Scan(ctx, 0, "across:*", 3).Iterator(); it.Next(ctx); {
		walked++
	}
	return allWrong([]said{
		{"MSet", stored, "OK"},
		{"Scan", walked, 20},
		{"MGet", answer(c.MGet(ctx, keys[7], "nothing", keys[3]).Result()), []any{"7", nil, "3"}},
		{"Exists", answer(c.Exists(ctx, keys...).Result()), int64(20)},
		{"Touch", answer(c.Touch(ctx, keys...).Result()), int64(20)},
		{"Keys", len(c.Keys(ctx, "across:*").Val()), 20},
		{"Unlink", answer(c.Unlink(ctx, keys[:5]...).Result()), int64(5)},
		{"Del", answer(c.Del(ctx, keys...).Result()), int64(15)},
		{"FlushDB", answer(c.FlushDB(ctx).Result()), "OK"},
		{"DBSize", answer(c.DBSize(ctx).Result()), int64(0)},
	})
}

func openRueidis(t *testing.T, addrs []string) *goClient {
	return openRueidisWith(t, rueidis.ClientOption{InitAddress: addrs}, true)
}

// openRueidisGateway opens it at one gateway, where it is told that this is no cluster, and
// to forget what it caches at once.
func openRueidisGateway(t *testing.T, addrs []string) *goClient {
	return openRueidisWith(t, rueidis.ClientOption{InitAddress: []string{gatewayOf(addrs[1])}}, false)
}

func openRueidisWith(t *testing.T, o rueidis.ClientOption, caches bool) *goClient {
	t.Helper()
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &goClient{
		number: moduleVersion("github.com/redis/rueidis"),
		set: func(ctx context.Context, k, v string) error {
			return c.Do(ctx, c.B().Set().Key(k).Value(v).Build()).Error()
		},
		get: func(ctx context.Context, k string) (string, error) {
			return c.Do(ctx, c.B().Get().Key(k).Build()).ToString()
		},
		commands: func(ctx context.Context) error {
			return errors.Join(rueidisCommands(ctx, c), rueidisCache(ctx, c, caches))
		},
	}
}

// rueidisCommands runs what rueidis offers for strings and keys.
func rueidisCommands(ctx context.Context, c rueidis.Client) error {
	b := c.B()
	for _, s := range []struct {
		cmd  rueidis.Completed
		want any // string, int64 or nil
	}{
		{b.Set().Key("k").Value("v").Build(), "OK"},
		{b.Set().Key("k").Value("w").Nx().Build(), nil},
		{b.Set().Key("k").Value("v2").Xx().Get().Build(), "v"},
		{b.Set().Key("k").Value("v").ExSeconds(100).Build(), "OK"},
		{b.Persist().Key("k").Build(), int64(1)},
		{b.Ttl().Key("k").Build(), int64(-1)},
		{b.Get().Key("k").Build(), "v"},
		{b.Getset().Key("k").Value("w").Build(), "v"},
		{b.Getdel().Key("k").Build(), "w"},
		{b.Setnx().Key("k").Value("v").Build(), int64(1)},
		{b.Setex().Key("k").Seconds(100).Value("v").Build(), "OK"},
		{b.Psetex().Key("k").Milliseconds(100000).Value("v").Build(), "OK"},
		{b.Getex().Key("k").Persist().Build(), "v"},
		{b.Append().Key("k").Value("w").Build(), int64(2)},
		{b.Strlen().Key("k").Build(), int64(2)},
		{b.Getrange().Key("k").Start(0).End(0).Build(), "v"},
		{b.Setrange().Key("k").Offset(1).Value("x").Build(), int64(2)},
		{b.Mset().KeyValue().KeyValue("{t}a", "1").KeyValue("{t}b", "2").Build(), "OK"},
		{b.Msetnx().KeyValue().KeyValue("{t}a", "1").KeyValue("{t}c", "2").Build(), int64(0)},
		{b.Incr().Key("{t}a").Build(), int64(2)},
		{b.Incrby().Key("{t}a").Increment(5).Build(), int64(7)},
		{b.Decr().Key("{t}a").Build(), int64(6)},
		{b.Decrby().Key("{t}a").Decrement(2).Build(), int64(4)},
		{b.Incrbyfloat().Key("{t}a").Increment(0.5).Build(), "4.5"},
		{b.Lcs().Key1("{t}a").Key2("{t}b").Build(), ""},
		{b.Exists().Key("{t}a", "{t}b").Build(), int64(2)},
		{b.Touch().Key("{t}a").Build(), int64(1)},
		{b.Type().Key("{t}a").Build(), "string"},
		{b.Rename().Key("{t}a").Newkey("{t}d").Build(), "OK"},
		{b.Renamenx().Key("{t}d").Newkey("{t}b").Build(), int64(0)},
		{b.Copy().Source("{t}d").Destination("{t}e").Build(), int64(1)},
		{b.Expire().Key("{t}d").Seconds(100).Build(), int64(1)},
		{b.Pexpire().Key("{t}d").Milliseconds(100000).Build(), int64(1)},
		{b.Expire().Key("{t}d").Seconds(10).Gt().Build(), int64(0)},
		{b.Expireat().Key("{t}d").Timestamp(4e9).Build(), int64(1)},
		{b.Expiretime().Key("{t}d").Build(), int64(4e9)},
		{b.Pexpireat().Key("{t}d").MillisecondsTimestamp(4e12).Build(), int64(1)},
		{b.Pexpiretime().Key("{t}d").Build(), int64(4e12)},
		{b.Pttl().Key("{t}none").Build(), int64(-2)},
		{b.ObjectEncoding().Key("{t}b").Build(), "int"},
		{b.ObjectRefcount().Key("{t}b").Build(), int64(1)},
		{b.Del().Key("{t}d", "{t}e").Build(), int64(2)},
		{b.Unlink().Key("{t}b").Build(), int64(1)},
	} {
		name := fmt.Sprint(s.cmd.Commands())
		got, err := c.Do(ctx, s.cmd).ToAny()
		if rueidis.IsRedisNil(err) {
			got, err = nil, nil
		}
		if err != nil || got != s.want {
			return fmt.Errorf("%s gives %v %v, want %v", name, got, err, s.want)
		}
	}
	freq := said{"OBJECT FREQ", answer(c.Do(ctx, b.ObjectFreq().Key("k").Build()).AsInt64()), between{0, 3}}
	return errors.Join(freq.wrong(), rueidisDump(ctx, c), rueidisWalks(ctx, c), rueidisTogether(ctx, c))
}

// rueidisDump carries a value from one key to another as bytes.
func rueidisDump(ctx context.Context, c rueidis.Client) error {
	if err := c.Do(ctx, c.B().Set().Key("{t}from").Value("value").Build()).Error(); err != nil {
		return err
	}
	form, err := c.Do(ctx, c.B().Dump().Key("{t}from").Build()).ToString()
	if err != nil {
		return fmt.Errorf("DUMP: %w", err)
	}
	restore := func(b rueidis.Completed) error { return c.Do(ctx, b).Error() }
	if err := restore(c.B().Restore().Key("{t}to").Ttl(100_000).SerializedValue(form).Build()); err != nil {
		return fmt.Errorf("RESTORE: %w", err)
	}
	if err := restore(c.B().Restore().Key("{t}to").Ttl(0).SerializedValue(form).Build()); err == nil || !strings.Contains(err.Error(), "BUSYKEY") {
		return fmt.Errorf("RESTORE of a key that exists: %v", err)
	}
	if err := restore(c.B().Restore().Key("{t}to").Ttl(0).SerializedValue(form).Replace().Build()); err != nil {
		return fmt.Errorf("RESTORE REPLACE: %w", err)
	}
	got, err := c.Do(ctx, c.B().Get().Key("{t}to").Build()).ToString()
	if err != nil || got != "value" {
		return fmt.Errorf("restored as %q, %v", got, err)
	}
	return nil
}

// rueidisWalks are the commands about the keys of one node, put to each of them.
func rueidisWalks(ctx context.Context, c rueidis.Client) error {
	var want, scanned, listed []string
	for i := range 50 {
		key := fmt.Sprint("walk:", i)
		want = append(want, key)
		if err := c.Do(ctx, c.B().Set().Key(key).Value("v").Build()).Error(); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes() {
		mine := 0
		for cursor := uint64(0); ; {
			e, err := n.Do(ctx, n.B().Scan().Cursor(cursor).Match("walk:*").Count(10).Build()).AsScanEntry()
			if err != nil {
				return fmt.Errorf("SCAN: %w", err)
			}
			mine += len(e.Elements)
			scanned = append(scanned, e.Elements...)
			if cursor = e.Cursor; cursor == 0 {
				break
			}
		}
		keys, err := n.Do(ctx, n.B().Keys().Pattern("walk:*").Build()).AsStrSlice()
		if err != nil {
			return fmt.Errorf("KEYS: %w", err)
		}
		listed = append(listed, keys...)
		size, err := n.Do(ctx, n.B().Dbsize().Build()).AsInt64()
		if err != nil || int(size) < mine {
			return fmt.Errorf("DBSIZE: %d, SCAN gave %d, %v", size, mine, err)
		}
	}
	for what, got := range map[string][]string{"SCAN": scanned, "KEYS": listed} {
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("%s gives %d keys, want %d: %v", what, len(got), len(want), got)
		}
	}
	if err := c.Do(ctx, c.B().Randomkey().Build()).Error(); err != nil {
		return fmt.Errorf("RANDOMKEY: %w", err)
	}
	return nil
}

// rueidisTogether is many keys at once, and a transaction on a connection of its own.
func rueidisTogether(ctx context.Context, c rueidis.Client) error {
	if errs := rueidis.MSet(c, ctx, map[string]string{"m1": "1", "m2": "2", "m3": "3"}); errors.Join(errs["m1"], errs["m2"], errs["m3"]) != nil {
		return fmt.Errorf("MSet: %v", errs)
	}
	got, err := rueidis.MGet(c, ctx, []string{"m1", "m2", "m3"})
	if m := got["m3"]; err != nil || len(got) != 3 || m.String() == "" {
		return fmt.Errorf("MGet: %v %v", got, err)
	}
	return c.Dedicated(func(d rueidis.DedicatedClient) error {
		answers := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Set().Key("{m}").Value("5").Build(), d.B().Incr().Key("{m}").Build(), d.B().Exec().Build())
		rows, err := answers[3].ToArray()
		if err != nil || len(rows) != 2 {
			return fmt.Errorf("EXEC: %v %v", rows, err)
		}
		if n, err := rows[1].AsInt64(); n != 6 {
			return fmt.Errorf("EXEC: %d %v", n, err)
		}
		return nil
	})
}

// rueidisCache: a value comes from the cache, if there is any, until somebody writes the key.
func rueidisCache(ctx context.Context, c rueidis.Client, caches bool) error {
	if err := c.Do(ctx, c.B().Set().Key("cached").Value("1").Build()).Error(); err != nil {
		return err
	}
	read := func() (string, bool, error) {
		r := c.DoCache(ctx, c.B().Get().Key("cached").Cache(), time.Minute)
		v, err := r.ToString()
		return v, r.IsCacheHit(), err
	}
	if v, hit, err := read(); err != nil || v != "1" || hit {
		return fmt.Errorf("first DoCache: %q, hit %v, %v", v, hit, err)
	}
	if v, hit, err := read(); err != nil || v != "1" || caches && !hit {
		return fmt.Errorf("second DoCache: %q, hit %v, %v", v, hit, err)
	}
	if err := c.Do(ctx, c.B().Set().Key("cached").Value("2").Build()).Error(); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		v, _, err := read()
		if err == nil && v == "2" {
			return nil
		}
		if err != nil || time.Now().After(deadline) {
			return fmt.Errorf("DoCache after a write: %q %v", v, err)
		}
	}
}

// moduleVersion is the version of a module that the test is built with. (A test binary
// does not know it by itself.)
func moduleVersion(path string) string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
