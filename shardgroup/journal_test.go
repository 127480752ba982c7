package shardgroup

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// walConfig is of the log that a member of a world keeps.
func (m *member) walConfig() wal.Config {
	return wal.Config{FS: m.disk, Mode: m.mode, Boot: [16]byte{1, m.boots}, Shards: m.w.cfg.Layout.Shards, SegmentBytes: 4 << 10}
}

// keepLog brings the copies of a new process back from what the former one left of its
// log, if it left one, and goes on with it.
func (m *member) keepLog() {
	m.inc, m.disk, m.after = m.proc, m.after, nil
	if m.disk == nil {
		m.disk, m.image = wal.NewMemory(), nil
	} else {
		m.n.Promised(worldGroup, m.term)
	}
	cfg := m.walConfig()
	if m.image != nil {
		m.loadInto(m.n, &cfg)
	}
	r, err := wal.Recover(cfg, restoring{m.n})
	if err != nil {
		m.w.t.Fatal(err)
	}
	if r.Intact {
		m.inc = multiraft.Incarnation{Counter: binary.BigEndian.Uint64(r.Life[:]), Nonce: binary.BigEndian.Uint64(r.Life[8:])}
	}
	var life [16]byte
	binary.BigEndian.PutUint64(life[:], m.inc.Counter)
	binary.BigEndian.PutUint64(life[8:], m.inc.Nonce)
	if m.wal, err = r.Begin(life); err != nil {
		m.w.t.Fatal(err)
	}
	m.n.SetLog(m.wal, m.inc)
}

// fall is a crash that takes the disk along in so many cases of 100, and otherwise kills
// the process or cuts the machine's power.
func (w *world) fall(m *member, wipes int) {
	if !m.up {
		return
	}
	switch {
	case w.chance(wipes):
	case w.chance(50):
		m.after = m.disk.Kill(w.r)
	default:
		m.cutPower()
	}
	w.crash(m)
}

func (m *member) cutPower() {
	m.after = m.disk.PowerCut(m.w.r)
	m.boots++
}

// promptly writes the log of a member at once, where the test is not about that.
func (w *world) promptly(m *member) {
	if !w.lazy {
		w.commitLog(m)
	}
}

// commitLog does what the writer of a member's log does, unless its disk stalls.
func (w *world) commitLog(m *member) {
	if !m.up || m.stalls {
		return
	}
	if _, err := m.wal.Commit(); err != nil {
		w.bad("node %d: its log: %v", m.id, err)
	}
	if m.mode == wal.Fsync {
		w.syncLog(m)
	}
	w.tellLog(m)
}

func (w *world) syncLog(m *member) {
	if err := m.wal.Sync(); err != nil {
		w.bad("node %d: its log: %v", m.id, err)
	}
}

func (w *world) tellLog(m *member) {
	if m.n.Logged() {
		m.n.Pump(w.now)
	}
}

