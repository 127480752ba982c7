package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// exerciseBatch runs one batch of everything.
func exerciseBatch(t *testing.T, c *Client) {
	b := c.Batch()
	if _, err := b.Get("b:0").Result(); err != ErrPending {
		t.Error("before Do:", err)
	}
	set := b.Set("b:1", []byte("v"), TTL(time.Hour))
	get := b.Get("b:1")
	taken := b.Set("b:1", nil, IfAbsent())
	mad := b.Set("b:1", nil, TTL(-1))
	missing := b.Get("b:none")
	number := b.Incr("b:n", 4)
	ttl := b.TTL("b:1")
	alive := b.Expire("b:1", time.Minute)
	late := b.Expire("b:1", 0)
	gone := b.Delete("b:none")
	length := b.Raw("STRLEN", "b:1")
	forbidden := b.Raw("SUBSCRIBE", "x")
	err := b.Do(ctx)
	var e *KeysError
	if !errors.As(err, &e) || len(e.Keys) != 3 || e.Of != b.Len() {
		t.Fatal(err)
	}
	if i, err := set.Result(); err != nil || i.Key != "b:1" {
		t.Error("Set:", i, err)
	}
	if v, err := get.Result(); string(v) != "v" || err != nil {
		t.Error("Get:", v, err)
	}
	if _, err := taken.Result(); err != ErrExists {
		t.Error("Set if absent:", err)
	}
	if v, err := missing.Result(); v != nil || err != ErrNotFound {
		t.Error("Get of a missing key:", v, err)
	}
	if n, err := number.Result(); n != 4 || err != nil {
		t.Error("Incr:", n, err)
	}
	if d, err := ttl.Result(); d < time.Minute || err != nil {
		t.Error("TTL:", d, err)
	}
	if ok, err := alive.Result(); !ok || err != nil {
		t.Error("Expire:", err)
	}
	if ok, err := gone.Result(); ok || err != nil {
		t.Error("Delete:", err)
	}
	if r, err := length.Result(); r.Int != 1 || err != nil {
		t.Error("Raw:", r, err)
	}
	_, madErr := mad.Result()
	_, lateErr := late.Result()
	_, forbiddenErr := forbidden.Result()
	for i, err := range []error{madErr, lateErr, forbiddenErr} {
		var op *OpError
		if !errors.As(err, &op) || op.Attempts != 0 {
			t.Errorf("mistake %d: %v", i, err)
		}
	}
	if b.Do(ctx) == nil {
		t.Error("a batch ran twice")
	}
	if err := c.Batch().Do(ctx); err != nil {
		t.Error("an empty batch:", err)
	}
}

// exerciseRaw sends what has no method.
func exerciseRaw(t *testing.T, c *Client) {
	for i, step := range []struct {
		args []any
		want string
	}{
		{[]any{"set", "r", 1.5}, "OK"},
		{[]any{"GET", []byte("r")}, "1.5"},
		{[]any{"INCRBY", "r2", int64(7)}, "7"},
		{[]any{"DECRBY", "r2", uint8(3)}, "4"},
		{[]any{"EXISTS", "r"}, "1"},
		{[]any{"PING"}, "PONG"},
		{[]any{"PING", true}, "1"},
	} {
		r, err := c.Do(ctx, step.args...)
		if got := string(r.Text); err != nil || got != step.want && fmt.Sprint(r.Int) != step.want {
			t.Errorf("%d: %+v %v", i, r, err)
		}
	}
	if r, err := c.Do(ctx, "GET", "r:none"); !r.IsNull() || err != nil {
		t.Error("a missing key:", r, err)
	}
	var server *ServerError
	if _, err := c.Do(ctx, "NOSUCHCOMMAND", "k"); !errors.As(err, &server) || !errors.Is(err, ErrUnsupported) {
		t.Error("an unknown command:", err)
	}
	for _, args := range [][]any{{}, {"MULTI"}, {"client", "reply", "off"}, {"GET", struct{}{}}, {"wait", 1, 0}} {
		var op *OpError
		if _, err := c.Do(ctx, args...); !errors.As(err, &op) || op.Attempts != 0 {
			t.Errorf("%v was sent: %v", args, err)
		}
	}
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
}

func TestBatchOnRedis(t *testing.T) {
	if !needs(t, "redis-server", "redis-server") || !needs(t, "redis-cli", "redis-tools") {
		return
	}
	c := open1(t, DefaultConfig([]string{redisServer(t)}))
	exerciseBatch(t, c)
	exerciseRaw(t, c)
	exerciseTyped(t, c, false)
	must(t, c.Set(ctx, "scanned", nil))
	if got := scanned1(t, c, ScanMatch("scan*")); len(got) != 1 || got["scanned"] != 1 {
		t.Error("Scan:", got)
	}
}

