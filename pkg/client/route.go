package client

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// noNode marks a slot whose node is not known.
const noNode = ^uint16(0)

// staleLimit is how many maps with an older epoch are refused in a row before one
// is taken after all: a cluster that was founded anew counts from the start again,
// and a client that refuses its maps for ever would never come back.
const staleLimit = 3

// table is the client's shard map: which address answers for each slot. It is
// immutable; every change gives a new one, so calls read it without a lock. A
// change copies 32 KiB, which is about what one MOVED round trip costs.
type table struct {
	nodes []string               // addresses; only ever appended to within one refresh
	slots [shardmap.Slots]uint16 // index into nodes, or noNode
	epoch uint64                 // cluster_current_epoch of the last map taken
	moves []move                 // MOVED answers since the refresh that gave this map began
	stale int                    // maps refused in a row

	layout shardmap.Layout // zero until a node told
	others []string        // addresses of nodes that lead nothing, as far as they are told
}

type move struct {
	slot shardmap.Slot
	addr string
}

// span is one row of CLUSTER SLOTS.
type span struct {
	first, last shardmap.Slot
	addr        string
}

// fetched is one answer to the question for the map.
type fetched struct {
	spans []span
	epoch uint64
	from  string // address that answered

	layout shardmap.Layout // zero when not told
	nodes  []string        // addresses of all nodes, those that lead nothing too
	moves  int             // len(table.moves) when the question was asked
}

// addrOf is the address that answers for a slot.
func (t *table) addrOf(s shardmap.Slot) (string, bool) {
	i := t.slots[s]
	if i == noNode {
		return "", false
	}
	return t.nodes[i], true
}

// moved is the table after a MOVED answer: that slot, at once. Only the slot that
// the answer names: its neighbours may have moved elsewhere, the refresh tells.
func (t *table) moved(s shardmap.Slot, addr string) *table {
	if at, ok := t.addrOf(s); ok && at == addr {
		return t
	}
	n := *t
	n.set(s, s, addr)
	n.moves = append(n.moves[:len(n.moves):len(n.moves)], move{s, addr})
	return &n
}

// merge takes a fetched map into the table and says whether it was taken. A map
// with an older epoch comes from a node that lags and is refused. MOVED answers that
// came after the question stand: the map may be older than they are. A hole
// keeps the node it had, or else gets the one that answered: asking somebody is
// how a client hears CLUSTERDOWN or the way.
func (t *table) merge(f fetched) (*table, bool) {
	if t != nil && f.epoch < t.epoch && t.stale < staleLimit {
		n := *t
		n.stale++
		return &n, false
	}
	n := &table{epoch: f.epoch, layout: f.layout}
	if t != nil && n.layout.Shards == 0 {
		n.layout = t.layout
	}
	for i := range n.slots {
		n.slots[i] = noNode
	}
	for _, s := range f.spans {
		n.set(s.first, s.last, s.addr)
	}
	for i, at := range n.slots {
		if at != noNode {
			continue
		}
		addr := f.from
		if t != nil {
			if old, ok := t.addrOf(shardmap.Slot(i)); ok {
				addr = old
			}
		}
		n.set(shardmap.Slot(i), shardmap.Slot(i), addr)
	}
	if t != nil && f.moves <= len(t.moves) {
		for _, m := range t.moves[f.moves:] {
			n.set(m.slot, m.slot, m.addr)
		}
	}
	for _, addr := range f.nodes {
		if !slices.Contains(n.nodes, addr) {
			n.others = append(n.others, addr)
		}
	}
	return n, true
}

// names says whether the map names a node.
func (t *table) names(addr string) bool {
	return slices.Contains(t.nodes, addr) || slices.Contains(t.others, addr)
}

// set points a run of slots of a table under construction to an address.
func (t *table) set(first, last shardmap.Slot, addr string) {
	at := -1
	for i, n := range t.nodes {
		if n == addr {
			at = i
			break
		}
	}
	if at < 0 {
		at = len(t.nodes)
		t.nodes = append(t.nodes[:at:at], addr)
	}
	for s := int(first); s <= int(last); s++ {
		t.slots[s] = uint16(at)
	}
}

// single is the map of one standalone server.
func single(addr string) fetched {
	return fetched{spans: []span{{0, shardmap.Slots - 1, addr}}, from: addr}
}

