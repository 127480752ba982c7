package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// NextData appends the next frame for the peer's data connection to buf[:0];
// empty when there is nothing to send. One caller per peer at a time.
func (n *Node) NextData(peer shardmap.NodeID, buf []byte, now multiraft.Instant) []byte {
	l := n.laneTo(peer)
	l.send.Lock()
	defer l.send.Unlock()
	for l.conn.Load() != 0 {
		l.frame.b = buf[:0]
		if buf = l.next(now); len(buf) > 0 {
			return buf
		}
		l.awake.Store(false)
		if !l.busy() || !l.awake.CompareAndSwap(false, true) {
			break
		}
	}
	return buf[:0]
}

// next builds one frame.
func (l *lane) next(now multiraft.Instant) []byte {
	w := &l.frame
	if len(l.pending) > frameMax-frameHead {
		return l.nextPart()
	}
	w.u8(frameFormat)
	w.u8(frameMessages)
	w.b = append(w.b, l.pending...)
	l.pending = l.pending[:0]
	l.greet.drain(func(g int) bool { l.hello(shardmap.GroupID(g)); return l.room() })
	for again := true; again && l.room(); {
		again = false
		l.dirty.drain(func(id int) bool {
			again = l.nextOf(shardmap.ShardID(id), now) || again
			return l.room()
		})
	}
	if l.room() && l.tickDue.Swap(false) && l.n.leadsAny() {
		l.tick(now)
	}
	if len(w.b) == frameHead {
		return w.b[:0]
	}
	return w.b
}

// room says whether another message may go into the frame.
func (l *lane) room() bool { return len(l.pending) == 0 && len(l.frame.b) < batchMax }

// put places the message under way into the frame, or keeps it for the next one.
func (l *lane) put() {
	if len(l.frame.b)+len(l.msg.b) <= frameMax {
		l.frame.b = append(l.frame.b, l.msg.b...)
	} else {
		l.pending = append(l.pending[:0], l.msg.b...)
	}
	if cap(l.msg.b) > 4*frameMax {
		l.msg.b = nil
	}
	l.msg.b = l.msg.b[:0]
}

// nextPart sends a piece of a message that is longer than a frame.
func (l *lane) nextPart() []byte {
	w := &l.frame
	w.u8(frameFormat)
	if l.sent == 0 {
		w.u8(frameFirst)
		w.u32(uint32(len(l.pending)))
	} else {
		w.u8(framePart)
	}
	n := min(len(l.pending)-l.sent, frameMax-len(w.b))
	w.b = append(w.b, l.pending[l.sent:l.sent+n]...)
	if l.sent += n; l.sent == len(l.pending) {
		l.pending, l.sent = nil, 0
	}
	return w.b
}

// hello opens a session of one group if this node serves it.
func (l *lane) hello(g shardmap.GroupID) {
	r := l.n.Replica(g)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	to := copyOn(r.cfg, l.peer)
	if r.lead == nil || to == 0 || l.peer == l.n.cfg.Self.Node {
		return
	}
	sess := l.n.nextSess.Add(1)
	for _, s := range r.shards {
		s.mu.Lock()
		s.enroll(l, sess)
		s.mu.Unlock()
	}
	l.msg.hello(hello{group: g, ballot: r.lead.ballot, sess: sess, epoch: r.lead.epoch, from: l.n.cfg.Self.Inc, to: to})
	l.put()
}

// nextOf puts the next message about one shard into the frame; it reports whether
// the shard has more.
func (l *lane) nextOf(id shardmap.ShardID, now multiraft.Instant) bool {
	r := l.n.ReplicaOf(id)
	if r == nil {
		return false
	}
	s := r.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.follower(l.peer)
	if f == nil || !s.serving() || f.lane != l {
		return false
	}
	mode := f.mode
	more := s.compose(f, &l.msg, now)
	if mode != modeTail {
		s.n.catchUp.Add(int64(len(l.msg.b)))
	}
	if len(l.msg.b) > 0 {
		l.put()
	}
	if more {
		l.dirty.set(int(id))
	}
	return more
}

// compose writes the follower's next message; it reports whether there are more.
func (s *shard) compose(f *follower, w *writer, now multiraft.Instant) bool {
	switch f.mode {
	case modeAsk:
		w.ask(&ask{s.headFor(f), f.cut})
		f.mode = modeWait
	case modeRevert:
		s.composeRevert(f, w)
		return f.mode == modeRevert || f.off < s.ring.end
	case modeBegin:
		return s.beginFill(f, w)
	case modeTail, modeFill:
		if f.off < s.ring.start() {
			probeOffRing.Hit()
			s.startFill(f)
			return true
		}
		paced := f.mode == modeFill && s.holdsBack(f, now.Mono)
		if f.mode == modeFill && !paced && (f.off == s.ring.end || f.turn) {
			f.turn = false
			s.sendFill(f, w, now.Mono)
		} else {
			f.turn = true
			s.composeBatch(f, w)
		}
		return f.mode == modeFill && !paced && !f.waits() || f.off < s.ring.end
	}
	return false
}

// holdsBack says whether the pace has no room for more of a fill. Tick asks again.
func (s *shard) holdsBack(f *follower, now time.Duration) bool {
	if f.chunked || f.waits() || s.n.pace.may(now) {
		return false
	}
	probePaced.Hit()
	f.lane.paced.set(int(s.id))
	return true
}

// sendFill sends what comes next of a fill, and counts it.
func (s *shard) sendFill(f *follower, w *writer, now time.Duration) {
	before := len(w.b)
	if s.n.work(func() { s.composeFill(f, w) }); f.mode == modeTail {
		f.ended = now
	}
	sent := len(w.b) - before
	s.n.pace.take(sent)
	s.r.fills.add(sent, now)
	s.n.filled.add(sent, now)
}

func (s *shard) headFor(f *follower) dataHead {
	return dataHead{ballot: s.lease.Ballot(), sess: f.sess, shard: s.id}
}

// composeBatch sends the next records after the follower's cursor.
func (s *shard) composeBatch(f *follower, w *writer) {
	force := s.forcing && f.forced < s.m.Position()
	if f.off == s.ring.end {
		if force { // it has all, and was not told that somebody waits for its disk
			f.forced = s.m.Position()
			w.batch(&batch{dataHead: s.headFor(f), urgent: true, durable: true, head: f.forced})
		}
		return
	}
	run := s.ring.from(f.off)
	n := statemachine.RecordSize(run)
	for n < len(run) {
		size := statemachine.RecordSize(run[n:])
		if n+size > batchMax {
			break
		}
		n += size
	}
	f.off += uint64(n)
	b := batch{dataHead: s.headFor(f), urgent: s.urgent, head: s.m.Position(), records: run[:n]}
	if f.off == s.ring.end {
		if b.time, b.durable = s.m.Time(), force; force {
			f.forced = b.head
		}
	}
	w.batch(&b)
}
