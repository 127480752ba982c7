package sim

import (
	"errors"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// actor is one client: a closed loop of operations, a map of holders that MOVED
// repairs, and patience of two seconds for each operation.
type actor struct {
	w       *World
	id      int
	holds   map[shardmap.GroupID]shardmap.NodeID
	next    int
	turn    attempt // the one under way
	session session
}

const (
	patience = 2 * time.Second
	ackWait  = time.Second
)

// attempt is the request under way. It is used again for the next one: what waits
// for an answer remembers the number of the request.
type attempt struct {
	number int // of the request
	busy   bool
	op     chaos.Op
	group  shardmap.GroupID
	cmd    statemachine.Command
	res    statemachine.Result
	level  shardgroup.Level
	ran    bool   // a write was carried out
	over   func() // ends its turn at the process
	at     *process
	life   int // of at, when it was asked
	key    []byte
	arg    []byte
	value  []byte
}

func newActor(w *World, id int) *actor {
	a := &actor{w: w, id: id, holds: map[shardmap.GroupID]shardmap.NodeID{}}
	a.session.written = make([]written, w.cfg.Shards)
	return a
}

// loop plans the next operation.
func (a *actor) loop() {
	gap := time.Second * time.Duration(len(a.w.clients)) / time.Duration(a.w.cfg.OpsPerS)
	a.w.after(gap/2+time.Duration(a.w.rng.Int64N(int64(gap))), a.begin)
}

func (a *actor) begin() {
	if a.w.closing {
		return
	}
	a.next++
	t := &a.turn
	t.number++
	t.busy, t.ran, t.at = true, false, nil
	switch r := a.w.rng.IntN(100); {
	case r < 2 && a.wait():
	case r < 5 && a.check():
	default:
		a.plan()
		a.try()
	}
}

// end ends the request under way.
func (a *actor) end() {
	if a.turn.busy {
		a.turn.busy = false
		a.loop()
	}
}

// during is true while the request is under way that had this number.
func (a *actor) during(number int) bool { return a.turn.busy && a.turn.number == number }

// again tries later, and gives up when patience is over: nothing was done then,
// and nothing of the request may ever be seen.
func (a *actor) again(d time.Duration) {
	t := &a.turn
	t.at = nil
	if a.w.now-t.op.Start > patience {
		a.w.acted["gave up"]++
		t.op.End = a.w.now
		a.w.history.Refused(&t.op)
		a.end()
		return
	}
	a.w.after(d, a.try)
}

// server is where the client believes the group is served, somewhere else when it
// has reason to doubt it; nil when nobody answers there.
func (a *actor) server(g shardmap.GroupID) *process {
	w := a.w
	to := a.holds[g]
	if to == 0 || !w.node(to).runs() {
		to = w.nodes[w.rng.IntN(len(w.nodes))].id
		a.holds[g] = to
	}
	p := w.node(to)
	if !p.runs() {
		a.holds[g] = 0
		return nil
	}
	return p
}

func (a *actor) try() {
	t := &a.turn
	p := a.server(t.group)
	if p == nil {
		a.again(10 * time.Millisecond)
		return
	}
	shard := a.w.history.Shard(t.op.Key)
	r := p.core.Data().ReplicaOf(shard)
	if r == nil {
		a.holds[t.group] = 0
		a.again(5 * time.Millisecond)
		return
	}
	t.at, t.life = p, p.life
	t.op.Reset(t.value[:0])
	t.op.Node, t.op.Ran = p.id, a.w.now
	t.op.Low, t.op.High = a.w.skew.span(a.w, p)
	if t.op.Kind == chaos.Read {
		a.read(p, r, shard)
	} else {
		a.change(p, r, shard)
	}
}

// refused follows MOVED and waits out the rest.
func (a *actor) refused(adm shardgroup.Admission, err error) {
	g := a.turn.group
	switch {
	case errors.Is(err, shardgroup.ErrMoved):
		a.holds[g] = adm.Holder
		a.again(time.Millisecond)
		return
	case errors.Is(err, shardgroup.ErrNoReplicas):
		a.w.acted["no replicas"]++
	case errors.Is(err, statemachine.ErrNotInteger), errors.Is(err, statemachine.ErrOverflow):
		a.w.broke("once", "%v at %s", err, a.w.history.Name(a.turn.op.Key))
	}
	if a.w.rng.IntN(4) == 0 {
		a.holds[g] = 0
	}
	a.again(5 * time.Millisecond)
}

func (a *actor) read(p *process, r *shardgroup.Replica, shard shardmap.ShardID) {
	t := &a.turn
	v, found, adm, err := r.Get(shard, t.key, t.value[:0], false, p.clock())
	if err != nil {
		a.refused(adm, err)
		return
	}
	t.value = v.Data
	t.op.Found, t.op.At = found, adm.Version
	if found {
		t.op.Value, t.op.Version, t.op.Deadline = v.Data, v.Version, v.Deadline
	}
	a.w.alone(p, t.group)
	a.w.history.Ran(&t.op)
	t.over = p.turn()
	a.reply(p, adm)
}

func (a *actor) change(p *process, r *shardgroup.Replica, shard shardmap.ShardID) {
	t := &a.turn
	adm, err := r.Do(shard, &t.cmd, t.level, &t.res, p.clock())
	if err != nil {
		a.refused(adm, err)
		return
	}
	t.ran = true
	t.op.Changed, t.op.Found, t.op.Int, t.op.At = t.res.Changed, t.res.Existed, t.res.Int, adm.Version
	if t.res.Changed {
		t.op.Version, t.op.Deadline = adm.Version, t.res.Record.Deadline
		if len(t.res.Record.Evicted) > 0 {
			t.op.Evicted = a.w.evicted(adm.Version, t.res.Record.Evicted)
		}
		a.session.note(p, shard, adm)
	}
	a.w.alone(p, t.group)
	a.w.history.Ran(&t.op)
	t.over = p.turn()
	p.flush()
	if t.level == shardgroup.Async || !t.res.Changed {
		a.reply(p, adm)
		return
	}
	t.op.Durable = true
	number, over := t.number, t.over
	a.await(p, r, adm.Lease, shardgroup.Ticket{Shard: shard, Version: adm.Version, Level: t.level, Durable: p.wantsDisks()}, ackWait, func(o shardgroup.Outcome) {
		if o != shardgroup.Acked || !a.during(number) {
			over()
		}
		switch {
		case !a.during(number):
		case o == shardgroup.Acked:
			a.reply(p, adm)
		case o.Refused():
			a.w.history.Refused(&t.op)
			a.unknown()
		default:
			a.unknown()
		}
	})
}

// await waits for a ticket; a node that dies takes the answer with it.
func (a *actor) await(p *process, r *shardgroup.Replica, l shardgroup.Lease, ticket shardgroup.Ticket, most time.Duration, done func(shardgroup.Outcome)) {
	p.nextID++
	ticket.ID, ticket.Deadline = p.nextID, p.clock().Mono+most
	p.waiting[ticket.ID] = done
	if o := r.Await(l, ticket, p.clock()); o != shardgroup.Waiting {
		delete(p.waiting, ticket.ID)
		done(o)
	}
}

// unknown ends a request that may have happened or not.
func (a *actor) unknown() {
	if a.turn.busy {
		a.w.acted["unknown outcome"]++
		a.end()
	}
}

// hung looks whether the node that was asked has died since.
func (a *actor) hung() {
	if t := &a.turn; t.busy && t.at != nil && t.life != t.at.life {
		if t.ran {
			a.unknown()
			return
		}
		a.again(0)
	}
}

// reply checks the lease afresh, a little after the operation, as the edge does
// before its flush; a pause may lie between.
func (a *actor) reply(p *process, adm shardgroup.Admission) {
	t := &a.turn
	number := t.number
	if t.op.Changed {
		p.logged(func() { a.flush(p, adm, number) })
	} else {
		a.flush(p, adm, number)
	}
}

func (a *actor) flush(p *process, adm shardgroup.Admission, number int) {
	t := &a.turn
	over := t.over
	a.later(p, func() {
		over()
		switch fresh := adm.Fresh(p.clock()); {
		case !a.during(number):
		case fresh:
			a.w.covered(p, adm)
			t.op.Ballot, t.op.End = adm.Lease.Ballot(), a.w.now
			a.w.history.Done(&t.op)
			a.end()
		case t.op.Changed:
			a.w.acted["reply withheld"]++
			a.unknown()
		default:
			a.w.acted["reply withheld"]++
			t.ran = false
			a.again(time.Millisecond)
		}
	})
}

// later runs f at the node a little later, in the life that it has now. Some
// replies wait long, behind those of slow clients: much can happen meanwhile.
func (a *actor) later(p *process, f func()) {
	life := p.life
	most := 200 * time.Microsecond
	if a.w.rng.IntN(50) == 0 {
		most = 200 * time.Millisecond
	}
	a.w.after(time.Duration(a.w.rng.Int64N(int64(most))), func() { p.when(life, f) })
}

// plan draws the next request: what is done to a key depends on what it is for.
func (a *actor) plan() {
	t, w := &a.turn, a.w
	n := w.rng.IntN(len(w.keys))
	k := &w.keys[n]
	t.op = chaos.Op{Client: a.id, Key: k.key, Start: w.now}
	t.key, t.group, t.level = k.name, k.group, shardgroup.Async
	t.cmd = statemachine.Command{Key: k.name}
	if a.draw(k.use, w.rng.IntN(20)); k.flush && w.rng.IntN(500) == 0 {
		t.op.Kind, t.op.Arg, t.op.TTL = chaos.Flush, nil, 0
		w.acted["flush"]++
	}
	if t.op.Kind == chaos.Read {
		return
	}
	switch r := w.rng.IntN(24); {
	case r < 7:
		t.level = shardgroup.Majority
	case r == 7:
		t.level = shardgroup.All
	}
	t.cmd.Kind = commands[t.op.Kind]
	t.cmd.Value, t.cmd.Delta = t.op.Arg, t.op.Delta
	if t.op.TTL != 0 {
		t.cmd.TTLMode, t.cmd.TTL = statemachine.TTLRelative, t.op.TTL
	}
}

var commands = [...]statemachine.Kind{
	chaos.Set: statemachine.Set, chaos.Del: statemachine.Del, chaos.Append: statemachine.Append,
	chaos.Incr: statemachine.IncrBy, chaos.Expire: statemachine.Expire, chaos.Persist: statemachine.Persist,
	chaos.Flush: statemachine.Flush,
}

// draw chooses what to do with a key of some use.
func (a *actor) draw(u use, r int) {
	op := &a.turn.op
	switch {
	case r >= 18:
		op.Kind = chaos.Del
	case r >= 10: // a read
	case u == numbers:
		op.Kind, op.Delta = chaos.Incr, 1+a.w.rng.Int64N(1000)
	case u == texts && r < 9:
		op.Kind = chaos.Append
		a.unique()
	case u == mortals && r < 2:
		op.Kind, op.TTL = chaos.Expire, a.life()
	case u == mortals && r < 4:
		op.Kind = chaos.Persist
	default:
		op.Kind = chaos.Set
		a.unique()
		if u == mortals && r < 9 {
			op.TTL = a.life()
		}
	}
}

// life draws a time to live.
func (a *actor) life() int64 { return 1 + a.w.rng.Int64N(4000) }

// longArg is how long a value is at the most; few are long.
const longArg = 32 << 10

// longEvery is how many values there are for a long one.
func (w *World) longEvery() int {
	if w.cfg.Evicts {
		return 6
	}
	return 50
}

// unique makes an argument that no other write of the run has.
func (a *actor) unique() {
	b := append(a.turn.arg[:0], '<')
	b = strconv.AppendInt(b, int64(a.id), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(a.next), 10)
	b = append(b, '>')
	if a.turn.op.Kind == chaos.Set && a.w.rng.IntN(a.w.longEvery()) == 0 {
		for n := a.w.rng.IntN(longArg - 64); len(b) < n; {
			b = append(b, "0123456789abcdef"...)
		}
	}
	a.turn.arg, a.turn.op.Arg = b, b
}
