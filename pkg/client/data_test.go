package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// exerciseData goes through the calls on data with a real server. With versions it wants
// those that only our servers tell.
func exerciseData(t *testing.T, c *Client, versions bool) {
	t.Run("SetX", func(t *testing.T) { exerciseSetX(t, c) })
	t.Run("expiry", func(t *testing.T) { exerciseExpiry(t, c) })
	t.Run("numbers", func(t *testing.T) { exerciseNumbers(t, c) })
	t.Run("many", func(t *testing.T) { exerciseMany(t, c) })
	if versions {
		t.Run("versions", func(t *testing.T) { exerciseVersions(t, c) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, c *Client, key, want string) {
	t.Helper()
	if v, err := c.Get(ctx, key); string(v) != want || err != nil {
		t.Errorf("%s is %q, want %q: %v", key, v, want, err)
	}
}

func exerciseSetX(t *testing.T, c *Client) {
	must(t, c.Delete(ctx, "x"))
	if _, err := c.SetX(ctx, "x", []byte("0"), IfPresent()); err != ErrNotFound {
		t.Error("IfPresent of a missing key:", err)
	}
	if i, err := c.SetX(ctx, "x", []byte("1"), IfAbsent(), ReturnOld()); err != nil || i.Found {
		t.Error("IfAbsent of a missing key:", i, err)
	}
	if _, err := c.SetX(ctx, "x", []byte("2"), IfAbsent()); err != ErrExists {
		t.Error("IfAbsent of a key that is there:", err)
	}
	if i, err := c.SetX(ctx, "x", []byte("2"), IfAbsent(), ReturnOld()); err != ErrExists || string(i.Value) != "1" || !i.Found {
		t.Error("the value that stands in the way:", i, err)
	}
	wantValue(t, c, "x", "1")
	if i, err := c.SetX(ctx, "x", []byte("3"), IfPresent(), ReturnOld(), TTL(time.Hour)); err != nil || string(i.Value) != "1" {
		t.Error("IfPresent of a key that is there:", i, err)
	}
	if i, err := c.SetX(ctx, "x", []byte("4"), ReturnOld(), KeepTTL()); err != nil || string(i.Value) != "3" {
		t.Error("ReturnOld:", i, err)
	}
	if d, err := c.TTL(ctx, "x"); err != nil || d < 59*time.Minute || d > time.Hour {
		t.Error("KeepTTL:", d, err)
	}
	if _, err := c.SetX(ctx, "x", nil); err != nil {
		t.Error(err)
	}
	if d, err := c.TTL(ctx, "x"); err != nil || d != NoTTL {
		t.Error("a plain SetX drops the time to live:", d, err)
	}
	for name, options := range map[string][]SetOption{
		"two expiries":   {TTL(time.Second), KeepTTL()},
		"two conditions": {IfAbsent(), IfVersion(3)},
		"no time":        {TTL(0)},
		"old and ver":    {IfVersion(3), ReturnOld()},
		"long ago":       {ExpireAt(time.Time{})},
	} {
		var op *OpError
		if _, err := c.SetX(ctx, "x", nil, options...); !errors.As(err, &op) || op.Attempts != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func exerciseExpiry(t *testing.T, c *Client) {
	must(t, c.Set(ctx, "e", []byte("v")))
	must(t, c.Expire(ctx, "e", 90*time.Minute))
	i, err := c.GetItem(ctx, "e")
	if left := time.Until(i.ExpiresAt); err != nil || string(i.Value) != "v" || left < 89*time.Minute || left > 90*time.Minute {
		t.Error("GetItem:", i, err)
	}
	must(t, c.Persist(ctx, "e"))
	if i, err := c.GetItem(ctx, "e"); err != nil || !i.ExpiresAt.IsZero() || i.Node == "" || !i.Found {
		t.Error("GetItem of what lives for ever:", i, err)
	}
	must(t, c.ExpireAt(ctx, "e", time.Now().Add(24*time.Hour)))
	if d, err := c.TTL(ctx, "e"); err != nil || d <= 0 {
		t.Error("ExpireAt:", d, err)
	}
	if v, err := c.GetEx(ctx, "e", NoTTL); string(v) != "v" || err != nil {
		t.Error("GetEx:", v, err)
	}
	if d, err := c.TTL(ctx, "e"); d != NoTTL || err != nil {
		t.Error("GetEx with NoTTL:", d, err)
	}
	if v, err := c.GetEx(ctx, "e", 1500*time.Microsecond); string(v) != "v" || err != nil {
		t.Error("GetEx:", v, err)
	}
	must(t, c.Set(ctx, "e", []byte("v")))
	if v, err := c.GetDel(ctx, "e"); string(v) != "v" || err != nil {
		t.Error("GetDel:", v, err)
	}
	_, itemErr := c.GetItem(ctx, "e")
	_, ttlErr := c.TTL(ctx, "e")
	_, exErr := c.GetEx(ctx, "e", time.Second)
	_, delErr := c.GetDel(ctx, "e")
	for i, err := range []error{itemErr, ttlErr, exErr, delErr, c.Expire(ctx, "e", time.Second), c.ExpireAt(ctx, "e", time.Now())} {
		if err != ErrNotFound {
			t.Errorf("call %d on a missing key: %v", i, err)
		}
	}
	_, err = c.GetEx(ctx, "e", 0)
	for i, err := range []error{err, c.Expire(ctx, "e", -time.Second)} {
		if err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("no time to live, call %d: %v", i, err)
		}
	}
}

func exerciseNumbers(t *testing.T, c *Client) {
	must(t, c.Delete(ctx, "n"))
	for _, step := range []struct{ delta, want int64 }{{5, 5}, {-7, -2}, {1 << 40, 1<<40 - 2}} {
		if n, err := c.Incr(ctx, "n", step.delta); n != step.want || err != nil {
			t.Error("Incr:", n, err)
		}
	}
	if n, err := c.Decr(ctx, "n", 1<<40); n != -2 || err != nil {
		t.Error("Decr:", n, err)
	}
	if n, err := c.Append(ctx, "n", []byte("th")); n != 4 || err != nil {
		t.Error("Append:", n, err)
	}
	wantValue(t, c, "n", "-2th")
	var server *ServerError
	var op *OpError
	if _, err := c.Incr(ctx, "n", 1); !errors.As(err, &server) || !errors.As(err, &op) || op.Op != "INCRBY" {
		t.Error("Incr of what is no number:", err)
	}
}

func exerciseMany(t *testing.T, c *Client) {
	var keys []string
	var pairs []KV
	for i := range 300 {
		keys = append(keys, fmt.Sprint("many:", i))
		pairs = append(pairs, KV{keys[i], []byte(keys[i])})
	}
	must(t, c.MSet(ctx, pairs))
	if n, err := c.MDelete(ctx, keys[0], "none", keys[0]); n != 1 || err != nil {
		t.Error("MDelete:", n, err)
	}
	items, err := c.MGet(ctx, keys...)
	must(t, err)
	for i, item := range items {
		want := keys[i]
		if i == 0 {
			want = ""
		}
		if item.Key != keys[i] || string(item.Value) != want || item.Found != (i != 0) {
			t.Errorf("%d: %+v", i, item)
		}
	}
	if n, err := c.Exists(ctx, keys[0], keys[1], keys[1]); n != 2 || err != nil {
		t.Error("Exists:", n, err)
	}
	err = c.MSet(ctx, pairs[:3], IfAbsent(), TTL(time.Minute))
	var e *KeysError
	if !errors.As(err, &e) || len(e.Keys) != 2 || e.Of != 3 || e.Keys[1] != (KeyError{2, keys[2], ErrExists}) || !errors.Is(err, ErrExists) {
		t.Error("MSet of keys that are there:", err)
	}
	if n, err := c.MDelete(ctx, keys...); n != 300 || err != nil {
		t.Error("MDelete:", n, err)
	}
	if items, err := c.MGet(ctx); len(items) != 0 || err != nil {
		t.Error("MGet of nothing:", items, err)
	}
}

func exerciseVersions(t *testing.T, c *Client) {
	must(t, c.Delete(ctx, "v"))
	first, err := c.SetX(ctx, "v", []byte("1"), IfVersion(0))
	if err != nil || first.Version == 0 {
		t.Fatal("IfVersion 0:", first, err)
	}
	var v *VersionError
	if _, err := c.SetX(ctx, "v", []byte("2"), IfVersion(0)); !errors.Is(err, ErrVersionMismatch) || !errors.As(err, &v) || v.Current != first.Version {
		t.Error("IfVersion of what changed:", err)
	}
	second, err := c.SetX(ctx, "v", []byte("2"), IfVersion(first.Version))
	if err != nil || second.Version <= first.Version {
		t.Error("IfVersion:", second, err)
	}
	if i, err := c.GetItem(ctx, "v"); i.Version != second.Version || string(i.Value) != "2" || err != nil {
		t.Error("GetItem:", i, err)
	}
	if err := c.DeleteIf(ctx, "v", first.Version); !errors.Is(err, ErrVersionMismatch) {
		t.Error("DeleteIf of what changed:", err)
	}
	must(t, c.DeleteIf(ctx, "v", second.Version))
	if _, err := c.Get(ctx, "v"); err != ErrNotFound {
		t.Error(err)
	}
}

func TestDataOnRedis(t *testing.T) {
	if !needs(t, "redis-server", "redis-server") || !needs(t, "redis-cli", "redis-tools") {
		return
	}
	c := open1(t, DefaultConfig([]string{redisServer(t)}))
	exerciseData(t, c, false)
	must(t, c.Set(ctx, "k", nil))
	if n, err := c.Touch(ctx, "k", "none"); n != 1 || err != nil {
		t.Error("Touch:", n, err)
	}
	_, setErr := c.SetX(ctx, "k", nil, IfVersion(1))
	for i, err := range []error{setErr, c.DeleteIf(ctx, "k", 1)} {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("call %d for versions of a server without: %v", i, err)
		}
	}
	if _, err := c.SetX(ctx, "k", nil, Majority()); err == nil {
		t.Error("a server without acks gave them")
	}
}

// Many keys at once come through redirects, refusals and broken connections, each with
// its own outcome.
func TestManyKeysThroughFaults(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	var keys []string
	var pairs []KV
	for i := range 90 {
		keys = append(keys, keyOn(w, i%3, fmt.Sprint("k", i, "-")))
		pairs = append(pairs, KV{keys[i], []byte(keys[i])})
	}
	must(t, c.MSet(ctx, pairs))
	w.set(func() { w.owner = func(s shardmap.Slot) int { return (int(s)*3/16384 + 1) % 3 } })
	var refused, broken atomic.Int32
	w.nodes[0].on(isWord("GET", func(p *peer, _ []string) bool {
		switch {
		case refused.Add(1) <= 20:
			p.say(resp.AppendError(nil, "CLUSTERDOWN not yet"))
		case broken.Add(1) == 5:
			_ = p.Close()
		default:
			return false
		}
		return true
	}))
	items, err := c.MGet(ctx, keys...)
	must(t, err)
	for i, item := range items {
		if string(item.Value) != keys[i] {
			t.Errorf("%d: %+v", i, item)
		}
	}
	if refused.Load() < 20 || broken.Load() < 5 {
		t.Error("the faults were not met")
	}
}

// What may have been applied is not sent again, and is told for its key alone.
func TestManyWritesOfUnknownOutcome(t *testing.T) {
	w := newWorld(t, 3)
	c := open1(t, quick(w.seeds()))
	var pairs []KV
	for i := range 30 {
		pairs = append(pairs, KV{keyOn(w, i%3, fmt.Sprint("k", i, "-")), nil})
	}
	must(t, c.MSet(ctx, pairs))
	w.nodes[1].on(isWord("SET", func(p *peer, args []string) bool {
		p.node.run(p, args)
		_ = p.Close()
		return true
	}))
	err := c.MSet(ctx, pairs)
	wantIs(t, err, ErrAmbiguous)
	var e *KeysError
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	for _, k := range e.Keys {
		if k.Index%3 != 1 || !errors.Is(k.Err, ErrAmbiguous) {
			t.Errorf("%+v", k)
		}
	}
	for i, p := range pairs {
		failed := slices.ContainsFunc(e.Keys, func(k KeyError) bool { return k.Index == i })
		if n := w.count(p.Key); n > 2 || n < 2 && !failed {
			t.Errorf("%s was applied %d times; failed: %v", p.Key, n, failed)
		}
	}
}

// More commands than a connection takes at once wait for room, in their order.
func TestManyKeysThroughASmallConnection(t *testing.T) {
	w := newWorld(t, 1)
	cfg := quick(w.seeds())
	cfg.ConnsPerNode, cfg.MaxInflight = 1, 4
	c := open1(t, cfg)
	var order []string
	w.nodes[0].on(isWord("SET", func(_ *peer, args []string) bool { order = append(order, args[2]); return false }))
	var pairs []KV
	for i := range 100 {
		pairs = append(pairs, KV{"k", []byte(fmt.Sprint(i))})
	}
	must(t, c.MSet(ctx, pairs))
	for i, v := range order {
		if v != fmt.Sprint(i) {
			t.Fatalf("SET %d stored %s", i, v)
		}
	}
	if len(order) != 100 {
		t.Error(len(order))
	}
}

// GetItem never joins a value with the version or expiry of another.
func TestGetItemAsksAgainWhenTheKeyChangesBetween(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	var asked atomic.Int32
	w.nodes[0].on(func(p *peer, args []string) bool {
		switch args[0] {
		case "GET":
			n := Version(asked.Add(1))
			p.say(attributed(1, n, fmt.Sprintf("$1\r\n%d\r\n", n)))
		case "PTTL":
			p.say(attributed(1, 2, ":5000\r\n"))
		default:
			return false
		}
		return true
	})
	i, err := c.GetItem(ctx, "k")
	if err != nil || string(i.Value) != "2" || i.Version != 2 || i.ExpiresAt.IsZero() {
		t.Errorf("%+v %v", i, err)
	}
}

// Writes for other acks have connections that said so, and the others do not wait there.
func TestAcksHaveConnectionsOfTheirOwn(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	level := map[*peer]string{}
	got := map[string]string{}
	w.nodes[0].on(func(p *peer, args []string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch args[0] {
		case "AEGIS.DURABILITY":
			level[p] = args[1]
			p.say([]byte("+OK\r\n"))
			return true
		case "SET":
			got[args[1]] = level[p]
		}
		return false
	})
	must(t, c.Set(ctx, "usual", nil))
	for key, o := range map[string]SetOption{"most": Majority(), "all": AllCopies()} {
		if _, err := c.SetX(ctx, key, nil, o); err != nil {
			t.Fatal(err)
		}
	}
	must(t, c.Set(ctx, "later", nil))
	w.mu.Lock()
	defer w.mu.Unlock()
	want := map[string]string{"usual": "", "most": "majority", "all": "all", "later": ""}
	for key, l := range want {
		if got[key] != l {
			t.Errorf("%s was written with %q, want %q", key, got[key], l)
		}
	}
}

// What cannot be subtracted by adding is refused, and not added.
func TestDecrOfTheLeastNumberIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	var sent atomic.Int32
	w.nodes[0].on(isWord("INCRBY", func(p *peer, _ []string) bool { sent.Add(1); p.say([]byte(":0\r\n")); return true }))
	c := open1(t, quick(w.seeds()))
	for name, decr := range map[string]func(context.Context, string, int64) (int64, error){"client": c.Decr, "session": c.Session().Decr} {
		if n, err := decr(ctx, "k", math.MinInt64); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
	if sent.Load() != 0 {
		t.Error("something was added")
	}
}

// What would hold up a connection that all callers share is not sent.
func TestDoRefusesWhatHoldsUpAConnection(t *testing.T) {
	for line, ok := range map[string]bool{
		"GET k": true, "XREAD COUNT 1 STREAMS s 0": true, "CLIENT ID": true,
		"blpop k 0": false, "XREAD block 0 STREAMS s 0": false, "BZPOPMIN k 0": false, "WAIT 1 0": false, "CLIENT REPLY OFF": false, "MULTI": false,
	} {
		var args []any
		for w := range strings.FieldsSeq(line) {
			args = append(args, w)
		}
		if _, err := rawCommand(args); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}