func beginLog(t testing.TB, cfg wal.Config) *wal.Log {
	t.Helper()
	r, err := wal.Recover(cfg, restoring{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Begin([16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// restoring plays a log into a node.
type restoring struct{ n *Node }

func (v restoring) Frame(f *wal.Frame) error   { return v.n.Restore(f) }
func (v restoring) Damaged(shard uint16)       { v.n.Lost(shardmap.ShardID(shard)) }
func (v restoring) Progress(done, total int64) {}

// deaf is an Out that nobody listens to.
type deaf struct{}

func (deaf) WakeData(shardmap.NodeID)        {}
func (deaf) WakeAck(shardmap.NodeID, bool)   {}
func (deaf) Control(shardmap.NodeID, []byte) {}
func (deaf) Due(Ticket, Outcome)             {}
func (deaf) Wake(shardmap.GroupID)           {}
func (deaf) Event(Event)                     {}
func (deaf) RolledBack(Rollback)             {}

// revived is the node that a process would be that starts now with this member's log.
func (m *member) revived() (*Node, error) { return m.revivedAs(m.rep().id) }

// revivedAs is revived with a copy of another raft id.
func (m *member) revivedAs(id uint64) (*Node, error) {
	if _, err := m.wal.Commit(); err != nil {
		return nil, err
	}
	cfg := m.w.cfg
	cfg.Self = multiraft.Member{Node: m.id, Inc: m.inc}
	n, err := NewNode(cfg, nil, deaf{})
	if err != nil {
		return nil, err
	}
	n.Join(worldGroup, id, m.role)
	own := m.walConfig()
	if m.image != nil {
		m.loadInto(n, &own)
	}
	r, err := wal.Recover(own, restoring{n})
	if err == nil {
		n.Ended(r.End)
	}
	return n, err
}

// checkLog wants the copies of a member back from its log as they are in its memory.
func (w *world) checkLog(m *member) {
	n, err := m.revived()
	if err != nil {
		w.bad("node %d: its log: %v", m.id, err)
		return
	}
	for i, is := range m.rep().shards {
		back := n.Replica(worldGroup).shards[i]
		if back.m.Time() > is.m.Time() {
			w.bad("node %d shard %d: time %d comes back as %d", m.id, i, is.m.Time(), back.m.Time())
		}
		back.m.AdvanceTime(is.m.Time()) // what died since the log heard the time is swept here
		back.m.Settle()
		is.m.Settle()
		if is.forgotten || is.partial { // the log does not keep what waits for a fill, nor what one will replace
			if is.whole || back.whole {
				w.bad("node %d shard %d: whole %v, the log does not know it, and it comes back whole: %v", m.id, i, is.whole, back.whole)
			}
			continue
		}
		if a, b := standing(is), standing(back); a != b {
			w.bad("node %d shard %d is %s, and comes back as %s", m.id, i, a, b)
		}
		if at := ringLeads(back); at != is.m.Position() {
			w.bad("node %d shard %d: the ring leads to %v, the copy is at %v", m.id, i, at, is.m.Position())
		}
	}
}

// ringLeads is where the records of a ring lead to, one after the other.
func ringLeads(s *shard) shardmap.Version {
	at := s.ring.low
	s.ring.each(s.ring.start(), func(raw []byte) bool {
		if prevOf(raw) != at {
			at = 0
			return false
		}
		at = versionOf(raw)
		return true
	})
	return at
}

// checkLogs is the last word of every schedule: what happened in it is in the logs.
func (w *world) checkLogs() {
	if w.fail != "" || w.t.Failed() {
		return
	}
	for _, m := range w.nodes {
		if m.up && m.n.log != nil {
			w.checkLog(m)
		}
	}
	if w.fail != "" {
		w.t.Error(w.fail)
	}
}

// standing is all that a log has to say of a copy.
func standing(s *shard) string {
	return fmt.Sprintf("at %v, whole %v, floor %v [%s]", s.m.Position(), s.whole, s.floor, dump(s))
}

// TestALostFrameIsALostCopy leaves out one frame of the log: the copy that it was of is not
// whole, whatever follows, until it begins anew.
func TestALostFrameIsALostCopy(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 3, 3)
	m := w.nodes[0]
	for i := range uint64(3) {
		writeOne(m, i+1, 0)
	}
	w.checkLog(m)
	if w.fail != "" {
		t.Fatal(w.fail)
	}
	for leave := range 4 { // the copy frame is the first one
		cfg := w.cfg
		cfg.Self = multiraft.Member{Node: m.id, Inc: m.inc}
		n, _ := NewNode(cfg, nil, deaf{})
		n.Join(worldGroup, uint64(m.id), m.role)
		v := &leaving{restoring: restoring{n}, frame: leave}
		if _, err := wal.Recover(m.walConfig(), v); err != nil {
			t.Fatal(err)
		}
		back := n.Replica(worldGroup).shards[0]
		if back.whole || back.m.Len() > 0 || back.m.Position() != 0 {
			t.Errorf("without frame %d: %s", leave, standing(back))
		}
		if other := n.Replica(worldGroup).shards[1]; !other.whole {
			t.Errorf("without frame %d of shard 0: shard 1 is %s", leave, standing(other))
		}
		own := m.walConfig()
		own.FS = wal.NewMemory()
		l := beginLog(t, own)
		if n.SetLog(l, multiraft.Incarnation{}); back.lost || l.Backlog() == 0 { // it begins anew, in the log as well
			t.Errorf("without frame %d: lost %v, %d bytes are logged of it", leave, back.lost, l.Backlog())
		}
	}
}

// leaving leaves one frame of shard 0 out and says so.
type leaving struct {
	restoring
	frame int
}

func (v *leaving) Frame(f *wal.Frame) error {
	if f.Shard == 0 {
		if v.frame--; v.frame == -1 {
			v.Damaged(0)
			return nil
		}
	}
	return v.restoring.Frame(f)
}

// TestADoubtedCopyComesBackDoubted: what is in the log may be just what is wrong.
func TestADoubtedCopyComesBackDoubted(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 3, 3)
	m := w.nodes[0]
	s := m.rep().shards[0]
	s.mu.Lock()
	s.doubt("it differs")
	s.mu.Unlock()
	n, err := m.revived()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		if back := n.Replica(worldGroup).shards[i]; back.whole != want {
			t.Errorf("shard %d comes back %s", i, standing(back))
		}
	}
}

// TestADroppedCopyStaysDropped: the contents of a copy that left do not come back under the
// id of another, nor under its own.
func TestADroppedCopyStaysDropped(t *testing.T) {
	for _, rejoined := range []uint64{0, 9} {
		w := newWorld(t, 1, worldConfig(), 3, 3)
		m := w.nodes[0]
		m.up = false // for the last look of the world
		writeOne(m, 1, 0)
		m.n.Drop(worldGroup)
		if rejoined != 0 {
			m.n.Join(worldGroup, rejoined, multiraft.RoleVoter)
		}
		for _, id := range []uint64{uint64(m.id), 9} {
			n, err := m.revivedAs(id)
			if err != nil {
				t.Fatal(err)
			}
			back := n.Replica(worldGroup).shards[0]
			if back.whole || back.m.Len() > 0 || back.lost != (id != rejoined) {
				t.Errorf("left, rejoined as %d, and comes back as %d: lost %v, %s", rejoined, id, back.lost, standing(back))
			}
		}
	}
}

// TestARestoredFillByAnEarlierTime: a copy that was ahead of its lineage in time was emptied
// before it was filled, because a store's wheel does not turn back. So it is from the log, or
// what the lineage still has would not die in the restored copy.
func TestARestoredFillByAnEarlierTime(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 3, 3)
	n, err := NewNode(w.cfg, nil, deaf{})
	if err != nil {
		t.Fatal(err)
	}
	s := n.Join(worldGroup, 1, multiraft.RoleVoter).shards[0]
	one := statemachine.New(statemachine.Config{HashKey: w.cfg.Secret, BudgetBytes: w.cfg.BudgetBytes})
	rec := statemachine.Record{Version: shardmap.MakeVersion(1, 1), Op: statemachine.OpSet, Key: []byte("k"), Value: []byte("v"), Deadline: 2000}
	if err := one.Apply(&rec, false); err != nil {
		t.Fatal(err)
	}
	mark := func(flags byte, pos shardmap.Version, time int64) []byte {
		w := writer{}
		w.u8(flags)
		w.u64(uint64(pos))
		w.u64(0)
		w.u64(uint64(time))
		return w.b
	}
	copied, chunk := writer{}, writer{}
	copied.u64(1)
	copied.flag(true)
	chunk.u64(0)
	chunk.u64(^uint64(0))
	for _, f := range []wal.Frame{
		{Kind: logCopy, Payload: copied.b},
		{Kind: logMark, Payload: mark(markWhole, 0, 9000)},
		{Kind: logMark, Payload: mark(markRebase, rec.Version, 1000)},
		{Kind: logChunk, Payload: one.AppendRange(0, ^uint64(0), chunk.b)},
		{Kind: logMark, Payload: mark(markWhole, rec.Version, 1000)},
	} {
		if err := n.Restore(&f); err != nil {
			t.Fatalf("frame %d: %v", f.Kind, err)
		}
	}
	if !s.whole || s.m.Len() != 1 {
		t.Fatalf("before its end: %s", standing(s))
	}
	s.m.AdvanceTime(3000)
	if s.m.Settle(); s.m.Len() != 0 {
		t.Errorf("at 3000: %s", standing(s))
	}
}

// writeOne puts one record into shard 0 of a member, at a shard time.
func writeOne(m *member, seq uint64, time int64) {
	s := m.rep().shards[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.AdvanceTime(time)
	s.play(statemachine.AppendRecord(nil, &statemachine.Record{
		Version: shardmap.MakeVersion(1, seq), Prev: s.m.Position(), Op: statemachine.OpSet,
		Key: []byte("k"), Value: []byte{byte('0' + seq)},
	}), false)
}

// TestTheLogKnowsTheTime to within markEveryMs of the last record, and never a later one.
func TestTheLogKnowsTheTime(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 3, 3)
	m := w.nodes[0]
	for i := range int64(50) {
		now := 1_000_000_000 + i*330
		writeOne(m, uint64(i+1), now)
		n, err := m.revived()
		if err != nil {
			t.Fatal(err)
		}
		if back := n.Replica(worldGroup).shards[0].m.Time(); back > now || back <= now-markEveryMs {
			t.Errorf("at %d the log says %d", now, back)
		}
	}
}

// FuzzRestore plays any frame behind sound ones: it is taken, or the copy is lost, and what
// was of another shard stays.
func FuzzRestore(f *testing.F) {
	w := newWorld(f, 1, worldConfig(), 3, 3)
	rec := statemachine.AppendRecord(nil, &statemachine.Record{
		Version: shardmap.MakeVersion(1, 1), Op: statemachine.OpSet, Key: []byte("k"), Value: []byte("v"),
	})
	f.Add(byte(logRecord), rec)
	f.Add(byte(logMark), []byte{markRebase, 0, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5})
	f.Add(byte(logChunk), append(make([]byte, 8), 255, 255, 255, 255, 255, 255, 255, 255))
	f.Add(byte(logCopy), []byte{0, 0, 0, 0, 0, 0, 0, 1, 1})
	m := revert{asOf: shardmap.MakeVersion(1, 1), records: rec}
	wr := writer{}
	wr.revert(&m)
	f.Add(byte(logRevert), wr.b[messageHead:])
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		cfg := w.cfg
		n, err := NewNode(cfg, nil, deaf{})
		if err != nil {
			t.Fatal(err)
		}
		r := n.Join(worldGroup, 1, multiraft.RoleVoter)
		whole := []byte{0, 0, 0, 0, 0, 0, 0, 1, 1}
		for shard := range uint16(2) {
			for _, fr := range []wal.Frame{{Kind: logCopy, Shard: shard, Payload: whole}, {Kind: logRecord, Shard: shard, Payload: rec}} {
				if err := n.Restore(&fr); err != nil {
					t.Fatal(err)
				}
			}
		}
		fr := wal.Frame{Kind: wal.Kind(kind), Payload: payload}
		_ = DescribeFrame(&fr)
		err = n.Restore(&fr)
		if s := r.shards[0]; err != nil && (s.whole || s.m.Len() > 0) {
			t.Errorf("%v, and yet: %s", err, standing(s))
		}
		if s := r.shards[1]; !s.whole || s.m.Len() != 1 {
			t.Errorf("shard 1: %s", standing(s))
		}
	})
}

