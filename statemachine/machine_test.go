package statemachine

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func contents(m *Machine) map[string]string {
	c := map[string]string{}
	m.EachKey(func(k, v []byte, ver shardmap.Version, d int64) {
		c[string(k)] = fmt.Sprintf("%q v%v d%d", v, ver, d)
	})
	return c
}

func equal(t *rapid.T, a, b *Machine) {
	t.Helper()
	a.Settle()
	b.Settle()
	ca, cb := contents(a), contents(b)
	if fmt.Sprint(ca) != fmt.Sprint(cb) {
		t.Fatalf("contents differ:\n%v\n%v", ca, cb)
	}
	if a.Digest() != b.Digest() {
		t.Fatalf("equal contents, digests %x and %x", a.Digest(), b.Digest())
	}
	for i := range DigestBuckets {
		if a.DigestOf(i) != b.DigestOf(i) {
			t.Fatalf("bucket %d differs", i)
		}
	}
}

func drawCommand(t *rapid.T) *Command {
	return &Command{
		Kind:    Kind(rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11}).Draw(t, "kind")),
		Cond:    Cond(rapid.IntRange(0, 4).Draw(t, "cond")),
		TTLMode: TTLMode(rapid.IntRange(0, 3).Draw(t, "ttl mode")),
		WithOld: rapid.Bool().Draw(t, "get"),
		Key:     fmt.Appendf(nil, "k%d", rapid.IntRange(0, 15).Draw(t, "key")),
		Value:   []byte(rapid.SampledFrom([]string{"", "1", "-5", "x", "2.5", "long long long value"}).Draw(t, "value")),
		TTL:     int64(rapid.IntRange(1, 40).Draw(t, "ttl")),
		Delta:   int64(rapid.IntRange(-3, 3).Draw(t, "delta")),
	}
}

// A follower that plays the records, and one that is filled by chunks while
// writes go on, both end with the leaseholder's contents.
func TestReplicasEndEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{HashKey: 3, BudgetBytes: int64(rapid.SampledFrom([]int{2800, 4000, 1 << 20}).Draw(t, "budget"))}
		leader, follower, filled := New(cfg), New(cfg), New(cfg)
		var stream [][]byte // records that the filled copy has not seen
		filled.put(lru.Entry{Hash: filled.Hash([]byte("k1")), Version: uint64(shardmap.MakeVersion(9, 9)), Key: []byte("k1"), Value: []byte("divergent")})
		cursor, walking := uint64(0), true
		var res Result
		now, seq := int64(10), uint64(0)
		chunk := func(t *rapid.T) {
			if !walking {
				t.Skip("done")
			}
			b, hi := leader.Chunk(cursor, 1, nil)
			if err := filled.ReplaceRange(cursor, hi, b); err != nil {
				t.Fatal(err)
			}
			// One ordered stream: what precedes the chunk goes after it here, the hardest order.
			for _, rec := range stream {
				play(t, filled, rec, true)
			}
			stream = stream[:0]
			if walking = hi != ^uint64(0); walking {
				cursor = hi + 1
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				before := leader.Position()
				v := shardmap.MakeVersion(1, seq+1)
				err := leader.Execute(drawCommand(t), v, now, &res)
				if res.Changed != (leader.Position() != before) || (err != nil && res.Changed) {
					t.Fatalf("changed %v, err %v, position %v -> %v", res.Changed, err, before, leader.Position())
				}
				if !res.Changed {
					return
				}
				seq++
				rec := AppendRecord(nil, &res.Record)
				play(t, follower, rec, false)
				stream = append(stream, rec)
				if leader.store.Over() > 0 {
					t.Fatalf("%d bytes over the budget", leader.store.Over())
				}
			},
			"transaction": func(t *rapid.T) {
				v, changed := shardmap.MakeVersion(1, seq+1), false
				leader.Begin(v)
				for range rapid.IntRange(1, 4).Draw(t, "commands") {
					c := drawCommand(t)
					if c.Kind == Flush {
						c.Kind = Del
					}
					_ = leader.Execute(c, v, now, &res)
					changed = changed || res.Changed
				}
				var r Record
				if leader.End(&r) != changed || changed != (leader.Position() == v) {
					t.Fatalf("changed %v, position %v after %v", changed, leader.Position(), v)
				}
				if !changed {
					return
				}
				seq++
				rec := AppendRecord(nil, &r)
				play(t, follower, rec, false)
				stream = append(stream, rec)
				if leader.store.Over() > 0 {
					t.Fatalf("%d bytes over the budget", leader.store.Over())
				}
			},
			"tick": func(t *rapid.T) {
				now += int64(rapid.IntRange(1, 10).Draw(t, "ms"))
				leader.AdvanceTime(now)
				follower.AdvanceTime(now)
				leader.Sweep(rapid.IntRange(0, 5).Draw(t, "sweep"))
				follower.Sweep(rapid.IntRange(0, 5).Draw(t, "sweep"))
			},
			"chunk": chunk,
		})
		for walking {
			chunk(t)
		}
		for _, rec := range stream {
			play(t, filled, rec, true)
		}
		follower.AdvanceTime(leader.Time())
		filled.AdvanceTime(leader.Time())
		equal(t, leader, follower)
		equal(t, leader, filled)
	})
}

