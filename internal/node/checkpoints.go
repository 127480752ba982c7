package node

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// checkpoints saves the copies of this node into its image, so that the log can be cut:
// when it has grown, when time has passed, and when somebody asks. It is one goroutine.
type checkpoints struct {
	n    *Node
	d    *durability
	ask  chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup

	running      atomic.Bool
	shards       atomic.Int64 // done in the pass under way, or in the last one
	failed       atomic.Bool  // the last pass
	failures     atomic.Int64
	lastBegun    atomic.Int64 // when the last whole pass began, unix ms: it has all that was written before
	lastSave     atomic.Int64 // unix ms, 0 = never
	lastDuration atomic.Int64 // of the last pass, ns
	passes       atomic.Int64
	fileBytes    atomic.Int64

	anew  bool    // the next pass makes a new file
	from  wal.LSN // the log may be gone below
	saved wal.LSN // the end of the log when the last pass began
	noted wal.LSN // up to here the image says that the log is durable
	live  int64   // bytes of the blocks that count, as of the last pass
	pace  pacer
}

const (
	saveGrown = 256 << 20        // bytes of log that are worth a pass, at least: some two seconds of recovery; after 64 MiB a small node that is written to saves all the time
	saveEvery = 5 * time.Minute  // after which any change is
	saveTries = 3                // for a shard that became another while it was saved
	noteEvery = 10 * time.Second // how much of a log can be missing, and nobody knows, if an older one is put in its place
	wornBytes = 64 << 20         // of free pages beyond as much as is in use are worth a new file
)

// runCheckpoints begins to keep the image.
func (d *durability) runCheckpoints(n *Node) {
	ctx, stop := context.WithCancel(context.Background())
	from, _ := d.image.From()
	c := &checkpoints{n: n, d: d, ask: make(chan struct{}, 1), stop: stop, anew: d.loaded.worn, from: wal.LSN(from), saved: wal.LSN(from)}
	c.fileBytes.Store(d.image.Bytes())
	if at, err := d.image.Saved(); err == nil {
		c.lastSave.Store(at)
	}
	d.checkpoints = c
	c.done.Go(func() { c.run(ctx) })
}

// end stops a pass under way, which leaves the former image.
func (c *checkpoints) end() {
	if c != nil {
		c.stop()
		c.done.Wait()
	}
}

// save asks for a pass; false when one is under way.
func (c *checkpoints) save() bool {
	if c.running.Load() {
		return false
	}
	select {
	case c.ask <- struct{}{}:
	default:
	}
	return true
}

func (c *checkpoints) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, noted := time.Now(), time.Now()
	for {
		asked := false
		select {
		case <-ctx.Done():
			c.note()
			return
		case <-c.ask:
			asked = true
		case <-tick.C:
		}
		if time.Since(noted) >= noteEvery {
			c.note()
			noted = time.Now()
		}
		if !asked && !c.due(time.Since(last)) {
			continue
		}
		err := c.timed(ctx)
		if ctx.Err() != nil || c.d.log.Err() != nil {
			return
		}
		last = time.Now()
		if c.failed.Store(err != nil); err != nil {
			c.failures.Add(1)
			c.n.log.Error("the image could not be written: the log keeps growing until the next one is", zap.Error(err))
		}
	}
}

// note writes into the image how far the log is durable. A log that was brought back from
// a backup is whole in itself, and nothing in it says that it is an older one.
func (c *checkpoints) note() {
	synced := c.d.log.Synced()
	if c.anew || synced <= c.noted { // nothing is written to a file that failed
		return
	}
	if err := c.d.image.SetDurable(uint64(synced)); err != nil {
		c.anew = true
		c.n.log.Error("the image could not be written: the next one is a new file", zap.Error(err))
		return
	}
	c.noted = synced
}

// due says whether the log has grown by as much as the image has, or enough time has
// passed. After an error the size alone would try again at once, for ever.
func (c *checkpoints) due(since time.Duration) bool {
	grown := int64(c.d.log.End() - c.saved)
	return since >= saveEvery && grown > 0 || grown >= max(saveGrown, c.live) && (!c.failed.Load() || since > saveEvery/10)
}

func (c *checkpoints) timed(ctx context.Context) error {
	c.running.Store(true)
	defer c.running.Store(false)
	begun := time.Now()
	counts, err := c.pass(ctx)
	if err != nil {
		return err
	}
	c.lastBegun.Store(begun.UnixMilli())
	c.lastDuration.Store(int64(time.Since(begun)))
	c.passes.Add(1)
	c.n.log.Info("saved", zap.Int("shards", counts.Shards), zap.Int("blocksWritten", counts.Written), zap.Int("blocksKept", counts.Kept),
		zap.Int64("bytes", counts.Bytes), zap.Int("commits", counts.Commits), zap.Duration("took", time.Since(begun)), zap.Uint64("logFrom", uint64(c.from)))
	return nil
}

