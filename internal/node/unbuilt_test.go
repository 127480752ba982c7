package node

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport"
)

// TestANodeThatCannotBeBuiltEnds though peers speak to it already: what they sent waits for
// the core, and must not be waited for when there will be none.
func TestANodeThatCannotBeBuiltEnds(t *testing.T) {
	cluster := [16]byte{7}
	ports := freePorts(t, 3)
	for range 5 { // what is in hand when the making fails is a matter of chance
		cfg := DefaultConfig()
		cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes = "n1", t.TempDir(), 64<<20
		cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = ports[0], ports[1], ports[2]
		n, err := New(cfg, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		at, err := net.ResolveUDPAddr("udp", ports[1])
		if err != nil {
			t.Fatal(err)
		}
		word := transport.LastWord{
			Self:    transport.Identity{Cluster: cluster, Node: 2, Counter: 1, Nonce: 1},
			Network: transport.TCP{}, Peers: map[shardmap.NodeID]string{1: at.String()},
		}
		for range 8 {
			if err := word.Datagrams([]byte("beat")); err != nil {
				t.Fatal(err)
			}
		}
		replica := multiraft.MakeReplica(1, 1, multiraft.RoleLearner).ID
		n.cluster, n.self = cluster, 1
		n.identity.Cluster, n.identity.Node = cluster, 1
		n.founded.Settings = meta.Settings{Shards: cfg.NumShards, Groups: n.cfg.NumGroups, VirtualNodes: 10, ReplicationFactor: 3}
		n.start.Groups = []multiraft.RestoredGroup{{Group: 1, ReplicaID: replica}}
		n.start.Tombstones = []multiraft.Tombstone{{Group: 1, ReplicaID: replica}}
		done := make(chan error, 1)
		go func() {
			err := n.live(t.Context())
			n.memory.Close()
			n.close() // before it is told: the next one opens the same ports
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "never comes back") || errors.Is(err, t.Context().Err()) {
				t.Fatalf("it ended with %v", err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("it waits for ever")
		}
	}
}
