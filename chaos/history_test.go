package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// script writes histories by hand: one shard, one key unless said otherwise, each
// step 10 ms after the one before. A cut begins a new epoch under a higher ballot.
type script struct {
	h     *History
	now   time.Duration
	epoch uint32
	node  shardmap.NodeID
	key   Key
}

const step = 10 * time.Millisecond

func newScript() *script {
	s := &script{h: NewHistory(shardmap.Layout{Shards: 1, Groups: 1}), node: 1}
	s.key = s.h.Key("k")
	s.open(1, 0, true, true)
	return s
}

func v(epoch uint32, seq uint64) shardmap.Version { return shardmap.MakeVersion(epoch, seq) }

func (s *script) open(epoch uint32, base shardmap.Version, clean, bounded bool) {
	s.now += step
	s.epoch = epoch
	s.node = shardmap.NodeID(1 + epoch%3)
	s.h.Cut(Cut{Epoch: epoch, Node: s.node, Base: base, Clean: clean, Bounded: bounded, At: s.now})
}

// run lets an operation run; told says that its client is answered at once.
func (s *script) run(o Op, told bool) *Op {
	s.now += step
	o.Key, o.Node, o.Ballot = s.key, s.node, multiraft.Ballot{Term: uint64(s.epoch)}
	if o.Start == 0 {
		o.Start = s.now
	}
	o.Ran, o.End = s.now+step/4, s.now+step/2
	if o.Low == 0 {
		o.Low, o.High = s.wall()-5, s.wall()+5
	}
	if o.At == 0 {
		o.At = max(o.Version, s.h.shards[0].position)
	}
	s.h.Ran(&o)
	if told {
		s.h.Done(&o)
	}
	return &o
}

// wall is the unix time in the middle of what a shard's time may be.
func (s *script) wall() int64 { return s.now.Milliseconds() + 1_000_000 }

func (s *script) set(client int, at shardmap.Version, arg string, found bool) *Op {
	return s.run(Op{Client: client, Kind: Set, Arg: []byte(arg), Version: at, Found: found, Changed: true}, true)
}

func (s *script) del(client int, at shardmap.Version) *Op {
	return s.run(Op{Client: client, Kind: Del, Version: at, Found: true, Changed: true}, true)
}

func (s *script) get(client int, at shardmap.Version, value string) *Op {
	return s.run(Op{Client: client, Kind: Read, Version: at, Value: []byte(value), Found: value != ""}, true)
}

// unjudged reads without the look at what is really there, as a harness must that
// sees only what clients see.
func (s *script) unjudged(client int, at shardmap.Version, value string) {
	s.now += step
	o := Op{Client: client, Key: s.key, Kind: Read, Version: at, Value: []byte(value), Found: value != "", Node: s.node, Start: s.now, End: s.now + step/2, High: s.wall(), Ballot: multiraft.Ballot{Term: uint64(s.epoch)}}
	s.h.Done(&o)
}

func (s *script) incr(at shardmap.Version, delta, now int64, found bool) *Op {
	return s.run(Op{Kind: Incr, Delta: delta, Int: now, Version: at, Found: found, Changed: true}, true)
}

func (s *script) mortal(at shardmap.Version, ttl, deadline int64) *Op {
	return s.run(Op{Kind: Set, Arg: []byte("m"), TTL: ttl, Deadline: deadline, Version: at, Changed: true}, true)
}

