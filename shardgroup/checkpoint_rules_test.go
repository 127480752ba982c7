package shardgroup

import (
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// TestALostRangeOfATakeover loses a range of a takeover's fill. The mark that ends such a
// fill is a rebase too, and does not let the copy begin anew without its contents.
func TestALostRangeOfATakeover(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 3, 3)
	m := w.nodes[0]
	m.up = false // for the last look of the world
	pos := uint64(shardmap.MakeVersion(2, 1))
	other := statemachine.New(statemachine.Config{HashKey: w.cfg.Secret, BudgetBytes: 1 << 20})
	if err := other.Apply(&statemachine.Record{Version: 9, Op: statemachine.OpSet, Key: []byte("k"), Value: []byte("v")}, false); err != nil {
		t.Fatal(err)
	}
	chunk, _ := other.Chunk(0, 1<<10, make([]byte, 16)) // lo 0
	for i := 8; i < 16; i++ {
		chunk[i] = 0xff
	}
	frames := []wal.Frame{
		{Kind: logCopy, Payload: []byte{0, 0, 0, 0, 0, 0, 0, 1, 1}},
		{Kind: logMark, Payload: markOf(markRebase, 0)},
		{Kind: logChunk, Payload: chunk},
		{Kind: logMark, Payload: markOf(markRebase|markCarry, pos)},
		{Kind: logMark, Payload: markOf(markWhole, pos)},
	}
	for _, lost := range []bool{false, true} {
		cfg := w.cfg
		cfg.Self = multiraft.Member{Node: m.id, Inc: m.inc}
		n, _ := NewNode(cfg, nil, deaf{})
		s := n.Join(worldGroup, 1, m.role).shards[0]
		for _, f := range frames {
			if lost && f.Kind == logChunk {
				n.Lost(0)
				continue
			}
			if err := n.Restore(&f); err != nil {
				t.Fatal(err)
			}
		}
		if s.whole == lost || s.m.Len() == 1 == lost {
			t.Errorf("a range lost: %v, and the copy comes back %s", lost, standing(s))
		}
	}
}

// markOf is the payload of a mark.
func markOf(flags byte, pos uint64) []byte {
	wr := writer{}
	wr.u8(flags)
	wr.u64(pos)
	wr.u64(0)
	wr.u64(5)
	return wr.b
}

// TestAFillOfAFormerCopy does not make the copy whole that this node has by raft: that one
// begins with its own frame.
func TestAFillOfAFormerCopy(t *testing.T) {
	w := newWorld(t, 1, worldConfig(), 1, 1)
	cfg := w.cfg
	cfg.Self = multiraft.Member{Node: 1, Inc: w.nodes[0].inc}
	for _, id := range []byte{1, 9} {
		n, _ := NewNode(cfg, nil, deaf{})
		s := n.Join(worldGroup, 1, multiraft.RoleVoter).shards[0]
		for _, f := range []wal.Frame{
			{Kind: logCopy, Payload: []byte{0, 0, 0, 0, 0, 0, 0, id, 0}},
			{Kind: logMark, Payload: markOf(markRebase, 7)},
			{Kind: logMark, Payload: markOf(markWhole, 7)},
		} {
			if err := n.Restore(&f); err != nil {
				t.Fatal(err)
			}
		}
		if s.whole != (id == 1) {
			t.Errorf("of copy %d the log tells, and copy 1 comes back whole %v", id, s.whole)
		}
	}
}

// TestACopyWhoseLogWasLetGo becomes whole without a fill, after the log was cut while it
// was not: it is written into the log as a whole, or a restart would not know it.
func TestACopyWhoseLogWasLetGo(t *testing.T) {
	for _, relog := range []bool{true, false} {
		w, a, _, c := trio(t)
		w.fill(a, 0, 1, 9)
		w.fill(a, 1, 1, 9)
		w.spread()
		w.save(c, func() {})
		s := c.rep().shards[0]
		s.mu.Lock()
		s.whole = false
		s.mark(0)
		s.mu.Unlock()
		w.fill(a, 1, 10, 20)
		w.run(200 * time.Millisecond)
		w.save(c, func() {})
		s.mu.Lock()
		if s.whole || !s.forgotten {
			t.Fatalf("whole %v, forgotten %v", s.whole, s.forgotten)
		}
		if relog {
			s.relog()
		}
		s.whole = true
		s.mark(0)
		s.mu.Unlock()
		w.checkLog(c)
		if came := w.fail == ""; came != relog {
			t.Errorf("written into the log: %v; it says: %s", relog, w.fail)
		}
		w.fail = ""
		c.up = relog // for the last look of the world
	}
}

// TestTheRingComesBack with an image: the records behind it, and those that it holds, so
// that what a revert left in the ring is there again.
func TestTheRingComesBack(t *testing.T) {
	w, a, b, _ := trio(t)
	w.fill(a, 0, 1, 6)
	w.spread()
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.fill(a, 0, 7, 9) // of a branch
	w.depose(a)
	w.serve(2)
	w.fill(b, 0, 10, 12)
	w.hush(1, 2, false)
	w.hush(1, 3, false)
	w.run(time.Second)
	w.save(a, func() {})
	w.fill(b, 0, 13, 14)
	w.run(time.Second)
	is := a.rep().shards[0]
	if !is.whole || len(a.rolled) == 0 {
		t.Fatalf("nothing was reverted: whole %v", is.whole)
	}
	if err := a.image.SetFrom(0); err != nil { // all of the log is there
		t.Fatal(err)
	}
	n, err := a.revived()
	if err != nil {
		t.Fatal(err)
	}
	back := n.Replica(worldGroup).shards[0]
	if standing(back) != standing(is) || back.ring.low > is.ring.low || ringLeads(back) != is.m.Position() {
		t.Errorf("the ring from %v comes back from %v, leading to %v of %v", is.ring.low, back.ring.low, ringLeads(back), is.m.Position())
	}
}

// TestManyDieDuringACheckpoint: more than one step sweeps, between the last block and the end.
func TestManyDieDuringACheckpoint(t *testing.T) {
	cfg := bigConfig()
	w := newWorld(t, 1, cfg, 1, 1)
	w.timed = true
	a := w.serve(1)
	for i := range 4 * sweepStep {
		c := &statemachine.Command{Kind: statemachine.Set, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 50}
		if _, err := w.do(a, 0, c, Async); err != nil {
			t.Fatal(err)
		}
	}
	s := a.rep().shards[0]
	c := a.n.Checkpoint(s.id)
	row, ok := c.Begin(0)
	if !ok {
		t.Fatal("not whole")
	}
	s.mu.Lock()
	s.m.AdvanceTime(s.m.Time() + 1000)
	held := s.m.Len()
	s.mu.Unlock()
	if !c.End(&row) || held < 4*sweepStep || s.m.Len() != 0 || row.Digest != 0 {
		t.Errorf("%d of %d keys are left, digest %x", s.m.Len(), held, row.Digest)
	}
}
