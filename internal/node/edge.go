package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/transport"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// peerHandler takes what peers send: control and lease traffic goes to the
// core's thread, the replication stream straight to the data plane.
type peerHandler struct{ n *Node }

// Frame implements transport.Handler.
func (h peerHandler) Frame(from transport.Identity, class transport.Class, conn uint64, frame []byte) error {
	n := h.n
	core := n.ready()
	if core == nil {
		return nil
	}
	switch class {
	case transport.Control, transport.Bulk:
		kept := append([]byte(nil), frame...)
		n.host.Post(func(now multiraft.Instant) { core.Control(from.Node, kept, now) })
	case transport.Data:
		n.durable.hold()
		defer n.durable.wake()
		return core.Data().OnData(from.Node, conn, frame, multiraft.Glance())
	case transport.Ack:
		return core.Data().OnAck(from.Node, frame, multiraft.Glance())
	}
	return nil
}

// standing is the core once it stands, nil before.
func (n *Node) standing() *Core {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core
}

// ready waits for the core: peers connect as soon as it names them, which is
// before its making has returned, and before the log is read. nil when it will never
// take part in anything.
func (n *Node) ready() *Core {
	<-n.built
	if !n.fit {
		return nil
	}
	return n.standing()
}

// Datagram implements transport.Handler.
func (h peerHandler) Datagram(from transport.Identity, packet []byte, overTCP bool) {
	core := h.n.ready()
	if core == nil {
		return
	}
	kept := append([]byte(nil), packet...)
	h.n.host.Post(func(now multiraft.Instant) { core.Datagram(from.Node, kept, overTCP, now) })
}

// Up implements transport.Handler. A control connection stands also while this node reads
// its log: it says so there.
func (h peerHandler) Up(peer shardmap.NodeID, class transport.Class, conn uint64) {
	if class == transport.Control {
		h.n.links.Store(peer, struct{}{})
		h.n.changeWill() // it may have been found elsewhere
		h.n.log.Info("peer reached", zap.Uint32("node", uint32(peer)))
		return
	}
	core := h.n.ready()
	if core == nil {
		return
	}
	switch class {
	case transport.Data:
		core.Data().LaneUp(peer, conn, multiraft.Now())
		h.n.mux.Wake(peer, transport.Data)
	case transport.Ack:
		core.Data().AckUp(peer)
		h.n.mux.Wake(peer, transport.Ack)
	}
}

// Down implements transport.Handler.
func (h peerHandler) Down(peer shardmap.NodeID, class transport.Class, conn uint64) {
	core := h.n.ready()
	if core == nil {
		return
	}
	switch class {
	case transport.Data:
		core.Data().LaneDown(peer, conn, multiraft.Now())
	case transport.Control:
		h.n.links.Delete(peer)
		h.n.log.Warn("peer lost", zap.Uint32("node", uint32(peer)))
		h.n.host.Post(func(now multiraft.Instant) { core.PeerDown(peer, now) })
	}
}

// Next implements transport.Handler.
func (h peerHandler) Next(peer shardmap.NodeID, class transport.Class, buf []byte) []byte {
	core := h.n.ready()
	if core == nil {
		return buf[:0]
	}
	if class == transport.Data {
		return core.Data().NextData(peer, buf, multiraft.Glance())
	}
	return core.Data().NextAck(peer, buf, multiraft.Glance())
}

// Refused implements transport.Handler. Somebody else answers where a peer should be:
// gossip finds out who.
func (h peerHandler) Refused(peer shardmap.NodeID, addr string, err error) {
	h.n.refused(peer, addr, err)
	if c := h.n.chat.Load(); c != nil {
		c.gossip.Doubt(peer)
	}
}

// coreEdge carries the core's effects out.
type coreEdge struct{ n *Node }

var _ CoreOut = coreEdge{}