func play(t *rapid.T, m *Machine, b []byte, filling bool) {
	t.Helper()
	var r Record
	if n, err := DecodeRecord(b, &r); err != nil || n != len(b) {
		t.Fatalf("record: %d of %d bytes, %v", n, len(b), err)
	}
	if err := m.Apply(&r, filling); err != nil {
		t.Fatal(err)
	}
}

func TestCommandsDoWhatRedisDoes(t *testing.T) {
	m := New(Config{BudgetBytes: 1 << 20})
	var res Result
	seq := uint64(0)
	now := int64(1000)
	for i, c := range []struct {
		cmd     Command
		err     error
		changed bool
		n       int64
		old     string
	}{
		{Command{Kind: Set, Key: []byte("a"), Value: []byte("1")}, nil, true, 1, ""},
		{Command{Kind: Set, Key: []byte("a"), Value: []byte("2"), Cond: NX, WithOld: true}, nil, false, 0, "1"},
		{Command{Kind: Set, Key: []byte("b"), Value: []byte("2"), Cond: XX}, nil, false, 0, ""},
		{Command{Kind: IncrBy, Key: []byte("a"), Delta: 41}, nil, true, 42, ""},
		{Command{Kind: Append, Key: []byte("a"), Value: []byte("x")}, nil, true, 3, ""},
		{Command{Kind: IncrBy, Key: []byte("a"), Delta: 1}, ErrNotInteger, false, 0, ""},
		{Command{Kind: Set, Key: []byte("a"), Value: []byte("9223372036854775807")}, nil, true, 1, ""},
		{Command{Kind: IncrBy, Key: []byte("a"), Delta: 1}, ErrOverflow, false, 0, ""},
		{Command{Kind: Expire, Key: []byte("a"), TTLMode: TTLRelative, TTL: 10, Cond: XX}, nil, false, 0, ""},
		{Command{Kind: Expire, Key: []byte("a"), TTLMode: TTLRelative, TTL: 10, Cond: LT}, nil, true, 1, ""},
		{Command{Kind: Expire, Key: []byte("a"), TTLMode: TTLRelative, TTL: 5, Cond: GT}, nil, false, 0, ""},
		{Command{Kind: Persist, Key: []byte("a")}, nil, true, 1, ""},
		{Command{Kind: Persist, Key: []byte("a")}, nil, false, 0, ""},
		{Command{Kind: GetEx, Key: []byte("a"), TTLMode: TTLAbsolute, TTL: 1500}, nil, true, 1, "9223372036854775807"},
		{Command{Kind: Expire, Key: []byte("a"), TTLMode: TTLAbsolute, TTL: 1}, nil, true, 1, ""},
		{Command{Kind: GetDel, Key: []byte("a")}, nil, false, 0, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: 5}, nil, false, 0, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: 2, Value: []byte("cd")}, nil, true, 4, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: 0, Value: []byte("ab")}, nil, true, 4, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: 9}, nil, false, 4, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: 1 << 20, Value: []byte("x")}, ErrTooLarge, false, 4, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: math.MaxInt64, Value: []byte("x")}, ErrTooLarge, false, 4, ""},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: -1, Value: []byte("x")}, ErrTooLarge, false, 4, ""},
		{Command{Kind: GetDel, Key: []byte("r")}, nil, true, 1, "abcd"},
		{Command{Kind: SetRange, Key: []byte("r"), Delta: 2, Value: []byte("x")}, nil, true, 3, ""},
		{Command{Kind: GetDel, Key: []byte("r")}, nil, true, 1, "\x00\x00x"},
		{Command{Kind: IncrByFloat, Key: []byte("f"), Value: []byte("3.0")}, nil, true, 1, "3"},
		{Command{Kind: IncrByFloat, Key: []byte("f"), Value: []byte("1.1")}, nil, true, 1, "4.1"},
		{Command{Kind: IncrByFloat, Key: []byte("f"), Value: []byte("x")}, ErrNotFloat, false, 0, ""},
		{Command{Kind: IncrByFloat, Key: []byte("f"), Value: []byte("-inf")}, ErrNotFinite, false, 0, ""},
		{Command{Kind: GetDel, Key: []byte("f")}, nil, true, 1, "4.1"},
		{Command{Kind: Set, Key: []byte("a"), Value: make([]byte, 1<<20+1)}, ErrTooLarge, false, 0, ""},
		{Command{Kind: Set, Key: make([]byte, KeyBytesMax+1)}, ErrKeyTooLarge, false, 0, ""},
	} {
		err := m.Execute(&c.cmd, shardmap.MakeVersion(1, seq+1), now, &res)
		if err != c.err || res.Changed != c.changed || res.Int != c.n || string(res.Value) != c.old {
			t.Fatalf("step %d: err %v changed %v int %d old %q, want %+v", i, err, res.Changed, res.Int, res.Value, c)
		}
		if res.Changed {
			seq++
		}
	}
	if parse := "0 -0 01 +1 -9223372036854775808 9223372036854775808"; true {
		var got []bool
		for _, f := range bytes.Fields([]byte(parse)) {
			_, ok := parseInt(f)
			got = append(got, ok)
		}
		if fmt.Sprint(got) != "[true false false false true false]" {
			t.Fatalf("%s: %v", parse, got)
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	m := New(Config{BudgetBytes: 1 << 20})
	key, value := []byte("key"), make([]byte, 100)
	var res Result
	cmd := &Command{Kind: Set, Key: key, Value: value}
	seq := uint64(0)
	buf := make([]byte, 0, 4096)
	set := func() {
		seq++
		if err := m.Execute(cmd, shardmap.MakeVersion(1, seq), 5, &res); err != nil {
			t.Fatal(err)
		}
		buf = AppendRecord(buf[:0], &res.Record)
	}
	set()
	if n := testing.AllocsPerRun(1000, set); n != 0 {
		t.Errorf("SET of an equal size allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { m.Lookup(key, false, 5) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
	follower := New(Config{BudgetBytes: 1 << 20})
	var r Record
	if n := testing.AllocsPerRun(1000, func() {
		set()
		if _, err := DecodeRecord(buf, &r); err != nil || follower.Apply(&r, false) != nil {
			t.Fatal("apply")
		}
	}); n != 0 {
		t.Errorf("applying a record allocates %v times", n)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(AppendRecord(nil, &Record{Version: 3, Prev: 2, Op: OpSet, Key: []byte("k"), Value: []byte("v"), Deadline: 9, Evicted: []Eviction{{1, 2}}, Protected: []Eviction{{3, 4}, {5, 6}}}))
	f.Add(AppendRecord(nil, &Record{Version: 3, Op: OpMeta, Key: []byte("k"), KeyVersion: 1, Dedup: 4}))
	parts := AppendRecord(AppendRecord(nil, &Record{Version: 3, Op: OpSet, Key: []byte("k")}), &Record{Version: 3, Op: OpDel, Key: []byte("k")})
	f.Add(AppendRecord(nil, &Record{Version: 3, Op: OpTxn, Value: parts}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		n, err := DecodeRecord(b, &r)
		if err == nil {
			if again := AppendRecord(nil, &r); !bytes.Equal(again, b[:n]) {
				t.Fatalf("%x became %x", b[:n], again)
			}
			_ = New(Config{BudgetBytes: 1 << 20}).Apply(&r, true)
		}
	})
}

func FuzzBulkBytes(f *testing.F) {
	m := New(Config{BudgetBytes: 1 << 20})
	m.put(lru.Entry{Hash: m.Hash([]byte("k")), Key: []byte("k"), Value: []byte("v"), Version: 1})
	b, _ := m.Chunk(0, 1, nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := New(Config{BudgetBytes: 1 << 20})
		if m.ReplaceRange(0, ^uint64(0), b) == nil {
			again, hi := m.Chunk(0, 1<<30, nil)
			if hi != ^uint64(0) || len(again) > len(b) {
				t.Fatalf("a chunk of %d bytes was taken and gives %d", len(b), len(again))
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	m := New(Config{BudgetBytes: 1 << 30})
	var res Result
	cmd := &Command{Kind: Set, Value: make([]byte, 64)}
	keys := make([][]byte, 10000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%d", i)
	}
	seq := uint64(0)
	for i := 0; b.Loop(); i++ {
		seq++
		cmd.Key = keys[i%len(keys)]
		_ = m.Execute(cmd, shardmap.MakeVersion(1, seq), 5, &res)
	}
}

// Bytes that came from another node are not trusted to be of a size that the store
// can hold.
func TestOversizedEntriesAreRefused(t *testing.T) {
	m := New(Config{BudgetBytes: 1 << 20})
	key := make([]byte, KeyBytesMax+1)
	if err := m.Apply(&Record{Version: 1, Op: OpSet, Key: key}, false); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a record with a key of %d bytes: %v", len(key), err)
	}
	chunk := appendEntry(nil, lru.Entry{Version: 1, Key: key})
	if err := m.ReplaceRange(0, ^uint64(0), chunk); !errors.Is(err, ErrBadChunk) {
		t.Errorf("a chunk with a key of %d bytes: %v", len(key), err)
	}
	if m.Len() != 0 {
		t.Errorf("%d entries were stored", m.Len())
	}
}

// BenchmarkApply is what a follower's copy costs for a write, beside BenchmarkSet of
// the leaseholder: the same overwrites, as records.
func BenchmarkApply(b *testing.B) {
	m := New(Config{BudgetBytes: 1 << 30})
	r := Record{Op: OpSet, Value: make([]byte, 64)}
	keys := make([][]byte, 10000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%d", i)
	}
	for i := 0; b.Loop(); i++ {
		r.Version++
		r.Key = keys[i%len(keys)]
		if m.Apply(&r, false) != nil {
			b.Fatal("apply")
		}
	}
}