// parseSlots reads the answer to CLUSTER SLOTS. An empty or unknown host means the
// one that was asked, as in Redis.
func parseSlots(r resp.Reply, asked string) ([]span, bool) {
	if r.Kind != '*' || len(r.Items) > shardmap.Slots {
		return nil, false
	}
	spans := make([]span, 0, len(r.Items))
	for _, row := range r.Items {
		if row.Kind != '*' || len(row.Items) < 2 {
			return nil, false
		}
		first, last := row.Items[0], row.Items[1]
		if first.Kind != ':' || last.Kind != ':' || first.Int < 0 || last.Int < first.Int || last.Int >= shardmap.Slots {
			return nil, false
		}
		if len(row.Items) == 2 {
			continue // a hole that is spelled out
		}
		node := row.Items[2]
		if node.Kind != '*' || len(node.Items) < 2 || node.Items[1].Kind != ':' {
			return nil, false
		}
		addr, ok := address(string(node.Items[0].Text), node.Items[1].Int, asked)
		if !ok {
			return nil, false
		}
		spans = append(spans, span{shardmap.Slot(first.Int), shardmap.Slot(last.Int), addr})
	}
	return spans, true
}

// parseMap reads the answer to AEGIS.MAP, a map with
//
//	epoch  -> number
//	shards -> how many there are; they divide the slots evenly
//	nodes  -> [id, host, port] of each node
//	owners -> [first shard, last shard, node id]
//
// and whatever else there may be one day. Runs without a known owner are holes.
func parseMap(r resp.Reply, asked string) (fetched, bool) {
	f := fetched{from: asked}
	if r.Kind != '%' && r.Kind != '*' || len(r.Items)%2 != 0 {
		return f, false
	}
	addrs := map[int64]string{}
	var owners []resp.Reply
	for i := 0; i < len(r.Items); i += 2 {
		value := r.Items[i+1]
		switch string(r.Items[i].Text) {
		case "epoch":
			f.epoch = uint64(max(0, value.Int))
		case "shards":
			f.layout = shardmap.Layout{Shards: int(value.Int), Groups: 1}
		case "nodes":
			for _, n := range value.Items {
				if len(n.Items) < 3 {
					return f, false
				}
				if addr, ok := address(string(n.Items[1].Text), n.Items[2].Int, asked); ok {
					addrs[n.Items[0].Int] = addr
					f.nodes = append(f.nodes, addr)
				}
			}
		case "owners":
			owners = value.Items
		}
	}
	if f.layout.Validate() != nil {
		return f, false
	}
	var ok bool
	f.spans, ok = ownedSpans(owners, addrs, f.layout)
	return f, ok
}

// ownedSpans turns runs of shards into runs of slots.
func ownedSpans(owners []resp.Reply, addrs map[int64]string, l shardmap.Layout) ([]span, bool) {
	var spans []span
	for _, o := range owners {
		if len(o.Items) < 3 {
			return nil, false
		}
		first, last := o.Items[0].Int, o.Items[1].Int
		if first < 0 || last < first || last >= int64(l.Shards) {
			return nil, false
		}
		addr, known := addrs[o.Items[2].Int]
		if !known {
			continue
		}
		from, _ := l.SlotRange(shardmap.ShardID(first))
		_, to := l.SlotRange(shardmap.ShardID(last))
		spans = append(spans, span{from, to, addr})
	}
	return spans, true
}

// address joins host and port; an empty or "?" host is the host of asked.
func address(host string, port int64, asked string) (string, bool) {
	if port <= 0 || port > 65535 {
		return "", false
	}
	if host == "" || host == "?" {
		h, _, err := net.SplitHostPort(asked)
		if err != nil {
			return "", false
		}
		host = h
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.FormatInt(port, 10)), true
}

// parseRedirect reads "MOVED 1234 host:port" and "ASK 1234 host:port". The port
// follows the last colon, so that an IPv6 host works with and without brackets.
func parseRedirect(text, asked string) (slot shardmap.Slot, addr string, ok bool) {
	f := strings.Fields(text)
	if len(f) < 3 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(f[1], 10, 16)
	colon := strings.LastIndexByte(f[2], ':')
	if err != nil || n >= shardmap.Slots || colon < 0 {
		return 0, "", false
	}
	port, err := strconv.ParseInt(f[2][colon+1:], 10, 64)
	if err != nil {
		return 0, "", false
	}
	addr, ok = address(f[2][:colon], port, asked)
	return shardmap.Slot(n), addr, ok
}

// parseEpoch reads cluster_current_epoch from the answer to CLUSTER INFO; 0 when
// it is not there.
func parseEpoch(info []byte) uint64 {
	for line := range strings.SplitSeq(string(info), "\n") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "cluster_current_epoch:"); ok {
			n, _ := strconv.ParseUint(v, 10, 64)
			return n
		}
	}
	return 0
}

// same says whether two tables send every slot to the same address.
func (t *table) same(o *table) bool {
	for s := range t.slots {
		a, _ := t.addrOf(shardmap.Slot(s))
		b, _ := o.addrOf(shardmap.Slot(s))
		if a != b {
			return false
		}
	}
	return true
}