func TestRawCommandsFindTheirKey(t *testing.T) {
	for want, args := range map[string][]any{
		"k":  {"GET", "k"},
		"k1": {"object", "ENCODING", "k1"},
		"k2": {"EVAL", "return 1", "1", "k2", "arg"},
		"k3": {"MEMORY", "USAGE", "k3"},
		"k4": {"NEWCOMMAND", "k4", "more"},
		"":   {"EVAL", "return 1", 0, "arg"},
	} {
		if cmd, err := rawCommand(args); cmd.key != want || err != nil {
			t.Errorf("%v: %q %v", args, cmd.key, err)
		}
	}
	for _, word := range []string{"INFO", "DBSIZE", "SCAN", "PING"} {
		if cmd, err := rawCommand([]any{word, "x"}); cmd.key != "" || cmd.writes() != false || err != nil {
			t.Errorf("%s: %+v %v", word, cmd, err)
		}
	}
	if cmd, _ := rawCommand([]any{"GETDEL", "k"}); !cmd.writes() {
		t.Error("GETDEL changes nothing")
	}
}

// A command for one node is never answered by another.
func TestDoNodeStaysAtItsNode(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, quick(w.seeds()))
	key := keyOn(w, 0, "k")
	must(t, c.Set(ctx, key, nil))
	if _, err := c.DoNode(ctx, w.nodes[0].addr, "GET", key); err != nil {
		t.Error(err)
	}
	var server *ServerError
	if _, err := c.DoNode(ctx, w.nodes[1].addr, "GET", key); !errors.As(err, &server) || server.Code != "MOVED" {
		t.Error("the other node's answer is", err)
	}
	w.nodes[1].stop()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err := c.DoNode(short, w.nodes[1].addr, "GET", key)
	wantIs(t, err, ErrUnavailable)
	short, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	for _, n := range w.nodes {
		n.on(isWord("PING", func(p *peer, _ []string) bool { p.say([]byte("+PONG\r\n")); return true }))
	}
	if err := c.Ping(short); !errors.Is(err, ErrUnavailable) {
		t.Error("a node is gone and Ping says", err)
	}
}

func TestStatsAndShardMap(t *testing.T) {
	w := newWorld(t, 2)
	c := open1(t, quick(w.seeds()))
	m, err := c.ShardMap(ctx)
	if err != nil || len(m.Ranges) != 2 || m.Ranges[1].Last != 16383 || m.Epoch != 1 {
		t.Fatal(m, err)
	}
	key := keyOn(w, 1, "k")
	if got := m.AddrOf(key); got != w.nodes[1].addr || (ShardMap{}).AddrOf(key) != "" {
		t.Error(got)
	}
	must(t, c.Set(ctx, key, nil))
	w.set(func() { w.owner = func(s shardmap.Slot) int { return 0 } })
	must(t, c.Set(ctx, key, nil))
	s := c.Stats()
	if s.Calls != 2 || s.InFlight != 0 || s.Redirects != 1 || s.Epoch != 1 || len(s.Nodes) == 0 || s.Nodes[0].Conns == 0 {
		t.Errorf("%+v", s)
	}
}

func TestShutdownWaitsForCalls(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	must(t, c.Set(ctx, "k", nil))
	release, got := make(chan struct{}), make(chan struct{}, 1)
	w.nodes[0].on(isWord("SET", func(*peer, []string) bool { got <- struct{}{}; <-release; return false }))
	slow := make(chan error)
	go func() { slow <- c.Set(ctx, "k", []byte("slow")) }()
	<-got
	down := make(chan error)
	go func() { down <- c.Shutdown(ctx) }()
	until(t, "Shutdown begins", c.leaving.Load)
	wantIs(t, c.Set(ctx, "k", nil), ErrClosed)
	_, err := c.MGet(ctx, "k")
	wantIs(t, err, ErrClosed)
	select {
	case err := <-down:
		t.Fatal("it did not wait:", err)
	default:
	}
	close(release)
	if err := <-slow; err != nil {
		t.Error("the call that was under way:", err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	must(t, c.Set(ctx, "k", nil))
	got := make(chan struct{}, 1)
	w.nodes[0].on(isWord("SET", func(*peer, []string) bool { got <- struct{}{}; return true }))
	slow := make(chan error)
	go func() { slow <- c.Set(ctx, "k", nil) }()
	<-got
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := c.Shutdown(short); err != context.DeadlineExceeded {
		t.Error(err)
	}
	wantIs(t, <-slow, ErrClosed, ErrAmbiguous)
}
