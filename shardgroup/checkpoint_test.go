package shardgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// imageConfig is of the image that a member of a world keeps.
func (m *member) imageConfig() image.Config {
	return image.Config{
		Path: filepath.Join(m.w.t.TempDir(), "image.db"), Shards: m.w.cfg.Layout.Shards, NoSync: true,
	}
}

var errDead = errors.New("the process is dead")

// save makes an image of a member, and lets something happen after every piece of it. What
// it does not need of the log any more goes.
func (w *world) save(m *member, between func()) {
	if !m.up || m.saving || w.fail != "" {
		return
	}
	if m.image == nil {
		im, err := image.Open(m.imageConfig())
		if err != nil {
			w.t.Fatal(err)
		}
		w.files = append(w.files, im)
		m.image = im
	}
	m.saving = true
	defer func() { m.saving = false }()
	n, log, im := m.n, m.wal, m.image // a crash in between makes them those of a former process
	must := func(err error) {
		if err != nil && m.n == n {
			w.t.Fatal(err)
		}
	}
	v, err := im.Begin(image.Hooks{
		Durable: func(lsn uint64) error {
			if m.n != n {
				return errDead
			}
			if _, err := log.Commit(); err != nil {
				return err
			}
			return log.Sync()
		},
		Saved: func(r *image.Row) {
			if r.From.Position != r.To.Position {
				w.moved++
			}
			n.Imaged(r)
		},
		Pause: between,
	})
	must(err)
	limit := log.End()
	for id := range w.cfg.Layout.Shards {
		if src := n.Checkpoint(shardmap.ShardID(id)); src != nil {
			must(v.Shard(uint16(id), src))
		} else {
			must(v.Forget(uint16(id)))
		}
	}
	if m.n != n { // what is dead writes nothing
		return
	}
	must(v.Finish(1))
	w.images.add(&images{passes: 1, Counts: v.Counts})
	from := n.ReleaseLog(limit, w.now)
	must(im.SetFrom(uint64(from)))
	if freed, err := log.DropBelow(from); err != nil {
		w.t.Fatal(err)
	} else if freed > 0 {
		w.images.dropped++
	}
	if m.n == n {
		w.checkLog(m)
	}
}

// images counts what the checkpoints of a world did.
type images struct {
	saves bool
	files []*image.Image
	// passes; those after which segments went; shards to which records came meanwhile
	passes, dropped, moved int
	image.Counts
}

func (i *images) closeFiles() {
	for _, im := range i.files {
		_ = im.Close()
	}
}

func (i *images) add(o *images) {
	i.passes, i.dropped, i.moved = i.passes+o.passes, i.dropped+o.dropped, i.moved+o.moved
	i.Shards, i.Abandoned, i.Kept = i.Shards+o.Shards, i.Abandoned+o.Abandoned, i.Kept+o.Kept
	i.Written, i.Bytes, i.Commits = i.Written+o.Written, i.Bytes+o.Bytes, i.Commits+o.Commits
}

// loadInto brings a member's image into a node, and says where the log goes on.
func (m *member) loadInto(n *Node, cfg *wal.Config) {
	from, err := m.image.From()
	if err != nil {
		m.w.t.Fatal(err)
	}
	cfg.From, cfg.Durable = wal.LSN(from), wal.LSN(m.image.UpTo())
	for id := range m.w.cfg.Layout.Shards {
		id := shardmap.ShardID(id)
		if err := m.image.Load(uint16(id), n.Loading(id)); err != nil {
			n.Lost(id)
		}
	}
}

// TestCheckpoint saves the copies of a holder and of its followers while all kinds of
// writes go on between any two pieces: what image and log give back is what is in memory,
// byte by byte, dead keys, evictions, transactions, flushes and the ring included.
func TestCheckpoint(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	var total images
	for seed := range int64(6) {
		cfg := worldConfig()
		cfg.BudgetBytes, cfg.RingBytes, cfg.TailBytes = 5000, 8000, 4000
		w := newWorld(t, seed, cfg, 3, 3)
		a := w.serve(1)
		w.synced(1, 2, 3)
		w.timed = true
		some := func() {
			for range w.r.Intn(4) {
				w.randomLife(a)
			}
		}
		for i := range rounds {
			for range w.r.Intn(20) {
				w.randomLife(a)
			}
			w.save(w.nodes[w.r.Intn(3)], some)
			if i%16 == 15 {
				w.turnOver(a)
			}
			if w.fail != "" {
				t.Fatalf("seed %d, round %d: %s", seed, i, w.fail)
			}
		}
		total.add(&w.images)
	}
	t.Logf("%+v", total)
	if total.Kept == 0 || total.Written == 0 || total.Abandoned == 0 || total.dropped == 0 || total.moved == 0 {
		t.Errorf("some case was never visited: %+v", total)
	}
}

// randomLife lets a key be written or die, and the followers hear of it, or not yet.
func (w *world) randomLife(a *member) {
	c := w.randomCommand()
	c.Key = fmt.Appendf(nil, "k%d", w.r.Intn(40))
	if c.Kind == statemachine.Set && w.chance(30) {
		c.TTLMode, c.TTL = statemachine.TTLRelative, int64(1+w.r.Intn(300))
	}
	if c.Kind != statemachine.Flush && w.chance(10) {
		d := *c
		d.Key = []byte("in one")
		_, _ = w.doAll(a, w.r.Intn(2), []*statemachine.Command{c, &d}, Async)
	} else {
		_, _ = w.do(a, w.r.Intn(2), c, Async)
	}
	if w.chance(40) {
		w.spread()
	}
	if w.chance(20) {
		w.run(time.Duration(w.r.Intn(120)) * time.Millisecond)
	}
}

// turnOver leaves a holder behind with writes that nobody else has, and comes back to it:
// its copy is reverted or filled, perhaps while it is saved.
func (w *world) turnOver(a *member) {
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	for range 1 + w.r.Intn(5) {
		w.set(a, 0, fmt.Sprintf("k%d", w.r.Intn(40)), "of a branch")
	}
	w.depose(a)
	b := w.serve(2)
	w.set(b, 0, "k1", "of the lineage")
	w.save(a, func() {
		w.hush(1, 2, false)
		w.hush(1, 3, false)
		w.spread()
	})
	w.run(time.Second)
	w.depose(b)
	w.serve(1)
	w.run(time.Second)
}
