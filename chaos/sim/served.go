package sim

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// served is a node's end of the caching client's connection, with TRACKING on: which
// keys were read on it, and the frames that go back. As the client port does it, a
// change is told where it is made, behind the replies made before it; a command that is
// under way holds back what is told meanwhile; and all that was read under a lease is
// taken back by the rules of internal/node when the lease is lost or lapses.
type served struct {
	p      *process
	life   int // of p, when the connection was made
	line   *line
	keys   []bool // by key: it was read, and not taken back since
	count  int    // of those
	busy   bool   // a command is under way
	out    []frame
	queue  []question // what came behind the command under way
	looked time.Duration
}

// question is what the client asks: for a key, or for a sign of life.
type question struct {
	ping bool
	sent time.Duration
	key  int
}

// frame is what goes back to the client: the answer to a question, or keys taken back.
type frame struct {
	push bool
	all  bool  // of a push: every key
	keys []int // of a push
	question
	refused bool
	holder  shardmap.NodeID // with refused: who may know, 0 = nobody
	value   chaos.Cached
	at      shardmap.Version // of the shard
}

var _ shardgroup.Watcher = (*served)(nil)

// accept makes the node's end of a new connection.
func (p *process) accept(l *line) {
	p.served = &served{p: p, life: p.life, line: l, keys: make([]bool, len(p.w.keys))}
	p.core.Data().Watch(p.served)
}

// Changed implements shardgroup.Watcher.
func (s *served) Changed(_ shardmap.ShardID, key []byte, _ uint64) {
	if k, known := s.p.w.cacher.byName[string(key)]; known && s.keys[k] {
		s.keys[k] = false
		s.count--
		s.push(frame{push: true, keys: []int{k}})
		s.p.w.cacher.changed++
	}
}

// Flushed implements shardgroup.Watcher: clients are told of all keys then.
func (s *served) Flushed(shardmap.ShardID, uint64) {
	clear(s.keys)
	s.count = 0
	s.push(frame{push: true, all: true})
}

// lost takes back what was read of a group.
func (s *served) lost(g shardmap.GroupID) {
	var keys []int
	for k := range s.p.w.keys {
		if s.keys[k] && s.p.w.keys[k].group == g {
			s.keys[k] = false
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 {
		s.count -= len(keys)
		s.push(frame{push: true, keys: keys})
		s.p.w.cacher.lost++
	}
}

// look takes back what was read under leases that have lapsed.
func (s *served) look() {
	s.looked = s.p.w.now
	if s.count > 0 {
		node.Lapsed(s.p.core.Data(), s.p.w.cfg.Groups, s.p.clock(), s.lost)
	}
}

// push tells the client something, behind the reply of the command under way if there
// is one.
func (s *served) push(f frame) {
	if s.busy {
		s.out = append(s.out, f)
	} else {
		s.line.carry(s, f)
	}
}

// ask takes a question, and looks for lapses first when that was not done for long, as
// the client port does: the process may have been stopped.
func (s *served) ask(q question) {
	if s.busy {
		s.queue = append(s.queue, q)
		return
	}
	if s.p.w.now-s.looked > 2*cacheTick {
		s.look()
	}
	s.busy = true
	if q.ping {
		s.reply(frame{question: q}, nil)
		return
	}
	w := s.p.w
	k := &w.keys[q.key]
	shard := w.history.Shard(k.key)
	f := frame{question: q}
	r := s.p.core.Data().ReplicaOf(shard)
	if r == nil {
		f.refused = true
		s.reply(f, nil)
		return
	}
	g, adm, err := r.Look(shard, k.name, s.p.clock())
	if err != nil {
		f.refused, f.holder = true, adm.Holder
		s.reply(f, nil)
		return
	}
	if !s.keys[q.key] {
		s.keys[q.key] = true
		s.count++
	}
	f.value, f.at = w.history.Cached(k.key, g.Version), adm.Version
	d := w.cacher.replyIn()
	if d == 0 {
		s.reply(f, adm.Lease)
		return
	}
	w.after(d, func() { s.p.when(s.life, func() { s.reply(f, adm.Lease) }) })
}

// reply checks the lease of a reading afresh, as the client port does before its flush.
// Then what has waited leaves, and the next command begins.
func (s *served) reply(f frame, lease shardgroup.Lease) {
	if s.p.served != s {
		return
	}
	now := s.p.clock()
	if lease != nil && !lease.Check(now.Mono, now.SuspendOffset) {
		f.refused = true
	}
	s.line.carry(s, f)
	for _, waited := range s.out {
		s.line.carry(s, waited)
	}
	s.out = s.out[:0]
	s.busy = false
	if len(s.queue) > 0 {
		q := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		s.ask(q)
	}
}
