package shardgroup

import (
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/image"
)

// saveAnew makes the image of a member anew. false: copies were abandoned, and the former
// file stays.
func (w *world) saveAnew(m *member) bool {
	must := func(err error) {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	im, err := m.image.Anew()
	must(err)
	w.files = append(w.files, im)
	var rows []image.Row
	v, err := im.Begin(image.Hooks{
		Durable: func(uint64) error { _, err := m.wal.Commit(); must(err); return m.wal.Sync() },
		Saved:   func(r *image.Row) { rows = append(rows, *r) },
		Pause:   func() {},
	})
	must(err)
	limit := m.wal.End()
	for id := range w.cfg.Layout.Shards {
		must(v.Shard(uint16(id), m.n.Checkpoint(shardmap.ShardID(id))))
	}
	must(v.Finish(1))
	if v.Abandoned > 0 {
		must(im.Close())
		return false
	}
	from, err := m.image.From()
	must(err)
	must(im.SetFrom(from))
	must(im.Replace(m.image))
	m.image = im
	for i := range rows {
		m.n.Imaged(&rows[i])
	}
	release := m.n.ReleaseLog(limit, w.now)
	must(im.SetFrom(uint64(release)))
	_, err = m.wal.DropBelow(release)
	must(err)
	return true
}

// TestAFillNeedsTheFormerFile: a copy that is compared and filled begins, in the log, at its
// row, and an image made anew meanwhile would be without that row.
func TestAFillNeedsTheFormerFile(t *testing.T) {
	w, a, c, _ := offTheRing(t, 400, 4)
	w.save(c, func() {})
	done := false
	w.heard = func(m *member) {
		if m == c && !done && c.rep().shards[0].xfer != 0 {
			if done = true; w.saveAnew(c) {
				t.Error("a file without the row takes the place of the one that has it")
			}
		}
	}
	back(w, a, c)
	if !done {
		t.Fatal("no fill")
	}
	w.checkLog(c)
	if !w.saveAnew(c) {
		t.Error("the copy is whole, and cannot be saved")
	}
	w.checkLog(c)
	w.finish()
}

// TestACopyThatWaitsForAFill does not keep the former file for as long as it waits, and
// does not build on what went with it.
func TestACopyThatWaitsForAFill(t *testing.T) {
	w, a, c, _ := offTheRing(t, 400, 4)
	w.save(c, func() {})
	s := c.rep().shards[0]
	s.mu.Lock()
	s.doubt("for the test")
	s.whole = false
	s.mark(0)
	s.mu.Unlock()
	if !w.saveAnew(c) || !s.forgotten {
		t.Errorf("forgotten %v", s.forgotten)
	}
	back(w, a, c)
	w.checkLog(c)
	w.finish()
}
