package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// diary keeps what it is told of.
type diary struct {
	name string

	mu    sync.Mutex
	lines []string
	ops   []Op
}

type diaryKey struct{}

func (d *diary) Before(ctx context.Context, op *Op) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprint(d.name, " before ", op.Name, " ", op.Key, " ", op.Bytes))
	seen, _ := ctx.Value(diaryKey{}).(string)
	return context.WithValue(ctx, diaryKey{}, seen+d.name)
}

func (d *diary) After(ctx context.Context, op *Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprint(d.name, " after ", op.Key, " in ", ctx.Value(diaryKey{})))
	d.ops = append(d.ops, *op)
}

func TestHooksSeeEveryOperation(t *testing.T) {
	w := newWorld(t, 2)
	inner, outer := &diary{name: "B"}, &diary{name: "A"}
	cfg := quick(w.seeds())
	cfg.Hooks = []Hook{outer, inner}
	c := open1(t, cfg)
	must(t, c.Set(ctx, "k", []byte("abc")))
	want := []string{"B before SET k 3", "B after k in AB"}
	if got := strings.Join(inner.lines, "; "); got != strings.Join(want, "; ") {
		t.Error(got)
	}
	w.set(func() { w.owner = func(s shardmap.Slot) int { return 1 - int(s)*2/shardmap.Slots } })
	if _, err := c.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.MGet(ctx, "k", "missing"); err != nil {
		t.Fatal(err)
	}
	if len(outer.ops) != 4 || len(inner.ops) != 4 {
		t.Fatal(outer.lines)
	}
	op := inner.ops[1]
	if op.Name != "GET" || op.Attempts != 2 || op.Node == "" || op.Text != 3 || op.Duration <= 0 || op.Err != nil || op.Slot != shardmap.SlotOfString("k") {
		t.Errorf("a read that was redirected: %+v", op)
	}
	w.nodes[0].stop()
	w.nodes[1].stop()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := c.Get(short, "k")
	if op := inner.ops[4]; err == nil || !errors.Is(op.Err, ErrUnavailable) {
		t.Errorf("%v; the hook was told %v", err, op.Err)
	}
}

// TestHooksSeeBytesOfValues: of GetInto too, and nothing else for a value.
func TestHooksSeeBytesOfValues(t *testing.T) {
	w := newWorld(t, 1)
	d := &diary{}
	cfg := quick(w.seeds())
	cfg.Hooks = []Hook{d}
	c := open1(t, cfg)
	must(t, c.Set(ctx, "k", []byte("abc")))
	_, err := c.GetInto(ctx, "k", []byte("before"))
	must(t, err)
	_, err = c.GetInto(ctx, "none", nil)
	wantIs(t, err, ErrNotFound)
	_, err = c.MGet(ctx, "k")
	must(t, err)
	for i, want := range []int{0, 3, 0, 3} {
		if got := d.ops[i].Text; got != want {
			t.Errorf("%s: %d bytes, want %d", d.ops[i].Name, got, want)
		}
	}
}

func TestLoggerIsToldOfNodesAndMaps(t *testing.T) {
	w := newWorld(t, 1)
	var mu sync.Mutex
	var out bytes.Buffer
	said := func(what string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(out.String(), what)
	}
	cfg := quick(w.seeds())
	cfg.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &out}, nil))
	c := open1(t, cfg)
	must(t, c.Set(ctx, "k", nil))
	until(t, "the map is told of", func() bool { return said(`msg="took a map" epoch=1 nodes=1`) })
	w.nodes[0].stop()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := c.Get(short, "k"); err == nil {
		t.Error("a node that is gone answers")
	}
	until(t, "the node's silence is told of", func() bool { return said("node does not answer") && said(w.nodes[0].addr) })
}

type lockedWriter struct {
	mu  *sync.Mutex
	out *bytes.Buffer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}
