package sim

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// owner is who opened an epoch: one life of one node.
type owner struct {
	node shardmap.NodeID
	life int
}

// look checks the whole world at one instant: what no client could see at once.
func (s *stage) look() {
	s.oneWriter()
	s.equalCopies()
	if s.watch != nil {
		if why := s.watch(); why != "" {
			s.broke("P13", "%s", why)
		}
	}
}

// oneWriter is P1 in global time, and P11: an epoch has one owner for ever.
func (s *stage) oneWriter() {
	var first *process
	for _, p := range s.nodes {
		if !s.serves(p) {
			continue
		}
		if first != nil {
			s.broke("P1", "nodes %d and %d would both take a write", first.id, p.id)
		}
		first = p
		epoch, by := p.core.Data().Replica(theGroup).LastRow()
		if by != p.id {
			continue // its own row is being replaced
		}
		s.declared(p, epoch)
		me := owner{p.id, p.life}
		if o, ok := s.owners[epoch]; ok && o != me {
			s.broke("P11", "epoch %d of node %d is served again by node %d", epoch, o.node, p.id)
		}
		s.owners[epoch] = me
	}
}

// declared is P9: what an Open cuts of the acknowledged writes it says so, and
// unless it says that the loss has no bound, the lost ones are of the last moments.
func (s *stage) declared(p *process, epoch uint32) {
	if epoch <= s.judged {
		return
	}
	s.judged = epoch
	st := p.core.Data().Replica(theGroup).Status(p.clock())
	first, _, base, _ := p.core.Data().Replica(theGroup).LastCut()
	keep := s.acked[:0]
	last := map[shardmap.ShardID]time.Duration{}
	for _, o := range s.acked {
		last[s.history.Shard(o.Key)] = o.End
	}
	for _, o := range s.acked {
		shard := s.history.Shard(o.Key)
		if o.Version.Epoch() >= epoch || o.Version <= base[shard-first] {
			keep = append(keep, o)
			continue
		}
		told := last[shard]-o.End <= tailBound
		for _, l := range st.Report {
			told = told || l.Shard == shard && !l.Bounded
		}
		if !told {
			s.broke("P9", "%q: version %v of %v was cut, %v before the last one: the Open says %+v", s.history.Name(o.Key), o.Version, o.End, last[shard]-o.End, st.Report)
		}
	}
	s.acked = keep
}

// tailBound is how old a write may be that a bounded loss takes: the bound, the
// delay on top of it, and what a step of the script may take.
const tailBound = 400 * time.Millisecond

// equalCopies is P10: whole copies at one position and time hold the same.
func (s *stage) equalCopies() {
	for id := range shardmap.ShardID(s.cfg.Shards) {
		type state struct {
			version shardmap.Version
			time    int64
			digest  uint64
			node    shardmap.NodeID
		}
		var seen [8]state
		n := 0
		for _, p := range s.nodes {
			r := p.copyOf(id)
			if r == nil {
				continue
			}
			d, v, t, whole := r.CopyDigest(id)
			if !whole {
				continue
			}
			for _, o := range seen[:n] {
				if o.version == v && o.time == t && o.digest != d {
					s.broke("P10", "shard %d at version %v: nodes %d and %d differ", id, v, o.node, p.id)
				}
			}
			seen[n] = state{v, t, d, p.id}
			n++
		}
	}
}

// equalAtRest says what keeps the cluster from being at rest: one holder, every
// copy whole and at one position.
func (s *stage) equalAtRest() string {
	if why := s.unrest(); why != "" {
		return why
	}
	for id := range shardmap.ShardID(s.cfg.Shards) {
		var at shardmap.Version
		for _, p := range s.nodes {
			if r := p.copyOf(id); r != nil {
				_, v, _, _ := r.CopyDigest(id)
				if at != 0 && v != at {
					return "copies stand at different positions"
				}
				at = v
			}
		}
	}
	return ""
}

// dead says whether a key's deadline has passed for longer than clocks may differ.
func (s *stage) dead(key string) bool {
	at := s.keys[key]
	return at != 0 && s.now > at+clockSlack
}

// clockSlack is how far wall clocks and shard time may be apart in a script.
const clockSlack = 300 * time.Millisecond
