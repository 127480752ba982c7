package backup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

const shards = 4

// written makes a backup of n keys in dir.
func written(t *testing.T, n int) (dir string, m *Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "b")
	if err := Make(dir); err != nil {
		t.Fatal(err)
	}
	m = &Manifest{Format: Format, Version: "1", Cluster: "c", Shards: shards, Groups: 2, Begun: time.UnixMilli(1).UTC(), Ended: time.UnixMilli(2).UTC()}
	layout := shardmap.Layout{Shards: shards, Groups: 2}
	for id := range shards {
		s := Shard{Shard: shardmap.ShardID(id), Version: shardmap.MakeVersion(3, uint64(n)), Epoch: 3, Time: 77}
		s.FirstSlot, s.LastSlot = layout.SlotRange(s.Shard)
		w, err := NewWriter(dir, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range entriesOf(t, layout, s.Shard, n) {
			if err := w.Add(part); err != nil {
				t.Fatal(err)
			}
		}
		s, err = w.End()
		if err != nil {
			t.Fatal(err)
		}
		m.Files, m.Keys, m.Bytes = append(m.Files, s), m.Keys+s.Keys, m.Bytes+s.Bytes
	}
	if m.Keys != int64(n) {
		t.Fatalf("%d keys were written of %d", m.Keys, n)
	}
	if err := Seal(dir, m); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

// entriesOf are the keys of one shard, as a node gives them, in pieces.
func entriesOf(t *testing.T, layout shardmap.Layout, shard shardmap.ShardID, n int) (parts [][]byte) {
	t.Helper()
	m := statemachine.New(statemachine.Config{HashKey: 5, BudgetBytes: 16 << 20})
	seq := uint64(0)
	for i := range n {
		key := fmt.Appendf(nil, "key%d", i)
		if layout.ShardOf(shardmap.SlotOf(key)) != shard {
			continue
		}
		seq++
		c := &statemachine.Command{Kind: statemachine.Set, Key: key, Value: fmt.Appendf(nil, "value %d", i)}
		if err := m.Execute(c, shardmap.MakeVersion(3, seq), 10, &statemachine.Result{}); err != nil {
			t.Fatal(err)
		}
	}
	for lo, hi := uint64(0), uint64(0); hi != ^uint64(0); lo = hi + 1 {
		var b []byte
		b, hi = m.Chunk(lo, 2<<10, nil)
		parts = append(parts, b)
	}
	return parts
}

// readAll gives the keys and values of a backup.
func readAll(dir string, m *Manifest) (all map[string]string, err error) {
	all = map[string]string{}
	for i := range m.Files {
		r, err := OpenShard(dir, &m.Files[i])
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for {
			b, n, err := r.Next()
			if err != nil {
				return nil, err
			}
			if n == 0 {
				break
			}
			if err := statemachine.EachEntry(b, func(k, v []byte, _ shardmap.Version, _ int64) { all[string(k)] = string(v) }); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// TestABackupComesBack: what was written is read, and nothing else.
func TestABackupComesBack(t *testing.T) {
	const n = 2000
	dir, m := written(t, n)
	got, err := Read(dir)
	if err != nil || got.Keys != m.Keys || got.Files[1] != m.Files[1] {
		t.Fatal(got, err)
	}
	size := int64(0)
	if d := Verify(dir, got, func(n int64) { size += n }); len(d) > 0 || size == 0 {
		t.Fatal(d, size)
	}
	all, err := readAll(dir, got)
	if err != nil || len(all) != n {
		t.Fatalf("%d keys of %d, %v", len(all), n, err)
	}
	for i := range n {
		if v := all[fmt.Sprint("key", i)]; v != fmt.Sprint("value ", i) {
			t.Fatalf("key%d has %q", i, v)
		}
	}
}

// TestDamageIsNamed flips a bit at every place of the small files and at many of the others,
// and cuts and lengthens them: the file that cannot be trusted is named.
func TestDamageIsNamed(t *testing.T) {
	dir, m := written(t, 400)
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{manifestName, sealName}
	for i := range m.Files {
		names = append(names, FileName(m.Files[i].Shard))
	}
	flips := 0
	for _, name := range names {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoilt := func(b []byte) {
			t.Helper()
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if !named(dir, name) {
				t.Fatalf("%s is damaged, and nobody says so", name)
			}
		}
		for range 60 {
			b := append([]byte(nil), whole...)
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
			spoilt(b)
			flips++
		}
		spoilt(whole[:len(whole)-1])
		spoilt(whole[:0])
		spoilt(append(append([]byte(nil), whole...), 'x'))
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if named(dir, name) {
			t.Fatalf("%s is called damaged, and is not", name)
		}
	}
	if flips != 60*(2+shards) {
		t.Errorf("%d flips", flips)
	}
}

// named says whether the damage of a file is noticed, and said to be of that file.
func named(dir, name string) bool {
	m, err := Read(dir)
	if err != nil {
		return strings.Contains(err.Error(), manifestName)
	}
	d := Verify(dir, m, func(int64) {})
	return len(d) == 1 && strings.Contains(d[0].Error(), name)
}

// TestFilesDoNotStandForOthers: two files that changed places, one that is missing.
func TestFilesDoNotStandForOthers(t *testing.T) {
	dir, m := written(t, 400)
	a, b, c := filepath.Join(dir, FileName(0)), filepath.Join(dir, FileName(1)), filepath.Join(dir, "c")
	for _, move := range [][2]string{{a, c}, {b, a}, {c, b}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	if d := Verify(dir, m, func(int64) {}); len(d) != 2 {
		t.Errorf("two files changed places: %v", d)
	}
	if err := os.Remove(filepath.Join(dir, FileName(3))); err != nil {
		t.Fatal(err)
	}
	if d := Verify(dir, m, func(int64) {}); len(d) != 3 || !errors.Is(d[2], os.ErrNotExist) {
		t.Errorf("a file is missing: %v", d)
	}
}

// TestWhatIsNoBackup: an unfinished one, a later format, slots that nobody has, a directory
// that holds something.
func TestWhatIsNoBackup(t *testing.T) {
	dir, m := written(t, 10)
	if err := Make(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second backup in one directory: %v", err)
	}
	later := *m
	later.Format, later.Version = Format+1, "9.9"
	holed := *m
	holed.Files = m.Files[1:]
	for words, m := range map[string]*Manifest{"use version 9.9": &later, "does not name all slots": &holed} {
		if err := Seal(dir, m); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v is not: %s", err, words)
		}
	}
	if err := os.Remove(filepath.Join(dir, manifestName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); !errors.Is(err, ErrUnfinished) || !Is(dir) {
		t.Errorf("without its manifest: %v, %v", err, Is(dir))
	}
}

// TestAShardTakesItsOwnKeysOnly: a node that answers for another shard is not believed.
func TestAShardTakesItsOwnKeysOnly(t *testing.T) {
	layout := shardmap.Layout{Shards: shards, Groups: 2}
	s := Shard{Shard: 0}
	s.FirstSlot, s.LastSlot = layout.SlotRange(0)
	w, err := NewWriter(t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(entriesOf(t, layout, 1, 100)[0]); err == nil || !strings.Contains(err.Error(), "other slots") {
		t.Errorf("keys of another shard: %v", err)
	}
	w.Abandon()
}
