package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
	"github.com/baxromumarov/aegisKV/transport"
)

// restore reads the log into the copies that raft.db knows, and begins to write it. The
// node takes part in nothing meanwhile.
func (n *Node) restore(ctx context.Context) error {
	d := n.durable
	if d == nil {
		return nil
	}
	defer n.sayRecovering()()
	cfg := wal.Config{FS: d.fs, Mode: d.mode, ID: n.uuid, Boot: wal.Boot(), Shards: n.founded.Settings.Shards}
	if err := n.loadImage(ctx, &cfg); err != nil {
		return err
	}
	r := newReplay(ctx, n.core.Data(), d, n.log)
	rec, err := wal.Recover(cfg, r)
	misfits := r.end()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("write-ahead log in %s: %w", d.dir, err)
	}
	d.found, d.took = rec.Recovery, time.Since(d.progress.begun)
	n.tellRecovery(misfits)
	n.core.Data().Ended(rec.End)
	n.unreached()
	if err := n.mayLose(misfits); err != nil {
		return err
	}
	data := n.core.Self().Inc
	if d.found.Intact {
		data = incarnationOf(d.found.Life)
	}
	l, err := rec.Begin(lifeOf(data))
	if err != nil {
		return fmt.Errorf("write-ahead log in %s cannot be begun: %w", d.dir, err)
	}
	for i := range n.start.Groups {
		n.core.Data().Promised(n.start.Groups[i].Group, n.start.Groups[i].HardState.GetTerm())
	}
	n.core.Data().SetLog(l, data)
	d.run(n, l)
	d.runCheckpoints(n)
	return nil
}

// recoveringEvery is how often a node that reads says how far it is: often enough to be
// heard four times before others take it for one that is down.
const recoveringEvery = 500 * time.Millisecond

