package redis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// other is the same cluster seen from node 2.
type other struct{ *memory }

func (other) Self() shardmap.NodeID { return 2 }

func TestTopologyIsTheSameOnAllNodesButForMyself(t *testing.T) {
	m := newMemory()
	m.routes = m.routes.WithNodes(2, []shardmap.NodeInfo{
		{ID: 1, Name: "node1", Host: "127.0.0.1", Port: 7000},
		{ID: 2, Name: "node2", Host: "::1", Port: 7010},
	}).With(shardmap.Route{Group: 3, Epoch: 2, Leader: 2})
	a, b := NewServer(testConfig(), m), NewServer(testConfig(), other{m})
	for _, proto := range []int{2, 3} {
		x, y := a.topology(proto), b.topology(proto)
		if string(x.slots) != string(y.slots) || string(x.shards) != string(y.shards) {
			t.Errorf("RESP%d: the nodes do not agree:\n%q\n%q", proto, x.shards, y.shards)
		}
		if a.topology(proto) != x {
			t.Error("encoded twice for one map")
		}
		strip := strings.NewReplacer("myself,", "")
		xn, yn := string(x.nodes), string(y.nodes)
		if xn == yn || strip.Replace(xn) != strip.Replace(yn) {
			t.Errorf("NODES differ by more than myself:\n%s\n%s", xn, yn)
		}
		for _, part := range []string{
			"f937c37e949d9efa20d2958af309235c73ec039a 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-511 768-16383\n",
			" ::1:7010@17010 master - 0 0 2 connected 512-767\n",
		} {
			if !strings.Contains(xn, part) {
				t.Errorf("NODES lacks %q:\n%s", part, xn)
			}
		}
		// One entry per leaseholder, all its ranges inside.
		if n := strings.Count(string(x.shards), "replication-offset"); n != 2 {
			t.Errorf("SHARDS has %d entries for 2 nodes", n)
		}
	}
	before := a.topology(2)
	m.routes = m.routes.With(shardmap.Route{Group: 4, Epoch: 2, Leader: 2})
	if after := a.topology(2); after == before || string(after.slots) == string(before.slots) {
		t.Error("a new map is not seen")
	}
}

func TestTableIsWhole(t *testing.T) {
	tab := newTable()
	var check func(c *command)
	check = func(c *command) {
		if c.run == nil && c.subs == nil || c.arity == 0 || c.rights == "" {
			t.Errorf("%s: no function, arity or rights", c.name)
		}
		if c.rights == rightsWrite != (c.has("write") || c.numkeys > 0) { // as in Redis a script has no flag for it
			t.Errorf("%s: rights %s with flags %q", c.name, c.rights, c.flags)
		}
		if c.first > 0 && (c.step <= 0 || c.last == 0) {
			t.Errorf("%s: key positions %d %d %d", c.name, c.first, c.last, c.step)
		}
		if c.summary == "" {
			t.Errorf("%s: no summary", c.name)
		}
		for name, s := range c.subs {
			if want := c.name + "|" + strings.ToLower(name); s.name != want || tab.findAny(want) != s {
				t.Errorf("subcommand %s is called %s", want, s.name)
			}
			check(s)
		}
	}
	for _, name := range tab.names {
		check(tab.findAny(name))
	}
	for name := range summaries {
		if tab.findAny(name) == nil {
			t.Errorf("a summary of %s, which is no command", name)
		}
	}
	for name := range refused {
		if tab.findAny(name) != nil {
			t.Errorf("%s is refused and known", name)
		}
	}
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	for _, proto := range []string{"2", "3"} {
		p.do("HELLO", proto)
		rows := p.do("COMMAND").Items
		if int64(len(rows)) != p.do("COMMAND", "COUNT").Int || len(rows) != len(tab.names) {
			t.Errorf("COMMAND has %d rows", len(rows))
		}
		for _, r := range rows {
			if len(r.Items) != 10 {
				t.Errorf("a row of COMMAND has %d elements, clients want 10", len(r.Items))
			}
		}
	}
}

