package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// copied makes the nodes of a world aegis nodes of four shards that all have copies of: a
// node that does not lead a slot answers GET on a connection that said READONLY, until
// refuse says what else.
type copied struct {
	w *world

	mu     sync.Mutex
	modes  map[*peer]string // what READONLY said
	reads  []string         // "leader" or "READONLY ...", in order
	refuse func(p *peer, mode string) string
}

func copiedWorld(t *testing.T, nodes int) (*world, *copied) {
	w := newWorld(t, nodes)
	w.data["k"] = "v"
	f := &copied{w: w, modes: map[*peer]string{}}
	for _, n := range w.nodes {
		n.on(f.run)
	}
	return w, f
}

func (f *copied) run(p *peer, args []string) bool {
	switch strings.ToUpper(args[0]) {
	case "AEGIS.MAP":
		p.say(f.mapReply())
	case "READONLY":
		f.mu.Lock()
		f.modes[p] = strings.Join(args, " ")
		f.mu.Unlock()
		p.say([]byte("+OK\r\n"))
	case "GET":
		return f.get(p, args[1])
	default:
		return false
	}
	return true
}

func (f *copied) get(p *peer, key string) bool {
	slot := shardmap.SlotOfString(key)
	f.w.mu.Lock()
	leads := f.w.nodes[f.w.owner(slot)] == p.node
	value := f.w.data[key]
	f.w.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	mode := f.modes[p]
	if leads {
		f.reads = append(f.reads, "leader")
		return false
	}
	f.reads = append(f.reads, mode)
	if mode == "" {
		return false // MOVED
	}
	if f.refuse != nil {
		if word := f.refuse(p, mode); word != "" {
			if word != "silence" {
				p.say(resp.AppendError(nil, word))
			}
			return true
		}
	}
	p.say(resp.AppendBulk(nil, value))
	return true
}

func (f *copied) mapReply() []byte {
	f.w.mu.Lock()
	epoch, leads := int64(f.w.epoch), int64(f.w.owner(0)+1)
	f.w.mu.Unlock()
	b := resp.AppendInt(resp.AppendBulk(resp.AppendMap(nil, 3, 4), "epoch"), epoch)
	b = resp.AppendInt(resp.AppendBulk(b, "shards"), 4)
	b = resp.AppendArray(resp.AppendBulk(b, "nodes"), len(f.w.nodes))
	for i, n := range f.w.nodes {
		host, port, _ := strings.Cut(n.addr, ":")
		b = append(resp.AppendBulk(resp.AppendInt(resp.AppendArray(b, 3), int64(i+1)), host), ":"+port+"\r\n"...)
	}
	b = resp.AppendArray(resp.AppendBulk(b, "owners"), 1) // one node leads all
	return resp.AppendInt(resp.AppendInt(resp.AppendInt(resp.AppendArray(b, 3), 0), 3), leads)
}

func (f *copied) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reads)
}

func (f *copied) set(refuse func(p *peer, mode string) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse, f.reads = refuse, nil
}

func stale(w *world) Config {
	w.set(func() { w.owner = func(shardmap.Slot) int { return 0 } })
	cfg := quick(w.seeds())
	cfg.MaxStale = 500 * time.Millisecond
	return cfg
}

// patient is stale with connections and calls that are not given up within a minute, so
// that what takes less was not waited for.
func patient(w *world) Config {
	cfg := stale(w)
	cfg.Timeout, cfg.StallTimeout = 2*time.Minute, time.Minute
	return cfg
}

// get reads until somebody who follows has answered.
func followed(t *testing.T, c *Client) {
	t.Helper()
	from := c.Stats().Followed
	until(t, "a follower answers", func() bool {
		if v, err := c.Get(ctx, "k"); string(v) != "v" || err != nil {
			t.Fatal(string(v), err)
		}
		return c.Stats().Followed > from
	})
}

// TestFollowersAnswerReads: with the bound that was asked for, said once; writes and reads
// without a bound go to the leaseholder.
func TestFollowersAnswerReads(t *testing.T) {
	w, f := copiedWorld(t, 2)
	c := open1(t, stale(w))
	followed(t, c)
	items, err := c.MGet(ctx, "k", "k")
	if err != nil || len(items) != 2 || string(items[1].Value) != "v" {
		t.Error(items, err)
	}
	for _, mode := range f.seen() {
		if mode != "leader" && mode != "READONLY 500" {
			t.Errorf("read by %q", mode)
		}
	}
	f.set(nil)
	for range 30 {
		_, _ = c.Reads(0).Get(ctx, "k")
	}
	if seen := f.seen(); len(seen) != 30 || slices.ContainsFunc(seen, func(m string) bool { return m != "leader" }) {
		t.Error(seen)
	}
	f.set(nil)
	until(t, "a follower answers within the other bound", func() bool {
		if _, err := c.Reads(90*time.Millisecond).GetInto(ctx, "k", nil); err != nil {
			t.Fatal(err)
		}
		return slices.Contains(f.seen(), "READONLY 90") // who answers is chosen by what answers took
	})
	if seen := f.seen(); slices.Contains(seen, "READONLY 500") {
		t.Error(seen)
	}
	must(t, c.Set(ctx, "k", nil))
}

