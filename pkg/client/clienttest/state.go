package clienttest

import (
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// budget is the memory for values, in bytes.
const budget = 256 << 20

// state is what the server holds: one shard for all slots.
type state struct {
	mu       sync.Mutex // guards everything below
	machine  *statemachine.Machine
	now      int64 // unix ms
	position shardmap.Version
	lineage  []row
	log      [][]byte // every record ever applied that is not lost, oldest first
	faults   []*fault
	routes   *shardmap.Map
	face     *redis.Server
	watched  bool // some connection tracks what it reads
}

// watcher passes on what changes to the connections that track.
type watcher struct{ face *redis.Server }

// Changed implements statemachine.Watcher.
func (w watcher) Changed(key []byte, origin uint64) { w.face.Changed(0, key, origin) }

// Flushed implements statemachine.Watcher.
func (w watcher) Flushed(origin uint64) { w.face.Flushed(0, origin) }

func (s *state) watchLocked() {
	if s.watched {
		s.machine.Watch(watcher{s.face})
	} else {
		s.machine.Watch(nil)
	}
}

// row is one epoch and the last version of the earlier ones that survived into it.
type row struct {
	epoch uint32
	base  shardmap.Version
}

func newState(port int) *state {
	layout := shardmap.Layout{Shards: 1, Groups: 1}
	self := shardmap.NodeInfo{ID: 1, Name: "node1", Host: "127.0.0.1", Port: port}
	return &state{
		machine:  newMachine(),
		now:      Epoch.UnixMilli(),
		position: shardmap.MakeVersion(1, 0),
		lineage:  []row{{epoch: 1}},
		routes:   shardmap.NewMap(layout).WithNodes(1, []shardmap.NodeInfo{self}).With(shardmap.Route{Group: 1, Epoch: 1, Leader: 1}),
	}
}

func newMachine() *statemachine.Machine {
	return statemachine.New(statemachine.Config{HashKey: 1, BudgetBytes: budget})
}

func (s *state) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.UnixMilli(s.now).UTC()
}

func (s *state) advance(d time.Duration) {
	if d < 0 {
		panic("clienttest: the clock does not go back")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += d.Milliseconds()
	s.machine.AdvanceTime(s.now)
	s.machine.Settle() // who tracks the dead keys is told
}

// keepLocked notes a change under the version that nextLocked gave it.
func (s *state) keepLocked(r *statemachine.Record) {
	s.position = r.Version
	s.log = append(s.log, statemachine.AppendRecord(nil, r))
}

func (s *state) nextLocked() shardmap.Version { return s.position + 1 }

// failover plays what survives into an empty machine and opens the next epoch.
func (s *state) failover(lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = s.log[:max(0, len(s.log)-lost)]
	s.machine = newMachine()
	var r statemachine.Record
	for _, b := range s.log {
		if _, err := statemachine.DecodeRecord(b, &r); err != nil {
			panic(err) // we wrote it
		}
		if err := s.machine.Apply(&r, false); err != nil {
			panic(err)
		}
	}
	s.machine.AdvanceTime(s.now)
	epoch := s.lineage[len(s.lineage)-1].epoch + 1
	s.lineage = append(s.lineage, row{epoch, s.machine.Position()})
	s.position = shardmap.MakeVersion(epoch, 0)
	s.machine.SetPosition(s.position)
	s.routes = s.routes.With(shardmap.Route{Group: 1, Epoch: epoch, Leader: 1})
	s.watchLocked()
	s.face.Untrack([]shardmap.ShardID{0})
	s.face.MapChanged()
}

// verdictLocked judges a version as the leaseholder of a shard does.
func (s *state) verdictLocked(v shardmap.Version) string {
	for _, r := range s.lineage {
		if r.epoch > v.Epoch() && v > r.base {
			return "lost"
		}
	}
	if v > s.position {
		return "unknown"
	}
	return "durable"
}

func (s *state) entry(key string) (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.machine.Lookup([]byte(key), true, s.now)
	if !ok {
		return Entry{}, false
	}
	e := Entry{Value: append([]byte(nil), v.Data...), Version: uint64(v.Version)}
	if v.Deadline != 0 {
		e.Expires = time.UnixMilli(v.Deadline).UTC()
	}
	return e, true
}
