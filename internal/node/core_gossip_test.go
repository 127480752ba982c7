package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// hintOut keeps the address hints of a Core; everything else goes nowhere.
type hintOut struct {
	coreEdge
	hints []string
}

func (o *hintOut) PeersChanged(map[shardmap.NodeID]string) {}
func (o *hintOut) MapChanged(*shardmap.Map)                {}
func (o *hintOut) Append(*multiraft.Batch)                 {}
func (o *hintOut) PeerHint(n shardmap.NodeID, addr string) {
	o.hints = append(o.hints, fmt.Sprintf("%d at %q", n, addr))
}

// founder makes node 1 of a cluster of three that were founded in their first start.
func founder(t *testing.T) (*Core, *hintOut) {
	t.Helper()
	out := &hintOut{}
	return founderTelling(t, out), out
}

func founderTelling(t *testing.T, out CoreOut) *Core {
	t.Helper()
	f := Founding{Cluster: [16]byte{9}, Settings: meta.Settings{Shards: 4, Groups: 2, VirtualNodes: 10, ReplicationFactor: 3}}
	for i := range 3 {
		id := shardmap.NodeID(i + 1)
		f.Nodes = append(f.Nodes, meta.Node{
			ID: id, UUID: meta.UUID{byte(id)}, Name: fmt.Sprint("node", id), DataBytes: 64 << 20, Generation: 1,
			Addresses: meta.Addresses{Client: fmt.Sprintf("10.0.0.%d:7000", id), Cluster: fmt.Sprintf("10.0.0.%d:7001", id)},
		})
	}
	r := multiraft.Restored{Identity: multiraft.Identity{UUID: [16]byte{1}, Cluster: f.Cluster, Node: 1, Inc: multiraft.Incarnation{Counter: 1, Nonce: 1}, FirstRun: true}}
	c, err := NewCore(CoreConfig{Name: "node1", DataBytes: 64 << 20, RingBytes: 8 << 20, Promise: 600 * time.Millisecond, Heartbeat: 100 * time.Millisecond, Founding: f, Founder: true},
		r, out, multiraft.Instant{Mono: time.Second, Age: time.Second, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func told(n shardmap.NodeID, inc uint64, addr string, s membership.State) membership.Member {
	return membership.Member{Meta: membership.Meta{Node: n, Incarnation: inc, ClusterAddr: addr}, State: s}
}

func TestAddressesOfGossipAreSecondToTheRegistry(t *testing.T) {
	c, out := founder(t)
	now := c.now
	for _, step := range []struct {
		m    membership.Member
		want string // the hint that follows, "" none
	}{
		{told(2, 1, "10.0.0.2:7001", membership.Alive), ""}, // as the registry says
		{told(2, 1, "10.9.9.9:7001", membership.Alive), ""}, // the registry's row is of the same start
		{told(2, 2, "10.0.0.2:7001", membership.Alive), ""}, // a newer start at the same address
		{told(2, 2, "10.0.0.7:7001", membership.Alive), `2 at "10.0.0.7:7001"`},
		{told(2, 2, "10.0.0.7:7001", membership.Suspect), ""}, // said already
		{told(2, 3, "10.0.0.8:7001", membership.Alive), `2 at "10.0.0.8:7001"`},
		{told(2, 3, "10.0.0.8:7001", membership.Dead), `2 at ""`},
		{told(7, 9, "10.0.0.8:7001", membership.Alive), ""}, // nobody's row
		{told(1, 9, "10.0.0.8:7001", membership.Alive), ""}, // this node itself
		{told(3, 2, "", membership.Alive), ""},              // no address in it
		{told(3, 2, "10.0.0.9:7001", membership.Alive), `3 at "10.0.0.9:7001"`},
	} {
		out.hints = nil
		c.Gossiped(step.m, now)
		if got := fmt.Sprint(out.hints); got != fmt.Sprint(appendSome(nil, step.want)) {
			t.Errorf("%+v gave %v, want %q", step.m, got, step.want)
		}
	}
	// The registry catches up with node 3: its row wins.
	out.hints = nil
	row, _ := c.meta.Node(3)
	row.Generation, row.Addresses.Cluster = 2, "10.0.0.9:7001"
	if !c.meta.Apply(meta.Entry{Register: &meta.Register{Node: row}}) {
		t.Fatal("the row was not taken")
	}
	c.metaChanged()
	if got := fmt.Sprint(out.hints); got != `[3 at ""]` {
		t.Errorf("after the registry caught up: %v", got)
	}
	if len(c.gossip) > 2 {
		t.Errorf("%d members are kept of two other nodes", len(c.gossip))
	}
}

func appendSome(to []string, s string) []string {
	if s == "" {
		return to
	}
	return append(to, s)
}

func TestStatusShowsWhatGossipSays(t *testing.T) {
	c, _ := founder(t)
	m := told(2, 4, "", membership.Dead)
	m.Version, m.Draining, m.Leases, m.MemoryUsed, m.MemoryMax = "0.9.9", true, 3, 10, 20
	c.Gossiped(m, c.now)
	rs := c.NodeStatus(c.now).Gossip
	want := []GossipReport{
		{Node: 2, Name: "node2", State: membership.Dead, Incarnation: 4, Version: "0.9.9", Draining: true, Leases: 3, MemoryUsed: 10, MemoryMax: 20},
		{Node: 3, Name: "node3"},
	}
	if fmt.Sprint(rs) != fmt.Sprint(want) {
		t.Errorf("status says %+v, want %+v", rs, want)
	}
	if c.leaving(2) {
		t.Error("a dead node counts as leaving: its leases are nobody's to keep away")
	}
	m.State = membership.Alive
	c.Gossiped(m, c.now)
	if !c.leaving(2) || c.leaving(3) {
		t.Error("who is leaving is not what gossip said")
	}
}