func (e coreEdge) Control(to shardmap.NodeID, frame []byte) {
	e.n.mux.Send(to, transport.Control, frame)
}
func (e coreEdge) Bulk(to shardmap.NodeID, frame []byte) { e.n.mux.Send(to, transport.Bulk, frame) }
func (e coreEdge) Datagram(to shardmap.NodeID, packet []byte, overTCP bool) {
	e.n.mux.Datagram(to, packet, overTCP)
}
func (e coreEdge) Append(b *multiraft.Batch)     { e.n.host.Append(b) }
func (e coreEdge) WakeData(peer shardmap.NodeID) { e.n.mux.Wake(peer, transport.Data) }

func (e coreEdge) WakeAck(peer shardmap.NodeID, _ bool)          { e.n.mux.Wake(peer, transport.Ack) }
func (e coreEdge) PeerHint(peer shardmap.NodeID, addr string)    { e.n.mux.Hint(peer, addr) }
func (e coreEdge) Due(t shardgroup.Ticket, o shardgroup.Outcome) { e.n.tickets.due(t.ID, o) }
func (e coreEdge) Wake(g shardmap.GroupID)                       { e.n.wakes.wake(g) }
func (e coreEdge) Answered(uint64, Answer)                       {}

// PeersChanged has the parent told as well, who may have to speak to them.
func (e coreEdge) PeersChanged(addrs map[shardmap.NodeID]string) {
	e.n.mux.SetPeers(addrs)
	e.n.changeWill()
}

// MapChanged takes a newer map.
func (e coreEdge) MapChanged(m *shardmap.Map) {
	e.n.routes.Store(m)
	if face := e.n.face.Load(); face != nil {
		face.MapChanged()
	}
}

// RaftEvent writes the story of the control plane, a line per change.
func (e coreEdge) RaftEvent(ev multiraft.Event) {
	f := []zap.Field{zap.Uint16("group", uint16(ev.Group)), zap.Stringer("ballot", ev.Ballot)}
	if ev.Node != 0 {
		f = append(f, zap.Uint32("node", uint32(ev.Node)))
	}
	if ev.Detail != "" {
		f = append(f, zap.String("detail", ev.Detail))
	}
	switch ev.Kind {
	case multiraft.EventLeaseOpen:
		e.n.log.Info("lease open", append(f, readAt())...)
	case multiraft.EventLeaseEnded:
		e.n.log.Info("lease ended", append(f, readAt(), zap.Int64("until", int64(ev.Until)))...)
	case multiraft.EventSuspect:
		e.n.log.Warn("holder suspected", f...)
	case multiraft.EventConfig:
		e.n.log.Info("replicas changed", f...)
	case multiraft.EventFatal:
		e.n.log.Error("storage failed", f...)
	default:
		e.n.log.Debug("raft", f...)
	}
}

// readAt is the reading of the clock that leases run on, in ns: the nodes of one machine
// share it, and whoever has all their logs can see that no two of them served at once.
func readAt() zap.Field { return zap.Int64("mono", int64(multiraft.Glance().Mono)) }

