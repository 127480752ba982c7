package client

import (
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
	"pgregory.net/rapid"
)

func spans(addrs ...string) []span {
	var s []span
	for i, a := range addrs {
		s = append(s, span{shardmap.Slot(i * shardmap.Slots / len(addrs)), shardmap.Slot((i+1)*shardmap.Slots/len(addrs) - 1), a})
	}
	return s
}

func at(t *table, s shardmap.Slot) string {
	addr, _ := t.addrOf(s)
	return addr
}

func TestMapOfAnOlderEpochIsRefused(t *testing.T) {
	var none *table
	m, ok := none.merge(fetched{spans: spans("a:1", "b:1"), epoch: 9})
	if !ok || at(m, 0) != "a:1" || at(m, 16383) != "b:1" {
		t.Fatal("the first map was not taken")
	}
	for i := range staleLimit {
		if m, ok = m.merge(fetched{spans: spans("b:1"), epoch: 8}); ok || at(m, 0) != "a:1" {
			t.Fatalf("older map number %d was taken", i)
		}
	}
	if m, ok = m.merge(fetched{spans: spans("c:1"), epoch: 1}); !ok || at(m, 0) != "c:1" || m.epoch != 1 {
		t.Fatal("a cluster founded anew is never believed")
	}
	if _, ok = m.merge(fetched{spans: spans("d:1"), epoch: 1}); !ok {
		t.Fatal("a map of the same epoch was refused")
	}
}

func TestMovedStandsAgainstAMapAskedForEarlier(t *testing.T) {
	var none *table
	m, _ := none.merge(fetched{spans: spans("a:1"), epoch: 1})
	before := len(m.moves)
	m = m.moved(7, "b:1")
	if at(m, 7) != "b:1" || at(m, 6) != "a:1" || at(m, 8) != "a:1" {
		t.Fatal("MOVED must move its slot and no other")
	}
	if m.moved(7, "b:1") != m {
		t.Fatal("a MOVED that says nothing new made a new table")
	}
	after := len(m.moves)
	older, _ := m.merge(fetched{spans: spans("a:1"), epoch: 1, moves: before})
	if at(older, 7) != "b:1" {
		t.Fatal("an answer asked for before the MOVED undid it")
	}
	newer, _ := m.merge(fetched{spans: spans("a:1"), epoch: 1, moves: after})
	if at(newer, 7) != "a:1" {
		t.Fatal("an answer asked for after the MOVED must win")
	}
}

func TestHolesKeepTheirNode(t *testing.T) {
	var none *table
	hole := []span{{0, 99, "a:1"}}
	m, _ := none.merge(fetched{spans: hole, from: "seed:1"})
	if at(m, 100) != "seed:1" {
		t.Fatal("a hole must lead to the node that answered")
	}
	m, _ = none.merge(fetched{spans: spans("a:1", "b:1")})
	m, _ = m.merge(fetched{spans: hole, from: "a:1"})
	if at(m, 16383) != "b:1" {
		t.Fatal("a hole must keep the node it had")
	}
}

// Whatever comes in whatever order, every slot has a node, and tables given out
// earlier never change.
func TestTablesAreImmutable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m *table
		type shot struct {
			t     *table
			addrs [4]string
		}
		var shots []shot
		look := func(m *table) (a [4]string) {
			for i := range a {
				a[i] = at(m, shardmap.Slot(i))
			}
			return a
		}
		m, _ = m.merge(fetched{spans: spans("n0:1"), epoch: 5})
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			shots = append(shots, shot{m, look(m)})
			addr := fmt.Sprintf("n%d:1", rapid.IntRange(0, 4).Draw(t, "node"))
			if rapid.Bool().Draw(t, "moved") {
				m = m.moved(shardmap.Slot(rapid.IntRange(0, 3).Draw(t, "slot")), addr)
			} else {
				m, _ = m.merge(fetched{spans: []span{{1, 2, addr}}, from: addr, epoch: rapid.Uint64Range(4, 6).Draw(t, "epoch"), moves: rapid.IntRange(0, 3).Draw(t, "known")})
			}
			for s := range shardmap.Slot(4) {
				if _, ok := m.addrOf(s); !ok {
					t.Fatalf("slot %d has no node", s)
				}
			}
		}
		for _, s := range shots {
			if look(s.t) != s.addrs {
				t.Fatal("a table changed after it was given out")
			}
		}
	})
}

