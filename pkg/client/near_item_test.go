package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// timed gives the keys of a world a time to live, and counts what its nodes are asked.
func timed(w *world, ttl *atomic.Int64) *atomic.Int32 {
	var n atomic.Int32
	for _, node := range w.nodes {
		node.on(func(p *peer, args []string) bool {
			switch args[0] {
			case "GET":
				n.Add(1)
			case "PTTL":
				n.Add(1)
				p.say(resp.AppendInt(nil, ttl.Load()))
				return true
			}
			return false
		})
	}
	return &n
}

// aliveItem is alive for GetItem.
func aliveItem(t *testing.T, c *Client, key string) Item {
	t.Helper()
	var item Item
	until(t, "the item is answered from here", func() (ok bool) {
		var err error
		item, err = c.GetItem(ctx, key)
		return err == nil && item.FromNear
	})
	return item
}

func TestNearAnswersGetItem(t *testing.T) {
	w := newWorld(t, 1)
	var ttl atomic.Int64
	n := timed(w, &ttl)
	c := open1(t, nearConfig(w.seeds()))
	must(t, c.Set(ctx, "k", []byte("v")))
	for _, ms := range []int64{noExpiry, time.Hour.Milliseconds()} {
		ttl.Store(ms)
		w.nodes[0].tell("k")
		var item Item
		until(t, "the new end is known here", func() bool {
			item = aliveItem(t, c, "k")
			return item.ExpiresAt.IsZero() == (ms == noExpiry)
		})
		before := n.Load()
		item, err := c.GetItem(ctx, "k")
		if string(item.Value) != "v" || err != nil || !item.Found || !item.FromNear || item.Node != "" || n.Load() != before {
			t.Errorf("%+v %v, %d commands were sent", item, err, n.Load()-before)
		}
		if left := time.Until(item.ExpiresAt); ms != noExpiry && (left > time.Hour || left < 59*time.Minute) {
			t.Errorf("%v left", left)
		}
	}
	wantGet(t, c, "k", "v") // by what GetItem kept
	if v, err := c.GetItem(ctx, "none"); err != ErrNotFound || v.FromNear {
		t.Error(v, err)
	}
}

// TestNearItemsNeedAnEnd: what only Get has kept does not say how long it lives.
func TestNearItemsNeedAnEnd(t *testing.T) {
	w := newWorld(t, 1)
	var ttl atomic.Int64
	ttl.Store(time.Hour.Milliseconds())
	timed(w, &ttl)
	c := open1(t, nearConfig(w.seeds()))
	must(t, c.Set(ctx, "k", []byte("v")))
	alive(t, c, "k")
	item, err := c.GetItem(ctx, "k")
	if item.FromNear || item.ExpiresAt.IsZero() || err != nil {
		t.Errorf("%+v %v", item, err)
	}
}

// TestNearLetsGoWhatExpires: without a word from the node.
func TestNearLetsGoWhatExpires(t *testing.T) {
	w := newWorld(t, 1)
	var ttl atomic.Int64
	ttl.Store(100)
	timed(w, &ttl)
	c := open1(t, nearConfig(w.seeds()))
	must(t, c.Set(ctx, "k", []byte("old")))
	alive(t, c, "k")
	_, err := c.GetItem(ctx, "k")
	must(t, err)
	w.set(func() { w.data["k"] = "new" })
	until(t, "it is asked for again", func() bool { v, _ := c.Get(ctx, "k"); return string(v) == "new" })
}

func TestNearAnswersMGet(t *testing.T) {
	w := newWorld(t, 2)
	n := gets(w)
	cfg := nearConfig(w.seeds())
	cfg.Near.Prefixes = []string{"near:"}
	c := open1(t, cfg)
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint("near:", i))
		must(t, c.Set(ctx, keys[i], []byte(strconv.Itoa(i))))
	}
	must(t, c.Set(ctx, "far", []byte("far")))
	keys = append(keys, "near:none", "far", "near:0")
	check := func() (near int) {
		t.Helper()
		items, err := c.MGet(ctx, keys...)
		if err != nil || len(items) != len(keys) {
			t.Fatal(items, err)
		}
		for i, item := range items {
			want := strconv.Itoa(i % 22)
			if keys[i] == "far" {
				want = "far"
			}
			if item.Key != keys[i] || item.Found == (keys[i] == "near:none") || item.Found && string(item.Value) != want {
				t.Fatalf("%d: %+v", i, item)
			}
			if item.FromNear {
				near++
			}
		}
		return near
	}
	until(t, "all that can be is answered from here", func() bool { return check() == 21 })
	before := n.Load()
	check()
	if got := n.Load() - before; got != 2 {
		t.Errorf("%d GETs were sent, of two keys that are not kept", got)
	}
	w.nodes[0].tell()
	w.nodes[1].tell()
	until(t, "what was taken back is kept again", func() bool { return check() == 21 })
}

