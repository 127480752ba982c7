package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// pushedCache is a cache as one makes it on CLIENT TRACKING alone, without a clock: a value
// is used when its node answers a PING and has not taken it back by then. Whatever
// it answers was true when the PING was sent, and a node that was stopped or is cut off
// must not say otherwise.
type pushedCache struct {
	seeds []string
	hits  atomic.Int64
	taken atomic.Int64

	mu     sync.Mutex // guards everything below, and the caches of lines
	lines  map[string]*pushedLine
	holder map[string]string // of keys
}

// pushedLine is a connection with TRACKING on, used by one at a time.
type pushedLine struct {
	c       *pushedCache
	nc      net.Conn
	turn    chan struct{} // held by who has asked
	answers chan resp.Reply
	asked   atomic.Pointer[string] // the key that the next answer is for
	cache   map[string]string
	gone    bool
}

func newPushedCache(seeds []string) *pushedCache {
	return &pushedCache{seeds: seeds, lines: map[string]*pushedLine{}, holder: map[string]string{}}
}

func (c *pushedCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		l.nc.Close()
	}
}

// get answers from the cache when the node of the key confirms it.
func (c *pushedCache) get(ctx context.Context, key string) (string, error) {
	c.mu.Lock()
	addr, known := c.holder[key]
	c.mu.Unlock()
	if !known {
		addr = c.seeds[int(time.Now().UnixNano()/1000)%len(c.seeds)]
	}
	l, err := c.line(ctx, addr)
	if err != nil {
		c.forget(key)
		return "", err
	}
	if v, ok := l.confirmed(ctx, key); ok {
		c.hits.Add(1)
		return v, nil
	}
	v, err := l.do(ctx, key, "GET", key)
	switch {
	case err != nil:
		c.forget(key)
		return "", err
	case v.Kind == '$':
		c.know(key, addr)
		return string(v.Text), nil
	case strings.HasPrefix(string(v.Text), "MOVED "):
		c.know(key, strings.Fields(string(v.Text))[2])
	default:
		c.forget(key)
	}
	return "", errors.New(string(v.Text))
}

func (c *pushedCache) know(key, addr string) {
	c.mu.Lock()
	c.holder[key] = addr
	c.mu.Unlock()
}

func (c *pushedCache) forget(key string) {
	c.mu.Lock()
	delete(c.holder, key)
	c.mu.Unlock()
}

// line is the connection to a node.
func (c *pushedCache) line(ctx context.Context, addr string) (*pushedLine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lines[addr]; l != nil && !l.gone {
		return l, nil
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &pushedLine{c: c, nc: nc, turn: make(chan struct{}, 1), answers: make(chan resp.Reply, 1), cache: map[string]string{}}
	if _, err := nc.Write([]byte("HELLO 3\r\nCLIENT TRACKING ON\r\n")); err != nil {
		return nil, err
	}
	c.lines[addr] = l
	go l.listen()
	return l, nil
}

// listen takes every frame in its order: a value is in the cache before what takes it
// back.
func (l *pushedLine) listen() {
	r := bufio.NewReader(l.nc)
	for skip := 2; ; { // the answers to HELLO and TRACKING
		v, err := resp.ReadReply(r)
		if err != nil {
			l.drop()
			return
		}
		switch {
		case v.Kind == '>':
			l.hear(v)
		case skip > 0:
			skip--
		default:
			l.take(v)
		}
	}
}

func (l *pushedLine) take(v resp.Reply) {
	if key := *l.asked.Load(); key != "" && v.Kind == '$' {
		l.c.mu.Lock()
		l.cache[key] = string(v.Text)
		l.c.mu.Unlock()
	}
	l.answers <- v
}

func (l *pushedLine) hear(v resp.Reply) {
	if string(v.Items[0].Text) != "invalidate" {
		return
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.taken.Add(1)
	if v.Items[1].IsNull() {
		clear(l.cache)
	}
	for _, k := range v.Items[1].Items {
		delete(l.cache, string(k.Text))
	}
}

func (l *pushedLine) drop() {
	l.nc.Close()
	l.c.mu.Lock()
	l.gone, l.cache = true, map[string]string{}
	l.c.mu.Unlock()
	close(l.answers)
}

// confirmed is what the cache has of a key after the node has answered a PING.
func (l *pushedLine) confirmed(ctx context.Context, key string) (string, bool) {
	l.c.mu.Lock()
	_, ok := l.cache[key]
	l.c.mu.Unlock()
	if !ok {
		return "", false
	}
	if _, err := l.do(ctx, "", "PING"); err != nil {
		return "", false
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	v, ok := l.cache[key]
	return v, ok
}

// do asks one thing. A caller whose time is over leaves its turn to the answer.
func (l *pushedLine) do(ctx context.Context, key string, words ...string) (resp.Reply, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return resp.Reply{}, ctx.Err()
	}
	l.asked.Store(&key)
	if _, err := l.nc.Write(resp.AppendCommand(nil, words...)); err != nil {
		<-l.turn
		return resp.Reply{}, err
	}
	done := make(chan resp.Reply, 1)
	go func() {
		if v, ok := <-l.answers; ok {
			done <- v
		} else {
			close(done)
		}
		<-l.turn
	}()
	select {
	case v, ok := <-done:
		if !ok {
			return v, net.ErrClosed
		}
		return v, nil
	case <-ctx.Done():
		return resp.Reply{}, ctx.Err()
	}
}

// doCache reads through rueidis's cache, in which a value lives for nearStale at most.
func doCache(t *testing.T, addrs []string, hits *atomic.Int64) func(ctx context.Context, key string) (string, error) {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs})
	if err != nil {
		t.Fatal(fmt.Errorf("rueidis: %w", err))
	}
	t.Cleanup(c.Close)
	return func(ctx context.Context, key string) (string, error) {
		r := c.DoCache(ctx, c.B().Get().Key(key).Cache(), nearStale)
		if r.IsCacheHit() {
			hits.Add(1)
		}
		return r.ToString()
	}
}
