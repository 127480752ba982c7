package shardgroup

import (
	"errors"
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// direct executes a command without the world's account of all writes.
func direct(t *testing.T, w *world, a *member, c *statemachine.Command) {
	t.Helper()
	do := func() error {
		_, err := a.rep().Do(a.rep().shards[0].id, c, Async, &statemachine.Result{}, w.now)
		return err
	}
	err := do()
	if errors.Is(err, ErrDelayed) {
		w.run(10e6)
		err = do()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pastOf reads a walk to its end; between runs between two steps.
func pastOf(t *testing.T, w *world, p *Past, between func(step int)) (b []byte, err error) {
	t.Helper()
	for more, step := true, 0; more; step++ {
		between(step)
		if b, more, _, err = p.Next(2<<10, b, w.now); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// TestABackupIsOfOneMoment: what a walk brings is what the shard held when it began, while
// every key is overwritten, deleted, or dies, and new ones come.
func TestABackupIsOfOneMoment(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 1, 1)
	w.timed = true
	a := w.serve(1)
	set := func(i int, value string, ttl int64) {
		t.Helper()
		c := &statemachine.Command{Kind: statemachine.Set, Key: fmt.Appendf(nil, "k%d", i), Value: []byte(value)}
		if ttl > 0 {
			c.TTLMode, c.TTL = statemachine.TTLRelative, ttl
		}
		direct(t, w, a, c)
	}
	const n = 3000
	for i := range n {
		set(i, fmt.Sprint("old", i), int64(i%3)*1000)
	}
	s := a.rep().shards[0]
	p, _, err := a.rep().Freeze(s.id, 8<<20, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.rep().Freeze(s.id, 8<<20, w.now); !errors.Is(err, ErrFrozen) {
		t.Errorf("a second walk: %v", err)
	}
	want, position := s.m.Digest(), s.m.Position()
	kept := int64(0)
	b, err := pastOf(t, w, p, func(step int) {
		for i := range 50 {
			switch i := (step*50 + i) * 7919 % (2 * n); i % 3 {
			case 0:
				set(i, "new", 0)
			case 1:
				direct(t, w, a, &statemachine.Command{Kind: statemachine.Del, Key: fmt.Appendf(nil, "k%d", i)})
			}
		}
		w.pass(20e6)
		kept = max(kept, p.KeptBytes())
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Position() != position || statemachine.ChunkDigest(a.n.cfg.Secret, b) != want || kept == 0 {
		t.Errorf("the walk brought another state than that of %v; it kept %d bytes at most", position, kept)
	}
	if s.m.Digest() == want {
		t.Error("nothing changed meanwhile: the test shows nothing")
	}
	if p, _, err = a.rep().Freeze(s.id, 8<<20, w.now); err != nil {
		t.Errorf("a walk after the end of another: %v", err)
	}
	p.End()
}

// TestABackupEndsWithItsTenure: a walk of a holder whose lease ended, or whose epoch is
// another, says so; what comes next may lack what it showed.
func TestABackupEndsWithItsTenure(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 1, 1)
	a := w.serve(1)
	for i := range 500 {
		direct(t, w, a, &statemachine.Command{Kind: statemachine.Set, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v")})
	}
	s := a.rep().shards[0]
	for name, change := range map[string]func(){
		"another epoch": func() { s.epoch++ },
		"no lease":      func() { s.lease = nil },
	} {
		lease, epoch := s.lease, s.epoch
		p, _, err := a.rep().Freeze(s.id, 8<<20, w.now)
		if err != nil {
			t.Fatal(err)
		}
		change()
		if _, _, _, err := p.Next(1<<10, nil, w.now); !errors.Is(err, ErrTenure) {
			t.Errorf("%s: %v", name, err)
		}
		s.lease, s.epoch = lease, epoch
		if _, _, _, err := p.Next(1<<10, nil, w.now); err == nil {
			t.Errorf("%s, and back: the walk goes on", name)
		}
	}
}

// TestABackupThatBringsSomethingElse is not believed: what came is held against the digest
// of the moment.
func TestABackupThatBringsSomethingElse(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 1, 1)
	a := w.serve(1)
	direct(t, w, a, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v")})
	p, _, err := a.rep().Freeze(a.rep().shards[0].id, 8<<20, w.now)
	if err != nil {
		t.Fatal(err)
	}
	p.digest ^= 1
	if _, err := pastOf(t, w, p, func(int) {}); !errors.Is(err, errPast) {
		t.Errorf("it ends with %v", err)
	}
}
