package image

import (
	"errors"
	"os"
	"testing"
)

// TestPasses saves copies that change between passes, and shrink and grow in blocks: what
// is loaded is what they were when the last pass saw them.
func TestPasses(t *testing.T) { passes(t, modelConfig(t)) }

// TestPassesInMemory is the same on the simulator's disk.
func TestPassesInMemory(t *testing.T) {
	cfg := modelConfig(t)
	cfg.Disk = NewMemory()
	passes(t, cfg)
}

func passes(t *testing.T, cfg Config) {
	im, shards := mustOpen(t, cfg), models()
	var total Counts
	for round := range 60 {
		for _, m := range shards {
			m.write(m.r.Intn(40))
			m.width = 1 << m.r.Intn(8)
			if m.r.Intn(20) == 0 {
				clear(m.held)
			}
		}
		c := pass(t, im, shards, free())
		total.Kept, total.Written = total.Kept+c.Kept, total.Written+c.Written
		if round%7 == 6 {
			if err := im.Close(); err != nil {
				t.Fatal(err)
			}
			im = mustOpen(t, cfg)
		}
		if err := wantShards(im, shards); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		wantBlocks(t, im)
	}
	if total.Kept == 0 || total.Written == 0 {
		t.Errorf("%+v", total)
	}
}

