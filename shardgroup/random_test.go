package shardgroup

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/metrics"
	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

var (
	seedFirst = flag.Int64("seed", 1, "first seed of the random test")
	seedCount = flag.Int("seeds", 300, "seeds of the random test")
	stepCount = flag.Int("steps", 2500, "random steps per seed, before the heal")
	showSteps = flag.Bool("show", false, "print the events of the first seed")
)

// rates are the fault rates of one seed.
type rates struct {
	crash, elect int
	wipes        int  // of 100 crashes, how many take the disk along
	moving       bool // about seat swaps: no crashes, majority writes
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}

func randomWorld(t testing.TB, seed int64) (*world, rates) {
	cfg := worldConfig()
	rt := rates{crash: []int{2, 5, 20}[seed%3], elect: []int{3, 10, 25}[seed/3%3]}
	rt.moving, rt.wipes = seed%4 == 3, []int{100, 10, 10, 0, 0}[seed%5]
	if rt.moving {
		rt.crash = 0
	}
	if seed%5 == 2 {
		cfg.Deadline, cfg.EmptyWait = 20*time.Millisecond, 30*time.Millisecond
	}
	if seed%7 < 2 { // fills that do not compare
		cfg.CompareBytes = 1 << 20
	}
	n := 3
	if seed%2 == 1 || rt.moving {
		n = 4
	}
	w := newWorldSpares(t, seed, cfg, n, 3)
	w.saves = seed%3 == 1
	for _, m := range w.nodes {
		m.mode = wal.Mode(1 + w.r.Intn(2))
	}
	return w, rt
}

func newWorldSpares(t testing.TB, seed int64, cfg Config, n, seats int) *world {
	w := newWorld(t, seed, cfg, n, seats)
	w.spares = n - seats
	return w
}

func (w *world) chance(pct int) bool { return w.r.Intn(100) < pct }