// sayRecovering tells the peers how many bytes were read, until end is called. A takeover
// waits for this node as long as that rises.
func (n *Node) sayRecovering() (end func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(recoveringEvery)
		defer tick.Stop()
		for {
			for peer := range n.mux.Peers() {
				n.mux.Send(peer, transport.Control, AppendRecovering(nil, uint64(n.durable.progress.done.Load())))
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(stop)
		done.Wait()
	}
}

// tellRecovery writes what the log held into the node's own.
func (n *Node) tellRecovery(misfits []misfit) {
	d := n.durable
	f := []zap.Field{
		zap.String("dir", d.dir), zap.Int("segments", d.found.Segments), zap.Int64("bytes", d.found.Bytes), zap.Uint64("frames", d.found.Frames), zap.Uint64("end", uint64(d.found.End)),
		zap.Duration("took", d.took), zap.Bool("intact", d.found.Intact), zap.Int("shardsFromImage", d.loaded.shards), zap.Duration("imageTook", d.loaded.took),
	}
	if t := d.found.Torn; t != nil {
		n.log.Warn("the log ends in the middle of a write, as a crash leaves it: its end is cut", zap.Stringer("at", t.Place), zap.Int64("bytes", t.Bytes))
	}
	for _, x := range d.found.Damages[:min(len(d.found.Damages), damagesTold)] {
		n.log.Error("the log is damaged", zap.Stringer("at", x.Place), zap.String("why", x.Why), zap.Uint16s("shards", x.Shards))
	}
	for _, m := range misfits[:min(len(misfits), damagesTold)] {
		n.log.Error("a frame of the log does not fit the copy it is of, which begins anew", zap.Uint16("shard", m.shard), zap.Uint64("lsn", uint64(m.at)))
	}
	switch {
	case d.found.Mode == wal.Off:
		n.log.Info("a write-ahead log begins", f...)
	case d.found.Intact:
		n.log.Info("the write-ahead log was read", f...)
	default:
		n.log.Warn("the write-ahead log was read, and may lack what was written last", append(f, zap.String("why", d.found.Why))...)
	}
}

// damagesTold is how many places of a damaged log are named one by one.
const damagesTold = 20

// mayLose refuses a start that loses data for good: shards whose log is damaged, and that
// did not begin anew behind the damage, of which no other node has a copy. The operator
// may take that.
func (n *Node) mayLose(misfits []misfit) error {
	lost := map[uint16]struct{}{}
	for _, x := range n.durable.found.Damages {
		for _, id := range x.Shards {
			lost[id] = struct{}{}
		}
	}
	for _, m := range misfits {
		lost[m.shard] = struct{}{}
	}
	for id := range n.durable.loaded.lost {
		lost[id] = struct{}{}
	}
	var alone []string
	for id := range lost {
		if shard := shardmap.ShardID(id); n.core.Alone(shard) && !n.core.Data().InLog(shard) {
			alone = append(alone, fmt.Sprint(id))
		}
	}
	if len(alone) == 0 {
		return nil
	}
	slices.Sort(alone)
	if n.cfg.AcceptDataLoss {
		n.log.Warn("these shards lost all they held, and no other node has a copy: they begin empty, as was accepted", zap.Strings("shards", alone))
		return nil
	}
	return fmt.Errorf("the write-ahead log in %s, or the image made of it, is damaged, and no other node has a copy of what it held of %d shards (%s): start with --accept-data-loss, which empties these shards and keeps the others; do not put an older log in its place, with which the other shards would come back behind what this node has acknowledged; see aegis wal verify %s",
		n.durable.dir, len(alone), strings.Join(alone, " "), n.durable.dir)
}

// replay plays the frames of a log into the copies, on all processors: the frames of one
// shard are played by one goroutine, in their order.
type replay struct {
	ctx     context.Context
	d       *durability
	log     *zap.Logger
	told    time.Time
	workers []*replayer
	done    sync.WaitGroup
}

// replayer plays the frames of some shards.
type replayer struct {
	data    *shardgroup.Node
	filling *frames
	work    chan *frames
	free    chan *frames
	misfits []misfit
}

// frames is a run of frames, copied out of the log's buffer.
type frames struct {
	payloads []byte
	items    []frameItem
}

type frameItem struct {
	at    wal.LSN
	kind  wal.Kind // 0: frames of the shard are lost here
	shard uint16
	bytes int
}

// misfit is a frame that its copy did not take.
type misfit struct {
	shard uint16
	at    wal.LSN
}

const (
	framesBytes = 128 << 10       // a run is played when it holds so much
	framesKept  = 1 << 20         // and its memory kept when it is no more
	framesAhead = 4               // runs per processor that are read ahead
	tellRecover = 2 * time.Second // how often a node says how far it has read
)

func newReplay(ctx context.Context, data *shardgroup.Node, d *durability, log *zap.Logger) *replay {
	r := &replay{ctx: ctx, d: d, log: log, told: d.progress.begun}
	for range runtime.GOMAXPROCS(0) {
		w := &replayer{data: data, filling: &frames{}, work: make(chan *frames, framesAhead), free: make(chan *frames, framesAhead+1)}
		for range framesAhead {
			w.free <- &frames{}
		}
		r.workers = append(r.workers, w)
		r.done.Go(w.run)
	}
	return r
}

// Frame implements wal.Visitor.
func (r *replay) Frame(f *wal.Frame) error {
	return r.add(frameItem{f.LSN, f.Kind, f.Shard, len(f.Payload)}, f.Payload)
}

// Damaged implements wal.Visitor.
func (r *replay) Damaged(shard uint16) { _ = r.add(frameItem{shard: shard}, nil) }

func (r *replay) add(i frameItem, payload []byte) error {
	w := r.workers[int(i.shard)%len(r.workers)]
	w.filling.items = append(w.filling.items, i)
	w.filling.payloads = append(w.filling.payloads, payload...)
	if len(w.filling.payloads) < framesBytes {
		return nil
	}
	w.work <- w.filling
	w.filling = <-w.free
	return r.ctx.Err()
}

// Progress implements wal.Visitor.
func (r *replay) Progress(done, total int64) {
	p := &r.d.progress
	p.done.Store(p.image.Load() + done)
	p.total.Store(p.image.Load() + total)
	r.told = p.tell(r.log, "reading the write-ahead log", r.told)
}

// tell says how far it is, every now and then, and when it last did.
func (p *progress) tell(log *zap.Logger, what string, told time.Time) time.Time {
	if time.Since(told) < tellRecover {
		return told
	}
	rate, left := p.pace()
	log.Info(what, zap.Int64("bytes", p.done.Load()), zap.Int64("of", p.total.Load()), zap.Int64("bytesPerSecond", rate), zap.Duration("left", left))
	return time.Now()
}

// pace is how many bytes are read in a second, and how long the rest will take.
func (p *progress) pace() (rate int64, left time.Duration) {
	passed := time.Since(p.begun).Seconds()
	if rate = int64(float64(p.done.Load()) / max(passed, 1e-3)); rate > 0 {
		left = time.Duration(float64(p.total.Load()-p.done.Load()) / float64(rate) * float64(time.Second)).Round(time.Second)
	}
	return rate, left
}

// end plays the rest and gives the frames that did not fit.
func (r *replay) end() (misfits []misfit) {
	for _, w := range r.workers {
		w.work <- w.filling
		close(w.work)
	}
	r.done.Wait()
	for _, w := range r.workers {
		misfits = append(misfits, w.misfits...)
	}
	return misfits
}

func (w *replayer) run() {
	for f := range w.work {
		rest := f.payloads
		for _, i := range f.items {
			w.play(i, rest[:i.bytes])
			rest = rest[i.bytes:]
		}
		if cap(f.payloads) > framesKept {
			f.payloads = nil
		}
		f.payloads, f.items = f.payloads[:0], f.items[:0]
		w.free <- f
	}
}

func (w *replayer) play(i frameItem, payload []byte) {
	if i.kind == 0 {
		w.data.Lost(shardmap.ShardID(i.shard))
		return
	}
	err := w.data.Restore(&wal.Frame{LSN: i.at, Kind: i.kind, Shard: i.shard, Payload: payload})
	if err != nil {
		w.misfits = append(w.misfits, misfit{i.shard, i.at})
	}
}