// wantBlocks wants no block in the file that no index names.
func wantBlocks(t *testing.T, im *Image) {
	t.Helper()
	err := im.view(func(tx tx) error {
		for shard := range im.cfg.Shards {
			r, index, err := read(tx, uint16(shard))
			if err != nil {
				return err
			}
			bytes := uint64(0)
			for _, e := range index {
				bytes += uint64(len(tx.Bucket(bucketBlocks).Get(blockKey(uint16(shard), e.lo, e.gen))))
			}
			if r != nil && r.Bytes != bytes {
				t.Errorf("shard %d: the row counts %d bytes, the blocks have %d", shard, r.Bytes, bytes)
			}
			if s := strays(tx, uint16(shard), index); len(s) > 0 {
				t.Errorf("shard %d: %d blocks that no index names", shard, len(s))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNothingIsWrittenTwice: a pass over what has not changed writes rows only.
func TestNothingIsWrittenTwice(t *testing.T) {
	im, shards := mustOpen(t, modelConfig(t)), models()
	for _, m := range shards {
		m.write(300)
	}
	if c := pass(t, im, shards, free()); c.Kept != 0 || c.Written < 4*8 {
		t.Errorf("the first pass: %+v", c)
	}
	first := pass(t, im, shards, free())
	if first.Written != 0 || first.Kept == 0 || first.Shards != modelShards {
		t.Errorf("the second: %+v", first)
	}
	shards[1].write(1)
	if c := pass(t, im, shards, free()); c.Written == 0 || c.Written > 6 {
		t.Errorf("after one change: %+v", c)
	}
}

// TestACopyThatIsNoneAnyMore leaves the image of a shard as it was, and nothing behind.
func TestACopyThatIsNoneAnyMore(t *testing.T) {
	im, shards := mustOpen(t, modelConfig(t)), models()
	m := shards[0]
	m.write(300)
	pass(t, im, shards, free())
	was := len(m.held)
	lsn := m.lsn
	m.write(300)
	reads := 0
	m.moves = func(*model) { reads++; m.gone = reads == 5 }
	if c := pass(t, im, shards, free()); c.Abandoned != 1 || c.Shards != modelShards-1 {
		t.Errorf("%+v", c)
	}
	l := &loaded{}
	if err := im.Load(0, l); err != nil || l.row.To.LSN != lsn || len(l.held) != was {
		t.Errorf("%v: at %d with %d cells, it was at %d with %d", err, l.row.To.LSN, len(l.held), lsn, was)
	}
	wantBlocks(t, im)
}

// TestNoImageIsAheadOfItsLog: nothing is written before the log is durable up to there.
func TestNoImageIsAheadOfItsLog(t *testing.T) {
	im, shards := mustOpen(t, modelConfig(t)), models()
	for _, m := range shards {
		m.write(300)
	}
	full := errors.New("the disk is full")
	h := free()
	var asked uint64
	h.Durable = func(lsn uint64) error { asked = lsn; return full }
	h.Saved = func(r *Row) { t.Errorf("saved %+v", r) }
	v, err := im.Begin(h)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range shards {
		if err := v.Shard(uint16(i), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Flush(); !errors.Is(err, full) || asked != 300 {
		t.Errorf("asked for %d: %v", asked, err)
	}
	for i := range shards {
		if r, err := im.Row(uint16(i)); err != nil || r != nil {
			t.Errorf("shard %d: %+v, %v", i, r, err)
		}
	}
	if lsn := im.UpTo(); lsn != 0 {
		t.Errorf("up to %d", lsn)
	}
}

// TestForgottenShards are not in the image any more, nor is what the log has let go of.
func TestForgottenShards(t *testing.T) {
	im, shards := mustOpen(t, modelConfig(t)), models()
	for _, m := range shards {
		m.write(100)
	}
	pass(t, im, shards, free())
	v, err := im.Begin(free())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.Forget(1), v.Forget(1), v.Flush()); err != nil {
		t.Fatal(err)
	}
	if err := im.Load(1, &loaded{}); err != nil {
		t.Errorf("a log that tells all by itself: %v", err)
	}
	wantBlocks(t, im)
	if err := im.SetFrom(50); err != nil {
		t.Fatal(err)
	}
	if err := im.Load(1, &loaded{}); !errors.Is(err, errStale) {
		t.Errorf("the log tells no beginning: %v", err)
	}
	if err := im.Load(0, &loaded{}); err != nil {
		t.Errorf("the log leads on: %v", err)
	}
	if err := im.SetFrom(101); err != nil {
		t.Fatal(err)
	}
	if err := im.Load(0, &loaded{}); !errors.Is(err, errStale) {
		t.Errorf("the log begins behind the image: %v", err)
	}
	if from, err := im.From(); from != 101 || err != nil {
		t.Errorf("from %d, %v", from, err)
	}
}

// TestAnew makes an image beside a former one, which goes only when the new one is complete.
func TestAnew(t *testing.T) {
	cfg := modelConfig(t)
	im, shards := mustOpen(t, cfg), models()
	for _, m := range shards {
		m.write(100)
	}
	pass(t, im, shards, free())
	for complete := range 2 {
		fresh, err := im.Anew()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shards {
			m.write(complete * 50)
			m.filled = complete == 0
		}
		if c := pass(t, fresh, shards, free()); c.Abandoned != (1-complete)*modelShards {
			t.Errorf("complete %d: %+v", complete, c)
		}
		if complete == 0 {
			_ = fresh.Close()
			continue
		}
		if err := fresh.Replace(im); err != nil {
			t.Fatal(err)
		}
		_ = fresh.Close()
	}
	if err := wantShards(mustOpen(t, cfg), shards); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.Path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the former name: %v", err)
	}
}

// TestRefusals: a newer format, another log, another number of shards, no image at all.
func TestRefusals(t *testing.T) {
	cfg := modelConfig(t)
	write := func(h []byte) {
		im := mustOpen(t, cfg)
		err := im.db.Update(func(tx tx) error { return tx.Bucket(bucketHead).Put(keyHead, h) })
		if err := errors.Join(err, im.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(encodeHead(&head{format: format + 1, shards: modelShards, id: cfg.ID}))
	if _, err := Open(cfg); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer one: %v", err)
	}
	for _, other := range []Config{
		{Path: cfg.Path + "1", ID: [16]byte{4}, Shards: modelShards, NoSync: true},
		{Path: cfg.Path + "2", ID: cfg.ID, Shards: 1, NoSync: true},
	} {
		_ = mustOpen(t, other).Close()
		other.ID, other.Shards = cfg.ID, cfg.Shards
		if _, err := Open(other); !errors.Is(err, ErrForeign) {
			t.Errorf("another one: %v", err)
		}
	}
	for name, bytes := range map[string][]byte{"text": []byte("no image"), "zeros": make([]byte, 64<<10)} {
		path := cfg.Path + name
		if err := os.WriteFile(path, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		other := cfg
		other.Path = path
		if _, err := Open(other); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if to, err := SetAside(path); err != nil || to == path {
			t.Error(to, err)
		}
		_ = mustOpen(t, other).Close()
	}
}

// TestInspect reads an image without knowing whose it is, and names what is damaged.
func TestInspect(t *testing.T) {
	cfg, shards, file, places := damaged(t)
	rep, err := Inspect(cfg.Path)
	if err != nil || rep.ID != cfg.ID || rep.Shards != modelShards || len(rep.Rows) != len(shards) || len(rep.Damages) != 0 || rep.Saved != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	file[places[0][100]] ^= 1
	if err := os.WriteFile(cfg.Path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if rep, err = Inspect(cfg.Path); err != nil || len(rep.Damages) != 1 || !errors.Is(rep.Damages[0], ErrDamaged) || len(rep.Rows) != len(shards)-1 {
		t.Errorf("damaged: %+v, %v", rep, err)
	}
	im := mustOpen(t, cfg)
	if _, err := Inspect(cfg.Path); !errors.Is(err, ErrBusy) {
		t.Errorf("open elsewhere: %v", err)
	}
	_ = im.Close()
	if _, err := Inspect(cfg.Path + ".not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
}
