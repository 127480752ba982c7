package shardgroup

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// follower is the leaseholder's view of one follower of one shard: a cursor into
// the ring and what it acked. It holds no data, so a slow one costs nothing.
type follower struct {
	lane     *lane
	inc      multiraft.Incarnation
	sess     uint32
	mode     mode
	off      uint64           // ring offset of the next record to send
	cut      shardmap.Version // how far its copy lay on the lineage when the session began
	asked    []uint64         // modeRevert: hashes to answer
	acked    shardmap.Version
	durable  shardmap.Version // on its disk, when it was asked for that
	forced   shardmap.Version // up to where it was asked
	whole    bool
	matched  bool             // a digest agreed in this session
	old      bool             // it has, or had, a whole copy in this session: what a fill destroys (L9)
	compare  *comparing       // the fill under way compares; nil = it sends every range
	compared bool             // the last fill began so
	plain    bool             // it ended in a copy that differs: the next one does not compare
	xfer     uint64           // of the last fill in this session, 0 none: acks of another one do not count
	lo       uint64           // next hash of the fill
	chunked  bool             // all ranges have been sent
	turn     bool             // a chunk comes before more records
	filling  bool             // counted in lane.fills
	ended    time.Duration    // Mono at which the end of the last fill went out
	head     shardmap.Version // the shard's position at the last look whose head it had not acked
	looked   time.Duration    // Mono of that look, 0 = none yet
	level    time.Duration    // Mono at which the shard's head was something that it has acked by now
}

// levelWithin is how long a follower that keeps up may be behind: under load there is
// always a write that is on its way to it, and its disk takes its time.
const levelWithin = time.Second

// look takes note of the shard's head, when the follower has acked that of the last look.
func (f *follower) look(head shardmap.Version, now time.Duration) {
	if f.looked != 0 && f.acked < f.head {
		return
	}
	f.level, f.head, f.looked = f.looked, head, now
}

// keepsUp says whether the follower has all that the shard had, now or a moment ago.
func (f *follower) keepsUp(head shardmap.Version, now time.Duration) bool {
	return f.whole && (f.acked == head || f.level != 0 && now-f.level <= levelWithin)
}

// mode is what a follower is to be sent.
type mode uint8

const (
	modeWait   mode = iota // for its State or Keys
	modeAsk                // an Ask
	modeRevert             // a Revert
	modeBegin              // a FillBegin, as soon as L9 allows
	modeFill               // chunks and records
	modeTail               // records
)

// follower finds the view of a node's copy.
func (s *shard) follower(n shardmap.NodeID) *follower {
	for _, f := range s.followers {
		if f.lane.peer == n {
			return f
		}
	}
	return nil
}

// enroll begins a session: nothing a former session or incarnation said counts.
func (s *shard) enroll(l *lane, sess uint32) {
	s.dismiss(l)
	s.followers = append(s.followers, &follower{lane: l, sess: sess})
	s.advance()
}

// dismiss forgets a follower.
func (s *shard) dismiss(l *lane) {
	for i, f := range s.followers {
		if f.lane == l {
			f.endFill()
			s.followers = slices.Delete(s.followers, i, i+1)
			return
		}
	}
}

// OnAck brings a frame of the peer's ack connection. One that answers another data
// connection than our newest is dropped.
func (n *Node) OnAck(peer shardmap.NodeID, frame []byte, now multiraft.Instant) error {
	l := n.laneTo(peer)
	r := reader{b: frame}
	if r.u8() != frameFormat {
		return ErrFrame
	}
	conn := r.u64()
	inc := r.inc()
	r.u64() // the echoed stamp
	sent := int64(r.u64())
	if conn != l.conn.Load() && !r.bad {
		return nil
	}
	for len(r.b) > 0 && !r.bad {
		switch ackKind(r.u8()) {
		case ackPosition:
			if p := r.position(); !r.bad {
				n.acked(l, inc, p)
			}
		case ackDurable:
			if p := r.position(); !r.bad {
				n.onDisk(l, inc, p)
			}
		case ackState:
			if st := r.state(); !r.bad {
				n.stated(l, inc, &st)
			}
		case ackKeys:
			if k := r.keys(); !r.bad {
				n.answered(l, &k)
			}
		case ackDiffers:
			if d := r.differs(); !r.bad {
				n.compared(l, &d)
			}
		default:
			r.bad = true
		}
	}
	if r.bad {
		return ErrFrame
	}
	l.hears(conn, sent, now)
	return nil
}

