package node

import (
	"errors"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// Saver saves the copies of a node into its image, and lets go of the log that a restart
// does not need then. Its owner says when a pass is due, and gives it the time it takes.
type Saver struct {
	Data      *shardgroup.Node
	Log       *wal.Log
	Image     *image.Image // the one that counts
	Shards    int
	RingBytes int64 // of log that is kept for the rings, whatever the image holds

	Anew bool    // the next pass makes a new file
	From wal.LSN // the log may be gone below
	End  wal.LSN // of the log when the last whole pass began
	Live int64   // bytes of the blocks that count, as of the last pass

	noted wal.LSN // up to here the image says that the log is durable
}

// Pass is what one pass over all shards needs of its surroundings.
type Pass struct {
	image.Hooks
	Dead func() error             // an error ends the pass
	Done func(shards int)         // how many are saved; nil: nobody asks
	Now  func() multiraft.Instant // for how long a fill has stood still
	Wall func() int64             // unix ms
}

const (
	saveTries = 3        // for a shard that became another while it was saved
	wornBytes = 64 << 20 // of free pages beyond as much as is in use are worth a new file
)

var errUnsaved = errors.New("copies changed, or were filled, while a new file was made")

// Save saves every shard and cuts the log. Into a new file it saves all there is, and
// nothing that was saved counts before that file is in its place.
func (s *Saver) Save(p Pass) (counts image.Counts, err error) {
	im, limit := s.Image, s.Log.End()
	if s.Anew {
		if im, err = s.Image.Anew(); err != nil {
			return counts, err
		}
	}
	var rows []image.Row
	h := p.Hooks
	h.Saved = func(r *image.Row) {
		if rows = append(rows, *r); p.Saved != nil {
			p.Saved(r)
		}
	}
	v, err := im.Begin(h)
	if err == nil {
		err = s.all(&p, v)
	}
	if err == nil && mutant.Is("cut-before-checkpoint-durable") {
		err = s.dropBelow(limit)
	}
	if err == nil {
		err = v.Finish(p.Wall())
	}
	if err == nil && s.Anew {
		err = s.replace(im)
	}
	if err != nil {
		return counts, s.broken(im, err)
	}
	s.Image, s.Anew, s.End, s.Live = im, false, limit, 0
	for i := range rows {
		s.Live += int64(rows[i].Bytes)
		s.Data.Imaged(&rows[i])
	}
	s.Anew = im.Bytes() > 2*s.Live+wornBytes
	return v.Counts, s.cut(limit, p.Now())
}

// replace puts a new file in the place of the former one.
func (s *Saver) replace(im *image.Image) error {
	err := im.SetFrom(uint64(s.From))
	if err == nil {
		err = im.SetDurable(uint64(s.Log.Synced()))
	}
	if err == nil {
		err = im.Replace(s.Image)
	}
	return err
}

// broken gives up a pass. Nothing is written to a file any more that failed once; a new one
// that is not complete is nothing.
func (s *Saver) broken(im *image.Image, err error) error {
	if im != s.Image {
		_ = im.Close()
	}
	s.Anew = true
	return err
}

// all saves every shard that this node has a copy of, and forgets the others.
func (s *Saver) all(p *Pass, v *image.Save) error {
	unsaved, done := make([]uint16, s.Shards), 0
	for i := range unsaved {
		unsaved[i] = uint16(i)
	}
	for try := 0; try < saveTries && len(unsaved) > 0; try++ {
		var again []uint16
		for _, id := range unsaved {
			if err := p.Dead(); err != nil {
				return err
			}
			given := v.Abandoned
			if err := s.shard(v, id); err != nil {
				return err
			}
			if v.Abandoned > given {
				again = append(again, id)
			} else if done++; p.Done != nil {
				p.Done(done)
			}
		}
		unsaved = again
	}
	if len(unsaved) > 0 && s.Anew {
		return errUnsaved // their former image is in the former file
	}
	return nil
}

func (s *Saver) shard(v *image.Save, id uint16) error {
	if src := s.Data.Checkpoint(shardmap.ShardID(id)); src != nil {
		return v.Shard(id, src)
	}
	return v.Forget(id)
}

// cut lets go of the log that a restart does not need, but for what the rings hold: a
// holder that comes back must be able to say what of it was undone.
func (s *Saver) cut(limit wal.LSN, now multiraft.Instant) error {
	rings, end := wal.LSN(s.RingBytes), s.Log.End()
	if end <= rings {
		return nil
	}
	return s.dropBelow(s.Data.ReleaseLog(min(limit, end-rings), now))
}

// dropBelow removes log, once the image says that it may be gone.
func (s *Saver) dropBelow(from wal.LSN) error {
	if from <= s.From {
		return nil
	}
	if err := s.Image.SetFrom(uint64(from)); err != nil {
		s.Anew = true
		return err
	}
	s.From = from
	_, err := s.Log.DropBelow(from)
	return err
}

// Note writes into the image how far the log is durable. A log that was brought back from
// a backup is whole in itself, and nothing in it says that it is an older one.
func (s *Saver) Note() error {
	synced := s.Log.Synced()
	if s.Anew || synced <= s.noted { // nothing is written to a file that failed
		return nil
	}
	if err := s.Image.SetDurable(uint64(synced)); err != nil {
		s.Anew = true
		return err
	}
	s.noted = synced
	return nil
}