// TestProperties holds each checker against a history that is right and against
// ones that are not; the named property must be among those that fire.
func TestProperties(t *testing.T) {
	for _, c := range []struct {
		property string // "" = the history is right
		name     string
		play     func(s *script)
	}{
		{"", "write, read, delete, read", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.get(1, v(1, 1), "a")
			s.del(0, v(1, 2))
			s.get(1, 0, "")
		}},
		{"P1", "the former holder answers after the next one", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, v(1, 1), true, true)
			s.set(0, v(2, 1), "b", true)
			s.epoch = 1
			s.get(0, v(2, 1), "b")
		}},
		{"P1", "two nodes under one ballot", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.node++
			s.get(0, v(1, 1), "a")
		}},
		{"P2", "a stale read", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.get(1, v(1, 1), "a")
		}},
		{"P2", "a stale read, seen from outside", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.unjudged(1, v(1, 1), "a")
		}},
		{"P2", "another value under the version", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.get(1, v(1, 1), "c")
		}},
		{"P2", "an acknowledged write is gone and no cut says so", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.get(1, 0, "")
		}},
		{"", "an acknowledged write is gone and a cut says so", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, 0, true, true)
			s.get(1, 0, "")
			s.set(0, v(2, 1), "b", false)
		}},
		{"P2", "a lost write is read", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, 0, true, true)
			s.get(1, v(1, 1), "a")
		}},
		{"P2", "a write finds nothing where there was something", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", false)
		}},
		{"P3", "a client does not see its own write", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(1, v(1, 2), "b", true)
			s.unjudged(1, v(1, 1), "a")
		}},
		{"P3", "a client does not find what it wrote", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.unjudged(0, 0, "")
		}},
		{"", "a client does not see its own write after a loss notice", func(s *script) {
			s.set(1, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.open(2, v(1, 1), true, true)
			s.get(0, v(1, 1), "a")
		}},
		{"P4", "a client reads backwards", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.get(1, v(1, 2), "b")
			s.unjudged(1, v(1, 1), "a")
		}},
		{"", "a client reads backwards after a loss notice", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.get(1, v(1, 2), "b")
			s.open(2, v(1, 1), true, true)
			s.get(1, v(1, 1), "a")
		}},
		{"P5", "a client's writes change places", func(s *script) {
			s.set(0, v(1, 2), "a", false)
			s.set(0, v(1, 1), "b", true)
		}},
		{"P6", "a deleted value is read again", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.del(0, v(1, 2))
			s.get(1, v(1, 1), "a")
		}},
		{"P6", "a delete finds the deleted key", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.del(0, v(1, 2))
			s.del(0, v(1, 3))
		}},
		{"P6", "a deleted value is back in a copy", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.del(0, v(1, 2))
			c := s.h.Copy(0, 2, 0)
			c.Entry([]byte("k"), []byte("a"), v(1, 1), 0)
			c.End()
		}},
		{"", "the delete was lost", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.del(0, v(1, 2))
			s.open(2, v(1, 1), true, true)
			s.get(1, v(1, 1), "a")
		}},
		{"", "a flush", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Kind: Flush, Version: v(1, 2), Changed: true}, true)
			s.get(0, 0, "")
			s.set(0, v(1, 3), "b", false)
		}},
		{"", "a flush that is lost", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Kind: Flush, Version: v(1, 2), Changed: true}, true)
			s.open(2, v(1, 1), true, true)
			s.get(0, v(1, 1), "a")
		}},
		{"P6", "a flushed value is read again", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Kind: Flush, Version: v(1, 2), Changed: true}, true)
			s.get(1, v(1, 1), "a")
		}},
		{"P3", "a client finds what it flushed", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Kind: Flush, Version: v(1, 2), Changed: true}, true)
			s.unjudged(0, v(1, 1), "a")
		}},
		{"", "a deadline passes", func(s *script) {
			d := s.wall() + step.Milliseconds() + 40
			s.mortal(v(1, 1), 40, d)
			s.run(Op{Kind: Read, Found: true, Value: []byte("m"), Version: v(1, 1), Deadline: d}, true)
			s.now += time.Second
			s.get(0, 0, "")
			s.set(0, v(1, 2), "b", false)
		}},
		{"P7", "served after its deadline", func(s *script) {
			d := s.wall() + step.Milliseconds() + 40
			s.mortal(v(1, 1), 40, d)
			s.now += time.Second
			s.run(Op{Kind: Read, Found: true, Value: []byte("m"), Version: v(1, 1), Deadline: d}, true)
		}},
		{"P7", "gone before its deadline", func(s *script) {
			s.mortal(v(1, 1), 40, s.wall()+step.Milliseconds()+40)
			s.get(0, 0, "")
		}},
		{"P7", "another deadline than the one it was given", func(s *script) {
			d := s.wall() + step.Milliseconds() + 40
			s.mortal(v(1, 1), 40, d)
			s.run(Op{Kind: Read, Found: true, Value: []byte("m"), Version: v(1, 1), Deadline: d + 1}, true)
		}},
		{"P7", "a deadline too far away", func(s *script) {
			s.mortal(v(1, 1), 40, s.wall()+1040)
		}},
		{"P7", "a dead key comes back", func(s *script) {
			d := s.wall() + step.Milliseconds() + 3
			s.mortal(v(1, 1), 3, d)
			s.run(Op{Kind: Read, Low: d - 1, High: d + 1}, true)
			s.run(Op{Kind: Read, Found: true, Value: []byte("m"), Version: v(1, 1), Deadline: d, Low: d - 1, High: d + 1}, true)
		}},
		{"P7", "a dead key comes back after a clean Open", func(s *script) { comesBack(s, true) }},
		{"", "a dead key comes back when all who knew the time are gone", func(s *script) { comesBack(s, false) }},
		{"P7", "an append forgets the deadline", func(s *script) {
			s.mortal(v(1, 1), 400, s.wall()+step.Milliseconds()+400)
			s.run(Op{Kind: Append, Arg: []byte("x"), Int: 2, Version: v(1, 2), Found: true, Changed: true}, true)
		}},
		{"P8", "a majority's write is cut by a clean Open", func(s *script) {
			s.run(Op{Kind: Set, Arg: []byte("a"), Version: v(1, 1), Changed: true, Durable: true}, true)
			s.open(2, 0, true, true)
		}},
		{"", "a majority's write is cut by an unclean Open", func(s *script) {
			s.run(Op{Kind: Set, Arg: []byte("a"), Version: v(1, 1), Changed: true, Durable: true}, true)
			s.open(2, 0, false, false)
			s.open(3, 0, true, true)
		}},
		{"P8", "a surviving write is in no copy", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Copy(0, 2, 0).End()
		}},
		{"P9", "a bounded loss of half a second", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.now += 500 * time.Millisecond
			s.set(0, v(1, 2), "b", true)
			s.open(2, 0, true, true)
		}},
		{"P9", "a holder goes on for long on top of an inherited tail", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, v(1, 1), true, true)
			s.now += 300 * time.Millisecond
			s.set(0, v(2, 1), "b", true)
			s.open(3, 0, true, true)
		}},
		{"", "a holder goes on for long on top of what others held", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, v(1, 1), true, true)
			s.now += 300 * time.Millisecond
			s.set(0, v(2, 1), "b", true)
			s.open(3, v(1, 1), true, true)
		}},
		{"P9", "acknowledged after it was cut", func(s *script) {
			o := s.run(Op{Kind: Set, Arg: []byte("a"), Version: v(1, 1), Changed: true}, false)
			s.open(2, 0, true, true)
			s.h.Done(o)
		}},
		{"", "a loss of half a second without a bound", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.now += 500 * time.Millisecond
			s.set(0, v(1, 2), "b", true)
			s.open(2, 0, true, false)
		}},
		{"P11", "an epoch is opened twice", func(s *script) {
			s.open(2, 0, true, true)
			s.h.Cut(Cut{Epoch: 2, Node: 9, Clean: true, Bounded: true})
		}},
		{"", "an Open is told late", func(s *script) {
			s.open(3, 0, true, true)
			s.open(2, 0, true, true)
			s.set(0, v(3, 1), "a", false)
		}},
		{"P11", "a write in an epoch below one that was served", func(s *script) {
			s.open(3, 0, true, true)
			s.open(2, 0, true, true)
			s.set(0, v(2, 1), "a", false)
		}},
		{"P11", "a version is used twice", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(1, v(1, 1), "b", true)
		}},
		{"P11", "a write in an epoch that nobody opened", func(s *script) {
			s.set(0, v(2, 1), "a", false)
		}},
		{"P14", "a refused value is read", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Refused(&Op{Key: s.key, Kind: Set, Arg: []byte("<no>")})
			s.get(0, v(1, 2), "<no>")
		}},
		{"P14", "a refused append is read", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Refused(&Op{Key: s.key, Kind: Append, Arg: []byte("<no>")})
			s.get(0, v(1, 1), "a<no>")
		}},
		{"P14", "a write that ran is refused", func(s *script) {
			s.h.Refused(s.run(Op{Kind: Set, Arg: []byte("a"), Version: v(1, 1), Changed: true}, false))
		}},
		{"", "increments and an ambiguous one", func(s *script) {
			s.incr(v(1, 1), 5, 5, false)
			s.run(Op{Kind: Incr, Delta: 2, Int: 7, Version: v(1, 2), Found: true, Changed: true}, false)
			s.get(0, v(1, 2), "7")
			s.incr(v(1, 3), 1, 8, true)
		}},
		{"once", "an acknowledged increment counts twice", func(s *script) {
			s.incr(v(1, 1), 5, 5, false)
			s.get(0, v(1, 1), "10")
		}},
		{"once", "an ambiguous increment counts twice", func(s *script) {
			s.run(Op{Kind: Incr, Delta: 2, Int: 2, Version: v(1, 1), Changed: true}, false)
			s.incr(v(1, 2), 1, 5, true)
		}},
		{"once", "a lost increment still counts", func(s *script) {
			s.incr(v(1, 1), 5, 5, false)
			s.incr(v(1, 2), 1, 6, true)
			s.open(2, v(1, 1), true, true)
			s.incr(v(2, 1), 1, 7, true)
		}},
		{"once", "an append is there twice", func(s *script) {
			s.run(Op{Kind: Append, Arg: []byte("ab"), Int: 2, Version: v(1, 1), Changed: true}, true)
			s.get(0, v(1, 1), "abab")
		}},
		{"once", "an append is dropped by the next one", func(s *script) {
			s.run(Op{Kind: Append, Arg: []byte("ab"), Int: 2, Version: v(1, 1), Changed: true}, true)
			s.run(Op{Kind: Append, Arg: []byte("cd"), Int: 2, Version: v(1, 2), Found: true, Changed: true}, true)
		}},
		{"", "verdicts that come true", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Judged(0, v(1, 1), VerdictPending, true, 1, s.now)
			s.h.Judged(0, v(1, 1), VerdictDurable, true, 1, s.now)
			s.set(0, v(1, 2), "b", true)
			s.h.Judged(0, v(1, 2), VerdictLost, true, 2, s.now)
			s.open(2, v(1, 1), true, true)
			s.h.RolledBack(0, v(1, 2), 1, s.now)
			s.h.Finish()
		}},
		{"token", "the server does not know its own write", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Judged(0, v(1, 1), VerdictUnknown, true, 1, s.now)
		}},
		{"", "another node does not know", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Judged(0, v(1, 1), VerdictUnknown, false, 2, s.now)
		}},
		{"token", "still pending at rest", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Rested(0, v(1, 1), VerdictPending, 1, s.now)
		}},
		{"P8", "durable, then cut by a clean Open", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Judged(0, v(1, 1), VerdictDurable, true, 1, s.now)
			s.open(2, 0, true, true)
		}},
		{"token", "durable after it was cut", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, 0, true, true)
			s.h.Judged(0, v(1, 1), VerdictDurable, true, 1, s.now)
		}},
		{"token", "pending after it was cut", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, 0, true, true)
			s.h.Judged(0, v(1, 1), VerdictPending, true, 1, s.now)
		}},
		{"token", "said to be lost, and survives", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Judged(0, v(1, 1), VerdictLost, true, 1, s.now)
			s.open(2, v(1, 1), true, true)
			s.get(0, v(1, 1), "a")
			s.h.Finish()
		}},
		{"token", "listed as undone, and survives", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.RolledBack(0, v(1, 1), 1, s.now)
			s.h.Finish()
		}},
		{"P8", "WAIT counted a majority, and a clean Open cuts", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Waited(0, v(1, 1), 1, 3, false)
			s.open(2, 0, true, true)
		}},
		{"", "WAIT counted too few", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Waited(0, v(1, 1), 0, 3, false)
			s.open(2, 0, true, true)
		}},
		{"token", "WAIT counts the holder", func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.h.Waited(0, v(1, 1), 3, 3, false)
		}},
	} {
		t.Run(fmt.Sprint(c.property, " ", c.name), func(t *testing.T) {
			s := newScript()
			c.play(s)
			fired := false
			for _, b := range s.h.Broken {
				t.Log(b)
				fired = fired || strings.HasPrefix(b, c.property+":")
			}
			if want := c.property != ""; fired != want || (!want && len(s.h.Broken) > 0) {
				t.Fatalf("%q should fire: %v", c.property, want)
			}
		})
	}
}

// comesBack lets a key die and be there again under the next holder, whose clock is behind.
func comesBack(s *script, clean bool) {
	d := s.wall() + step.Milliseconds() + 3
	s.mortal(v(1, 1), 3, d)
	s.run(Op{Kind: Read, Low: d - 1, High: d + 1}, true)
	s.open(2, v(1, 1), clean, true)
	s.run(Op{Kind: Read, Found: true, Value: []byte("m"), Version: v(1, 1), Deadline: d, Low: d - 1, High: d + 1}, true)
}