// TestACopyOlderThanItsLog: a founder makes its copies before its log is begun, and a
// node may get its first log late. Both come back as what they were.
func TestACopyOlderThanItsLog(t *testing.T) {
	for _, whole := range []bool{true, false} {
		w := newWorld(t, 1, worldConfig(), 3, 3)
		m := w.nodes[0]
		blank := func() *Node {
			cfg := w.cfg
			cfg.Self = multiraft.Member{Node: m.id, Inc: m.inc}
			n, err := NewNode(cfg, nil, deaf{})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		cfg := m.walConfig()
		cfg.FS = wal.NewMemory()
		first := blank()
		if whole {
			first.Create(worldGroup, 7, multiraft.RoleVoter)
		} else {
			first.Join(worldGroup, 7, multiraft.RoleVoter)
		}
		l := beginLog(t, cfg)
		first.SetLog(l, m.inc) // as the log of a copy that was not restored
		if _, err := l.Commit(); err != nil {
			t.Fatal(err)
		}
		second := blank()
		second.Join(worldGroup, 7, multiraft.RoleVoter)
		if _, err := wal.Recover(cfg, restoring{second}); err != nil {
			t.Fatal(err)
		}
		if s := second.Replica(worldGroup).shards[0]; s.whole != whole || s.lost {
			t.Errorf("a copy with whole %v comes back with %v, lost %v", whole, s.whole, s.lost)
		}
	}
}
