package sim

import (
	"bytes"
	"fmt"
	mrand "math/rand"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// stallLog lets a node's log be written and not synced, or go on.
func (verbs) stallLog(r role, on bool) Step {
	word := map[bool]string{true: "does not answer an fsync", false: "answers again"}[on]
	return Step{fmt.Sprint("the disk of ", r, "'s log ", word), func(s *stage) {
		p := s.cast[r]
		if p.data.held = on; !on {
			p.syncLog(0)
		}
	}}
}

// stands has a node find that the disk of its log has not answered for long, or does again.
func (verbs) stands(r role, on bool) Step {
	word := map[bool]string{true: "does not answer for long", false: "answers again"}[on]
	return Step{fmt.Sprint("the disk of ", r, "'s log ", word), func(s *stage) {
		s.cast[r].core.Data().Stalls(on)
	}}
}

// failLog lets every fsync of a node's log fail.
func (verbs) failLog(r role) Step {
	return Step{fmt.Sprint("the disk of ", r, "'s log fails"), func(s *stage) {
		s.cast[r].data.disk.Before = func(change, _ string) error {
			if change == "sync" {
				return errDisk
			}
			return nil
		}
	}}
}

// powerCut takes a machine down: nothing is left that its disk was not told to keep.
func (verbs) powerCut(r role) Step {
	return Step{fmt.Sprint("the power of ", r, " is cut"), func(s *stage) {
		p := s.cast[r]
		if p.data.down, p.data.held = true, false; p.up {
			p.crash()
		}
		seed := int64(0)
		for mrand.New(mrand.NewSource(seed)).Intn(4) != 0 { // PowerCut's draw for: nothing by chance
			seed++
		}
		p.data.disk = p.data.disk.PowerCut(mrand.New(mrand.NewSource(seed)))
		p.life++ // a supervisor would start it
	}}
}

// killWriting kills a node while a write of its log is halfway.
func (verbs) killWriting(r role) Step {
	return Step{fmt.Sprint(r, " is killed while it writes its log"), func(s *stage) {
		p := s.cast[r]
		s.must(s.proceed(sec, func() bool { return p.data.log.Backlog() > 100 }), "script", "nothing to write")
		p.data.torn = true
		p.crash()
	}}
}

// flip changes one bit of a value in a log whose node is down.
func (verbs) flip(r role, value string) Step {
	return Step{fmt.Sprintf("a bit of %q flips in the log of %v", value, r), func(s *stage) {
		disk := s.cast[r].data.disk
		files, _ := disk.List()
		for name := range files { // one has it
			b, _ := disk.Read(name, nil, 0)
			if at := bytes.Index(b, []byte(value)); at >= 0 {
				disk.Flip(name, int64(at)*8)
				return
			}
		}
		s.must(false, "script", "no log has %q", value)
	}}
}

// startReading starts a node whose log takes long, or is not read on at all after its
// beginning.
func (verbs) startReading(r role, takes time.Duration, stuck bool) Step {
	text := fmt.Sprintf("%v starts and reads its log for %v", r, takes)
	if stuck {
		text += ", and does not get on"
	}
	return Step{text, func(s *stage) {
		s.cast[r].data.slow = slowRead{takes, stuck}
		s.cast[r].start()
	}}
}

// save has an image made of a node and waits for it.
func (verbs) save(r role) Step {
	return Step{fmt.Sprint("an image is made of ", r), func(s *stage) {
		p := s.cast[r]
		before := s.acted["saved"]
		s.must(s.proceed(sec, func() bool { p.saveImage(); return s.acted["saved"] > before }), "script", "no image is made")
	}}
}

// saving has a node begin to make an image.
func (verbs) saving(r role) Step {
	return Step{fmt.Sprint("an image of ", r, " is begun"), func(s *stage) { s.cast[r].saveImage() }}
}

// killSaving kills a node when the n-th change of its image's file is about to be made.
func (verbs) killSaving(r role, n int) Step {
	return Step{fmt.Sprintf("%v is killed at change %d of its image", r, n), func(s *stage) {
		p := s.cast[r]
		s.must(s.proceed(sec, func() bool { return p.data.image.end == nil }), "script", "a pass does not end")
		p.data.image.before = func(string) {
			if n--; n == 0 {
				s.after(0, p.crash)
			}
		}
		s.proceed(sec, func() bool {
			if p.up {
				p.saveImage()
			}
			return !p.up
		})
		if p.up { // its image takes fewer changes
			p.crash()
		}
	}}
}

// flipImage changes one bit of a value in an image whose node is down.
func (verbs) flipImage(r role, value string) Step {
	return Step{fmt.Sprintf("a bit of %q flips in the image of %v", value, r), func(s *stage) {
		find := func(_ uint16, b []byte) int { return bytes.Index(b, []byte(value)) }
		s.must(s.cast[r].data.image.disk.Flip(imageName, find) == 1, "script", "no image has %q", value)
	}}
}

// back starts a node that is down, if nobody has.
func (verbs) back(r role) Step {
	return Step{fmt.Sprint(r, " starts"), func(s *stage) {
		if !s.cast[r].up {
			s.cast[r].start()
		}
	}}
}

// kept reads every key that a majority was said to hold: it is there (P15).
func (verbs) kept() Step {
	return Step{"what a majority acknowledged is there", func(s *stage) {
		for _, o := range s.tokens {
			if !o.Durable {
				continue
			}
			r := s.request(s.node(holder), &statemachine.Command{}, s.history.Name(o.Key), "", shardgroup.Async)
			if r.finish() == answered && (!r.op.Found || r.op.Version < o.Version) {
				s.broke("P15", "%s: version %v was acknowledged by a majority of logs, and there is %v (%v)", r.key, o.Version, r.op.Version, r.op.Found)
			}
		}
	}}
}

// holds wants a key to have a value at the holder (P15).
func (verbs) holds(key, value string) Step {
	return Step{fmt.Sprintf("%s is %q", key, value), func(s *stage) {
		r := s.request(s.node(holder), &statemachine.Command{}, s.keyIn(key), "", shardgroup.Async)
		if r.finish() != answered || string(r.op.Value) != value {
			s.broke("P15", "%s is %q, %s", r.key, r.op.Value, r.state)
		}
	}}
}

// judgeRead asks the holder what became of the version that a read of a key shows.
func (verbs) judgeRead(key string) Step {
	return Step{fmt.Sprint("AEGIS.CHECK of what GET ", key, " shows"), func(s *stage) {
		p := s.node(holder)
		r := s.request(p, &statemachine.Command{}, s.keyIn(key), "", shardgroup.Async)
		s.must(r.finish() == answered && r.op.Found, "script", "GET %s: %s", key, r.state)
		id, now := s.history.Shard(r.op.Key), p.clock()
		v, adm, err := p.core.Data().ReplicaOf(id).Verdict(id, r.op.Version, now)
		s.must(err == nil && adm.Fresh(now), "script", "CHECK: %v", err)
		s.history.Judged(id, r.op.Version, chaos.Verdict(v), true, p.id, s.now)
		s.note("... %v is %v", r.op.Version, v)
	}}
}
