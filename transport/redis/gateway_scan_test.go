package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// hand moves a group with its keys to the other node.
func (p *pair) hand(slot shardmap.Slot) {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	from, to := p.a, p.b
	if p.a.Map().LeaderOf(slot) == 2 {
		from, to = p.b, p.a
	}
	l := shardmap.DefaultLayout
	for k, e := range from.keys {
		if l.GroupOf(l.ShardOf(shardmap.SlotOfString(k))) == l.GroupOf(l.ShardOf(slot)) {
			to.keys[k] = e
			delete(from.keys, k)
		}
	}
	p.move(slot, to.id, p.a, p.b)
}

// handGroup is hand by the group's number, counted from 0.
func (p *pair) handGroup(g int) {
	l := shardmap.DefaultLayout
	first, _ := l.SlotRange(l.FirstShard(shardmap.GroupID(g + 1)))
	p.hand(first)
}

// TestGatewayScanMissesNothing: whatever the steps are, and wherever the groups are when
// the next one is made, every key comes, and none that is not wanted.
func TestGatewayScanMissesNothing(t *testing.T) {
	for _, opts := range []string{"COUNT 1", "", "COUNT 7 MATCH key*", "COUNT 100000", "TYPE string COUNT 33"} {
		for _, moving := range []bool{false, true} {
			t.Run(fmt.Sprint(opts, moving), func(t *testing.T) {
				p := startPair(t)
				c := dial(t, p.addr)
				want := map[string]bool{}
				for i := range 300 {
					k := fmt.Sprint("key", i)
					want[k] = true
					c.do("SET", k, "x")
				}
				got, steps := map[string]int{}, 0
				for at := "0"; ; steps++ {
					v := c.do(strings.Fields("SCAN " + at + " " + opts)...)
					if v.IsError() {
						t.Fatalf("%s", v.Text)
					}
					for _, k := range v.Items[1].Items {
						got[string(k.Text)]++
					}
					if at = string(v.Items[0].Text); at == "0" {
						break
					}
					for g := 0; moving && g < shardmap.DefaultLayout.Groups; g += 1 + steps%3 {
						p.handGroup(g)
					}
				}
				for k := range want {
					if got[k] != 1 {
						t.Errorf("%s came %d times", k, got[k])
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d keys came, there are %d", len(got), len(want))
				}
			})
		}
	}
}

// TestGatewayScanRefusals: what is wrong is said as on the client port, and a shard that
// nobody serves is an error, never an omission.
func TestGatewayScanRefusals(t *testing.T) {
	p := startPair(t)
	c := dial(t, p.addr)
	for in, out := range map[string]string{
		"SCAN x":                                         "-ERR invalid cursor\r\n",
		"SCAN 0 COUNT 0":                                 "-ERR syntax error\r\n",
		"SCAN 0 TYPE hash COUNT 100000":                  "*2\r\n$1\r\n0\r\n*0\r\n",
		"SCAN 18446744073709551615":                      "*2\r\n$1\r\n0\r\n*0\r\n",
		"MULTI\r\nSCAN 0\r\nEXEC":                        "+OK\r\n-ERR 'scan' cannot be in a transaction on the gateway port\r\n-EXECABORT Transaction discarded because of previous errors.\r\n",
		"SET a 1\r\nSCAN 0 MATCH b COUNT 99999\r\nGET a": "+OK\r\n*2\r\n$1\r\n0\r\n*0\r\n$1\r\n1\r\n",
	} {
		c.send(in + "\r\n")
		c.want(out)
	}
	p.b.gone = func(shardmap.Slot) bool { return true } // says that node 1 holds what the map says is with node 2
	c.send("SCAN 0 COUNT 100000\r\n")
	c.want("-CLUSTERDOWN Hash slot not served\r\n")
}
