package redis

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func clusterCommands() []*command {
	g := rightsCluster
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: "cluster|" + name, arity: arity, flags: "loading stale", rights: g, run: run}
	}
	keys := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return wide(&command{name: "cluster|" + name, arity: arity, flags: "stale", rights: g, run: run})
	}
	other := func(name string, answer func(*conn)) *command {
		return &command{name: "cluster|" + name, arity: 3, flags: "admin stale", rights: g, run: func(c *conn, a [][]byte) { c.ofNode(a[2], answer) }}
	}
	return []*command{{
		name: "cluster", arity: -2, rights: g, summary: "A container for cluster commands.",
		subs: map[string]*command{
			"SLOTS":                 sub("slots", 2, func(c *conn, _ [][]byte) { c.out = append(c.out, c.srv.topology(c.sess.Proto).slots...) }),
			"SHARDS":                sub("shards", 2, func(c *conn, _ [][]byte) { c.out = append(c.out, c.srv.topology(c.sess.Proto).shards...) }),
			"NODES":                 sub("nodes", 2, func(c *conn, _ [][]byte) { c.out = append(c.out, c.srv.topology(c.sess.Proto).nodes...) }),
			"INFO":                  sub("info", 2, cmdClusterInfo),
			"MYID":                  sub("myid", 2, cmdClusterMyID),
			"KEYSLOT":               {name: "cluster|keyslot", arity: 3, flags: "stale", rights: g, run: func(c *conn, a [][]byte) { c.int(int64(shardmap.SlotOf(a[2]))) }},
			"MYSHARDID":             sub("myshardid", 2, cmdClusterMyID), // a shard of CLUSTER SHARDS is a node
			"REPLICAS":              other("replicas", noReplicas),
			"SLAVES":                other("slaves", noReplicas),
			"COUNT-FAILURE-REPORTS": other("count-failure-reports", func(c *conn) { c.int(0) }),
			"LINKS":                 {name: "cluster|links", arity: 2, flags: "stale", rights: g, run: cmdLinks},
			"SLOT-STATS":            wide(sub("slot-stats", -4, cmdSlotStats)),
			"COUNTKEYSINSLOT":       keys("countkeysinslot", 3, cmdCountKeysInSlot),
			"GETKEYSINSLOT":         keys("getkeysinslot", 4, cmdGetKeysInSlot),
			"HELP": sub("help", 2, func(c *conn, _ [][]byte) {
				c.help("CLUSTER", "SLOTS -- slot ranges and who serves them", "SHARDS -- the same by node", "NODES -- all nodes", "INFO -- state of the cluster", "MYID -- the id of this node", "KEYSLOT key -- the slot of a key", "COUNTKEYSINSLOT slot -- how many keys of a slot are here", "GETKEYSINSLOT slot count -- some of them",
					"SLOT-STATS SLOTSRANGE first last -- how many keys each slot has", "SLOT-STATS ORDERBY key-count [LIMIT n] [ASC|DESC] -- the same by that number", "LINKS -- the connections to other nodes",
					"MYSHARDID -- the id of this node's entry in SHARDS: its own", "REPLICAS id, SLAVES id -- none: nodes are told as holders only", "COUNT-FAILURE-REPORTS id -- 0: nodes are not voted dead, leases end")
			}),
		},
	}}
}

func wide(c *command) *command { c.wide = true; return c }

// topology is the encoded routing of one map epoch, for one protocol version.
type topology struct {
	from   *shardmap.Map
	slots  []byte
	shards []byte
	nodes  []byte
	own    []byte // AEGIS.MAP
}

// topologyCache keeps the encodings of the newest map, so that thousands of
// clients that reconnect cost a copy each.
type topologyCache struct{ byProto [2]atomic.Pointer[topology] }

func (s *Server) topology(proto int) *topology {
	m := s.backend.Map()
	p := &s.topo.byProto[proto-2]
	if t := p.Load(); t != nil && t.from == m {
		return t
	}
	t := &topology{from: m, slots: encodeSlots(m, proto), shards: encodeShards(m, proto), nodes: encodeNodes(m, proto, s.backend.Self()), own: encodeMap(m, proto)}
	p.Store(t)
	return t
}

// encodeSlots is CLUSTER SLOTS: spans in order, the leaseholder of each, no
// replicas (clients that see a node in both roles misroute).
func encodeSlots(m *shardmap.Map, proto int) []byte {
	spans := m.Spans()
	b := resp.AppendArray(nil, len(spans))
	for _, sp := range spans {
		n, _ := m.Node(sp.Leader)
		b = resp.AppendArray(b, 3)
		b = resp.AppendInt(b, int64(sp.First))
		b = resp.AppendInt(b, int64(sp.Last))
		b = resp.AppendArray(b, 4)
		b = resp.AppendBulk(b, n.Host)
		b = resp.AppendInt(b, int64(n.Port))
		b = resp.AppendBulk(b, n.HexID())
		b = resp.AppendMap(b, proto, 0)
	}
	return b
}

