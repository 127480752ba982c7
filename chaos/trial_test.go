package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

var trialLayout = shardmap.Layout{Shards: 4, Groups: 2}

// told makes what honest nodes would tell some clients: one order of all operations of a
// shard, failovers that lose the newest writes now and then, answers that get lost.
type teller struct {
	rng   *rand.Rand
	told  []Told
	cuts  []Cut
	epoch [4]uint32
	seq   [4]uint64
	keys  map[string][]teller1
	n     int

	unknown int // of a thousand writes, without an answer
}

// teller1 is what one write left of a key.
type teller1 struct {
	version  shardmap.Version
	value    string // "" = absent
	deadline int64
	answered bool
}

const tellerWall = 1_700_000_000_000 // unix ms at time 0

func tell(seed uint64, unknown int) ([]Told, []Cut) {
	m := &teller{unknown: unknown, rng: rand.New(rand.NewPCG(seed, 7)), keys: map[string][]teller1{}}
	for s := range m.epoch {
		m.open(shardmap.ShardID(s), 0)
	}
	free := make([]time.Duration, 6) // when each client is free
	for now := time.Millisecond; len(m.told) < 2000; now += time.Duration(m.rng.IntN(400)) * time.Microsecond {
		if m.rng.IntN(300) == 0 {
			m.open(shardmap.ShardID(m.rng.IntN(4)), now)
		}
		c := m.rng.IntN(len(free))
		if free[c] >= now {
			continue
		}
		o := Told{Client: c, Key: fmt.Sprint("k", m.rng.IntN(8)), Start: max(free[c]+1, now-time.Duration(m.rng.IntN(3_000_000)))}
		m.do(&o, now)
		o.End = now + 1 + time.Duration(m.rng.IntN(3_000_000))
		free[c] = o.End
		m.told = append(m.told, o)
	}
	return m.told, m.cuts
}

// open cuts some of the newest writes of a shard away.
func (m *teller) open(s shardmap.ShardID, now time.Duration) {
	base := shardmap.Version(0)
	if m.epoch[s] > 0 {
		base = shardmap.MakeVersion(m.epoch[s], m.seq[s]-min(m.seq[s], uint64(m.rng.IntN(4))))
	}
	m.epoch[s]++
	m.seq[s] = 0
	m.cuts = append(m.cuts, Cut{Shard: s, Epoch: m.epoch[s], Node: 1, Base: base, At: now})
	for k, list := range m.keys {
		if trialLayout.ShardOf(shardmap.SlotOfString(k)) == s {
			m.keys[k] = slices.DeleteFunc(list, func(e teller1) bool { return e.version > base })
		}
	}
}

// do runs an operation at a moment.
func (m *teller) do(o *Told, now time.Duration) {
	s := trialLayout.ShardOf(shardmap.SlotOfString(o.Key))
	wall := tellerWall + now.Milliseconds()
	var top teller1
	if list := m.keys[o.Key]; len(list) > 0 {
		top = list[len(list)-1]
	}
	if top.deadline != 0 && top.deadline <= wall {
		top.value = ""
	}
	wrote := teller1{}
	m.n++
	switch pick := m.rng.IntN(100); {
	case pick < 45 || o.Key == "k0" && pick < 60:
		o.Kind, o.Found, o.Value = Read, top.value != "", []byte(top.value)
		if o.Found {
			o.Version = top.version
		}
		return
	case o.Key == "k0":
		o.Kind = Incr
		fmt.Sscan(top.value, &o.Int)
		o.Int++
		wrote.value = fmt.Sprint(o.Int)
	case pick < 60 && o.Key < "k6":
		o.Kind, o.Found = Del, top.value != ""
		if !o.Found {
			return
		}
	default:
		o.Kind, o.Arg = Set, fmt.Appendf(nil, "value %d", m.n)
		wrote.value = string(o.Arg)
		if pick > 70 && o.Key >= "k6" {
			o.Deadline = wall + 2000 + int64(m.rng.IntN(50))
			wrote.deadline = o.Deadline
		}
		if pick > 70 && pick < 80 && o.Key < "k6" && (top.value == "" || top.answered) {
			if o.If = true; top.value != "" {
				o.IfIs = top.version
			}
		}
	}
	if m.rng.IntN(1000) < m.unknown {
		if o.Outcome = Unknown; m.rng.IntN(2) == 0 { // it was not done either
			return
		}
	}
	m.seq[s]++
	wrote.answered = o.Outcome == OK
	wrote.version = shardmap.MakeVersion(m.epoch[s], m.seq[s])
	m.keys[o.Key] = append(m.keys[o.Key], wrote)
	if o.Outcome == OK {
		o.Version = wrote.version
	}
}

func judge(told []Told, cuts []Cut) *History {
	h, _ := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall, Sample: 4}, told, cuts)
	h.Sample.Check(h, time.Second)
	return h
}

func TestWhatHonestNodesTellIsFine(t *testing.T) {
	lost := 0
	for seed := range uint64(100) {
		h := judge(tell(seed, 10))
		if len(h.Broken) > 0 {
			t.Fatalf("seed %d: %s", seed, strings.Join(h.Broken, "\n"))
		}
		if h.Ops < 1500 {
			t.Fatalf("seed %d: only %d operations were judged", seed, h.Ops)
		}
		lost += h.Lost
	}
	if lost < 100 {
		t.Errorf("only %d acknowledged writes were lost: that judges little", lost)
	}
}

