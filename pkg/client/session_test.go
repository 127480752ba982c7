package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestSessionTokensAreRead(t *testing.T) {
	for _, marks := range [][]mark{nil, {{shard: 3, version: 7}}, {{shard: 0, version: 1 << 50}, {shard: 0, version: 3 << 40}, {shard: 16383, version: 9}}} {
		cluster, got, ok := parseToken(appendToken("c0ffee", marks))
		if cluster != "c0ffee" || !ok || !slices.Equal(got, marks) {
			t.Errorf("%v came back as %v", marks, got)
		}
	}
	for _, bad := range []string{"", "1", "1:", "1::", "2:c:3.4", "1:c:3", "1:c:3.x", "1:c:16384.1", "1:c:-1.1", "1:c:3.4,", "1:c:3.18446744073709551615"} {
		if _, marks, ok := parseToken(bad); ok {
			t.Errorf("%q was taken: %v", bad, marks)
		}
	}
}

func TestASessionReadsWhatItWrote(t *testing.T) {
	w := newWorld(t, 2)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	s := c.Session()
	if err := s.Set(ctx, "a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetWithTTL(ctx, "b", []byte("2"), 60_000); err != nil {
		t.Fatal(err)
	}
	v.failover(v.next) // nothing is lost
	if got, err := s.Get(ctx, "a"); string(got) != "1" || err != nil {
		t.Error(string(got), err)
	}
	if err := s.Delete(ctx, "b"); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(ctx, "b"); err != ErrNotFound {
		t.Error(err)
	}
	if err := s.SetWithTTL(ctx, "b", nil, 0); err == nil {
		t.Error("no time to live was taken")
	}
}

// TestASessionIsToldWhatAFailoverLost: once, by the next read, whichever key it reads,
// in this process and in the one that goes on with the token.
func TestASessionIsToldWhatAFailoverLost(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	s := c.Session()
	if err := s.Set(ctx, "kept", nil); err != nil {
		t.Fatal(err)
	}
	base := v.next
	if err := s.Set(ctx, "lost", nil); err != nil {
		t.Fatal(err)
	}
	last := v.next
	elsewhere, err := open1(t, quick(w.seeds())).ResumeSession(s.Token())
	if err != nil {
		t.Fatal(err)
	}
	v.failover(base)
	for where, s := range map[string]*Session{"here": s, "elsewhere": elsewhere} {
		_, err := s.Get(ctx, "kept")
		var lost *LostWritesError
		if !errors.Is(err, ErrLostWrites) || !errors.As(err, &lost) || lost.Last != last {
			t.Errorf("%s: %v", where, err)
		}
		if _, err := s.Get(ctx, "kept"); err != nil {
			t.Errorf("%s: told twice: %v", where, err)
		}
		if _, err := s.Get(ctx, "lost"); err != ErrNotFound {
			t.Errorf("%s: %v", where, err)
		}
	}
	if fresh := c.Session(); fresh.Token() != "" || second(fresh.Get(ctx, "kept")) != nil {
		t.Error("a new session has a past")
	}
}

// TestAnotherProcessIsAnotherPlace: a node that comes back with the map epoch it had is
// asked all the same.
func TestAnotherProcessIsAnotherPlace(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	c := open1(t, quick(w.seeds()))
	s := c.Session()
	if err := s.Set(ctx, "k", nil); err != nil {
		t.Fatal(err)
	}
	v.failover(0)
	v.set(func() { v.epoch-- })
	w.nodes[0].hangUp()
	until(t, "the connections have ended", func() bool { return len(c.conns()) == 0 })
	if _, err := s.Get(ctx, "k"); !errors.Is(err, ErrLostWrites) {
		t.Error(err)
	}
}

