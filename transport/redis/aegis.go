package redis

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// capable is what a connection that said CLIENT CAPA aegis is told beside the replies
// of its keyed commands, in RESP3: an attribute with the epoch of this node's map and
// the version of the key.
type capable struct {
	on       bool
	versions []shardmap.Version // of the keys that the command under way used, in order
}

// note adds the version that the Backend named last.
func (k *capable) note(v shardmap.Version) {
	if k.on {
		k.versions = append(k.versions, v)
	}
}

// annotate puts the attribute before the reply of a keyed command:
//
//	|2 $1 e :<map epoch> $1 v :<version>
//
// 0 is the version of a key that is not there, and of one that a command found not
// worth changing; a command on a list of keys has an array, and one that failed, or
// that reads one key and writes another, no v.
func (c *conn) annotate(cmd *command, args [][]byte) {
	if cmd.first == 0 || c.sess.Proto < 3 || c.rerun || len(c.out) <= c.replyAt {
		return
	}
	keys, list := 1, cmd.last < 0
	if list {
		keys = (len(args) - cmd.first + cmd.step - 1) / cmd.step
	}
	told := c.capable.versions
	named := len(told) >= keys && c.out[c.replyAt] != '-' && (list || cmd.last == cmd.first)
	var room [64]byte
	b := room[:0]
	if named {
		b = resp.AppendAttribute(b, 2)
	} else {
		b = resp.AppendAttribute(b, 1)
	}
	b = resp.AppendInt(resp.AppendBulk(b, "e"), int64(c.srv.backend.Map().Epoch()))
	if named {
		b = resp.AppendBulk(b, "v")
		told = told[len(told)-keys:] // a command may look first and change then
		if list {
			b = resp.AppendArray(b, keys)
		}
		for _, v := range told {
			b = resp.AppendInt(b, int64(v))
		}
	}
	c.out = slices.Insert(c.out, c.replyAt, b...)
}

// audience is the connections that want to hear of something.
type audience struct {
	n     atomic.Int64 // len(conns), for those who have nothing to say
	mu    sync.Mutex
	conns map[*conn]struct{}
}

func (a *audience) join(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		a.conns = make(map[*conn]struct{})
	}
	a.conns[c] = struct{}{}
	a.n.Store(int64(len(a.conns)))
}

func (a *audience) leave(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
	a.n.Store(int64(len(a.conns)))
}

// tell pushes a frame to all.
func (a *audience) tell(frame []byte) { a.each(func(p *pushes) { p.queue(frame) }) }

func (a *audience) each(do func(p *pushes)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		do(c.pushes)
	}
}

// mapPause gathers the changes of a map: moves and failovers are of many groups at once.
const mapPause = 2 * time.Millisecond

// MapChanged says that Backend.Map gives a newer map. It does not wait.
func (s *Server) MapChanged() {
	if s.capable.n.Load()+s.moves.n.Load() == 0 || s.mapPending.Swap(true) {
		return
	}
	time.AfterFunc(mapPause, func() {
		s.mapPending.Store(false)
		m := s.backend.Map()
		s.moves.changed(m, s.backend.Self())
		s.capable.tell(resp.AppendInt(resp.AppendBulk(resp.AppendPush(nil, 2), "aegis-map"), int64(m.Epoch())))
	})
}

// Lost says that the versions of a shard above after, up to last, are lost. It does
// not wait.
func (s *Server) Lost(shard shardmap.ShardID, after, last shardmap.Version) {
	if s.capable.n.Load() == 0 {
		return
	}
	b := resp.AppendInt(resp.AppendBulk(resp.AppendPush(nil, 4), "aegis-lost"), int64(shard))
	s.capable.tell(resp.AppendInt(resp.AppendInt(b, int64(after)), int64(last)))
}

// cmdCapa is CLIENT CAPA: words that are not known are ignored, as in Valkey.
func cmdCapa(c *conn, args [][]byte) {
	for _, word := range args[2:] {
		c.parting = c.parting || is(word, "FAREWELL")
		if is(word, "AEGIS") && !c.capable.on {
			c.capable.on = true
			c.pushing()
			c.srv.capable.join(c)
		}
	}
	c.ok()
}

// cmdMap is AEGIS.MAP [epoch]: the routing map, or null when the client has it.
func cmdMap(c *conn, args [][]byte) {
	if len(args) > 2 {
		c.fail(errSyntax)
		return
	}
	t := c.srv.topology(c.sess.Proto)
	if len(args) == 2 {
		known, ok := parseInt(args[1])
		switch {
		case !ok || known < 0:
			c.fail(errInteger)
			return
		case uint64(known) == t.from.Epoch():
			c.null()
			return
		}
	}
	c.out = append(c.out, t.own...)
}

// encodeMap is the answer of AEGIS.MAP: a map of
//
//	epoch  -> the map's epoch
//	shards -> the number of shards; a slot's shard is slot / (16384 / shards)
//	nodes  -> [id, host, port] of each node
//	owners -> [first shard, last shard, node id] of each run of shards with one holder
func encodeMap(m *shardmap.Map, proto int) []byte {
	b := resp.AppendMap(nil, proto, 4)
	b = resp.AppendInt(resp.AppendBulk(b, "epoch"), int64(m.Epoch()))
	b = resp.AppendInt(resp.AppendBulk(b, "shards"), int64(m.Layout().Shards))
	b = resp.AppendArray(resp.AppendBulk(b, "nodes"), len(m.Nodes()))
	for _, n := range m.Nodes() {
		b = resp.AppendInt(resp.AppendArray(b, 3), int64(n.ID))
		b = resp.AppendInt(resp.AppendBulk(b, n.Host), int64(n.Port))
	}
	spans := m.Spans()
	b = resp.AppendArray(resp.AppendBulk(b, "owners"), len(spans))
	for _, sp := range spans {
		b = resp.AppendArray(b, 3)
		b = resp.AppendInt(resp.AppendInt(b, int64(m.Layout().ShardOf(sp.First))), int64(m.Layout().ShardOf(sp.Last)))
		b = resp.AppendInt(b, int64(sp.Leader))
	}
	return b
}