func TestRedirectsAreParsed(t *testing.T) {
	for text, want := range map[string]string{
		"MOVED 3999 127.0.0.1:6381":   "3999 127.0.0.1:6381",
		"MOVED 3999 [::1]:6381":       "3999 [::1]:6381",
		"MOVED 3999 ::1:6381":         "3999 [::1]:6381",
		"ASK 0 host.example:7000":     "0 host.example:7000",
		"MOVED 1 :7000":               "1 asked:7000",
		"MOVED 1 ?:7000":              "1 asked:7000",
		"MOVED 16384 a:1":             "",
		"MOVED -1 a:1":                "",
		"MOVED 1":                     "",
		"MOVED 1 a":                   "",
		"MOVED 1 a:0":                 "",
		"MOVED 1 a:99999":             "",
		"MOVED 99999999999999999 a:1": "",
		"MOVED":                       "",
		"":                            "",
	} {
		got := ""
		if slot, addr, ok := parseRedirect(text, "asked:1"); ok {
			got = fmt.Sprint(slot, " ", addr)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestSlotsAnswers(t *testing.T) {
	row := func(first, last int64, host string, port int64) resp.Reply {
		return resp.Reply{Kind: '*', Items: []resp.Reply{
			{Kind: ':', Int: first},
			{Kind: ':', Int: last},
			{Kind: '*', Items: []resp.Reply{{Kind: '$', Text: []byte(host)}, {Kind: ':', Int: port}}},
		}}
	}
	array := func(rows ...resp.Reply) resp.Reply { return resp.Reply{Kind: '*', Items: rows} }
	s, ok := parseSlots(array(row(0, 5, "h", 1), row(6, 6, "", 2), row(7, 8, "::1", 3)), "asked:9")
	if want := []span{{0, 5, "h:1"}, {6, 6, "asked:2"}, {7, 8, "[::1]:3"}}; !ok || fmt.Sprint(s) != fmt.Sprint(want) {
		t.Fatalf("%v", s)
	}
	for name, r := range map[string]resp.Reply{
		"no array":       {Kind: '$', Text: []byte("x")},
		"backwards":      array(row(5, 4, "h", 1)),
		"out of range":   array(row(0, 16384, "h", 1)),
		"negative":       array(row(-1, 4, "h", 1)),
		"no port":        array(row(0, 4, "h", 0)),
		"short row":      array(resp.Reply{Kind: '*', Items: []resp.Reply{{Kind: ':'}}}),
		"row of strings": array(resp.Reply{Kind: '*', Items: []resp.Reply{{Kind: '$'}, {Kind: '$'}, {Kind: '$'}}}),
		"node no array":  array(resp.Reply{Kind: '*', Items: []resp.Reply{{Kind: ':'}, {Kind: ':'}, {Kind: '$'}}}),
	} {
		if _, ok := parseSlots(r, "asked:9"); ok {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzTopology(f *testing.F) {
	f.Add("ASK 1 :1", []byte("*1\r\n*3\r\n:0\r\n:7\r\n$4\r\nlost\r\n"))
	f.Add("MOVED 3999 127.0.0.1:6381", []byte("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:1\r\n"))
	f.Fuzz(func(t *testing.T, text string, wire []byte) {
		if slot, addr, ok := parseRedirect(text, "a:1"); ok && (slot >= shardmap.Slots || addr == "") {
			t.Fatal(slot, addr)
		}
		parseEpoch(wire)
		r, err := resp.ReadReply(newReader(wire))
		if err != nil {
			return
		}
		if marks, ok := parseVerdicts(r); ok {
			newLedger().judge(merged(marks))
		}
		if s, ok := parseSlots(r, "a:1"); ok {
			var none *table
			m, _ := none.merge(fetched{spans: s, from: "a:1"})
			for i := range m.slots {
				if at(m, shardmap.Slot(i)) == "" {
					t.Fatalf("slot %d has no node", i)
				}
			}
		}
	})
}