// TestAWriteDoesNotHideALoss: a session that only writes over a failover is told by
// its next call, although its newest version is of the new epoch.
func TestAWriteDoesNotHideALoss(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	s := open1(t, quick(w.seeds())).Session()
	if err := s.Set(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	v.failover(0)
	if err := s.Set(ctx, "b", nil); err != nil {
		t.Fatal("the write was applied:", err)
	}
	wantIs(t, s.Set(ctx, "c", nil), ErrLostWrites)
	v.set(func() {
		if _, applied := v.keys["c"]; applied {
			t.Error("a call that answered a loss was sent")
		}
	})
	if err := s.Set(ctx, "c", nil); err != nil {
		t.Error(err)
	}
}

// TestASessionAnswersNothingUnproved: as long as nobody can say what became of what it
// saw, a read waits, and fails at its deadline.
func TestASessionAnswersNothingUnproved(t *testing.T) {
	w := newWorld(t, 1)
	v := versions(w)
	cfg := quick(w.seeds())
	cfg.Timeout = 200 * time.Millisecond
	s := open1(t, cfg).Session()
	if err := s.Set(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	v.set(func() { v.mute = true })
	v.failover(v.next)
	_, err := s.Get(ctx, "a")
	wantIs(t, err, ErrUnavailable)
	wantNot(t, err, ErrLostWrites)
	v.set(func() { v.mute = false })
	if _, err := s.Get(ctx, "a"); err != nil {
		t.Error(err)
	}
}

func TestSessionsNeedAnAegisServer(t *testing.T) {
	w := newWorld(t, 1)
	c := open1(t, quick(w.seeds()))
	if err := c.Session().Set(ctx, "k", nil); err == nil {
		t.Error("a server without versions was taken")
	}
	if _, err := c.ResumeSession("x"); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	vw := newWorld(t, 1)
	versions(vw)
	s, err := open1(t, quick(vw.seeds())).ResumeSession("1:other:0.5")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "k"); !errors.Is(err, ErrLostWrites) || !strings.Contains(err.Error(), "another cluster") {
		t.Error(err)
	}
}

// TestFollowersWaitForWhatHasNoVersion: after a miss and after an error, a follower may
// know less than the session does until the bound has passed.
func TestFollowersWaitForWhatHasNoVersion(t *testing.T) {
	var m sessionMark
	if least, ok := m.follow(0); !ok || least != 0 {
		t.Error("a new session needs nothing", least, ok)
	}
	m.blind(5)
	m.blind(3)
	if _, ok := m.follow(4); ok {
		t.Error("asked too soon")
	}
	if _, ok := m.follow(5); !ok {
		t.Error("never asked again")
	}
}

// TestSessionMarksAgainstALineage runs random histories of one shard with two nodes and a
// copy that follows: a
// session whose every answer was judged never goes back without a loss being told, and
// is told of no loss that is none.
func TestSessionMarksAgainstALineage(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		h := &lineage{epochs: []shardmap.Version{0}, maps: []uint64{1, 1}}
		var m sessionMark
		var past []shardmap.Version // seen by the session and not told lost
		for range 40 {
			switch rnd.IntN(8) {
			case 0:
				h.failover(rnd)
			case 1:
				h.head++ // somebody else writes
			case 2:
				h.copy = shardmap.MakeVersion(uint32(len(h.epochs)), rnd.Uint64N(h.head+1))
			case 3, 4:
				h.follower(t, rnd, &m, &past)
			default:
				h.answer(t, rnd, &m, &past)
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

// lineage is the true history of one shard.
type lineage struct {
	epochs []shardmap.Version // base of each epoch
	head   uint64             // seq in the present one
	holder int
	maps   []uint64 // map epoch of each node

	copy shardmap.Version // position of a copy that follows, perhaps of an epoch that has ended
}

// has says whether the copy has a version in its history.
func (h *lineage) has(v shardmap.Version) bool {
	for e := int(v.Epoch()); e < int(h.copy.Epoch()); e++ {
		if v > h.epochs[e] {
			return false
		}
	}
	return v <= h.copy
}

// follower is a read that the copy answers, if the session lets it and it has what is asked
// for: then it has all that the session saw.
func (h *lineage) follower(t *testing.T, rnd *rand.Rand, m *sessionMark, past *[]shardmap.Version) {
	t.Helper()
	least, ok := m.follow(0)
	if !ok || !h.has(least) || h.copy.Seq() == 0 {
		return
	}
	for _, s := range *past {
		if !h.has(s) {
			t.Errorf("%v was seen, and a copy at %v is read that has it not; mark %+v", s, h.copy, *m)
		}
	}
	v := h.copy - shardmap.Version(rnd.Uint64N(h.copy.Seq()))
	m.followed(v)
	*past = append(*past, v)
}

func (h *lineage) version() shardmap.Version {
	return shardmap.MakeVersion(uint32(len(h.epochs)), h.head)
}

func (h *lineage) failover(rnd *rand.Rand) {
	base := shardmap.MakeVersion(uint32(len(h.epochs)), rnd.Uint64N(h.head+1))
	h.epochs, h.head = append(h.epochs, base), 0
	h.holder = rnd.IntN(2)
	h.maps[h.holder]++
}

func (h *lineage) lost(v shardmap.Version) bool {
	for e := int(v.Epoch()); e < len(h.epochs); e++ {
		if v > h.epochs[e] {
			return true
		}
	}
	return false
}

// answer is one call of the session: it writes, or reads what was written last or less.
func (h *lineage) answer(t *testing.T, rnd *rand.Rand, m *sessionMark, past *[]shardmap.Version) {
	t.Helper()
	v := h.version()
	if rnd.IntN(2) == 0 {
		h.head++
		v = h.version()
	} else if v.Seq() > 0 && rnd.IntN(2) == 0 {
		v -= shardmap.Version(rnd.Uint64N(v.Seq()))
	}
	p := place{node: fmt.Sprint("node", h.holder), epoch: h.maps[h.holder]}
	ask := m.sees(p, v)
	if len(ask) > 0 {
		if rnd.IntN(4) == 0 {
			h.failover(rnd) // before the node is asked
		}
		by := p
		if p != (place{node: fmt.Sprint("node", h.holder), epoch: p.epoch}) || rnd.IntN(4) == 0 {
			by = place{} // another node knew
		}
		var verdicts []mark
		for _, a := range ask {
			word := verdictDurable
			if h.lost(a) {
				word = verdictLost
			} else if rnd.IntN(10) == 0 {
				word = verdictUnknown
			}
			verdicts = append(verdicts, mark{version: a, word: word})
		}
		if !m.judged(0, by, verdicts) {
			*past = append(*past, v)
			return // the caller gets no answer
		}
	}
	*past = append(*past, v)
	told := map[uint32]shardmap.Version{}
	for lost := m.tell(); lost != nil; lost = m.tell() {
		if !h.lost(lost.Last) {
			t.Errorf("%v was told lost and is not", lost.Last)
		}
		told[lost.Last.Epoch()] = max(told[lost.Last.Epoch()], lost.Last)
		h.copy = h.version() // followers are not asked until they know what the holder knew (Session.tell)
	}
	*past = slices.DeleteFunc(*past, func(s shardmap.Version) bool { return s <= told[s.Epoch()] })
	if len(m.open) > 0 {
		return // asked again before the next answer is believed
	}
	for _, s := range *past {
		if h.lost(s) {
			t.Errorf("%v was seen, is lost, and nobody was told; mark %+v", s, *m)
		}
	}
}
