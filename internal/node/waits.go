package node

import (
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// wakes lets parked commands wait for their group.
type wakes struct {
	mu    sync.Mutex
	chans map[shardmap.GroupID]chan struct{}
}

// wake lets every waiter of a group go on. It is called with the data plane's
// locks held and never blocks.
func (w *wakes) wake(g shardmap.GroupID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.chans[g]; c != nil {
		close(c)
		delete(w.chans, g)
	}
}

// wait waits until the group's wake counter differs from seq, or for d.
func (w *wakes) wait(g shardmap.GroupID, seq uint64, d time.Duration, data *shardgroup.Node) {
	w.mu.Lock()
	c := w.chans[g]
	if c == nil {
		c = make(chan struct{})
		w.chans[g] = c
	}
	w.mu.Unlock()
	if r := data.Replica(g); r != nil && r.WakeSeq() != seq {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}

// tickets finds who waits for an outcome.
type tickets struct {
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan shardgroup.Outcome
}

func (t *tickets) open() (uint64, chan shardgroup.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	c := make(chan shardgroup.Outcome, 1)
	t.waiting[t.next] = c
	return t.next, c
}

func (t *tickets) due(id uint64, o shardgroup.Outcome) {
	t.mu.Lock()
	c := t.waiting[id]
	t.mu.Unlock()
	if c != nil {
		c <- o
	}
}

func (t *tickets) drop(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, id)
}