// TestNearMGetNamesWhatFailed: by its place in the caller's list.
func TestNearMGetNamesWhatFailed(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, nearConfig(w.seeds()))
	must(t, c.Set(ctx, "kept", []byte("v")))
	alive(t, c, "kept")
	w.nodes[0].on(func(p *peer, args []string) bool {
		if len(args) > 1 && args[1] == "bad" {
			p.say([]byte("-ERR bad\r\n"))
			return true
		}
		return false
	})
	items, err := c.MGet(ctx, "kept", "none", "bad")
	var failed *KeysError
	if !errors.As(err, &failed) || failed.Of != 3 || len(failed.Keys) != 1 || failed.Keys[0].Index != 2 || failed.Keys[0].Key != "bad" {
		t.Error(err)
	}
	if len(items) != 3 || string(items[0].Value) != "v" || items[1].Found || items[2].Found {
		t.Error(items)
	}
}

// TestNearItemsAreSpoiledByAChange: what MGet and GetItem bring is not kept when a change was
// told before it was here.
func TestNearItemsAreSpoiledByAChange(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, nearConfig(w.seeds()))
	must(t, c.Set(ctx, "k", []byte("v")))
	alive(t, c, "k")
	var tells atomic.Bool
	w.nodes[0].on(func(p *peer, args []string) bool {
		switch args[0] {
		case "GET":
			if tells.Load() {
				p.say([]byte(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"))
			}
		case "PTTL":
			p.say([]byte(":-1\r\n"))
			return true
		}
		return false
	})
	for _, told := range []bool{true, false} {
		tells.Store(told)
		for name, read := range map[string]func() error{
			"MGet":    func() error { _, err := c.MGet(ctx, "k"); return err },
			"GetItem": func() error { _, err := c.GetItem(ctx, "k"); return err },
		} {
			c.near.store.forget("k")
			must(t, read())
			if _, ok := c.near.get(nil, "k", false); ok == told {
				t.Errorf("%s, a change was told: %v, kept: %v", name, told, ok)
			}
		}
	}
}

// TestNearEveryReadAgainstAMap drives Get, GetInto, MGet and GetItem against a server that
// tells of every change: what the answer of a write has told is never taken back, and all
// values of one call's key come from its writes.
func TestNearEveryReadAgainstAMap(t *testing.T) {
	w := newWorld(t, 2)
	var ttl atomic.Int64
	ttl.Store(noExpiry)
	timed(w, &ttl)
	c := open1(t, nearConfig(w.seeds()))
	rnd := rand.New(rand.NewPCG(3, 4))
	last := map[string]int{}
	check := func(how, key string, value []byte) {
		t.Helper()
		if string(value) != strconv.Itoa(last[key]) {
			t.Fatalf("%s %s: %s, it was set to %d", how, key, value, last[key])
		}
	}
	for i := range 3000 {
		key := fmt.Sprint("k", rnd.IntN(10))
		if last[key] == 0 || rnd.IntN(6) == 0 {
			last[key] = i + 1
			must(t, c.Set(ctx, key, []byte(strconv.Itoa(i+1))))
			continue
		}
		switch rnd.IntN(4) {
		case 0:
			v, err := c.Get(ctx, key)
			must(t, err)
			check("Get", key, v)
		case 1:
			v, err := c.GetInto(ctx, key, nil)
			must(t, err)
			check("GetInto", key, v)
		case 2:
			item, err := c.GetItem(ctx, key)
			must(t, err)
			check("GetItem", key, item.Value)
		default:
			items, err := c.MGet(ctx, key, key)
			must(t, err)
			check("MGet", key, items[0].Value)
			check("MGet", key, items[1].Value)
		}
	}
	if s := c.NearStats(); s.Hits < 500 {
		t.Errorf("%+v", s)
	}
}
