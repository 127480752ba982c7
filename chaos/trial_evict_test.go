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
