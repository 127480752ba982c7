package node

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// watch looks after the keys that clients have cached (CLIENT TRACKING), while there
// are such clients.
type watch struct {
	quit chan struct{} // nil: nobody tracks
	done chan struct{}
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

// watchLeases takes back what was read under a lease that could not be renewed in time.
// Such a lease may be good again later, or be closed, which EventClosed says: but its
// clients are not to wait for that.
func (n *Node) watchLeases(quit, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(max(5*time.Millisecond, profiles[n.cfg.LeaseProfile].promise/lapsePart))
	defer tick.Stop()
	lapsed := make(map[shardmap.GroupID]multiraft.Ballot)
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			n.untrackLapsed(lapsed)
		}
	}
}

// untrackLapsed does so once per lapse.
func (n *Node) untrackLapsed(lapsed map[shardmap.GroupID]multiraft.Ballot) {
	mono, offset := multiraft.CheckClock()
	l := n.routes.Load().Layout()
	for g := shardmap.GroupID(1); int(g) <= l.Groups; g++ {
		r := n.core.Data().Replica(g)
		if r == nil {
			continue
		}
		lease := r.Lease()
		switch {
		case lease == nil || lease.Check(mono, offset):
			delete(lapsed, g)
		case lapsed[g] != lease.Ballot():
			lapsed[g] = lease.Ballot()
			n.untrack(l, g)
		}
	}
}

// untrack takes back what clients have read of a group.
func (n *Node) untrack(l shardmap.Layout, g shardmap.GroupID) {
	if face := n.face.Load(); face != nil {
		face.Untrack(l.FirstShard(g), l.ShardsPerGroup())
	}
}
