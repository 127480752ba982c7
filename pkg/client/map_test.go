package client

import (
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// ownMap is an answer to AEGIS.MAP: node i, with id 10+i, holds each run.
func ownMap(epoch int64, shards int, nodes []string, owners [][3]int) resp.Reply {
	num := func(n int64) resp.Reply { return resp.Reply{Kind: ':', Int: n} }
	word := func(s string) resp.Reply { return resp.Reply{Kind: '$', Text: []byte(s)} }
	list := func(items ...resp.Reply) resp.Reply { return resp.Reply{Kind: '*', Items: items} }
	var ns, os []resp.Reply
	for i, addr := range nodes {
		host, port, _ := net.SplitHostPort(addr)
		p, _ := strconv.Atoi(port)
		ns = append(ns, list(num(int64(10+i)), word(host), num(int64(p))))
	}
	for _, o := range owners {
		os = append(os, list(num(int64(o[0])), num(int64(o[1])), num(int64(10+o[2]))))
	}
	return resp.Reply{Kind: '%', Items: []resp.Reply{
		word("epoch"), num(epoch), word("later"), list(), word("owners"), list(os...), word("shards"), num(int64(shards)), word("nodes"), list(ns...),
	}}
}

func TestOwnMapsAreParsed(t *testing.T) {
	nodes := []string{"1.2.3.4:7000", "[::1]:7010"}
	f, ok := parseMap(ownMap(9, 8, nodes, [][3]int{{0, 2, 0}, {3, 3, 1}, {4, 6, 7}, {7, 7, 0}}), "asked:1")
	if !ok || f.epoch != 9 || f.layout.Shards != 8 || f.from != "asked:1" {
		t.Fatal(f, ok)
	}
	want := []span{{0, 3*2048 - 1, nodes[0]}, {3 * 2048, 4*2048 - 1, nodes[1]}, {7 * 2048, 16383, nodes[0]}}
	if len(f.spans) != 3 || f.spans[0] != want[0] || f.spans[1] != want[1] || f.spans[2] != want[2] {
		t.Errorf("%v, want %v", f.spans, want)
	}
	var none *table
	tab, _ := none.merge(f)
	if at, _ := tab.addrOf(5 * 2048); at != "asked:1" || tab.layout.Shards != 8 {
		t.Error("a shard without a known owner is asked for at", at)
	}
	if tab, _ = tab.merge(single("x:1")); tab.layout.Shards != 8 {
		t.Error("a map without a layout made the client forget it")
	}
	for name, r := range map[string]resp.Reply{
		"no map":         {Kind: '$', Text: []byte("x")},
		"null":           {Kind: '_'},
		"error":          {Kind: '-', Text: []byte("ERR unknown command")},
		"odd":            {Kind: '*', Items: []resp.Reply{{Kind: '$', Text: []byte("epoch")}}},
		"shards":         ownMap(1, 7, nodes, nil),
		"beyond the end": ownMap(1, 8, nodes, [][3]int{{0, 8, 0}}),
		"backwards":      ownMap(1, 8, nodes, [][3]int{{3, 2, 0}}),
	} {
		if _, ok := parseMap(r, "a:1"); ok {
			t.Error(name, "was taken")
		}
	}
}

// A node that knows AEGIS.MAP is asked nothing else; the layout then comes with the map.
func TestOwnMapIsAskedFor(t *testing.T) {
	w := newWorld(t, 2)
	told := &diary{}
	cfg := quick(w.seeds()[:1])
	cfg.Hooks = []Hook{told}
	c := open1(t, cfg)
	var others atomic.Int32
	for _, n := range w.nodes {
		n.on(func(p *peer, args []string) bool {
			switch args[0] {
			case "CLUSTER":
				others.Add(1)
			case "AEGIS.MAP":
				p.say(encoded(ownMap(1, 4, w.seeds(), [][3]int{{0, 1, 0}, {2, 3, 1}})))
				return true
			}
			return false
		})
	}
	must(t, c.Set(ctx, keyOn(w, 1, "k"), nil))
	must(t, c.Set(ctx, keyOn(w, 1, "k"), nil))
	if others.Load() != 0 {
		t.Error("it was asked with CLUSTER as well")
	}
	if s := c.Stats(); s.Redirects != 0 || s.Epoch != 1 {
		t.Errorf("%+v", s)
	}
	if op := told.ops[1]; op.Shard != int(op.Slot)*4/shardmap.Slots {
		t.Errorf("%+v", op)
	}
}

// encoded is a reply as bytes.
func encoded(r resp.Reply) []byte {
	var b []byte
	switch r.Kind {
	case ':':
		return resp.AppendInt(nil, r.Int)
	case '%':
		b = resp.AppendMap(nil, 3, len(r.Items)/2)
	case '*':
		b = resp.AppendArray(nil, len(r.Items))
	default:
		return resp.AppendBulk(nil, r.Text)
	}
	for _, i := range r.Items {
		b = append(b, encoded(i)...)
	}
	return b
}
