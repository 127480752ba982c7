package shardgroup

import (
	"encoding/binary"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// OnData brings a frame of the peer's data connection conn; frames of one
// connection in order. Frames of a lower connection number are dropped.
func (n *Node) OnData(peer shardmap.NodeID, conn uint64, frame []byte, now multiraft.Instant) error {
	l := n.laneTo(peer)
	l.recv.Lock()
	defer l.recv.Unlock()
	l.heardAt = now.Mono
	if old := l.inConn.Load(); conn < old {
		return nil
	} else if conn > old {
		l.inConn.Store(conn)
		l.assembly, l.want = nil, 0
		l.wakeAck(false)
	}
	if len(frame) < frameHead || frame[0] != frameFormat {
		return ErrFrame
	}
	body := frame[frameHead:]
	switch frame[1] {
	case frameMessages:
		return n.messages(l, conn, body, now)
	case frameFirst:
		if len(body) < 4 || binary.BigEndian.Uint32(body) > messageMax {
			return ErrFrame
		}
		l.want, l.assembly = int(binary.BigEndian.Uint32(body)), append([]byte(nil), body[4:]...)
	case framePart:
		if l.want == 0 {
			return ErrFrame
		}
		l.assembly = append(l.assembly, body...)
	default:
		return ErrFrame
	}
	if len(l.assembly) < l.want {
		return nil
	}
	whole := l.assembly
	l.assembly, l.want = nil, 0
	return n.messages(l, conn, whole, now)
}

// messages takes the messages of a frame one by one.
func (n *Node) messages(l *lane, conn uint64, b []byte, now multiraft.Instant) error {
	for len(b) > 0 {
		if len(b) < messageHead || uint32(len(b)-messageHead) < binary.BigEndian.Uint32(b[1:]) {
			return ErrFrame
		}
		end := messageHead + int(binary.BigEndian.Uint32(b[1:]))
		r := reader{b: b[messageHead:end]}
		if err := n.message(l, conn, msgKind(b[0]), &r, now); err != nil {
			return err
		}
		b = b[end:]
	}
	return nil
}

func (n *Node) message(l *lane, conn uint64, kind msgKind, r *reader, now multiraft.Instant) error {
	switch kind {
	case msgHello:
		if h := r.hello(); !r.bad {
			n.onHello(l, conn, &h, now)
		}
	case msgBatch:
		if m := r.batch(); !r.bad {
			n.onBatch(l, conn, &m)
		}
	case msgAsk:
		if m := r.ask(); !r.bad {
			n.onAsk(l, conn, &m)
		}
	case msgRevert:
		if m := r.revert(); !r.bad {
			n.onRevert(l, conn, &m)
		}
	case msgFillBegin:
		if m := r.fillBegin(); !r.bad {
			n.onFillBegin(l, conn, &m)
		}
	case msgChunk:
		if m := r.chunk(); !r.bad {
			n.onChunk(l, conn, &m)
		}
	case msgFillEnd:
		if m := r.fillEnd(); !r.bad {
			n.onFillEnd(l, conn, &m)
		}
	case msgDigests:
		if m := r.digests(); !r.bad {
			n.onDigests(l, conn, &m)
		}
	case msgVersions:
		if m := r.bucketVersions(); !r.bad {
			n.onVersions(l, conn, &m)
		}
	case msgStates:
		if m := r.readStates(); !r.bad {
			n.onStates(l, conn, &m)
		}
	case msgTick:
		n.onTick(l, conn, r)
	default:
		return ErrFrame
	}
	if r.bad {
		return ErrFrame
	}
	return nil
}

// onHello begins to listen to a holder (F1). A Hello of a higher ballot counts as
// a Seal; one of a lower ballot is of a holder that is past.
func (n *Node) onHello(l *lane, conn uint64, h *hello, now multiraft.Instant) {
	r := n.Replica(h.group)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isWitness() || h.to != r.id || h.ballot.Less(r.promised) || h.epoch < r.newest() {
		return // or for a copy that this node had, or will have, in this one's place
	}
	if r.promised.Less(h.ballot) {
		r.promise(h.ballot, multiraft.Member{Node: l.peer, Inc: h.from}, now)
	}
	if mutant.Is("M19") {
		r.close("the target serves")
	}
	r.holder.Store(uint32(l.peer))
	r.passes, r.lived = 0, true
	for _, s := range r.shards {
		s.mu.Lock()
		s.in = inSession{lane: l, conn: conn, sess: h.sess, ballot: h.ballot}
		s.differs = nil
		s.forcedTo = 0
		s.xfer, s.fill, s.asked, s.gap, s.matched, s.broken, s.fresh = 0, 0, false, false, false, false, 0
		s.mu.Unlock()
	}
	r.wake()
	l.states.set(int(h.group))
	l.wakeAck(true)
}

// newest is the highest epoch that this copy has anything of. Who serves an older one is of
// the past, whatever a process that restarted since remembers of its promises. The caller
// holds mu.
func (r *Replica) newest() (epoch uint32) {
	for _, s := range r.shards {
		epoch = max(epoch, s.at().Epoch())
	}
	return epoch
}

// listening is the shard that a message is for, locked, if it is of the session
// that the shard listens to (F1); nil otherwise.
func (n *Node) listening(l *lane, conn uint64, h dataHead) *shard {
	r := n.ReplicaOf(h.shard)
	if r == nil {
		return nil
	}
	s := r.shard(h.shard)
	s.mu.Lock()
	in := &s.in
	if in.lane == l && in.conn == conn && in.sess == h.sess && in.ballot == h.ballot {
		s.heardAt = l.heardAt
		return s
	}
	if mutant.Is("no-seal") && !s.serving() && !h.ballot.Less(in.ballot) {
		return s
	}
	s.mu.Unlock()
	probeStaleFrame.Hit()
	return nil
}

// onBatch applies records (F2).
func (n *Node) onBatch(l *lane, conn uint64, b *batch) {
	s := n.listening(l, conn, b.dataHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	s.headSeen = max(s.headSeen, b.head)
	if s.play(b.records, !s.whole) && b.time != 0 {
		s.m.AdvanceTime(b.time)
		s.sweep()
	}
	s.ack(l, b.urgent)
	if b.durable {
		s.toDisk()
	}
}

// sweepStep bounds how many dead keys one step removes under the shard's mutex.
const sweepStep = 128

// sweep removes what is dead by shard time, a step of it, and reports whether more is. What
// it removed may have been answered to be dead, and nothing else would tell the log by what
// time: an idle shard writes no record.
func (s *shard) sweep() (more bool) {
	held := s.m.Len()
	more = s.m.Sweep(sweepStep)
	if s.m.Len() < held && s.keeps() {
		s.writeTime()
	}
	return more
}

// play applies encoded records that follow the position and keeps them in the
// ring; it stops at a gap or at what cannot be right.
func (s *shard) play(buf []byte, filling bool) bool {
	for len(buf) > 0 {
		n := statemachine.RecordSize(buf)
		if n < recordHead || n > len(buf) {
			s.gap = true
			return false
		}
		raw := buf[:n:n]
		buf = buf[n:]
		pos := s.m.Position()
		if versionOf(raw) <= pos {
			if mutant.Is("M12") {
				s.playLate(raw)
			}
			continue
		}
		if prevOf(raw) != pos && !mutant.Is("M11") && !mutant.Is("tail-across-a-hole-row") && !keptSuffix(raw) {
			probeGap.Hit()
			s.gap = true
			return false
		}
		if err := s.playOne(raw, filling); err != nil {
			s.doubt(err.Error())
			return false
		}
		s.ring.add(s, raw)
		s.writeRecord(raw)
	}
	return true
}

// playLate is the seeded bug M12: a copy of a record that comes again is applied.
func (s *shard) playLate(raw []byte) {
	pos := s.m.Position()
	_ = s.playOne(raw, true)
	s.m.SetPosition(pos)
}

// keptSuffix is the seeded bug M08: an epoch begins on top of a divergent suffix.
func keptSuffix(raw []byte) bool {
	return (mutant.Is("M08") || mutant.Is("skip-revert")) && raw[recordOp] == opOpen
}

func (s *shard) playOne(raw []byte, filling bool) error {
	if raw[recordOp] == opOpen {
		if !checkOpen(raw) {
			return statemachine.ErrBadRecord
		}
		s.m.SetPosition(versionOf(raw))
		return nil
	}
	if _, err := statemachine.DecodeRecord(raw, &s.rec); err != nil {
		return err
	}
	if filling && s.rec.Op == statemachine.OpDel && mutant.Is("M13") {
		s.m.SetPosition(s.rec.Version)
		return nil
	}
	return s.m.Apply(&s.rec, filling)
}

// doubt gives up the copy's claim to be exact, and asks for a fill.
func (s *shard) doubt(why string) {
	probeDoubt.Hit()
	s.broken = true
	if s.whole {
		s.whole = false
		s.turn++
		s.mark(0)
		s.n.out.Event(Event{Kind: EventNotWhole, Group: s.r.g, Shard: s.id, Detail: why})
	}
}

// AckUp says that the ack connection to a peer stands anew: what the one before
// carried may be lost, so everything is said again.
func (n *Node) AckUp(peer shardmap.NodeID) {
	l := n.laneTo(peer)
	for _, r := range n.all() {
		l.states.set(int(r.g))
		for _, s := range r.shards {
			s.mu.Lock()
			s.differsSaid = false
			s.gap = s.gap || s.in.lane == l && !s.caughtUp() // said once, and perhaps by the one before
			s.mu.Unlock()
			l.ackDirty.set(int(s.id))
		}
	}
	l.wakeAck(true)
}

// NextAck appends the next frame for the ack connection to a peer, which answers the
// peer's newest data connection; empty when there is nothing to say.
func (n *Node) NextAck(peer shardmap.NodeID, buf []byte, now multiraft.Instant) []byte {
	l := n.laneTo(peer)
	w := writer{b: buf[:0]}
	w.u8(frameFormat)
	w.u64(0) // the data connection
	w.inc(n.cfg.Self.Inc)
	w.u64(uint64(l.stamp.Load()))
	w.u64(uint64(now.Mono + now.SuspendOffset)) // the holder's next Tick gives it back
	l.ackAwake.Store(false)
	room := func() bool { return len(w.b) < batchMax }
	due := l.ackDue.Load() && l.ackDue.Swap(false)
	l.states.drain(func(g int) bool { n.composeState(l, shardmap.GroupID(g), &w); return room() })
	if room() {
		l.ackDirty.drain(func(id int) bool { n.composeAck(l, shardmap.ShardID(id), &w); return room() })
	}
	if len(w.b) == ackHead && !due {
		return w.b[:0]
	}
	// Read last: a Hello that was answered above came by this connection or an older one.
	binary.BigEndian.PutUint64(w.b[1:], l.inConn.Load())
	return w.b
}

// composeState answers a Hello with what this replica holds.
func (n *Node) composeState(l *lane, g shardmap.GroupID, w *writer) {
	r := n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := state{group: g, ballot: r.promised, shards: make([]copyState, 0, len(r.shards))}
	for _, s := range r.shards {
		s.mu.Lock()
		if s.in.lane == l {
			st.sess = s.in.sess
			st.shards = append(st.shards, s.state())
		}
		s.mu.Unlock()
	}
	if len(st.shards) == len(r.shards) {
		w.state(&st)
	}
}

// composeAck states a shard's position, and its changed keys when they were asked for.
func (n *Node) composeAck(l *lane, id shardmap.ShardID, w *writer) {
	r := n.ReplicaOf(id)
	if r == nil {
		return
	}
	s := r.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in.lane != l {
		return
	}
	if s.asked {
		s.asked = false
		k := keys{sess: s.in.sess, shard: id, cut: s.askedCut}
		k.hashes, k.ok = s.changedAbove(s.askedCut)
		w.keys(&k)
		return
	}
	if s.differs != nil && !s.differsSaid {
		s.differsSaid = true
		w.differs(s.differs)
	}
	p := position{sess: s.in.sess, shard: id, fill: s.fill, pos: s.logged()}
	if s.barred() || s.gap && p.pos != s.m.Position() {
		return // the log will tell; a gap is where the copy ends in memory
	}
	for _, f := range [...]struct {
		on  *bool
		bit byte
	}{{&s.whole, flagWhole}, {&s.gap, flagGap}, {&s.matched, flagMatched}, {&s.broken, flagBroken}} {
		if *f.on {
			p.flags |= f.bit
		}
	}
	s.gap = false
	w.position(ackPosition, p)
	if s.forcedTo != 0 {
		p.pos = s.durable()
		w.position(ackDurable, p)
	}
}
