package clients

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redirects counts the MOVED and ASK answers that a client's nodes gave.
type redirects struct{ n atomic.Int64 }

func (r *redirects) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *redirects) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.note(err)
		return err
	}
}

func (r *redirects) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, c := range cmds {
			r.note(c.Err())
		}
		return err
	}
}

func (r *redirects) note(err error) {
	if err != nil && (strings.HasPrefix(err.Error(), "MOVED ") || strings.HasPrefix(err.Error(), "ASK ")) {
		r.n.Add(1)
	}
}

// goRedis is an unmodified ClusterClient whose redirects are counted.
func goRedis(t *testing.T, seeds ...string) (*redis.ClusterClient, *redirects) {
	t.Helper()
	r := &redirects{}
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: seeds,
		NewClient: func(opt *redis.Options) *redis.Client {
			n := redis.NewClient(opt)
			n.AddHook(r)
			return n
		},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c, r
}

// answer is a reply or an error as a value that can be compared.
func answer(v any, err error) any {
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return err
	}
	return v
}

// testGoRedis compares every command through go-redis's ClusterClient.
func testGoRedis(t *testing.T, nodes []string) {
	if needs(t, "redis-server", "redis-server") {
		everyPromised(t, nodes, func() { compareGoRedis(t, nodes) })
	}
}

func compareGoRedis(t *testing.T, nodes []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	judgeAddr := startRedis(t)
	c, moved := goRedis(t, nodes...)
	judge, _ := goRedis(t, judgeAddr)
	t.Run("keyed commands", func(t *testing.T) {
		for _, s := range dataSteps {
			got := answer(c.Do(ctx, s.args...).Result())
			want := answer(judge.Do(ctx, s.judged()...).Result())
			compare(t, s, got, want)
		}
	})
	t.Run("server commands", func(t *testing.T) {
		compareServer(ctx, t, nodes[0], judgeAddr, 2)
		compareServer(ctx, t, nodes[1], judgeAddr, 3)
	})
	t.Run("no MOVED once the map is known", func(t *testing.T) {
		before := moved.n.Load()
		load(ctx, t, c)
		if n := moved.n.Load() - before; n != 0 {
			t.Errorf("%d redirects", n)
		}
	})
	t.Run("transactions", func(t *testing.T) { transactions(ctx, t, c) })
	t.Run("scans", func(t *testing.T) { scans(ctx, t, c) })
	t.Run("tokens", func(t *testing.T) { checkToken(ctx, t, c) })
	t.Run("flush", func(t *testing.T) { flush(ctx, t, c) })
	t.Run("quit", func(t *testing.T) {
		n := redis.NewClient(&redis.Options{Addr: nodes[0], MaxRetries: -1})
		defer func() { _ = n.Close() }()
		if v, err := n.Do(ctx, "QUIT").Result(); v != "OK" || err != nil {
			t.Errorf("QUIT: %v %v", v, err)
		}
	})
}

// compareServer runs the steps that concern a connection on one connection each.
func compareServer(ctx context.Context, t *testing.T, addr, judgeAddr string, protocol int) {
	t.Helper()
	open := func(addr string) *redis.Conn {
		n := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol, MaxRetries: -1, PoolSize: 1, DisableIdentity: true})
		c := n.Conn()
		t.Cleanup(func() {
			_ = c.Close()
			_ = n.Close()
		})
		return c
	}
	c, judge := open(addr), open(judgeAddr)
	for _, s := range serverSteps {
		compare(t, s, answer(c.Do(ctx, s.args...).Result()), answer(judge.Do(ctx, s.judged()...).Result()))
	}
}

