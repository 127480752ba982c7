package node

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// gated is a log's directory that is not read before the gate opens.
type gated struct {
	wal.FS
	gate chan struct{}
}

func (g gated) Read(name string, dst []byte, limit int64) ([]byte, error) {
	<-g.gate
	return g.FS.Read(name, dst, limit)
}

// TestPeersHearWhoReads: three real nodes and one copy of the data. While the node that
// has it reads its log, the others hear how far it is, and nobody opens its groups without
// it; then what it held is there.
func TestPeersHearWhoReads(t *testing.T) {
	nodes := []*lone{newLone(t, wal.Fsync), newLone(t, wal.Fsync), newLone(t, wal.Fsync)}
	for i, l := range nodes {
		l.cfg.ID, l.cfg.ReplicationFactor = fmt.Sprintf("n%d", i+1), 1
		for _, o := range nodes {
			l.cfg.Seeds = append(l.cfg.Seeds, o.cfg.GossipAddr)
		}
	}
	var clients []*raw
	for _, l := range nodes {
		clients = append(clients, l.start(t))
	}
	a, b, r := nodes[0], nodes[1], clients[0]
	key := ""
	until(t, "A takes a key", func() bool {
		for i := 0; i < 64 && key == ""; i++ {
			if k := fmt.Sprint("key:", i); r.say(t, "SET", k, "kept") == "+OK\r\n" {
				key = k
			}
		}
		return key != ""
	})
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.node, err = New(a.cfg, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	a.node.durable.fs = gated{a.node.durable.fs, gate}
	a.run()
	self := a.node.identity.Node
	until(t, "B hears that A reads", func() bool {
		_, ok := b.node.standing().Data().Reading(self, multiraft.Now())
		return ok
	})
	close(gate)
	clients[0] = dialRaw(t, a.cfg.ClientAddr)
	until(t, "what A held is there", func() bool {
		for _, c := range clients { // who leads it then is not the matter
			if strings.HasPrefix(c.say(t, "GET", key), "$4") {
				return true
			}
		}
		return false
	})
	for _, l := range nodes {
		l.cancel()
	}
	for _, l := range nodes {
		if err := <-l.ended; err != nil {
			t.Error(err)
		}
	}
}
