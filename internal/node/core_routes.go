package node

import (
	"encoding/binary"
	"math"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// announcement is what a node tells every other once a second and after each
// change: the groups it holds, which nodes without a replica of them learn from
// nobody else, whether it is leaving, and where it is to be dialled by those that it
// joined in the absence of.
type announcement struct {
	leaving bool
	addr    string // 255 bytes at most
	routes  []shardmap.Route
}

// routesFormat is the version of a frameRoutes body.
const routesFormat = 2

const (
	flagLeaving = 1 << iota
	flagsKnown  = flagLeaving
)

// appendRoutes writes an announcement:
//
//	format u8 | flags u8 (1 = leaving) | address length u8 | address | count u16 | { group u16 | epoch u32 | node u32 }...
func appendRoutes(dst []byte, a announcement) []byte {
	flags := byte(0)
	if a.leaving {
		flags = flagLeaving
	}
	addr := a.addr
	if len(addr) > math.MaxUint8 {
		addr = ""
	}
	dst = append(dst, byte(frameRoutes), routesFormat, flags, byte(len(addr)))
	dst = append(dst, addr...)
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
	if len(b) < 3 || b[0] != routesFormat || b[1]&^flagsKnown != 0 || len(b) < 5+int(b[2]) {
		return announcement{}, errFrame
	}
	a := announcement{leaving: b[1]&flagLeaving != 0}
	end := 3 + int(b[2])
	a.addr, b = string(b[3:end]), b[end:]
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) != n*routeBytes {
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
	a := announcement{leaving: c.draining, addr: c.cfg.Addresses.Cluster}
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
	c.heardAddress(from, a.addr)
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