// pass saves every shard and cuts the log. Into a new file it saves all there is, and
// nothing that was saved counts before that file is in its place.
func (c *checkpoints) pass(ctx context.Context) (counts image.Counts, err error) {
	im, limit := c.d.image, c.d.log.End()
	if c.anew {
		if im, err = c.d.image.Anew(); err != nil {
			return counts, err
		}
	}
	var rows []image.Row
	c.pace.begin()
	v, err := im.Begin(image.Hooks{
		Durable: func(lsn uint64) error { return c.d.committer.Wait(wal.LSN(lsn), true) },
		Saved:   func(r *image.Row) { rows = append(rows, *r) },
		Pause:   func() { c.pace.pause(ctx) },
	})
	if err == nil {
		err = c.all(ctx, v)
	}
	if err == nil {
		err = v.Finish(time.Now().UnixMilli())
	}
	if err == nil && c.anew {
		if err = im.SetFrom(uint64(c.from)); err == nil {
			err = im.SetDurable(uint64(c.d.log.Synced()))
		}
		if err == nil {
			err = im.Replace(c.d.image)
		}
	}
	if err != nil {
		return counts, c.broken(im, err)
	}
	c.d.image, c.anew, c.saved, c.live = im, false, limit, 0
	for i := range rows {
		c.live += int64(rows[i].Bytes)
		c.n.core.Data().Imaged(&rows[i])
	}
	c.lastSave.Store(time.Now().UnixMilli())
	c.fileBytes.Store(im.Bytes())
	c.anew = im.Bytes() > 2*c.live+wornBytes
	return v.Counts, c.cut(limit)
}

// broken gives up a pass. Nothing is written to a file any more that failed once; a new one
// that is not complete is nothing.
func (c *checkpoints) broken(im *image.Image, err error) error {
	if im != c.d.image {
		_ = im.Close()
	}
	c.anew = true
	return err
}

var errUnsaved = errors.New("copies changed, or were filled, while a new file was made")

// all saves every shard that this node has a copy of, and forgets the others.
func (c *checkpoints) all(ctx context.Context, v *image.Save) error {
	unsaved := make([]uint16, c.n.founded.Settings.Shards)
	for i := range unsaved {
		unsaved[i] = uint16(i)
	}
	c.shards.Store(0)
	for try := 0; try < saveTries && len(unsaved) > 0; try++ {
		var again []uint16
		for _, id := range unsaved {
			if err := ctx.Err(); err != nil {
				return err
			}
			given := v.Abandoned
			if err := c.shard(v, id); err != nil {
				return err
			}
			if v.Abandoned > given {
				again = append(again, id)
			} else {
				c.shards.Add(1)
			}
		}
		unsaved = again
	}
	if len(unsaved) > 0 && c.anew {
		return errUnsaved // their former image is in the former file
	}
	return nil
}

func (c *checkpoints) shard(v *image.Save, id uint16) error {
	if src := c.n.core.Data().Checkpoint(shardmap.ShardID(id)); src != nil {
		return v.Shard(id, src)
	}
	return v.Forget(id)
}

// cut lets go of the log that a restart does not need, but for what the rings hold: a
// holder that comes back must be able to say what of it was undone.
func (c *checkpoints) cut(limit wal.LSN) error {
	rings := wal.LSN(divide(c.n.cfg.MaxMemoryBytes).rings)
	if end := c.d.log.End(); end > rings {
		limit = min(limit, end-rings)
	} else {
		return nil
	}
	mono, offset := multiraft.CheckClock()
	from := c.n.core.Data().ReleaseLog(limit, multiraft.Instant{Mono: mono, SuspendOffset: offset})
	if from <= c.from {
		return nil
	}
	if err := c.d.image.SetFrom(uint64(from)); err != nil {
		c.anew = true
		return err
	}
	c.from = from
	_, err := c.d.log.DropBelow(from)
	return err
}

// fields are what INFO says of the image.
func (c *checkpoints) fields() [][2]string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	running, status := "0", "ok"
	if c.running.Load() {
		running = "1"
	}
	if c.failed.Load() {
		status = "err"
	}
	return [][2]string{
		{"rdb_bgsave_in_progress", running},
		{"rdb_last_save_time", n(c.lastSave.Load() / 1000)},
		{"rdb_last_bgsave_status", status},
		{"rdb_last_bgsave_time_sec", n(c.lastDuration.Load() / int64(time.Second))},
		{"rdb_saves", n(c.passes.Load())},
		{"aegis_time_ms", n(time.Now().UnixMilli())},
		{"aegis_save_failures", n(c.failures.Load())},
		{"aegis_last_save_begun_ms", n(c.lastBegun.Load())},
		{"aegis_save_shards_done", n(c.shards.Load())},
		{"aegis_save_shards", n(int64(c.n.founded.Settings.Shards))},
		{"aegis_image_bytes", n(c.fileBytes.Load())},
		{"aegis_image_read_shards", n(int64(c.d.loaded.shards))},
		{"aegis_image_read_ms", n(c.d.loaded.took.Milliseconds())},
	}
}

// pacer keeps a pass to a part of one processor and of the disk: after work, it rests
// restShare times as long.
type pacer struct {
	at   time.Time // the work began
	rest time.Duration
}

const (
	restShare = 4                    // a fifth is work
	restLeast = 2 * time.Millisecond // shorter ones are put together
)

func (p *pacer) begin() { p.at, p.rest = time.Now(), 0 }

// pause is called between two pieces of work.
func (p *pacer) pause(ctx context.Context) {
	p.rest += restShare * time.Since(p.at)
	if p.rest >= restLeast {
		t := time.NewTimer(p.rest)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		p.rest = 0
	}
	p.at = time.Now()
}