// DataEvent writes the story of the data plane.
func (e coreEdge) DataEvent(ev shardgroup.Event) {
	f := []zap.Field{zap.Uint16("group", uint16(ev.Group)), zap.Uint32("epoch", ev.Epoch)}
	if ev.Detail != "" {
		f = append(f, zap.String("detail", ev.Detail))
	}
	switch ev.Kind {
	case shardgroup.EventClosed:
		l := e.n.routes.Load().Layout()
		e.n.tellFace((*redis.Server).LeaseEnded, l.FirstShard(ev.Group), l.ShardsPerGroup())
		if TakesBack(ev) {
			e.n.untrack(shardsOf(l, ev.Group))
		}
	case shardgroup.EventOverwritten:
		e.n.tellFace((*redis.Server).Overwritten, ev.Shard, 1)
	case shardgroup.EventOpened:
		for _, r := range ev.Report {
			e.n.log.Warn("writes lost", zap.Uint16("shard", uint16(r.Shard)), zap.Uint32("epoch", ev.Epoch), zap.Uint64("atLeast", r.AtLeast),
				zap.Bool("bounded", r.Bounded), zap.Bool("clean", r.Clean), zap.Bool("hole", r.Hole))
			if face := e.n.face.Load(); face != nil {
				face.Lost(r.Shard, r.Base, shardmap.MakeVersion(ev.Epoch, 0)-1)
			}
		}
		e.n.log.Info("group opened", append(f, readAt(), zap.Uint64s("bases", numbersOf(ev.Base)), copiesAt(ev.Seats))...)
	case shardgroup.EventSeats:
		e.n.log.Info("other copies count", append(f, copiesAt(ev.Seats))...)
	case shardgroup.EventNotWhole:
		e.n.log.Warn("shard copy is not whole", append(f, zap.Uint16("shard", uint16(ev.Shard)))...)
	case shardgroup.EventParked:
		if face := e.n.face.Load(); face != nil {
			face.Moving(slotsOf(e.n.routes.Load().Layout(), ev.Group))
		}
	case shardgroup.EventUnparked:
		if face := e.n.face.Load(); face != nil {
			face.Staying(slotsOf(e.n.routes.Load().Layout(), ev.Group))
		}
	case shardgroup.EventFills:
		e.n.tellFills(ev.Fills)
	case shardgroup.EventTakeover:
		e.n.log.Info("takeover", f...)
	default:
		e.n.log.Debug("data", f...)
	}
}

// copiesAt names the nodes whose copies of a group count.
func copiesAt(nodes []shardmap.NodeID) zap.Field {
	slices.Sort(nodes)
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = fmt.Sprint(n)
	}
	return zap.String("copies", strings.Join(words, " "))
}

// tellFills writes how far this node is with the copies that it sends.
func (n *Node) tellFills(p shardgroup.Progress) {
	f := []zap.Field{zap.Int64("sentBytes", p.Sent), zap.Int64("bytesPerSecond", p.Rate), zap.Duration("for", p.Since)}
	if p.Ended {
		n.log.Info("copies were sent", f...)
		return
	}
	n.log.Info("copies are on their way", append(f, zap.Int64("leftBytes", p.Left), zap.Duration("left", p.TimeLeft().Round(time.Second)))...)
}

func numbersOf(vs []shardmap.Version) []uint64 {
	ns := make([]uint64, len(vs))
	for i, v := range vs {
		ns[i] = uint64(v)
	}
	return ns
}

// slotsOf are the first and the last slot of a group.
func slotsOf(l shardmap.Layout, g shardmap.GroupID) (first, last shardmap.Slot) {
	first, _ = l.SlotRange(l.FirstShard(g))
	_, last = l.SlotRange(l.FirstShard(g) + shardmap.ShardID(l.ShardsPerGroup()-1))
	return first, last
}

// tellFace says to the client port that reads of these shards are broken: their
// lease ended, or the copy was overwritten. Events come with the data plane's
// locks held; the face takes none of them and does not wait.
func (n *Node) tellFace(what func(s *redis.Server, first, last shardmap.Slot), first shardmap.ShardID, shards int) {
	face := n.face.Load()
	if face == nil {
		return
	}
	l := n.routes.Load().Layout()
	lo, _ := l.SlotRange(first)
	_, hi := l.SlotRange(first + shardmap.ShardID(shards-1))
	what(face, lo, hi)
}

// rollbackKeysMax bounds how many lost writes one log line names.
const rollbackKeysMax = 100

// RolledBack writes the list of lost writes.
func (e coreEdge) RolledBack(r shardgroup.Rollback) {
	keys := make([]string, 0, min(len(r.Lost), rollbackKeysMax))
	for _, w := range r.Lost[:cap(keys)] {
		keys = append(keys, string(w.Key))
	}
	e.n.log.Warn("writes rolled back", zap.Uint16("shard", uint16(r.Shard)), zap.Stringer("cut", r.Cut), zap.Stringer("head", r.Head),
		zap.Int("count", len(r.Lost)), zap.Bool("complete", r.Complete), zap.Strings("keys", keys))
}
