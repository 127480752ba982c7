package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// imagePath is where the image of this node lives: always in its own directory, because a
// log is told from another's by that directory's identity.
func (n *Node) imagePath() string { return filepath.Join(n.dir.path, "image.db") }

// loaded is what the image gave at the start.
type loaded struct {
	shards int             // that it had something of
	lost   map[uint16]bool // that it should have had, or that nothing leads on from
	took   time.Duration
	worn   bool // something in it cannot be read: the next one is a new file
}

// leaveImage refuses an image whose log is not there: what was written behind it is
// unknown, and it must not come back by a log that begins anew. Where that may be lost it
// is moved out of the way.
func (n *Node) leaveImage() error {
	path := n.imagePath()
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	if !n.cfg.AcceptDataLoss {
		return fmt.Errorf("%s was made of a write-ahead log that is not in %s: bring the log back, or say where it is with --wal-dir; to begin without what both held, remove the image too, or start with --accept-data-loss",
			path, n.cfg.logDir(n.dir.path))
	}
	to, err := image.SetAside(path)
	if err == nil {
		n.log.Warn("the image is left behind, because the write-ahead log that it belongs to is not there, as was accepted", zap.String("to", to))
	}
	return err
}

// openImage opens the image. One that cannot be read is set aside: then the log alone
// tells what it still tells, and says which shards it does not.
func (n *Node) openImage() (*image.Image, error) {
	cfg := image.Config{Path: n.imagePath(), ID: n.uuid, Shards: n.founded.Settings.Shards}
	im, err := image.Open(cfg)
	if !errors.Is(err, image.ErrDamaged) {
		return im, err
	}
	to, aside := image.SetAside(cfg.Path)
	if aside != nil {
		return nil, errors.Join(err, aside)
	}
	n.log.Error("the image cannot be read and is set aside", zap.Error(err), zap.String("to", to))
	return image.Open(cfg)
}

// loadImage brings what the image holds into the copies that raft.db knows, on all
// processors, and says from where the log goes on.
func (n *Node) loadImage(ctx context.Context, cfg *wal.Config) error {
	d := n.durable
	var err error
	if d.image, err = n.openImage(); err != nil {
		return err
	}
	from, err := d.image.From()
	if err != nil {
		return err
	}
	cfg.From, cfg.Durable = wal.LSN(from), wal.LSN(d.image.UpTo())
	d.progress.image.Store(d.image.Bytes())
	d.progress.total.Store(d.image.Bytes())
	d.loaded.lost = map[uint16]bool{}
	var mu sync.Mutex // guards d.loaded and told
	told := d.progress.begun
	var next atomic.Int64
	var done sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		done.Go(func() {
			for id := next.Add(1) - 1; id < int64(cfg.Shards) && ctx.Err() == nil; id = next.Add(1) - 1 {
				had, err := n.loadShard(shardmap.ShardID(id))
				d.progress.done.Add(d.progress.image.Load() / int64(cfg.Shards))
				mu.Lock()
				told = d.progress.tell(n.log, "reading the image", told)
				d.loaded.took = time.Since(d.progress.begun)
				if had {
					d.loaded.shards++
				}
				if err != nil {
					d.loaded.lost[uint16(id)] = true
					d.loaded.worn = d.loaded.worn || errors.Is(err, image.ErrDamaged)
					n.log.Error("a shard does not come out of the image, and is lost but for what the log tells from its beginning", zap.Error(err))
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	return ctx.Err()
}

// loadShard brings one shard, if there is anything of it.
func (n *Node) loadShard(id shardmap.ShardID) (had bool, err error) {
	data := n.core.Data()
	to := data.Loading(id)
	if to == nil {
		return false, nil
	}
	c := &countingLoader{Loader: to}
	if err = n.durable.image.Load(uint16(id), c); err != nil {
		data.Lost(id)
	}
	return c.begun, err
}

// countingLoader notices whether there was anything to load.
type countingLoader struct {
	image.Loader
	begun bool
}

func (c *countingLoader) Begin(r *image.Row) error {
	c.begun = true
	return c.Loader.Begin(r)
}

// unreached adds the shards whose image the log did not come to the end of.
func (n *Node) unreached() {
	for id := range n.founded.Settings.Shards {
		r, err := n.durable.image.Row(uint16(id))
		if err == nil && r != nil && n.core.Data().ReplicaOf(shardmap.ShardID(id)) != nil && !n.core.Data().InLog(shardmap.ShardID(id)) {
			n.durable.loaded.lost[uint16(id)] = true
		}
	}
}
