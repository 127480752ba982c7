package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestWhatTheLogMayForgetIsNotKept: a fill that sends every range stops halfway, and the
// process restarts. What stood there before the fill may still be in its log, but the log is
// needed from the fill on only: the next fill, which compares, must not build on it. It came
// back whole with 241 of 401 keys once the log was cut.
func TestWhatTheLogMayForgetIsNotKept(t *testing.T) {
	w, a, c, _ := offTheRing(t, 400, 4)
	a.n.cfg.CompareBytes, a.n.cfg.FillBytes = 1<<40, 4096
	chunks := 0
	w.heard = func(m *member) {
		if m == c && c.rep().shards[0].partial {
			if chunks++; chunks == 3 {
				w.hush(1, 3, true)
			}
		}
	}
	w.hush(1, 3, false)
	w.settle("a fill of all ranges is under way", func() bool { return chunks >= 3 })
	w.commitLog(c)
	c.after = c.disk.Kill(w.r)
	w.crash(c)
	a.n.cfg.CompareBytes = 1
	w.restart(c)
	saved := false
	w.heard = func(m *member) {
		if s := c.rep().shards[0]; m == c && !saved && s.xfer != 0 && s.differs != nil {
			saved = true
			w.save(c, func() {}) // cuts the log, and looks whether it still tells the copy
		}
	}
	w.hush(1, 3, false)
	w.hush(2, 3, false)
	w.settle("the copy is whole", func() bool {
		mine := c.rep().shards[0]
		return mine.whole && mine.m.Position() == a.rep().shards[0].m.Position()
	})
	if !saved {
		t.Fatal("no image was made during the fill")
	}
	w.commitLog(c)
	w.checkLog(c)
	w.finish()
}

// TestAFilledCopyIsJudgedByItsLogToo: a log that does not tell all of a filled copy gives no
// whole one.
func TestAFilledCopyIsJudgedByItsLogToo(t *testing.T) {
	w, _, c, _ := offTheRing(t, 400, 4)
	w.hush(1, 3, false)
	w.hush(2, 3, false)
	w.settle("the copy is whole", func() bool { return c.rep().shards[0].whole })
	n, err := c.revived()
	if err != nil {
		t.Fatal(err)
	}
	s := n.Replica(worldGroup).shards[0]
	mark := logMarked{flags: markWhole | markDigest, pos: s.m.Position(), floor: s.floor, time: s.m.Time(), digest: s.m.Digest()}
	if err := s.restoreMark(&mark); err != nil || !s.whole {
		t.Fatalf("the right digest: %v, whole %v", err, s.whole)
	}
	mark.digest++
	if err := s.restoreMark(&mark); err == nil {
		t.Error("another digest is taken")
	}
	w.finish()
}

// TestANodeWithoutALogIsNotWaitedFor: whoever restarts without one has nothing to read.
func TestANodeWithoutALogIsNotWaitedFor(t *testing.T) {
	cfg := worldConfig()
	cfg.Self = multiraft.Member{Node: 2, Inc: multiraft.Incarnation{Counter: 2}}
	n, err := NewNode(cfg, nil, deaf{})
	if err != nil {
		t.Fatal(err)
	}
	n.Join(worldGroup, 2, multiraft.RoleVoter)
	p, err := decodeReply(cfg.Self, n.Seal(worldGroup, multiraft.Ballot{Term: 1, Sub: 1}, multiraft.Member{Node: 1}, multiraft.Instant{Mono: 1}))
	if err != nil || !p.lived {
		t.Errorf("lived %v, %v: a leader that has a log waits for this one's", p.lived, err)
	}
}

// TestVersionsBringNoTime: a deadline that was taken away may have passed on the holder
// before the record that says so has come.
func TestVersionsBringNoTime(t *testing.T) {
	w, a, c, _ := offTheRing(t, 400, 4)
	back(w, a, c)
	mine, theirs := c.rep().shards[0], a.rep().shards[0]
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("session"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 4000}, Async)
	w.synced(1, 2, 3)
	w.hush(1, 3, true)
	w.hush(2, 3, true)
	for n := range 200 {
		w.must(a, 0, fmt.Sprint("key", n%4), fmt.Sprint(n, strings.Repeat("v", 800)))
		if n%10 == 0 {
			w.spread()
		}
	}
	hit, plain := false, false
	w.heard = func(m *member) {
		f := theirs.follower(3)
		if f == nil {
			return
		}
		plain = plain || f.plain
		if m == c && !hit && mine.differs != nil && mine.differs.buckets != nil {
			// The bucket of session was found equal. Its deadline is taken away and passes
			// while the answer is on its way, and the versions go out before the record.
			hit = true
			w.do(a, 0, &statemachine.Command{Kind: statemachine.Persist, Key: []byte("session")}, Async)
			w.pass(5 * time.Second)
			a.rep().sweep(w.now)
			f.turn = true
		}
	}
	w.hush(1, 3, false)
	w.hush(2, 3, false)
	w.settle("the copy is whole", func() bool { return mine.whole && mine.m.Position() == theirs.m.Position() })
	if !hit || plain {
		t.Errorf("came to it: %v; the fill ends in a copy that differs: %v", hit, plain)
	}
}
