package redis

import (
	"slices"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// moves tells connections that said CLIENT MAINT_NOTIFICATIONS ON which slots leave
// this node, so that they ask for the map before they are sent away one by one:
//
//	>3 SMIGRATING <sequence> <slots>
//	>3 SMIGRATED <sequence> [[<source host:port> <destination host:port> <slots>] ...]
//	>3 MIGRATED <sequence> <slots>
//
// Sequence numbers of SMIGRATED rise and differ between nodes: clients act once on each.
//
// Clients wait longer for answers between SMIGRATING and what closes it, and they count:
// each SMIGRATING must be closed by one push. SMIGRATED closes one, and tells of all
// slots that have gone meanwhile; MIGRATED closes the others, and those whose slots stay
// after all. It is the word for nodes that move as a whole, by which no client
// asks for the map. An SMIGRATED from this node to itself would make them ask, and one
// without slots is not read by go-redis.
type moves struct {
	audience
	told      *shardmap.Map // the map whose holders the audience knows; guarded by audience.mu
	announced map[shardmap.Slot]announcement
}

// announcement is an SMIGRATING that is not closed yet, by its first slot.
type announcement struct {
	last  shardmap.Slot
	epoch uint32 // of the group
}

// join lets a connection hear of moves from here on.
func (v *moves) join(c *conn) {
	v.mu.Lock()
	if len(v.conns) == 0 {
		v.told = c.srv.backend.Map()
		v.announced = nil
	}
	v.mu.Unlock()
	v.audience.join(c)
}

// tellMove pushes a frame to all.
func (v *moves) tellMove(frame []byte) { v.each(func(p *pushes) { p.queueMove(frame) }) }

// sequence names a push: the map's epoch, and the node because others know the same
// epoch.
func sequence(m *shardmap.Map, self shardmap.NodeID) int64 {
	return int64(m.Epoch())<<16 | int64(self&0xffff)
}

// changed tells which slots this node has given to others since the last call.
func (v *moves) changed(m *shardmap.Map, self shardmap.NodeID) {
	v.mu.Lock()
	was := v.told
	v.told = m
	closed := v.decided(m)
	v.mu.Unlock()
	if was == nil || v.n.Load() == 0 {
		return
	}
	if given := givenAway(was, m, self); len(given) > 0 {
		v.tellMove(appendGone(given, m, self))
		closed = closed[min(1, len(closed)):]
	}
	for _, slots := range closed {
		v.tellMove(appendMaint("MIGRATED", m, self, slots))
	}
}

// decided takes out the announcements of groups that were opened since, by whomever.
// The caller holds mu.
func (v *moves) decided(m *shardmap.Map) (slots []string) {
	for first, a := range v.announced {
		if epochAt(m, first) != a.epoch {
			delete(v.announced, first)
			slots = append(slots, slotRange(first, a.last))
		}
	}
	slices.Sort(slots)
	return slots
}

func epochAt(m *shardmap.Map, slot shardmap.Slot) uint32 {
	l := m.Layout()
	return m.Route(l.GroupOf(l.ShardOf(slot))).Epoch
}

// appendMaint is a push about slots of this node.
func appendMaint(word string, m *shardmap.Map, self shardmap.NodeID, slots string) []byte {
	b := resp.AppendInt(resp.AppendBulk(resp.AppendPush(nil, 3), word), sequence(m, self))
	return resp.AppendBulk(b, slots)
}

// appendGone is SMIGRATED.
func appendGone(given []gift, m *shardmap.Map, self shardmap.NodeID) []byte {
	b := resp.AppendInt(resp.AppendBulk(resp.AppendPush(nil, 3), "SMIGRATED"), sequence(m, self))
	b = resp.AppendArray(b, len(given))
	from, _ := m.Node(self)
	for _, g := range given {
		to, _ := m.Node(g.to)
		b = resp.AppendBulk(resp.AppendArray(b, 3), hostPort(from))
		b = resp.AppendBulk(resp.AppendBulk(b, hostPort(to)), g.slots.String())
	}
	return b
}

// gift is the slots that went to one node, "a-b,c-d".
type gift struct {
	to    shardmap.NodeID
	slots *strings.Builder
}

// givenAway compares who holds what self held.
func givenAway(was, is *shardmap.Map, self shardmap.NodeID) (gifts []gift) {
	of := make(map[shardmap.NodeID]int)
	for _, sp := range is.Spans() {
		if sp.Leader == self {
			continue
		}
		for _, old := range was.Spans() {
			first, last := max(sp.First, old.First), min(sp.Last, old.Last)
			if old.Leader != self || first > last {
				continue
			}
			i, known := of[sp.Leader]
			if !known {
				i = len(gifts)
				of[sp.Leader] = i
				gifts = append(gifts, gift{sp.Leader, new(strings.Builder)})
			} else {
				gifts[i].slots.WriteByte(',')
			}
			gifts[i].slots.WriteString(slotRange(first, last))
		}
	}
	return gifts
}

func slotRange(first, last shardmap.Slot) string {
	return strconv.Itoa(int(first)) + "-" + strconv.Itoa(int(last))
}

// hostPort is how clients know a node: as CLUSTER SLOTS names it.
func hostPort(n shardmap.NodeInfo) string { return n.Host + ":" + strconv.Itoa(n.Port) }

// Moving says that the lease of a group's slots is about to go to another node. It does
// not wait.
func (s *Server) Moving(first, last shardmap.Slot) {
	v := &s.moves
	if v.n.Load() == 0 {
		return
	}
	m := s.backend.Map()
	v.mu.Lock()
	_, known := v.announced[first]
	if v.announced == nil {
		v.announced = make(map[shardmap.Slot]announcement)
	}
	v.announced[first] = announcement{last, epochAt(m, first)}
	v.mu.Unlock()
	if !known {
		v.tellMove(appendMaint("SMIGRATING", m, s.backend.Self(), slotRange(first, last)))
	}
}

// Staying says that it does not go after all. It does not wait.
func (s *Server) Staying(first, last shardmap.Slot) {
	v := &s.moves
	v.mu.Lock()
	_, known := v.announced[first]
	delete(v.announced, first)
	v.mu.Unlock()
	if known {
		v.tellMove(appendMaint("MIGRATED", s.backend.Map(), s.backend.Self(), slotRange(first, last)))
	}
}

// endpointTypes are what a client may say about the addresses it wants; there is one
// of each node, the announced one.
var endpointTypes = []string{"INTERNAL-IP", "INTERNAL-FQDN", "EXTERNAL-IP", "EXTERNAL-FQDN", "NONE"}

// cmdMaint is CLIENT MAINT_NOTIFICATIONS ON [moving-endpoint-type T] | OFF.
func cmdMaint(c *conn, args [][]byte) {
	switch {
	case !c.srv.cfg.MaintNotifications:
		c.fail("ERR maintenance notifications are turned off (maintNotifications)")
	case is(args[2], "OFF") && len(args) == 3:
		c.srv.moves.leave(c)
		c.ok()
	case !is(args[2], "ON") || len(args) != 3 && !(len(args) == 5 && is(args[3], "MOVING-ENDPOINT-TYPE") && isAny(args[4], endpointTypes)):
		c.fail(errSyntax)
	case c.sess.Proto < 3:
		c.fail("ERR maintenance notifications are pushed, which needs RESP3 (HELLO 3)")
	default:
		c.pushing().reads(c.sess.LibName)
		c.srv.moves.join(c)
		c.ok()
	}
}

func isAny(arg []byte, words []string) bool {
	for _, w := range words {
		if is(arg, w) {
			return true
		}
	}
	return false
}
