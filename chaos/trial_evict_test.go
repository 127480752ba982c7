package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestEvictionsExplainMissesOnly: where memory is full a key may be gone, but not come
// back, and nothing but its newest version is ever there.
func TestEvictionsExplainMissesOnly(t *testing.T) {
	const ms = time.Millisecond
	at := func(n int, o Told) Told {
		o.Key, o.Start, o.End = "k", time.Duration(n)*10*ms, time.Duration(n)*10*ms+ms
		return o
	}
	v1, v2 := shardmap.MakeVersion(1, 1), shardmap.MakeVersion(1, 9)
	set := func(v shardmap.Version, text string) Told { return Told{Kind: Set, Arg: []byte(text), Version: v} }
	read := func(v shardmap.Version, text string) Told {
		return Told{Kind: Read, Found: true, Version: v, Value: []byte(text)}
	}
	gone := Told{Kind: Read}
	create := func(v shardmap.Version, text string) Told {
		o := set(v, text)
		o.If = true
		return o
	}
	for name, c := range map[string]struct {
		evicts bool
		told   []Told
		want   string
	}{
		"memory is not full":         {false, []Told{set(v1, "a"), gone}, "P2: "},
		"it is":                      {true, []Told{set(v1, "a"), read(v1, "a"), gone, gone}, ""},
		"and it is written again":    {true, []Told{set(v1, "a"), gone, set(v2, "b"), read(v2, "b")}, ""},
		"or created":                 {true, []Told{set(v1, "a"), create(v2, "b"), read(v2, "b")}, ""},
		"it comes back":              {true, []Told{set(v1, "a"), gone, read(v1, "a")}, "P17: "},
		"what was before comes back": {true, []Told{set(v1, "a"), set(v2, "b"), gone, read(v1, "a")}, "P"},
		"an older one is there":      {true, []Told{set(v1, "a"), set(v2, "b"), read(v1, "a")}, "P2: "},
		"another value is there":     {true, []Told{set(v1, "a"), read(v1, "b")}, "P2: "},
	} {
		var told []Told
		for i, o := range c.told {
			told = append(told, at(i+1, o))
		}
		id := trialLayout.ShardOf(shardmap.SlotOfString("k"))
		h, tr := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall, Evicts: c.evicts}, told, []Cut{{Shard: id, Epoch: 1, Node: 1, At: 1}})
		got := strings.Join(h.Broken, "\n")
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if c.evicts && c.want == "" && tr.evicted != 1 {
			t.Errorf("%s: %d evictions", name, tr.evicted)
		}
	}
}

// TestGuessesSayNothingOfWhatAnOpenLost: how far apart lost writes are is judged by those
// whose versions are known (P9).
func TestGuessesSayNothingOfWhatAnOpenLost(t *testing.T) {
	const s = time.Second
	id := trialLayout.ShardOf(shardmap.SlotOfString("k"))
	told := []Told{
		{Kind: Set, Key: "k", Arg: []byte("a"), Version: shardmap.MakeVersion(1, 1), Start: s, End: s + 1},
		{Kind: Read, Key: "k", Start: 2 * s, End: 2*s + 1}, // evicted, some time before
		{Kind: Set, Key: "{k}", Arg: []byte("b"), Version: shardmap.MakeVersion(1, 5), Start: 3 * s, End: 3*s + 1},
	}
	cuts := []Cut{
		{Shard: id, Epoch: 1, Node: 1, At: 1},
		{Shard: id, Epoch: 2, Node: 2, Base: shardmap.MakeVersion(1, 4), Clean: true, Bounded: true, At: 4 * s},
	}
	h, tr := Try(TrialConfig{Layout: trialLayout, Wall: tellerWall, Evicts: true}, told, cuts)
	if len(h.Broken) > 0 || tr.evicted != 1 || h.Lost != 1 {
		t.Errorf("%v, %d evicted, %d lost", h.Broken, tr.evicted, h.Lost)
	}
}
