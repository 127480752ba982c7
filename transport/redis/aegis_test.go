package redis

import (
	"strconv"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// attr is what stands before a reply: the epoch of the test's map and the version.
func attr(m *memory, v string) string {
	return "|2\r\n$1\r\ne\r\n:" + epochOf(m) + "\r\n$1\r\nv\r\n" + v
}

func epochOf(m *memory) string { return strconv.FormatUint(m.routes.Epoch(), 10) }

func TestCapableClientsAreToldEpochAndVersion(t *testing.T) {
	m := newMemory()
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.send("CLIENT CAPA redirect aegis\r\nSET a 1\r\nGET a\r\n") // RESP2: nothing can be told
	p.want("+OK\r\n+OK\r\n$1\r\n1\r\n")
	p.do("HELLO", "3")
	for _, x := range []struct{ say, want string }{
		{"GET a", attr(m, ":1\r\n") + "$1\r\n1\r\n"},
		{"SET a 2", attr(m, ":2\r\n") + "+OK\r\n"},
		{"SET a 3 NX", attr(m, ":0\r\n") + "_\r\n"},
		{"STRLEN a", attr(m, ":2\r\n") + ":1\r\n"},
		{"GET none", attr(m, ":0\r\n") + "_\r\n"},
		{"MSET {a}1 x {a}2 y", attr(m, "*2\r\n:3\r\n:4\r\n") + "+OK\r\n"},
		{"MGET {a}2 a {a}none {a}1", attr(m, "*4\r\n:4\r\n:2\r\n:0\r\n:3\r\n") + "*4\r\n$1\r\ny\r\n$1\r\n2\r\n_\r\n$1\r\nx\r\n"},
		{"MSETNX {a}5 x {a}6 y", attr(m, "*2\r\n:5\r\n:6\r\n") + ":1\r\n"},
		{"INCR a", attr(m, ":7\r\n") + ":3\r\n"},
		{"DEL a {a}none", attr(m, "*2\r\n:8\r\n:0\r\n") + ":1\r\n"},
		{"INCR {a}1", "|1\r\n$1\r\ne\r\n:" + epochOf(m) + "\r\n-ERR value is not an integer or out of range\r\n"},
		{"PING", "+PONG\r\n"},
		{"SET v 1 IFVER 9", "|1\r\n$1\r\ne\r\n:" + epochOf(m) + "\r\n-VERSION 0\r\n"},
		{"SET v 1 IFVER 0 PX 100000", attr(m, ":9\r\n") + ":9\r\n"},
		{"SET v 2 ifver 9 KEEPTTL", attr(m, ":10\r\n") + ":10\r\n"},
		{"DELIFVER v 10", attr(m, ":11\r\n") + ":11\r\n"},
	} {
		p.send(x.say + "\r\n")
		p.want(x.want)
	}
	p.do("RESET")
	p.do("HELLO", "3")
	p.send("GET a\r\n")
	p.want("_\r\n")
}

func TestWritesByVersion(t *testing.T) {
	_, addr := start(t, testConfig(), newMemory())
	p := dial(t, addr)
	for _, x := range []struct{ say, want string }{
		{"DELIFVER k 0", ":0\r\n"},
		{"DELIFVER k 1", "-VERSION 0\r\n"},
		{"SET k a IFVER 1", "-VERSION 0\r\n"},
		{"SET k a IFVER 0", ":1\r\n"},
		{"SET k b IFVER 0", "-VERSION 1\r\n"},
		{"SET k b IFVER 1 EX 100", ":2\r\n"},
		{"SET k c IFVER 1", "-VERSION 2\r\n"},
		{"GET k", "$1\r\nb\r\n"},
		{"DELIFVER k 1", "-VERSION 2\r\n"},
		{"DELIFVER k 2", ":3\r\n"},
		{"EXISTS k", ":0\r\n"},
		{"SET k c IFVER 1 NX", "-" + errSyntax + "\r\n"},
		{"SET k c NX IFVER 1", "-" + errSyntax + "\r\n"},
		{"SET k c IFVER 1 GET", "-" + errSyntax + "\r\n"},
		{"SET k c GET IFVER 1", "-" + errSyntax + "\r\n"},
		{"SET k c IFVER 1 IFEQ x", "-" + errSyntax + "\r\n"},
		{"SET k c IFVER", "-" + errSyntax + "\r\n"},
		{"SET k c IFVER x", "-" + errInteger + "\r\n"},
		{"SET k c IFVER -1", "-" + errInteger + "\r\n"},
		{"DELIFVER k x", "-" + errInteger + "\r\n"},
		{"DELIFVER k", "-ERR wrong number of arguments for 'delifver' command\r\n"},
	} {
		p.send(x.say + "\r\n")
		p.want(x.want)
	}
}

func TestTheMapInOneReply(t *testing.T) {
	m := newMemory()
	_, addr := start(t, testConfig(), m)
	p := dial(t, addr)
	p.do("HELLO", "3")
	p.send("AEGIS.MAP\r\nAEGIS.MAP " + epochOf(m) + "\r\nAEGIS.MAP 1 2\r\nAEGIS.MAP x\r\n")
	p.want("%4\r\n$5\r\nepoch\r\n:" + epochOf(m) + "\r\n$6\r\nshards\r\n:256\r\n$5\r\nnodes\r\n*1\r\n*3\r\n:1\r\n$9\r\n127.0.0.1\r\n:7000\r\n" +
		"$6\r\nowners\r\n*1\r\n*3\r\n:0\r\n:255\r\n:1\r\n" + "_\r\n-" + errSyntax + "\r\n-" + errInteger + "\r\n")
}

func TestCapableClientsHearOfTheMapAndOfLosses(t *testing.T) {
	m := newMemory()
	s, addr := start(t, testConfig(), m)
	p, plain := dial(t, addr), dial(t, addr)
	for _, c := range []*peer{p, plain} {
		c.do("HELLO", "3")
	}
	p.do("CLIENT", "CAPA", "aegis")
	for range 50 { // told once
		s.MapChanged()
	}
	p.want(">2\r\n$9\r\naegis-map\r\n:" + epochOf(m) + "\r\n")
	s.Lost(7, shardmap.MakeVersion(1, 5), shardmap.MakeVersion(2, 0)-1)
	p.want(">4\r\n$10\r\naegis-lost\r\n:7\r\n:1099511627781\r\n:2199023255551\r\n")
	plain.send("PING\r\n")
	plain.want("+PONG\r\n")
	p.do("RESET")
	if n := s.capable.n.Load(); n != 0 {
		t.Errorf("%d connections hear after RESET", n)
	}
}
