package shardmap

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestSlotsAreThoseOfRedisCluster(t *testing.T) {
	for key, want := range map[string]Slot{
		"": 0, "123456789": 0x31c3, "foo": 12182, "bar": 5061, "{foo}x": 12182, "a{foo}b{bar}": 12182,
		"{}foo": SlotOfString("{}foo"), "foo{}": SlotOf([]byte("foo{}")), "{{foo}}": SlotOfString("{foo"),
	} {
		if got := SlotOf([]byte(key)); got != want {
			t.Errorf("slot of %q is %d, want %d", key, got, want)
		}
	}
	if SlotOfString("{}foo") == SlotOfString("foo") {
		t.Error("an empty tag was hashed instead of the whole key")
	}
	if n := testing.AllocsPerRun(100, func() { SlotOf([]byte("user:1234")) }); n != 0 {
		t.Errorf("SlotOf allocates %v times", n)
	}
}

// TestEveryLengthHasTheChecksumOfItsBits: the tables against the definition.
func TestEveryLengthHasTheChecksumOfItsBits(t *testing.T) {
	var key []byte
	for n := range 100 {
		var want uint16
		for _, c := range key {
			want ^= uint16(c) << 8
			for range 8 {
				carry := want&0x8000 != 0
				if want <<= 1; carry {
					want ^= 0x1021
				}
			}
		}
		if got := crc16(key); got != want {
			t.Fatalf("%x: %x, want %x", key, got, want)
		}
		key = append(key, byte(n*151+7))
	}
}

func BenchmarkSlotOf(b *testing.B) {
	key := []byte("bench:100:000123456")
	for b.Loop() {
		SlotOf(key)
	}
}

func TestLayoutCoversEverySlotOnce(t *testing.T) {
	for _, l := range []Layout{DefaultLayout, {1, 1}, {16384, 64}, {64, 64}, {16, 4}} {
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		next := 0
		for s := range l.Shards {
			first, last := l.SlotRange(ShardID(s))
			if int(first) != next || l.ShardOf(first) != ShardID(s) || l.ShardOf(last) != ShardID(s) {
				t.Fatalf("%+v: shard %d has slots %d-%d, expected from %d", l, s, first, last, next)
			}
			next = int(last) + 1
			g := l.GroupOf(ShardID(s))
			if f := l.FirstShard(g); ShardID(s) < f || s >= int(f)+l.ShardsPerGroup() {
				t.Fatalf("%+v: shard %d is not among group %d's", l, s, g)
			}
		}
		if next != Slots {
			t.Fatalf("%+v covers %d slots", l, next)
		}
	}
	for _, l := range []Layout{{3, 1}, {0, 1}, {8, 3}, {8, 16}, {32768, 1}} {
		if l.Validate() == nil {
			t.Errorf("%+v was accepted", l)
		}
	}
}

func TestMergingRoutesIsOrderFree(t *testing.T) {
	l := Layout{Shards: 8, Groups: 4}
	rapid.Check(t, func(t *rapid.T) {
		routes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Route {
			e := uint32(rapid.IntRange(1, 5).Draw(t, "e"))
			g := rapid.IntRange(1, 4).Draw(t, "g")
			return Route{GroupID(g), e, NodeID(1 + (int(e)*7+g)%3)}
		}), 1, 20).Draw(t, "routes")
		a, b := NewMap(l), NewMap(l)
		for _, r := range routes {
			a = a.With(r)
		}
		for _, r := range rapid.Permutation(routes).Draw(t, "other order") {
			before := b.Epoch()
			if b = b.With(r); b.Epoch() < before {
				t.Fatalf("epoch fell from %d to %d", before, b.Epoch())
			}
		}
		if a.Epoch() != b.Epoch() || !reflect.DeepEqual(a.Spans(), b.Spans()) {
			t.Fatalf("%v and %v", a.Spans(), b.Spans())
		}
	})
}

func TestSpansMergeNeighbours(t *testing.T) {
	m := NewMap(Layout{Shards: 4, Groups: 4})
	for g, n := range []NodeID{1, 1, 2, 1} {
		m = m.With(Route{GroupID(g + 1), 1, n})
	}
	want := []SlotSpan{{0, 8191, 1}, {8192, 12287, 2}, {12288, 16383, 1}}
	if got := m.Spans(); !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if m.LeaderOf(9000) != 2 {
		t.Fatalf("slot 9000 is led by %d", m.LeaderOf(9000))
	}
	n := m.WithNodes(3, []NodeInfo{{ID: 2, Name: "b"}, {ID: 1, Name: "a"}})
	if i, ok := n.Node(1); !ok || i.Name != "a" || n.Epoch() != m.Epoch()+3 || n.WithNodes(3, nil) != n {
		t.Fatalf("%+v %d", n.Nodes(), n.Epoch())
	}
}

func TestVersionPacksInAPositiveInt64(t *testing.T) {
	v := MakeVersion(MaxEpoch, MaxSeq)
	if int64(v) <= 0 || v.Epoch() != MaxEpoch || v.Seq() != MaxSeq {
		t.Fatalf("%d %v", int64(v), v)
	}
	if MakeVersion(2, 0) <= MakeVersion(1, MaxSeq) {
		t.Fatal("a later epoch is not above every sequence of an earlier one")
	}
}