func compare(t *testing.T, s step, got, want any) {
	t.Helper()
	name := fmt.Sprintf("%.100q", s.args)
	text := fmt.Sprint(got)
	gotErr, failed := got.(error)
	switch s.mode {
	case ours:
		if failed || !strings.Contains(text, s.want) {
			t.Errorf("%s answers %v", name, got)
		}
	case alone:
		if !failed || !strings.HasPrefix(text, s.want) {
			t.Errorf("%s answers %v, want an error %s", name, got, s.want)
		}
	case near:
		a, ok1 := got.(int64)
		b, ok2 := want.(int64)
		if !ok1 || !ok2 || a-b > 2000 || b-a > 2000 || (a < 0) != (b < 0) {
			t.Errorf("%s answers %v, redis %v", name, got, want)
		}
	case shape:
		if failed {
			t.Errorf("%s answers %v", name, gotErr)
			return
		}
		compareShape(t, name, got, want)
	case exact:
		if e, ok := want.(error); ok && failed {
			got, want = gotErr.Error(), e.Error()
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s answers %#v, redis %#v", name, got, want)
		}
	}
}

// compareShape compares the types of two replies, of maps the keys too, and of
// text with lines "name:value" or "name=value" the names that both should have.
func compareShape(t *testing.T, name string, got, want any) {
	t.Helper()
	if reflect.TypeOf(got) != reflect.TypeOf(want) {
		t.Errorf("%s answers a %T, redis a %T", name, got, want)
		return
	}
	switch w := want.(type) {
	case map[any]any:
		g := got.(map[any]any)
		for k, v := range w {
			if gv, ok := g[k]; !ok {
				t.Errorf("%s: %v is missing in %v", name, k, g)
			} else if v != nil && gv != nil {
				compareShape(t, name+" "+fmt.Sprint(k), gv, v)
			}
		}
	case []any:
		g := got.([]any)
		if len(w) > 0 && len(g) == 0 {
			t.Errorf("%s is empty", name)
		}
		if len(w) > 0 && len(g) > 0 && w[0] != nil && g[0] != nil {
			compareShape(t, name+" [0]", g[0], w[0])
		}
	}
}

// load runs many commands of all kinds over many slots.
func load(ctx context.Context, t *testing.T, c *redis.ClusterClient) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				key := fmt.Sprintf("load:%d:%d", g, i)
				if err := c.Set(ctx, key, key, time.Minute).Err(); err != nil {
					t.Error(err)
					return
				}
				if v, err := c.Get(ctx, key).Result(); v != key || err != nil {
					t.Errorf("%s is %q: %v", key, v, err)
					return
				}
			}
		})
	}
	wg.Wait()
	cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 500 {
			p.Incr(ctx, fmt.Sprint("pipe:", i))
		}
		return nil
	})
	if err != nil || len(cmds) != 500 {
		t.Errorf("pipeline over all nodes: %d %v", len(cmds), err)
	}
}

// checkToken writes on one connection and has its token judged.
func checkToken(ctx context.Context, t *testing.T, c *redis.ClusterClient) {
	t.Helper()
	n, err := c.MasterForKey(ctx, "token")
	if err != nil {
		t.Fatal(err)
	}
	fresh := redis.NewClient(&redis.Options{Addr: n.Options().Addr}) // a pooled connection has written more
	conn := fresh.Conn()
	defer func() {
		_ = conn.Close()
		_ = fresh.Close()
	}()
	if err := conn.Set(ctx, "token", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	token, err := conn.Do(ctx, "AEGIS.TOKEN").Text()
	if err != nil || token == "" {
		t.Fatalf("AEGIS.TOKEN: %q %v", token, err)
	}
	until(t, time.Minute, "the write is durable", func() bool {
		rows, err := conn.Do(ctx, "AEGIS.CHECK", token).Slice()
		if err != nil || len(rows) != 1 {
			t.Fatalf("AEGIS.CHECK: %v %v", rows, err)
		}
		row, ok := rows[0].([]any)
		return ok && len(row) == 3 && row[2] == "durable"
	})
	if held, err := conn.Wait(ctx, 2, 5*time.Second).Result(); held != 2 || err != nil {
		t.Errorf("WAIT 2: %d %v", held, err)
	}
}

func flush(ctx context.Context, t *testing.T, c *redis.ClusterClient) {
	t.Helper()
	if n, err := c.DBSize(ctx).Result(); n == 0 || err != nil {
		t.Errorf("DBSIZE before: %d %v", n, err)
	}
	err := c.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return n.FlushAll(ctx).Err() })
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.DBSize(ctx).Result(); n != 0 || err != nil {
		t.Errorf("DBSIZE after FLUSHALL: %d %v", n, err)
	}
}