// session is the follower that an answer belongs to, with its shard locked; nil
// when the answer is of another session.
func (n *Node) session(l *lane, id shardmap.ShardID, sess uint32) (*shard, *follower) {
	r := n.ReplicaOf(id)
	if r == nil {
		return nil, nil
	}
	s := r.shard(id)
	s.mu.Lock()
	if f := s.follower(l.peer); f != nil && f.sess == sess && s.serving() {
		return s, f
	}
	s.mu.Unlock()
	return nil, nil
}

// acked takes a cumulative ack.
func (n *Node) acked(l *lane, inc multiraft.Incarnation, p position) {
	s, f := n.session(l, p.shard, p.sess)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	if f.inc != inc || f.mode < modeFill || p.fill != uint32(f.xfer) {
		return
	}
	f.whole = p.flags&flagWhole != 0
	f.acked, f.old = p.pos, f.old || f.whole
	f.matched = f.matched || p.flags&flagMatched != 0
	switch {
	case p.flags&flagBroken != 0:
		f.plain = f.plain || f.compared
		s.startFill(f)
	case p.flags&flagGap != 0:
		s.reposition(f, p.pos)
	}
	if f.whole && f.mode == modeTail {
		f.endFill()
	}
	s.advance()
}

// onDisk takes a cumulative ack of what is on the peer's disk.
func (n *Node) onDisk(l *lane, inc multiraft.Incarnation, p position) {
	s, f := n.session(l, p.shard, p.sess)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	if f.inc == inc && f.mode >= modeFill && p.fill == uint32(f.xfer) {
		f.durable = p.pos
		s.advance()
	}
}

// reposition puts the cursor where a follower says it is.
func (s *shard) reposition(f *follower, pos shardmap.Version) {
	off, ok := s.ring.find(pos, s.m.Position())
	if !ok {
		s.startFill(f)
		return
	}
	f.off = off
	f.lane.markData(s.id)
}

// stated takes the answer to a Hello: each shard gets its verdict.
func (n *Node) stated(l *lane, inc multiraft.Incarnation, st *state) {
	r := n.Replica(st.group)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil || r.lead.ballot != st.ballot || len(st.shards) != len(r.shards) {
		return
	}
	for i, s := range r.shards {
		s.mu.Lock()
		if f := s.follower(l.peer); f != nil && f.sess == st.sess && f.mode == modeWait {
			f.inc = inc
			cut, known := r.line.cut(i, st.shards[i].pos)
			s.verdict(f, &st.shards[i], cut, known)
			s.advance()
		}
		s.mu.Unlock()
	}
}

// verdict decides how a follower catches up: TAIL, REVERT or FILL.
func (s *shard) verdict(f *follower, c *copyState, cut shardmap.Version, known bool) {
	kept := mutant.Is("skip-revert") || mutant.Is("M08") // the divergent suffix
	off, have := s.ring.find(cut, s.m.Position())
	exact := known && c.whole && !s.behind(c) && (cut >= c.floor || mutant.Is("tail-across-a-hole-row"))
	f.cut = cut
	f.acked, f.whole, f.old = c.logged, exact && (cut == c.pos || kept), c.whole
	switch {
	case exact && have && (cut == c.pos || kept):
		f.off, f.mode = off, modeTail
	case exact && have && c.ringLow <= cut:
		f.mode = modeAsk
	default:
		s.startFill(f)
	}
	f.lane.markData(s.id)
}

// behind says that the copy has swept by a time that this epoch began below: those who
// knew how far the former holder's time could go were gone, or had forgotten it in a
// restart (hole 24). What it swept is alive here and in no list of what it changed.
func (s *shard) behind(c *copyState) bool { return c.pos.Epoch() < s.epoch && c.time > s.began }

// answered takes the keys that a divergent follower changed.
func (n *Node) answered(l *lane, k *keys) {
	s, f := n.session(l, k.shard, k.sess)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	if f.mode != modeWait || f.cut != k.cut {
		return
	}
	if _, have := s.ring.find(k.cut, s.m.Position()); !k.ok || !have {
		s.startFill(f)
	} else {
		f.asked, f.mode = k.hashes, modeRevert
	}
	f.lane.markData(s.id)
}