func (w *world) randomLeader() *member {
	var list []*member
	for _, m := range w.nodes {
		if m.up && m.lead != nil {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.r.Intn(len(list))]
}

// step does one random thing.
func (w *world) step(rt rates, healing bool) {
	m := w.nodes[w.r.Intn(len(w.nodes))]
	f := w.nodes[w.r.Intn(len(w.nodes))]
	l := w.randomLeader()
	switch p := w.r.Intn(1000); {
	case p < 150:
		if l != nil && !healing {
			w.randomWrite(l, rt)
		}
	case p < 180:
		w.commitLog(f)
	case p < 345:
		for range 1 + w.r.Intn(4) {
			w.send(m, w.nodes[w.r.Intn(len(w.nodes))])
		}
	case p < 565:
		for range 1 + w.r.Intn(6) {
			w.deliver(m, w.nodes[w.r.Intn(len(w.nodes))])
		}
	case p < 640:
		for range 1 + w.r.Intn(3) {
			f = w.nodes[w.r.Intn(len(w.nodes))]
			if l != nil && l.lead != nil && (l.lead.ballot.Term == w.term || w.chance(8)) {
				w.replicate(l, f)
				if l.lead != nil {
					w.commit(l)
				}
			}
		}
	case p < 740:
		for range 1 + w.r.Intn(3) {
			w.applyNext(m)
		}
	case p < 820:
		for range 1 + w.r.Intn(3) {
			f = w.nodes[w.r.Intn(len(w.nodes))]
			if l != nil && l.lead != nil && w.reach(l, f) && (l.lead.sealed[f.id] != f.proc) {
				w.seal(l, f)
			}
		}
	case p < 840:
		if l != nil {
			w.openGate(l)
		}
	case p < 930:
		w.pass(time.Duration(w.r.Intn(12)) * time.Millisecond)
		if m.up {
			m.n.Tick(w.now)
		}
	case p < 945:
		if m.up && (l == nil || w.chance(rt.elect) && !healing || !healing && !l.rep().leads.Load() && w.chance(6)) {
			w.elect(m)
		} else if len(w.transfers) > 0 {
			if to := w.node(w.transfers[0]); to.up {
				w.elect(to)
			}
			w.transfers = w.transfers[1:]
		}
	case p < 952:
		if !healing && w.chance(rt.crash) {
			w.fall(m, rt.wipes)
			for rt.wipes < 100 && w.chance(40) { // the machines of a rack
				w.fall(w.nodes[w.r.Intn(len(w.nodes))], rt.wipes/5)
			}
		}
	case p < 968:
		w.restart(m)
	case p < 974:
		if !healing && (!rt.moving || w.chance(30)) {
			if w.chance(50) {
				for i := range w.nodes {
					w.cut(int(m.id-1), i, false)
				}
			} else {
				w.cut(int(m.id-1), int(f.id-1), false)
			}
		}
	case p < 980:
		if m != f && w.reach(m, f) && !healing && w.chance(20) {
			m.reconnect(f)
		}
	case p < 985:
		if w.spares > 0 {
			w.randomSeats(l)
		}
	default:
		if w.chance(60) {
			w.healLinks()
		}
	}
}

func (w *world) healLinks() {
	for i := range w.nodes {
		for j := range w.nodes {
			w.cut(i, j, true)
		}
	}
}

func (w *world) randomSeats(l *member) {
	if l == nil {
		return
	}
	ids := w.r.Perm(len(w.nodes))[:3]
	w.seatsWanted(l, ids)
}

func (w *world) seatsWanted(l *member, ids []int) {
	var list []shardNodeID
	self := false
	for _, i := range ids {
		list = append(list, w.nodes[i].id)
		self = self || w.nodes[i] == l
	}
	if self {
		l.rep().SetSeats(list)
	}
}

// randomCommand draws a change of one key, now and then a flush.
func (w *world) randomCommand() *statemachine.Command {
	keys := [...]string{"a", "b", "c", "d", "e", "f", "g", "h"}
	c := &statemachine.Command{Kind: statemachine.Set, Key: []byte(keys[w.r.Intn(len(keys))])}
	c.Value = fmt.Appendf(nil, "%0*d", 1+w.r.Intn(8), w.r.Intn(10))
	switch p := w.r.Intn(100); {
	case p < 55:
	case p < 62:
		c.Value = fmt.Appendf(nil, "%060d", w.r.Intn(10))
	case p < 80:
		c.Kind = statemachine.Del
	case p < 88:
		c.Kind, c.TTLMode, c.TTL = statemachine.Expire, statemachine.TTLRelative, 1<<40+int64(w.r.Intn(1000))
	case p < 92:
		c.Kind = statemachine.Persist
	case p < 97:
		c.Kind = statemachine.Append
	default:
		c.Kind = statemachine.Flush
	}
	return c
}

func (w *world) randomWrite(l *member, rt rates) {
	level := Majority
	if w.chance(50) && !rt.moving {
		level = Async
	}
	if w.chance(5) {
		level = All
	}
	s := w.r.Intn(len(l.rep().shards))
	if !w.chance(10) {
		w.do(l, s, w.randomCommand(), level)
		return
	}
	var cs []*statemachine.Command
	for len(cs) < 3 {
		if c := w.randomCommand(); c.Kind != statemachine.Flush {
			cs = append(cs, c)
		}
	}
	w.doAll(l, s, cs, level)
}

// play runs one seed: random steps, then the heal, then the last checks.
func (w *world) play(rt rates, steps int) string {
	for i := 0; i < steps && w.fail == ""; i++ {
		w.step(rt, false)
		if w.saves && w.chance(1) {
			w.save(w.nodes[w.r.Intn(len(w.nodes))], func() {
				if l := w.randomLeader(); l != nil {
					w.randomWrite(l, rt)
				}
				for range w.r.Intn(12) {
					w.step(rt, false)
				}
			})
		}
		w.check()
		for j, m := range w.nodes {
			if m.up && (m.turned || i%100 == 0 && i/100%len(w.nodes) == j) {
				m.turned = false
				w.checkLog(m)
			}
		}
	}
	if w.fail != "" {
		return w.fail
	}
	w.tracef("heal")
	w.healLinks()
	for _, m := range w.nodes {
		w.restart(m)
	}
	for i := 0; i < 60000 && w.fail == ""; i++ {
		w.step(rt, true)
		if i%16 == 0 {
			w.check()
			if w.settled() {
				w.verdicts()
				return w.fail
			}
		}
	}
	if w.fail != "" {
		return w.fail
	}
	return "did not converge after the heal:\n" + w.describe()
}

// rareSeeds meet what one seed in thousands does: 5142 a leader that seals before the
// first entry of its term is applied.
var rareSeeds = []int64{5142}

func TestRandom(t *testing.T) {
	n := *seedCount
	if testing.Short() || raceBuild {
		n /= 5
	}
	seeds := slices.Clone(rareSeeds)
	for i := range n {
		seeds = append(seeds, *seedFirst+int64(i))
	}
	if n == 1 { // one to look at
		seeds = seeds[len(rareSeeds):]
	}
	var sum oracle
	var saved images
	for i, seed := range seeds {
		w, rt := randomWorld(t, seed)
		w.trace = *showSteps && i == 0
		if why := w.play(rt, *stepCount); why != "" {
			t.Fatalf("seed %d: %s\n(go test ./shardgroup -run TestRandom -seed %d -seeds 1 -steps %d -show)", seed, why, seed, *stepCount)
		}
		saved.add(&w.images)
		w.closeFiles()
		s, o := &sum.stats, &w.stats
		s.opens, s.unclean, s.unbounded, s.holes = s.opens+o.opens, s.unclean+o.unclean, s.unbounded+o.unbounded, s.holes+o.holes
		s.writes, s.majority, s.lost, s.refused = s.writes+o.writes, s.majority+o.majority, s.lost+o.lost, s.refused+o.refused
	}
	t.Logf("%d seeds: %+v", n, sum.stats)
	t.Logf("images: %+v", saved)
	if n >= 50 && (saved.Kept == 0 || saved.Written == 0 || saved.Abandoned == 0 || saved.dropped == 0) {
		t.Errorf("some case of images was never visited: %+v", saved)
	}
	if s := sum.stats; n >= 100 && !mutant.Enabled && (s.unclean == 0 || s.holes == 0 || s.unbounded == 0 || s.lost == 0 || s.majority == 0) {
		t.Errorf("some case was never visited: %+v", s)
	}
	for _, v := range metrics.Probes() {
		if strings.HasPrefix(v.Name, "shardgroup.") {
			t.Logf("%8d %s", v.Count, v.Name)
		}
	}
}
