package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestMovesAreToldToWhoAskedForThem(t *testing.T) {
	m := newMemory()
	m.mu.Lock()
	m.routes = m.routes.WithNodes(2, []shardmap.NodeInfo{
		{ID: 1, Name: "node1", Host: "127.0.0.1", Port: 7000}, {ID: 2, Name: "node2", Host: "::1", Port: 7010}, {ID: 3, Name: "node3", Host: "c", Port: 7020},
	})
	m.mu.Unlock()
	s, addr := start(t, testConfig(), m)
	p, other := dial(t, addr), dial(t, addr)
	for _, x := range []struct{ say, want string }{
		{"CLIENT MAINT_NOTIFICATIONS ON", "-ERR maintenance notifications are pushed, which needs RESP3 (HELLO 3)\r\n"},
		{"CLIENT MAINT_NOTIFICATIONS", "-ERR wrong number of arguments for 'client|maint_notifications' command\r\n"},
		{"CLIENT MAINT_NOTIFICATIONS PERHAPS", "-" + errSyntax + "\r\n"},
		{"CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type moon", "-" + errSyntax + "\r\n"},
		{"CLIENT MAINT_NOTIFICATIONS OFF", "+OK\r\n"},
	} {
		p.send(x.say + "\r\n")
		p.want(x.want)
	}
	p.do("HELLO", "3")
	other.do("HELLO", "3")
	if v := p.do("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "internal-ip"); v.IsError() {
		t.Fatalf("%s", v.Text)
	}
	seq := func() string { return fmt.Sprint(m.Map().Epoch()<<16 | 1) }
	move := func(g, to int) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.routes = m.routes.With(shardmap.Route{Group: shardmap.GroupID(g), Epoch: m.routes.Route(shardmap.GroupID(g)).Epoch + 1, Leader: shardmap.NodeID(to)})
	}
	s.Moving(0, 255)
	p.want(">3\r\n$10\r\nSMIGRATING\r\n:" + seq() + "\r\n$5\r\n0-255\r\n")
	for _, g := range []int{1, 2, 5} {
		move(g, 2)
	}
	move(9, 3)
	s.MapChanged()
	p.want(">3\r\n$9\r\nSMIGRATED\r\n:" + seq() + "\r\n*2\r\n" +
		"*3\r\n$14\r\n127.0.0.1:7000\r\n$8\r\n::1:7010\r\n$15\r\n0-511,1024-1279\r\n" +
		"*3\r\n$14\r\n127.0.0.1:7000\r\n$6\r\nc:7020\r\n$9\r\n2048-2303\r\n")
	for _, first := range []int{512, 768, 1280} { // two go together, one of them comes back; one stays
		s.Moving(shardmap.Slot(first), shardmap.Slot(first+255))
		s.Moving(shardmap.Slot(first), shardmap.Slot(first+255)) // known
		p.want(fmt.Sprintf(">3\r\n$10\r\nSMIGRATING\r\n:%s\r\n$%d\r\n%d-%d\r\n", seq(), len(fmt.Sprint(first, first+255)), first, first+255))
	}
	s.Staying(1280, 1535)
	p.want(">3\r\n$8\r\nMIGRATED\r\n:" + seq() + "\r\n$9\r\n1280-1535\r\n")
	s.Staying(1280, 1535) // closed once
	move(3, 2)
	move(4, 1) // nobody else had it
	s.MapChanged()
	p.want(">3\r\n$9\r\nSMIGRATED\r\n:" + seq() + "\r\n*1\r\n*3\r\n$14\r\n127.0.0.1:7000\r\n$8\r\n::1:7010\r\n$7\r\n512-767\r\n")
	p.want(">3\r\n$8\r\nMIGRATED\r\n:" + seq() + "\r\n$8\r\n768-1023\r\n")
	eventually(t, func() bool { return !s.mapPending.Load() })
	move(1, 3) // between others
	move(5, 1) // to this node
	s.MapChanged()
	eventually(t, func() bool { return !s.mapPending.Load() })
	p.do("CLIENT", "MAINT_NOTIFICATIONS", "OFF")
	move(20, 2)
	s.MapChanged()
	other.send("PING\r\n")
	other.want("+PONG\r\n")
	p.send("PING\r\n")
	p.want("+PONG\r\n")
	if s.moves.n.Load() != 0 {
		t.Error("a connection hears of moves after OFF")
	}
}

func TestMaintNotificationsCanBeTurnedOff(t *testing.T) {
	cfg := testConfig()
	cfg.MaintNotifications = false
	_, addr := start(t, cfg, newMemory())
	p := dial(t, addr)
	p.do("HELLO", "3")
	if v := p.do("CLIENT", "MAINT_NOTIFICATIONS", "ON"); !v.IsError() {
		t.Errorf("%q", v.Text)
	}
}

// TestMovesGoWithTheNextReply: go-redis takes an idle connection on which a push lies for
// sound, and does not see that it was closed behind it. So it is told with its next reply,
// unless that is a lot; and nothing stands before the end of a connection.
func TestMovesGoWithTheNextReply(t *testing.T) {
	m := newMemory()
	s, addr := start(t, testConfig(), m)
	idle, asks := dial(t, addr), dial(t, addr)
	for _, p := range []*peer{idle, asks} {
		p.do("HELLO", "3")
		p.do("CLIENT", "MAINT_NOTIFICATIONS", "ON")
		p.do("CLIENT", "SETINFO", "LIB-NAME", "go-redis(,go1.26)")
	}
	seq := m.Map().Epoch()<<16 | 1
	told := func(first int) string {
		slots := fmt.Sprintf("%d-%d", first, first+255)
		return fmt.Sprintf(">3\r\n$10\r\nSMIGRATING\r\n:%d\r\n$%d\r\n%s\r\n", seq, len(slots), slots)
	}
	before := s.buffered.Load()
	s.Moving(0, 255)
	s.Moving(256, 511)
	if n := s.buffered.Load() - before; n != int64(2*len(told(0)+told(256))) {
		t.Errorf("%d bytes wait", n)
	}
	asks.send("PING\r\n")
	asks.want(told(0) + told(256) + "+PONG\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	idle.wantClosed()

	s, addr = start(t, testConfig(), m)
	p := dial(t, addr)
	p.do("HELLO", "3")
	p.do("CLIENT", "SETINFO", "LIB-NAME", "go-redis(,go1.26)")
	p.do("CLIENT", "MAINT_NOTIFICATIONS", "ON")
	all := ""
	for first := 0; len(all) <= atReplyMax+len(told(first)); first++ {
		s.Moving(shardmap.Slot(first), shardmap.Slot(first+255))
		all += told(first)
	}
	p.want(all)
}