// TestATrialCanFail turns one thing in a good history over, in every way that a lying
// node could.
func TestATrialCanFail(t *testing.T) {
	nth := func(told []Told, which func(i int, o *Told) bool) *Told {
		count := 0
		for i := range told {
			if which(i, &told[i]) {
				if count++; count == 20 {
					return &told[i]
				}
			}
		}
		t.Fatal("nothing to turn over")
		return nil
	}
	read := func(_ int, o *Told) bool { return o.Kind == Read && o.Found && len(o.Value) > 6 }
	before := func(told []Told, o *Told) (found *Told) { // an older value that is not lost, of a write that was answered
		for i := range told {
			p := &told[i]
			if p.Kind == Set && p.Key == o.Key && p.Outcome == OK && p.Version.Epoch() == o.Version.Epoch() && p.Version < o.Version && p.Deadline == 0 {
				found = p
			}
		}
		for i := range told {
			if p := &told[i]; found != nil && p.Kind == Set && p.Key == o.Key && p.Version == o.Version && p.Outcome == OK && p.End < o.Start {
				return found
			}
		}
		return nil
	}
	for name, c := range map[string]struct {
		property string
		lie      func(told []Told, cuts []Cut)
	}{
		"a reading of another value": {"P2", func(told []Told, _ []Cut) { o := nth(told, read); o.Value = append([]byte("x"), o.Value...) }},
		"a reading of an older version": {"P", func(told []Told, _ []Cut) {
			o := nth(told, func(i int, o *Told) bool { return read(i, o) && before(told, o) != nil })
			p := before(told, o)
			o.Value, o.Version = p.Arg, p.Version
		}},
		"a reading that found nothing": {"P", func(told []Told, _ []Cut) {
			o := nth(told, func(i int, o *Told) bool { return read(i, o) && o.Key >= "k6" })
			o.Found, o.Value, o.Version = false, nil, 0
		}},
		"an answered write that is not there": {"P", func(told []Told, _ []Cut) {
			o := nth(told, func(_ int, o *Told) bool {
				return o.Kind == Set && o.Outcome == OK && slices.ContainsFunc(told, func(r Told) bool { return r.Kind == Read && r.Key == o.Key && r.Version == o.Version })
			})
			o.Outcome = Refused
		}},
		"a version that is used twice": {"P11", func(told []Told, _ []Cut) {
			a := nth(told, func(_ int, o *Told) bool { return o.Kind == Set && o.Outcome == OK })
			b := nth(told, func(_ int, o *Told) bool {
				return o.Kind == Set && o.Outcome == OK && o.Key == a.Key && o.Version != a.Version
			})
			b.Version = a.Version
		}},
		"a loss of which nobody told": {"", func(_ []Told, cuts []Cut) {
			for i := range cuts {
				if cuts[i].Base != 0 {
					cuts[i].Base = shardmap.MakeVersion(cuts[i].Epoch, 0) - 1
				}
			}
		}},
		"a majority write that a clean Open loses": {"P8", func(told []Told, cuts []Cut) {
			for i := range told {
				told[i].Durable = true
			}
			for i := range cuts {
				cuts[i].Clean = true
			}
		}},
		"an INCR that counts twice": {"once", func(told []Told, _ []Cut) {
			nth(told, func(_ int, o *Told) bool { return o.Kind == Incr && o.Outcome == OK }).Int += 2
		}},
		"a swap that saw another version": {"P2", func(told []Told, _ []Cut) {
			nth(told, func(_ int, o *Told) bool { return o.If && o.Outcome == OK && o.IfIs != 0 }).IfIs++
		}},
	} {
		t.Run(name, func(t *testing.T) {
			caught := 0
			for seed := range uint64(5) {
				told, cuts := tell(seed, 0)
				c.lie(told, cuts)
				h := judge(told, cuts)
				for _, b := range h.Broken {
					if strings.HasPrefix(b, c.property) {
						caught++
						break
					}
				}
			}
			if caught < 5 {
				t.Errorf("seen in %d of 5 histories", caught)
			}
		})
	}
}

// TestASearchSeesWhatVersionsHide: a node that lies about versions too is found by values
// and times alone.
func TestASearchSeesWhatVersionsHide(t *testing.T) {
	told := []Told{
		{Client: 0, Key: "k", Kind: Set, Arg: []byte("a"), Start: 1, End: 2, Version: shardmap.MakeVersion(1, 1)},
		{Client: 0, Key: "k", Kind: Set, Arg: []byte("b"), Start: 3, End: 4, Version: shardmap.MakeVersion(1, 2)},
		{Client: 1, Key: "k", Kind: Read, Found: true, Value: []byte("a"), Start: 5, End: 6, Version: shardmap.MakeVersion(1, 1)},
	}
	shard := trialLayout.ShardOf(shardmap.SlotOfString("k"))
	h, _ := Try(TrialConfig{Layout: trialLayout, Sample: 1}, told, []Cut{{Shard: shard, Epoch: 1, Node: 1}})
	if len(h.Broken) == 0 {
		t.Error("the versions show it too, and nobody said so")
	}
	if o := h.Sample.Check(h, time.Second); o.Wrong != 1 {
		t.Errorf("the search says %v", o)
	}
}
