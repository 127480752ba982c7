package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSyntheticTracesHoldTheBars is what `make hitratio` does, with what every machine
// has. The store is given what an entry costs it now, 88 bytes; the bars want that it
// needs no more than spareBytes, and `make hitratio` judges it by those.
func TestSyntheticTracesHoldTheBars(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "hitratio.png")
	var out bytes.Buffer
	if err := run([]string{"-traces", "", "-rivals=false", "-spare", "88", "-o", "json", "-png", picture}, &out, io.Discard); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	large := 0
	for _, row := range r.Rows {
		if row.large() {
			large++
		}
		for c, hits := range row.Hits {
			if hits <= 0 || c != nameOPT && hits > row.Hits[nameOPT] {
				t.Errorf("%s: %s hits %.2f %%, OPT %.2f %%", row.name(), c, hits, row.Hits[nameOPT])
			}
		}
	}
	if large < 2 || len(r.Rows) == large {
		t.Errorf("%d of %d rows are large", large, len(r.Rows))
	}
	if f, err := os.ReadFile(picture); err != nil || !bytes.HasPrefix(f, []byte("\x89PNG")) {
		t.Errorf("no picture: %v", err)
	}
}

// TestRivalsRun shows that the other caches are asked and fill up.
func TestRivalsRun(t *testing.T) {
	tr := synthetic(20_000)[0]
	for _, c := range contestants(Options{Rivals: true}) {
		if hits := 100 * c.hits(tr, 500, func(int) {}) / len(tr.Asked); hits < 15 || hits > 70 {
			t.Errorf("%s hits %d %%", c.name, hits)
		}
	}
}

// TestRecordedTracesHoldTheBars is `make hitratio` with the recorded traces, where they
// are: the short ones, or all of them under AEGIS_TEST_ALL=1, which takes two minutes.
func TestRecordedTracesHoldTheBars(t *testing.T) {
	dir := os.Getenv("AEGIS_TRACES")
	if dir == "" {
		dir = "../../../shared/traces"
	}
	if _, err := os.Stat(filepath.Join(dir, "cache2k")); err != nil {
		t.Log("no recorded traces here: the synthetic ones have to do")
		return
	}
	o := Options{Traces: dir, Only: "web07,2_pools,sprite,mooncake,corda", Spare: spareBytes, Workers: 2, Log: io.Discard}
	if os.Getenv("AEGIS_TEST_ALL") == "1" {
		o.Only = ""
	}
	r, err := measure(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if off := row.Published - row.Hits[nameS3]; row.Trace == "web07" && math.Abs(off) > 0.1 {
			t.Errorf("%s: S3-FIFO hits %.2f %%, published are %.2f %%", row.name(), row.Hits[nameS3], row.Published)
		}
	}
	if len(r.Missed) > 0 {
		t.Error(strings.Join(r.Missed, "\n"))
	}
}

// TestBarsCanBeMissed gives the bars what they are to refuse.
func TestBarsCanBeMissed(t *testing.T) {
	hits := func(one, many, s3, plain float64) map[string]float64 {
		return map[string]float64{nameOne: one, nameMany: many, nameS3: s3, nameLRU: plain}
	}
	for _, c := range []struct {
		capacity int
		hits     map[string]float64
		missed   int
	}{
		{6400, hits(49.6, 49.1, 50, 50), 0},
		{6400, hits(49.4, 49.1, 50, 50), 1},
		{6400, hits(49.6, 48.9, 50, 50), 1},
		{6399, hits(47.1, 10, 50, 50), 0},
		{6399, hits(46.9, 10, 50, 50), 1},
		{6399, hits(47.1, 10, 50, 51), 1},
		{6400, hits(50, 50, 50, 53.6), 2},
	} {
		row := Row{Capacity: c.capacity, Hits: c.hits, Judged: true}
		if row.judge(); len(row.Missed) != c.missed {
			t.Errorf("%+v: %d bars missed: %q", c, len(row.Missed), row.Missed)
		}
	}
	r := Report{Contestants: []string{nameOne}, Rows: []*Row{
		{Capacity: 6400, Hits: hits(50, 0, 0, 0)}, {Capacity: 6400, Hits: hits(0, 0, 0, 50)}, {Capacity: 1, Hits: hits(9, 9, 9, 9)},
	}}
	if r.judge(); r.MeanChange[nameOne] != 0 {
		t.Errorf("half and twice the misses are a change of %v %%", r.MeanChange[nameOne])
	}
}

// TestReferences compares the references with the same said as simply as possible.
func TestReferences(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		tr, _ := enter("", func(yield func(uint64)) error {
			for range 300 {
				yield(uint64(rnd.ExpFloat64() * 20))
			}
			return nil
		})
		capacity := 1 + rnd.IntN(20)
		idle := func(int) {}
		if got, want := lruHits(tr, capacity, idle), plainHits(tr, capacity, leastRecent); got != want {
			t.Fatalf("LRU of %d hits %d times, should %d times", capacity, got, want)
		}
		if got, want := optHits(tr, capacity, idle), plainHits(tr, capacity, latest); got != want {
			t.Fatalf("OPT of %d hits %d times, should %d times", capacity, got, want)
		}
	}
}

// plainHits takes every object in and then lets go of the one that out names.
func plainHits(t *Trace, capacity int, out func(held []uint32, before, after []uint32) int) (hits int) {
	held := []uint32{}
	for i, o := range t.Asked {
		if slices.Contains(held, o) {
			hits++
		} else if held = append(held, o); len(held) > capacity {
			at := out(held, t.Asked[:i+1], t.Asked[i+1:])
			held = slices.Delete(held, at, at+1)
		}
	}
	return hits
}

func leastRecent(held, before, _ []uint32) int {
	slices.Reverse(before)
	defer slices.Reverse(before)
	return farthestOf(held, before)
}

func latest(held, _, after []uint32) int { return farthestOf(held, after) }

// farthestOf is the place of the object that comes last.
func farthestOf(held, asked []uint32) (at int) {
	most := -1
	for i, o := range held {
		next := slices.Index(asked, o)
		if next < 0 {
			next = len(asked) + 1
		}
		if next > most {
			at, most = i, next
		}
	}
	return at
}

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"a.lis":               {"5 3 0 0\n9 1 0 1\n", "[5 6 7 9]"},
		"a.trace":             {"12\r\n*\n\n7\n", "[12 7]"},
		"b.trace":             {"\x00\x00\x01\x02\x00\x00\x00\x05", "[258 5]"},
		"a.be64":              {"\x00\x00\x00\x00\x00\x00\x00\x09", "[9]"},
		"a.oracleGeneral.bin": {"tttt\x07\x00\x00\x00\x00\x00\x00\x00ssssnnnnnnnn", "[7]"},
		"a.jsonl":             {`{"hash_ids": [3, 1]}` + "\n" + `{"hash_ids": [3]}`, "[3 1 3]"},
	} {
		keys := []uint64{}
		err := formatOf(name, []byte(c.body)[:4])(bufio.NewReader(strings.NewReader(c.body)), func(k uint64) { keys = append(keys, k) })
		if got := fmt.Sprint(keys); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; should be %s", name, got, err, c.want)
		}
	}
	if formatOf("README.md", nil) != nil || words(8, 0, 8)(bufio.NewReader(strings.NewReader("123")), func(uint64) {}) == nil {
		t.Error("a readme is a trace, or half a record is a key")
	}
}
