package node

import (
	"encoding/binary"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// announcement is what a node tells every other once a second and after each
// change: the groups it holds, which nodes without a replica of them learn from
// nobody else, and whether it is leaving.
type announcement struct {
	leaving bool
	routes  []shardmap.Route
}

// routesFormat is the version of a frameRoutes body.
const routesFormat = 1

const (
	flagLeaving = 1 << iota
	flagsKnown  = flagLeaving
)

// appendRoutes writes an announcement:
//
//	format u8 | flags u8 (1 = leaving) | count u16 | { group u16 | epoch u32 | node u32 }...
func appendRoutes(dst []byte, a announcement) []byte {
	flags := byte(0)
	if a.leaving {
		flags = flagLeaving
	}
	dst = append(dst, byte(frameRoutes), routesFormat, flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.routes)))
	for _, r := range a.routes {
		dst = binary.BigEndian.AppendUint16(dst, uint16(r.Group))
		dst = binary.BigEndian.AppendUint32(dst, r.Epoch)
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.Leader))
	}
	return dst
}

const routeBytes = 10

// decodeRoutes reads the body of a frameRoutes.
func decodeRoutes(b []byte) (announcement, error) {
	if len(b) < 4 || b[0] != routesFormat || b[1]&^flagsKnown != 0 {
		return announcement{}, errFrame
	}
	a := announcement{leaving: b[1]&flagLeaving != 0}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if b = b[4:]; len(b) != n*routeBytes {
		return announcement{}, errFrame
	}
	a.routes = make([]shardmap.Route, n)
	for i := range a.routes {
		f := b[i*routeBytes:]
		a.routes[i] = shardmap.Route{
			Group:  shardmap.GroupID(binary.BigEndian.Uint16(f)),
			Epoch:  binary.BigEndian.Uint32(f[2:]),
			Leader: shardmap.NodeID(binary.BigEndian.Uint32(f[6:])),
		}
	}
	return a, nil
}

// tellRoutes announces this node to every other.
func (c *Core) tellRoutes(now multiraft.Instant) {
	c.told, c.tell = now.Mono, false
	if c.meta == nil || len(c.meta.Nodes) < 2 {
		return
	}
	a := announcement{leaving: c.draining}
	for g := 1; g <= c.meta.Settings.Groups; g++ {
		if r := c.routes.Route(shardmap.GroupID(g)); r.Leader == c.self.Node {
			a.routes = append(a.routes, r)
		}
	}
	for _, n := range c.meta.Nodes {
		if n.ID != c.self.Node {
			c.out.Control(n.ID, appendRoutes(nil, a))
		}
	}
}

func (c *Core) heardRoutes(from shardmap.NodeID, a announcement, now multiraft.Instant) {
	if a.leaving {
		c.leavers[from] = now.Mono
	} else {
		delete(c.leavers, from)
	}
	m := c.routes
	for _, r := range a.routes {
		m = m.With(r)
	}
	c.setMap(m)
}

// leavingFor is how long a node counts as leaving after it said so: it says so
// every routesEvery while it does.
const leavingFor = 3 * routesEvery

// announcedLeave reports whether a node has told this one that it hands its leases
// over: none is given to it meanwhile.
func (c *Core) announcedLeave(n shardmap.NodeID) bool {
	at, said := c.leavers[n]
	return said && c.now.Mono-at < leavingFor
}
