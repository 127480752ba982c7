package redis

import (
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
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
		if c.rights == rightsWrite != strings.Contains(c.flags, "write") {
			t.Errorf("%s: rights %s with flags %q", c.name, c.rights, c.flags)
		}
		if c.first > 0 && (c.step <= 0 || c.last == 0) {
			t.Errorf("%s: key positions %d %d %d", c.name, c.first, c.last, c.step)
		}
		for name, s := range c.subs {
			if want := c.name + "|" + strings.ToLower(name); s.name != want || tab.findAny(want) != s {
				t.Errorf("subcommand %s is called %s", want, s.name)
			}
			check(s)
		}
	}
	for _, name := range tab.names {
		c := tab.findAny(name)
		if c.summary == "" {
			t.Errorf("%s: no summary", name)
		}
		check(c)
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