// TestWhatAFollowerCannotAnswerTheLeaseholderDoes: whatever the follower says, and when it
// says nothing. It is not asked again at once, and no redirect is counted.
func TestWhatAFollowerCannotAnswerTheLeaseholderDoes(t *testing.T) {
	for _, word := range []string{"MOVED 7629 127.0.0.1:1", "MASTERDOWN too old", "LOADING x", "CLUSTERDOWN x", "ERR what", "silence", "hang up"} {
		t.Run(word, func(t *testing.T) {
			w, f := copiedWorld(t, 2)
			c := open1(t, patient(w))
			followed(t, c)
			f.set(func(p *peer, _ string) string {
				if word == "hang up" {
					_ = p.Close()
					return "silence"
				}
				return word
			})
			asked := func() (n int) {
				for _, m := range f.seen() {
					if m != "leader" {
						n++
					}
				}
				return n
			}
			within(t, 20*time.Second, func() {
				for asked() == 0 {
					if v, err := c.Get(ctx, "k"); string(v) != "v" || err != nil {
						t.Fatal(string(v), err)
					}
				}
				if items, err := c.MGet(ctx, "k"); err != nil || string(items[0].Value) != "v" {
					t.Fatal(items, err)
				}
			})
			if s := c.Stats(); s.Redirects != 0 || s.Refused == 0 {
				t.Errorf("%+v", s)
			}
			if word == "hang up" {
				return // it may well be asked on its next connection
			}
			before := asked()
			for range 100 {
				_, _ = c.Get(ctx, "k")
			}
			if n := asked() - before; n > 2 {
				t.Errorf("asked %d times more", n)
			}
		})
	}
}

// TestManyKeysOfASilentFollower: what is late is late for all keys of a call together.
func TestManyKeysOfASilentFollower(t *testing.T) {
	w, f := copiedWorld(t, 2)
	c := open1(t, patient(w))
	followed(t, c)
	f.set(func(*peer, string) string { return "silence" })
	keys := slices.Repeat([]string{"k"}, 50)
	within(t, 20*time.Second, func() {
		for c.Stats().Refused == 0 {
			if items, err := c.MGet(ctx, keys...); err != nil || string(items[49].Value) != "v" {
				t.Fatal(items, err)
			}
		}
	})
}

func TestServersThatDoNotKnowBoundsAreNotAskedSo(t *testing.T) {
	w := newWorld(t, 2)
	w.data["k"] = "v"
	c := open1(t, stale(w))
	for range 50 {
		if v, err := c.Get(ctx, "k"); string(v) != "v" || err != nil {
			t.Fatal(string(v), err)
		}
	}
	if s := c.Stats(); s.Followed+s.Refused > 0 {
		t.Errorf("%+v", s)
	}
}

func TestBoundsAreChecked(t *testing.T) {
	for d, ok := range map[time.Duration]bool{0: true, time.Millisecond: true, time.Hour: true, time.Microsecond: false, -1: false, 2 * time.Hour: false} {
		c, err := Open("aegis://h", WithFollowerReads(d))
		if _ = c.Close(); (err == nil) != ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("%v: %v", d, err)
		}
	}
	if c, err := Open(fmt.Sprintf("aegis://h?stale=%v", time.Second)); err != nil || c.cfg.MaxStale != time.Second {
		t.Error(err)
	}
}

// TestFollowersAreToldDeadlines: a read that one answers is told until when, and what was told
// for an earlier call, which is over, does not hold for it.
func TestFollowersAreToldDeadlines(t *testing.T) {
	w, f := copiedWorld(t, 2)
	clock := func(at time.Time) int64 { return at.Sub(start).Microseconds() }
	var mu sync.Mutex
	told := map[*peer]int64{}
	for _, n := range w.nodes {
		n.on(func(p *peer, args []string) bool {
			if strings.EqualFold(args[0], "CLIENT") && strings.EqualFold(args[1], "DEADLINE") {
				mu.Lock()
				defer mu.Unlock()
				if len(args) == 2 {
					p.say(resp.AppendInt(nil, clock(time.Now())))
				} else {
					told[p], _ = strconv.ParseInt(args[2], 10, 64)
					p.say([]byte("+OK\r\n"))
				}
				return true
			}
			return f.run(p, args)
		})
	}
	c := open1(t, stale(w))
	followed(t, c)
	var latest atomic.Int64
	f.set(func(p *peer, _ string) string { // a node that minds the deadline
		mu.Lock()
		defer mu.Unlock()
		latest.Store(told[p])
		if told[p] <= clock(time.Now()) {
			return "DEADLINE passed"
		}
		return ""
	})
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	from := c.Stats().Followed
	until(t, "a follower answers several reads together", func() bool {
		_, err := c.MGet(short, "k", "k")
		return c.Stats().Followed > from || err != nil
	})
	<-short.Done()
	refused := c.Stats().Refused
	followed(t, c)
	if n := c.Stats().Refused - refused; n > 0 {
		t.Errorf("%d reads were refused for the deadline of an earlier call", n)
	}
	end := time.Now().Add(5 * time.Second)
	long, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	from = c.Stats().Followed
	until(t, "a follower answers", func() bool { _, err := c.Get(long, "k"); return err == nil && c.Stats().Followed > from })
	if at := latest.Load(); at > clock(end) || at < clock(end)-time.Second.Microseconds() {
		t.Errorf("told %d us, the caller's deadline is %d us", at, clock(end))
	}
}

// start is zero of a scripted node's clock.
var start = time.Now()