// encodeShards is CLUSTER SHARDS: exactly one entry per leaseholder node.
func encodeShards(m *shardmap.Map, proto int) []byte {
	spans := m.Spans()
	of := make(map[shardmap.NodeID][]shardmap.SlotSpan)
	for _, sp := range spans {
		of[sp.Leader] = append(of[sp.Leader], sp)
	}
	holders := 0
	for _, n := range m.Nodes() {
		if len(of[n.ID]) > 0 {
			holders++
		}
	}
	b := resp.AppendArray(nil, holders)
	for _, n := range m.Nodes() {
		mine := of[n.ID]
		if len(mine) == 0 {
			continue
		}
		b = resp.AppendMap(b, proto, 2)
		b = resp.AppendBulk(b, "slots")
		b = resp.AppendArray(b, 2*len(mine))
		for _, sp := range mine {
			b = resp.AppendInt(resp.AppendInt(b, int64(sp.First)), int64(sp.Last))
		}
		b = resp.AppendBulk(b, "nodes")
		b = resp.AppendArray(b, 1)
		b = resp.AppendMap(b, proto, 7)
		for _, kv := range [][2]string{{"id", n.HexID()}, {"port", ""}, {"ip", n.Host}, {"endpoint", n.Host}, {"role", "master"}, {"replication-offset", ""}, {"health", "online"}} {
			b = resp.AppendBulk(b, kv[0])
			switch kv[0] {
			case "port":
				b = resp.AppendInt(b, int64(n.Port))
			case "replication-offset":
				b = resp.AppendInt(b, 0)
			default:
				b = resp.AppendBulk(b, kv[1])
			}
		}
	}
	return b
}

// clusterBusOffset is what clients expect between a client port and the bus port
// that NODES names; nobody connects there.
const clusterBusOffset = 10000

// encodeNodes is CLUSTER NODES, the same on all nodes but for the mark "myself".
// IPv6 hosts stand without brackets, as Redis writes them: clients cut at the last
// colon.
func encodeNodes(m *shardmap.Map, proto int, self shardmap.NodeID) []byte {
	of := make(map[shardmap.NodeID][]shardmap.SlotSpan)
	for _, sp := range m.Spans() {
		of[sp.Leader] = append(of[sp.Leader], sp)
	}
	var b strings.Builder
	for _, n := range m.Nodes() {
		flags := "master"
		if n.ID == self {
			flags = "myself,master"
		}
		fmt.Fprintf(&b, "%s %s:%d@%d %s - 0 0 %d connected", n.HexID(), n.Host, n.Port, n.Port+clusterBusOffset, flags, n.ID)
		for _, sp := range of[n.ID] {
			if sp.First == sp.Last {
				fmt.Fprintf(&b, " %d", sp.First)
			} else {
				fmt.Fprintf(&b, " %d-%d", sp.First, sp.Last)
			}
		}
		b.WriteString("\n")
	}
	return resp.AppendVerbatim(nil, proto, b.String())
}

func cmdClusterInfo(c *conn, _ [][]byte) {
	m := c.srv.backend.Map()
	assigned := 0
	holders := map[shardmap.NodeID]bool{}
	for _, sp := range m.Spans() {
		assigned += int(sp.Last-sp.First) + 1
		holders[sp.Leader] = true
	}
	state := "ok"
	if assigned < shardmap.Slots {
		state = "fail"
	}
	c.out = resp.AppendVerbatim(c.out, c.sess.Proto, fmt.Sprintf(
		"cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:%d\r\ncluster_my_epoch:%d\r\n",
		state, assigned, assigned, len(m.Nodes()), len(holders), m.Epoch(), m.Epoch()))
}

// noReplicas: a node that follows some shards and holds others is told as their holder
// only, see encodeSlots.
func noReplicas(c *conn) { c.out = resp.AppendArray(c.out, 0) }

// ofNode answers what is asked about a node by its id.
func (c *conn) ofNode(id []byte, answer func(*conn)) {
	if !slices.ContainsFunc(c.srv.backend.Map().Nodes(), func(n shardmap.NodeInfo) bool { return n.HexID() == string(id) }) {
		c.fail("ERR Unknown node " + untilNUL(id))
		return
	}
	answer(c)
}

func cmdClusterMyID(c *conn, _ [][]byte) {
	n, _ := c.srv.backend.Map().Node(c.srv.backend.Self())
	c.out = resp.AppendBulk(c.out, n.HexID())
}

// cmdLinks lists the connections between this node and others, several to each: kinds of
// traffic do not wait for each other here.
func cmdLinks(c *conn, _ [][]byte) {
	m := c.srv.backend.Map()
	links := slices.DeleteFunc(c.srv.backend.Links(), func(l Link) bool {
		_, known := m.Node(l.Peer) // it may be about to join, or gone
		return !known
	})
	b := resp.AppendArray(c.out, len(links))
	for _, l := range links {
		direction, events := "to", "r"
		if l.Inbound {
			direction = "from"
		}
		if l.QueuedBytes > 0 {
			events = "rw"
		}
		n, _ := m.Node(l.Peer)
		b = resp.AppendMap(b, c.sess.Proto, 6)
		b = resp.AppendBulk(resp.AppendBulk(b, "direction"), direction)
		b = resp.AppendBulk(resp.AppendBulk(b, "node"), n.HexID())
		b = resp.AppendInt(resp.AppendBulk(b, "create-time"), l.Since.UnixMilli())
		b = resp.AppendBulk(resp.AppendBulk(b, "events"), events)
		b = resp.AppendInt(resp.AppendBulk(b, "send-buffer-allocated"), l.QueuedBytes)
		b = resp.AppendInt(resp.AppendBulk(b, "send-buffer-used"), l.QueuedBytes)
	}
	c.out = b
}