// TestSlotStats counts keys by slot, of the slots that this node serves.
func TestSlotStats(t *testing.T) {
	p := startPair(t)
	own, _ := p.a.Map().Node(1)
	c := dial(t, fmt.Sprintf("127.0.0.1:%d", own.Port))
	served := map[shardmap.Slot]int64{}
	for _, sp := range p.a.Map().Spans() {
		for slot := int(sp.First); sp.Leader == 1 && slot <= int(sp.Last); slot++ {
			served[shardmap.Slot(slot)] = 0
		}
	}
	for i := range 500 {
		key := fmt.Sprintf("{%d}%d", i%40, i)
		if _, here := served[shardmap.SlotOfString(key)]; here {
			c.do("SET", key, "v")
			served[shardmap.SlotOfString(key)]++
		}
	}
	check := func(words string, v resp.Reply, n int) {
		t.Helper()
		if len(v.Items) != n {
			t.Fatalf("%s: %d slots, want %d", words, len(v.Items), n)
		}
		for _, item := range v.Items {
			slot, stats := shardmap.Slot(item.Items[0].Int), item.Items[1].Items
			if want, here := served[slot]; !here || len(stats) != 2 || string(stats[0].Text) != "key-count" || stats[1].Int != want {
				t.Errorf("%s: %+v of slot %d, which has %d keys", words, stats, slot, want)
			}
		}
	}
	check("all", c.do("CLUSTER", "SLOT-STATS", "SLOTSRANGE", "0", "16383"), len(served))
	slot := int(shardmap.SlotOfString("{3}"))
	of := fmt.Sprint(slot)
	here := 0
	if served[shardmap.Slot(slot)] > 0 {
		here = 1
	}
	check("one", c.do("CLUSTER", "SLOT-STATS", "SLOTSRANGE", of, of), here)
	for _, order := range []string{"", "ASC", "DESC"} {
		words := append(strings.Fields("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 30"), strings.Fields(order)...)
		v := c.do(words...)
		check(strings.Join(words, " "), v, 30)
		sorted := slices.IsSortedFunc(v.Items, func(a, b resp.Reply) int {
			by := cmp.Compare(b.Items[1].Items[1].Int, a.Items[1].Items[1].Int)
			if order == "ASC" {
				by = -by
			}
			return cmp.Or(by, cmp.Compare(a.Items[0].Int, b.Items[0].Int))
		})
		if first := v.Items[0].Items[1].Items[1].Int; !sorted || (first == 0) != (order == "ASC") {
			t.Errorf("%v: %+v", words, v.Items)
		}
	}
}

// TestClusterLinks are told in Redis's six fields: go-redis refuses any other.
func TestClusterLinks(t *testing.T) {
	m := newMemory()
	at := time.UnixMilli(1_700_000_000_123)
	m.links = []Link{{Peer: 1, Since: at, QueuedBytes: 5}, {Peer: 1, Inbound: true, Since: at}, {Peer: 9, Since: at}}
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	const id = "f937c37e949d9efa20d2958af309235c73ec039a"
	want := []string{
		"direction to node " + id + " create-time 1700000000123 events rw send-buffer-allocated 5 send-buffer-used 5",
		"direction from node " + id + " create-time 1700000000123 events r send-buffer-allocated 0 send-buffer-used 0",
	}
	var got []string
	for _, l := range p.do("CLUSTER", "LINKS").Items {
		var words []string
		for i, f := range l.Items {
			if i%2 == 1 && f.Kind == ':' {
				words = append(words, fmt.Sprint(f.Int))
			} else {
				words = append(words, string(f.Text))
			}
		}
		got = append(got, strings.Join(words, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWordsAboutANode: what other nodes are asked for by their id.
func TestWordsAboutANode(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	id := string(p.do("CLUSTER", "MYID").Text)
	if v := p.do("CLUSTER", "MYSHARDID"); string(v.Text) != id {
		t.Errorf("MYSHARDID %q, MYID %q", v.Text, id)
	}
	p.send("CLUSTER REPLICAS " + id + "\r\nCLUSTER SLAVES " + id + "\r\nCLUSTER COUNT-FAILURE-REPORTS " + id + "\r\n")
	p.want("*0\r\n*0\r\n:0\r\n")
}
