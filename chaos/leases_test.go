package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func serving(node int, term uint64, from, until int) Serving {
	return Serving{Group: 3, Node: node, Ballot: multiraft.Ballot{Term: term, Sub: 1}, From: time.Duration(from), Until: time.Duration(until)}
}

func TestTwoLeasesAtOnceAreSeen(t *testing.T) {
	good := []Serving{serving(0, 1, 0, 10), serving(1, 2, 10, 20), serving(1, 3, 18, 40), serving(0, 4, 41, 50)}
	if b := Overlaps(good, 0); len(b) > 0 {
		t.Fatalf("%v", b)
	}
	for name, c := range map[string]Serving{
		"overlapped":    serving(2, 5, 49, 60),
		"within":        serving(2, 2, 12, 13),
		"a lower one":   serving(2, 3, 55, 60),
		"a long one":    serving(2, 5, 30, 31),
		"from the past": serving(1, 1, 5, 6),
	} {
		b := Overlaps(append(slices.Clone(good), c), 0)
		if len(b) == 0 || !strings.HasPrefix(b[0], "P1: group 3") {
			t.Errorf("%s: %v", name, b)
		}
	}
}

func TestADigestThatDiffersIsSeen(t *testing.T) {
	var good []Digest
	for node := range 3 {
		for s := range 4 {
			good = append(good, Digest{Shard: shardmap.ShardID(s), Node: node, Version: 7, Time: 9, Digest: "d", Whole: true})
		}
	}
	if b, n := Differences(good); len(b) > 0 || n != 12 {
		t.Fatalf("%v, %d copies", b, n)
	}
	for name, change := range map[string]func(*Digest){
		"another digest":  func(d *Digest) { d.Digest = "e" },
		"another version": func(d *Digest) { d.Version++ },
		"not whole":       func(d *Digest) { d.Whole = false },
	} {
		all := slices.Clone(good)
		change(&all[5])
		if b, _ := Differences(all); len(b) != 1 {
			t.Errorf("%s: %v", name, b)
		}
	}
	all := slices.Clone(good)
	all[5].Time, all[5].Digest = 10, "e" // dead keys are swept by time
	if b, _ := Differences(all); len(b) > 0 {
		t.Errorf("at another time: %v", b)
	}
}
