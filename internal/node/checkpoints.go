package node

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
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

	saver Saver
	pace  pacer
}

const (
	saveGrown = 256 << 20        // bytes of log that are worth a pass, at least: some two seconds of recovery; after 64 MiB a small node that is written to saves all the time
	saveEvery = 5 * time.Minute  // after which any change is
	noteEvery = 10 * time.Second // how much of a log can be missing, and nobody knows, if an older one is put in its place
)

// runCheckpoints begins to keep the image.
func (d *durability) runCheckpoints(n *Node) {
	ctx, stop := context.WithCancel(context.Background())
	from, _ := d.image.From()
	c := &checkpoints{n: n, d: d, ask: make(chan struct{}, 1), stop: stop, saver: Saver{
		Data: n.core.Data(), Log: d.log, Image: d.image, Shards: n.founded.Settings.Shards, RingBytes: divide(n.cfg.MaxMemoryBytes).rings,
		Anew: d.loaded.worn, From: wal.LSN(from), End: wal.LSN(from),
	}}
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

// note writes into the image how far the log is durable.
func (c *checkpoints) note() {
	if err := c.saver.Note(); err != nil {
		c.n.log.Error("the image could not be written: the next one is a new file", zap.Error(err))
	}
}

// due says whether the log has grown by as much as the image has, or enough time has
// passed. After an error the size alone would try again at once, for ever.
func (c *checkpoints) due(since time.Duration) bool {
	grown := int64(c.d.log.End() - c.saver.End)
	return since >= saveEvery && grown > 0 || grown >= max(saveGrown, c.saver.Live) && (!c.failed.Load() || since > saveEvery/10)
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
		zap.Int64("bytes", counts.Bytes), zap.Int("commits", counts.Commits), zap.Duration("took", time.Since(begun)), zap.Uint64("logFrom", uint64(c.saver.From)))
	return nil
}

// pass saves every shard and cuts the log.
func (c *checkpoints) pass(ctx context.Context) (image.Counts, error) {
	c.pace.begin()
	c.shards.Store(0)
	counts, err := c.saver.Save(Pass{
		Hooks: image.Hooks{
			Durable: func(lsn uint64) error { return c.d.committer.Wait(wal.LSN(lsn), true) },
			Pause:   func() { c.pace.pause(ctx) },
		},
		Dead: ctx.Err,
		Done: func(shards int) { c.shards.Store(int64(shards)) },
		Now: func() multiraft.Instant {
			mono, offset := multiraft.CheckClock()
			return multiraft.Instant{Mono: mono, SuspendOffset: offset}
		},
		Wall: func() int64 { return time.Now().UnixMilli() },
	})
	c.d.image = c.saver.Image
	if err == nil {
		c.lastSave.Store(time.Now().UnixMilli())
		c.fileBytes.Store(c.saver.Image.Bytes())
	}
	return counts, err
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
