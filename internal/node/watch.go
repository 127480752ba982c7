package node

import (
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// watch looks after the keys that clients have cached (CLIENT TRACKING), while there
// are such clients.
type watch struct {
	quit chan struct{} // nil: nobody tracks
	done chan struct{}

	looked atomic.Int64 // when lapses were looked for last: ns of Mono and SuspendOffset
}

// Watch implements redis.Backend.
func (b backend) Watch(on bool) error {
	data, w := b.n.core.Data(), &b.n.watch
	if !on {
		data.Watch(nil)
		w.stop()
		return nil
	}
	data.Watch(b.n.redis)
	w.quit, w.done = make(chan struct{}), make(chan struct{})
	go b.n.watchLeases(w.quit, w.done)
	return nil
}

// stop ends the looking after leases.
func (w *watch) stop() {
	if w.quit != nil {
		close(w.quit)
		<-w.done
		w.quit = nil
	}
}

// lapsePart of a lease's length is how long a lapse may go unnoticed. The deadline
// that requests check lies 12 % of what is left before the true end, so that nobody
// else can serve yet when the keys are taken back.
const lapsePart = 24

func (n *Node) lapseTick() time.Duration {
	return max(5*time.Millisecond, profiles[n.cfg.LeaseProfile].promise/lapsePart)
}

// watchLeases takes back what was read under a lease that could not be renewed in time.
// Such a lease may be good again later, or be closed, which EventClosed says: but its
// clients are not to wait for that.
func (n *Node) watchLeases(quit, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(n.lapseTick())
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			n.lookForLapses(multiraft.CheckClock())
		}
	}
}

// lookForLapses takes back, all at once, what was read under leases that have lapsed.
func (n *Node) lookForLapses(mono, offset time.Duration) {
	l := n.routes.Load().Layout()
	var shards []shardmap.ShardID
	Lapsed(n.core.Data(), l.Groups, multiraft.Instant{Mono: mono, SuspendOffset: offset}, func(g shardmap.GroupID) {
		shards = append(shards, shardsOf(l, g)...)
	})
	if len(shards) > 0 {
		n.untrack(shards)
	}
	n.watch.looked.Store(int64(mono + offset)) // only now: another connection must not be answered meanwhile
}

// Awake implements redis.Backend: it looks for lapses when that was not done for longer
// than usual. A process that was stopped may get to its connections before it gets to its
// clocks, and whoever takes an answer, be it a PONG, for a sign that what was read still
// holds must not be told so.
func (b backend) Awake() {
	mono, offset := multiraft.CheckClock()
	if time.Duration(int64(mono+offset)-b.n.watch.looked.Load()) > 2*b.n.lapseTick() {
		b.n.lookForLapses(mono, offset)
	}
}

// untrack takes back what clients have read of some shards.
func (n *Node) untrack(shards []shardmap.ShardID) {
	if face := n.face.Load(); face != nil {
		face.Untrack(shards)
	}
}

func shardsOf(l shardmap.Layout, g shardmap.GroupID) []shardmap.ShardID {
	shards := make([]shardmap.ShardID, l.ShardsPerGroup())
	for i := range shards {
		shards[i] = l.FirstShard(g) + shardmap.ShardID(i)
	}
	return shards
}
