package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// actor is one client: a closed loop of operations, a map of holders that MOVED
// repairs, and patience of two seconds for each operation.
type actor struct {
	w     *World
	id    int
	holds map[shardmap.GroupID]shardmap.NodeID
	next  int
}

const (
	keysPerRun = 40
	patience   = 2 * time.Second
	ackWait    = time.Second
)

// attempt is one operation under way.
type attempt struct {
	a        *actor
	key      string
	cmd      statemachine.Command
	write    bool
	level    shardgroup.Level
	start    time.Duration
	value    string
	finished bool
}

// loop plans the next operation.
func (a *actor) loop() {
	gap := time.Second * time.Duration(len(a.w.clients)) / time.Duration(a.w.cfg.OpsPerS)
	a.w.after(gap/2+time.Duration(a.w.rng.Int64N(int64(gap))), a.begin)
}

func (a *actor) begin() {
	a.next++
	t := &attempt{a: a, key: fmt.Sprintf("k%d", a.w.rng.IntN(keysPerRun)), start: a.w.now}
	switch r := a.w.rng.IntN(10); {
	case r < 5:
		t.write = true
		t.value = fmt.Sprintf("%d.%d", a.id, a.next)
		t.cmd = statemachine.Command{Kind: statemachine.Set, Key: []byte(t.key), Value: []byte(t.value)}
	case r == 5:
		t.write = true
		t.cmd = statemachine.Command{Kind: statemachine.Del, Key: []byte(t.key)}
	}
	if t.write && a.w.rng.IntN(3) == 0 {
		t.level = shardgroup.Majority
	}
	t.try()
}

func (t *attempt) end() {
	if !t.finished {
		t.finished = true
		t.a.loop()
	}
}

// again tries later, at another node when to is 0.
func (t *attempt) again(d time.Duration) {
	if t.a.w.now-t.start > patience {
		t.a.w.acted["gave up"]++
		t.end()
		return
	}
	t.a.w.after(d, t.try)
}

func (t *attempt) try() {
	w := t.a.w
	shard := w.layout().ShardOf(shardmap.SlotOfString(t.key))
	g := w.layout().GroupOf(shard)
	to := t.a.holds[g]
	if to == 0 || !w.nodes[to-1].runs() {
		to = shardmap.NodeID(1 + w.rng.IntN(len(w.nodes)))
		t.a.holds[g] = to
	}
	p := w.nodes[to-1]
	if !p.runs() {
		t.a.holds[g] = 0
		t.again(10 * time.Millisecond)
		return
	}
	r := p.core.Data().ReplicaOf(shard)
	if r == nil {
		t.a.holds[g] = 0
		t.again(5 * time.Millisecond)
		return
	}
	if t.write {
		t.change(p, r, shard, g)
	} else {
		t.read(p, r, shard, g)
	}
}

// refused follows MOVED and waits out the rest.
func (t *attempt) refused(g shardmap.GroupID, adm shardgroup.Admission, err error) {
	if errors.Is(err, shardgroup.ErrMoved) {
		t.a.holds[g] = adm.Holder
		t.again(time.Millisecond)
		return
	}
	if errors.Is(err, shardgroup.ErrNoReplicas) {
		t.a.w.acted["no replicas"]++
	}
	if t.a.w.rng.IntN(4) == 0 {
		t.a.holds[g] = 0
	}
	t.again(5 * time.Millisecond)
}

func (t *attempt) read(p *process, r *shardgroup.Replica, shard shardmap.ShardID, g shardmap.GroupID) {
	v, found, adm, err := r.Get(shard, []byte(t.key), nil, p.clock())
	if err != nil {
		t.refused(g, adm, err)
		return
	}
	op := chaos.Op{Client: t.a.id, Key: t.key, Node: p.id, Start: t.start}
	if found {
		op.Value, op.Version = string(v.Data), v.Version
	}
	t.reply(p, adm, op)
}

func (t *attempt) change(p *process, r *shardgroup.Replica, shard shardmap.ShardID, g shardmap.GroupID) {
	var res statemachine.Result
	adm, err := r.Do(shard, &t.cmd, t.level, &res, p.clock())
	if err != nil {
		t.refused(g, adm, err)
		return
	}
	p.flush()
	if !res.Changed {
		t.end()
		return
	}
	if t.cmd.Kind == statemachine.Del { // from here on a read may see it, answered or not
		t.a.w.history.Maybe(t.key, adm.Version)
	}
	op := chaos.Op{
		Client: t.a.id, Key: t.key, Node: p.id, Start: t.start, Write: true, Value: t.value,
		Version: adm.Version, Delete: t.cmd.Kind == statemachine.Del, Majority: t.level == shardgroup.Majority,
	}
	if t.level == shardgroup.Async {
		t.reply(p, adm, op)
		return
	}
	p.nextID++
	life := p.life
	ticket := shardgroup.Ticket{ID: p.nextID, Shard: shard, Version: adm.Version, Level: t.level, Deadline: p.clock().Mono + ackWait}
	done := func(o shardgroup.Outcome) {
		if o == shardgroup.Acked {
			t.reply(p, adm, op)
			return
		}
		t.unknown()
	}
	p.waiting[ticket.ID] = done
	if o := r.Await(adm.Lease, ticket, p.clock()); o != shardgroup.Waiting {
		delete(p.waiting, ticket.ID)
		done(o)
		return
	}
	t.a.w.after(2*ackWait, func() { // the node died with the ticket
		if !t.finished && p.life != life {
			t.unknown()
		}
	})
}

// unknown ends a write that may have happened or not.
func (t *attempt) unknown() {
	if !t.finished {
		t.a.w.acted["unknown outcome"]++
		t.end()
	}
}

// reply checks the lease afresh, a little after the operation, as the edge does
// before its flush; a pause may lie between.
func (t *attempt) reply(p *process, adm shardgroup.Admission, op chaos.Op) {
	life := p.life
	w := t.a.w
	delay := time.Duration(w.rng.Int64N(int64(200 * time.Microsecond)))
	decide := func() {
		if !adm.Fresh(p.clock()) {
			w.acted["reply withheld"]++
			if op.Write {
				t.unknown()
				return
			}
			t.again(time.Millisecond)
			return
		}
		op.Ballot, op.End = adm.Lease.Ballot(), w.now
		w.history.Done(op)
		t.end()
	}
	w.after(delay, func() {
		if p.life != life {
			t.unknown()
			return
		}
		p.when(life, decide)
	})
	w.after(10*time.Second, func() { // the node died while it was stopped
		if !t.finished && p.life != life {
			t.unknown()
		}
	})
}
