package shardgroup

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// quiet is an Out and Control for nodes that run on goroutines of the test.
type quiet struct {
	due   atomic.Int64
	lease *worldLease
	mu    sync.Mutex
	log   [][]byte
}

func (q *quiet) WakeData(shardmap.NodeID)        {}
func (q *quiet) WakeAck(shardmap.NodeID, bool)   {}
func (q *quiet) Control(shardmap.NodeID, []byte) {}
func (q *quiet) Due(Ticket, Outcome)             { q.due.Add(1) }
func (q *quiet) Wake(shardmap.GroupID)           {}
func (q *quiet) Event(Event)                     {}
func (q *quiet) RolledBack(Rollback)             {}
func (q *quiet) Propose(g shardmap.GroupID, b multiraft.Ballot, data []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.log = append(q.log, data)
	return true
}
func (q *quiet) OpenLease(g shardmap.GroupID, b multiraft.Ballot) Lease { return q.lease }
func (q *quiet) Transfer(shardmap.GroupID, shardmap.NodeID) bool        { return false }
func (q *quiet) Buried(shardmap.NodeID) bool                            { return false }

// TestConcurrentUse drives clients, streams in both directions, ticks and status
// from many goroutines at once; run it with -race.
func TestConcurrentUse(t *testing.T) {
	cfg := bigConfig()
	cfg.BlockBytes, cfg.RingBytes = 4096, 64<<10
	q := &quiet{lease: &worldLease{b: multiraft.Ballot{Term: 1, Sub: 1}, valid: true}}
	nodes := make([]*Node, 3)
	conf := multiraft.GroupConfig{Index: 1}
	for i := range nodes {
		c := cfg
		c.Self = multiraft.Member{Node: shardmap.NodeID(i + 1), Inc: multiraft.Incarnation{Counter: 1}}
		nodes[i], _ = NewNode(c, q, q)
		nodes[i].Create(1, uint64(i+1), multiraft.RoleVoter)
		conf.Voters = append(conf.Voters, multiraft.ReplicaDesc{ID: uint64(i + 1), Node: c.Self.Node, Role: multiraft.RoleVoter})
	}
	var mono atomic.Int64
	now := func() multiraft.Instant {
		m := time.Duration(mono.Add(int64(10 * time.Microsecond)))
		return multiraft.Instant{Mono: m, Age: m, Wait: m, Wall: 1_000_000 + m.Milliseconds()}
	}
	a := nodes[0]
	b := q.lease.b
	for _, n := range nodes {
		n.ConfigApplied(1, conf, now())
		st := n.Seal(1, b, a.cfg.Self, now())
		a.Sealed(1, b, n.cfg.Self, multiraft.RoleVoter, st, now())
	}
	a.GateOpen(1, b, now())
	a.Pump(now())
	for _, n := range nodes {
		n.Applied(1, 1, q.log[0], now())
	}
	a.Pump(now())
	if a.Replica(1).Lease() == nil {
		t.Fatal("does not serve")
	}
	stop := make(chan struct{})
	var streams, clients sync.WaitGroup
	loop := func(f func()) {
		streams.Add(1)
		go func() {
			defer streams.Done()
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		}()
	}
	for i, n := range nodes[1:] {
		peer, buf, ack := n.cfg.Self.Node, []byte(nil), []byte(nil)
		a.LaneUp(peer, uint64(i+1), now())
		loop(func() {
			if buf = a.NextData(peer, buf, now()); len(buf) > 0 {
				if err := n.OnData(1, uint64(i+1), buf, now()); err != nil {
					t.Error(err)
				}
			}
		})
		loop(func() {
			if ack = n.NextAck(1, ack, now()); len(ack) > 0 {
				if err := a.OnAck(peer, ack, now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	loop(func() {
		for _, n := range nodes {
			n.Tick(now())
			n.Replica(1).Status(now())
		}
	})
	var done atomic.Int64
	for c := range 4 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			var res statemachine.Result
			for i := range 3000 {
				cmd := setCommand(fmt.Sprintf("k%d", i%50), fmt.Sprintf("%d-%d", c, i))
				s := shardID(i % 2)
				ad, err := a.Replica(1).Do(s, cmd, Majority, &res, now())
				for try := 0; err == ErrDelayed && try < 1e6; try++ {
					runtime.Gosched() // until the followers have caught up
					ad, err = a.Replica(1).Do(s, cmd, Majority, &res, now())
				}
				if err == nil {
					done.Add(1)
					a.Replica(1).Await(ad.Lease, Ticket{Shard: s, Version: ad.Version, Level: Majority, Deadline: now().Mono + time.Second}, now())
				}
				a.Replica(1).Get(s, cmd.Key, nil, false, now())
			}
		}()
	}
	clients.Wait()
	end := time.Now().Add(20 * time.Second)
	for !level(nodes) && time.Now().Before(end) {
	}
	close(stop)
	streams.Wait()
	if !level(nodes) {
		for _, s := range a.Replica(1).shards {
			t.Logf("shard %d at %v, whole %v", s.id, s.m.Position(), s.whole)
			for _, f := range s.followers {
				o := nodes[f.lane.peer-1].Replica(1).shard(s.id)
				t.Logf("  seen of %d: %+v", f.lane.peer, *f)
				t.Logf("  there: at %v, whole %v, fill %d, xfer %d, gap %v, broken %v", o.m.Position(), o.whole, o.fill, o.xfer, o.gap, o.broken)
			}
		}
		t.Fatal("followers do not reach the head")
	}
	if done.Load() == 0 || q.due.Load() == 0 {
		t.Errorf("%d writes, %d tickets came due", done.Load(), q.due.Load())
	}
}

// level says whether all copies are whole, at one position and equal.
func level(nodes []*Node) bool {
	for s := range shardID(2) {
		d0, at0, _, _ := nodes[0].Replica(1).CopyDigest(s)
		for _, n := range nodes[1:] {
			if d, at, _, whole := n.Replica(1).CopyDigest(s); d != d0 || at != at0 || !whole {
				return false
			}
		}
	}
	return true
}

// TestClientsComeWhileShardsOpen: the first shards of a group serve while the last
// ones are still being opened, so all that a write needs must be there with the
// lease. A node that serves for the first time since its start has no older quorum
// to fall back on, and must not: it would be another lineage's.
func TestClientsComeWhileShardsOpen(t *testing.T) {
	cfg := bigConfig()
	cfg.Layout = shardmap.Layout{Shards: MaxShards, Groups: 1}
	cfg.Self = multiraft.Member{Node: 1, Inc: multiraft.Incarnation{Counter: 1}}
	now := multiraft.Instant{Mono: time.Second, Age: time.Second, Wait: time.Second, Wall: 1_000_000}
	for range 50 {
		b := multiraft.Ballot{Term: 1, Sub: 1}
		q := &quiet{lease: &worldLease{b: b, valid: true}}
		n, err := NewNode(cfg, q, q)
		if err != nil {
			t.Fatal(err)
		}
		n.Create(1, 1, multiraft.RoleVoter)
		n.ConfigApplied(1, multiraft.GroupConfig{Index: 1, Voters: []multiraft.ReplicaDesc{{ID: 1, Node: 1, Role: multiraft.RoleVoter}}}, now)
		n.Sealed(1, b, cfg.Self, multiraft.RoleVoter, n.Seal(1, b, cfg.Self, now), now)
		n.GateOpen(1, b, now)
		n.Pump(now)
		written := make(chan Admission)
		go func() {
			var res statemachine.Result
			for {
				if a, err := n.Replica(1).Do(0, setCommand("k", "v"), Async, &res, now); err == nil {
					written <- a
					return
				}
			}
		}()
		n.Applied(1, 1, q.log[0], now)
		n.Pump(now)
		a := <-written
		if got := n.Replica(1).Await(a.Lease, Ticket{Version: a.Version, Level: All}, now); got != Acked {
			t.Fatalf("a write on the only seat is %v", got)
		}
	}
}
