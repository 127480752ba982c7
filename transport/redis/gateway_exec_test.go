package redis

import (
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// TestGatewayWatch: $H is a key held here, $F one of the other node; O is another client.
// After "move" the group of $F, after "take" the group of $H is with the other node.
func TestGatewayWatch(t *testing.T) {
	for _, x := range []struct{ name, script, out string }{
		{"nothing happens", "WATCH $F|MULTI|SET $F 1|GET $F|EXEC", "*2\r\n+OK\r\n$1\r\n1\r\n"},
		{"somebody writes", "WATCH $F|O SET $F x|MULTI|SET $F 1|EXEC", "*-1\r\n"},
		{"after MULTI", "WATCH $F|MULTI|O SET $F x|SET $F 1|EXEC", "*-1\r\n"},
		{"somebody deletes and sets again", "SET $F 1|WATCH $F|O DEL $F|O SET $F 1|MULTI|GET $F|EXEC", "*-1\r\n"},
		{"the client itself writes", "WATCH $F|SET $F 2|MULTI|GET $F|EXEC", "*-1\r\n"},
		{"another key is written", "WATCH $F|O SET {$F}2 x|MULTI|SET $F 1|EXEC", "*1\r\n+OK\r\n"},
		{"two keys of a slot", "WATCH $F {$F}2|O SET {$F}2 x|MULTI|SET $F 1|EXEC", "*-1\r\n"},
		{"unwatched", "WATCH $F|O SET $F x|UNWATCH|MULTI|GET $F|EXEC", "*1\r\n$1\r\nx\r\n"},
		{"discarded", "WATCH $F|O SET $F x|MULTI|DISCARD|MULTI|GET $F|EXEC", "*1\r\n$1\r\nx\r\n"},
		{"once", "WATCH $F|MULTI|SET $F 1|EXEC|O SET $F 2|MULTI|GET $F|EXEC", "*1\r\n$1\r\n2\r\n"},
		{"of another slot", "WATCH $F|MULTI|SET $H 1|EXEC", "-CROSSSLOT Keys of the transaction and watched keys don't hash to the same slot\r\n"},
		{"without commands", "WATCH $F|O SET $F x|MULTI|EXEC", "*-1\r\n"},
		{"inside MULTI", "MULTI|WATCH $F|EXEC", "*0\r\n"},
		{"a key held here", "WATCH $H|O SET $H x|MULTI|SET $H 1|EXEC", "*-1\r\n"},
		{"a key held here that stays", "WATCH $H|MULTI|SET $H 1|EXEC", "*1\r\n+OK\r\n"},
		{"the lease comes here", "WATCH $F|move|MULTI|SET $F 1|EXEC", "*-1\r\n"},
		{"the lease goes", "WATCH $H|take|MULTI|SET $H 1|EXEC", "*-1\r\n"},
		{"the lease went before", "take|WATCH $H|MULTI|SET $H 1|EXEC", "*1\r\n+OK\r\n"},
		{"the lease goes and comes back", "WATCH $H|take|take|MULTI|SET $H 1|EXEC", "*-1\r\n"},
		{"its own condition", "MULTI|AEGIS.IF $F 9 9 9|SET $F 1|EXEC", "*-1\r\n"},
		{"a condition that is none", "MULTI|AEGIS.IF $F 9 9 x|SET $F 1|EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := startPair(t)
			here, far := p.keysOf(1, 1)[0], p.keysOf(2, 1)[0]
			p.a.epoch, p.b.epoch = 5, 6
			c, o := dial(t, p.addr), dial(t, p.addr)
			var last string
			for _, line := range strings.Split(strings.NewReplacer("$F", far, "$H", here).Replace(x.script), "|") {
				switch {
				case line == "move":
					p.b.epoch, p.a.epoch = 0, 7
					p.hand(shardmap.SlotOfString(far))
				case line == "take":
					p.a.epoch, p.b.epoch = p.a.epoch+2, p.b.epoch+2
					p.hand(shardmap.SlotOfString(here))
				case strings.HasPrefix(line, "O "):
					o.do(strings.Fields(line)[1:]...)
				default:
					c.send(line + "\r\n")
					b, _, err := resp.CopyReply(c.r, nil, func(int) bool { return true })
					if err != nil {
						t.Fatal(err)
					}
					last = string(b)
				}
			}
			if last != x.out {
				t.Errorf("%q, want %q", last, x.out)
			}
		})
	}
}
