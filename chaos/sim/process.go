package sim

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// process is one simulated aegis process: a Core, its disk and its clocks.
type process struct {
	w       *World
	id      shardmap.NodeID
	links   []*link // to each node, by id; nil while unused
	core    *node.Core
	disk    *multiraft.MemoryStorage
	life    int // rises at every start; what belongs to an older life is void
	up      bool
	paused  time.Duration // until when it is stopped (SIGSTOP), 0 = runs
	held    []heldCall    // what came meanwhile
	rate    float64       // of its clocks
	offset  time.Duration // of its wall clock
	saved   time.Duration // when its disk is free
	waiting map[uint64]func(shardgroup.Outcome)
	nextID  uint64
	founded node.Founding
}

var _ node.CoreOut = (*process)(nil)

func (p *process) clock() multiraft.Instant {
	d := time.Duration(float64(p.w.now) * p.rate)
	return multiraft.Instant{Mono: d, Age: d, Wait: d, Wall: (epochWall + d + p.offset).Milliseconds()}
}

// epochWall is the wall time at which simulations begin.
const epochWall = 1_800_000_000 * time.Second

// start brings the process up from what its disk holds.
func (p *process) start() {
	r, err := p.disk.Load()
	if err != nil {
		panic(err)
	}
	p.life++
	p.up, p.paused = true, 0
	p.waiting = map[uint64]func(shardgroup.Outcome){}
	founder := len(r.Groups) == 0
	if founder {
		id := r.Identity
		id.Node, id.Cluster = p.id, p.founded.Cluster
		if err := p.disk.SaveIdentity(id); err != nil {
			panic(err)
		}
	}
	r.Identity.Node = p.id
	cfg := node.CoreConfig{
		Name: fmt.Sprintf("n%d", p.id), DataBytes: 64 << 20, RingBytes: ringBytes,
		Heartbeat: 100 * time.Millisecond, Promise: 600 * time.Millisecond,
		Addresses: address(p.id), Founding: p.founded, Founder: founder,
	}
	core, err := node.NewCore(cfg, r, p, p.clock())
	if err != nil {
		panic(err)
	}
	p.core = core
	p.flush()
	for _, o := range p.w.nodes {
		if o != p && o.up {
			p.w.link(p.id, o.id).connect()
			p.w.link(o.id, p.id).connect()
		}
	}
	p.beat()
}

func address(id shardmap.NodeID) meta.Addresses {
	return meta.Addresses{Client: fmt.Sprintf("10.0.0.%d:7000", id), Cluster: fmt.Sprintf("10.0.0.%d:7001", id), Gossip: fmt.Sprintf("10.0.0.%d:7002", id)}
}

// crash ends the process; its memory and unfinished writes are gone.
func (p *process) crash() {
	p.up = false
	p.life++
	for _, o := range p.w.nodes {
		if o != p {
			p.w.link(p.id, o.id).cutNow()
			p.w.link(o.id, p.id).cutNow()
		}
	}
}

// runs reports whether the process can do anything now.
func (p *process) runs() bool { return p.up && p.w.now >= p.paused }

// when calls f in this life, after a pause if there is one: what came meanwhile
// happens in the order in which it came, as streams demand.
func (p *process) when(life int, f func()) {
	switch {
	case !p.up || p.life != life:
	case p.w.now < p.paused:
		if p.held = append(p.held, heldCall{life, f}); len(p.held) == 1 {
			p.w.at(p.paused, p.wake)
		}
	default:
		p.release()
		f()
	}
}

// heldCall is something that happens to a process when it goes on.
type heldCall struct {
	life int
	f    func()
}

func (p *process) wake() {
	if p.w.now < p.paused {
		p.w.at(p.paused, p.wake)
		return
	}
	p.release()
}

// release lets happen what came during a pause.
func (p *process) release() {
	for len(p.held) > 0 {
		held := p.held
		p.held = nil
		for _, h := range held {
			if p.up && p.life == h.life {
				h.f()
			}
		}
	}
}

// beat begins to call the core's clock as a host does: when it says, and every ten
// milliseconds. The function of each call is made once in a life.
func (p *process) beat() {
	life := p.life
	var tick, run func()
	tick = func() {
		p.core.Tick(p.clock())
		p.flush()
		p.w.after(p.untilTick(), run)
	}
	run = func() { p.when(life, tick) }
	p.w.after(p.untilTick(), run)
}

// untilTick is how long the host sleeps.
func (p *process) untilTick() time.Duration {
	now := p.clock()
	return min(10*time.Millisecond, max(500*time.Microsecond, p.core.NextDeadline(now)-now.Wait))
}

func (p *process) flush() { p.core.Flush(p.clock()) }

// Control implements node.CoreOut.
func (p *process) Control(to shardmap.NodeID, frame []byte) { p.w.link(p.id, to).message(frame) }

// Bulk implements node.CoreOut.
func (p *process) Bulk(to shardmap.NodeID, frame []byte) { p.w.link(p.id, to).message(frame) }

// Datagram implements node.CoreOut.
func (p *process) Datagram(to shardmap.NodeID, packet []byte, overTCP bool) {
	p.w.link(p.id, to).datagram(packet, overTCP)
}

// Append implements node.CoreOut: the disk takes its time, in order.
func (p *process) Append(b *multiraft.Batch) {
	life := p.life
	delay := 200*time.Microsecond + time.Duration(p.w.rng.Int64N(int64(2*time.Millisecond)))
	if p.w.rng.IntN(200) == 0 {
		delay += time.Duration(p.w.rng.Int64N(int64(60 * time.Millisecond)))
		p.w.acted["slow disk"]++
	}
	p.saved = max(p.saved, p.w.now) + delay
	p.w.at(p.saved, func() {
		if !p.up || p.life != life {
			return
		}
		if err := p.disk.Save(b); err != nil {
			panic(err)
		}
		p.when(life, func() { p.core.Appended(b, p.clock()); p.flush() })
	})
}

// WakeData implements node.CoreOut.
func (p *process) WakeData(peer shardmap.NodeID) { p.w.link(p.id, peer).wakeData() }

// WakeAck implements node.CoreOut: acks travel on the connection that the peer's
// data came by.
func (p *process) WakeAck(peer shardmap.NodeID, _ bool) { p.w.link(peer, p.id).wakeAck() }

// PeersChanged implements node.CoreOut.
func (p *process) PeersChanged(map[shardmap.NodeID]string) {}

// PeerHint implements node.CoreOut: simulated nodes have no addresses that change.
func (p *process) PeerHint(shardmap.NodeID, string) {}

// MapChanged implements node.CoreOut.
func (p *process) MapChanged(*shardmap.Map) {}

// Due implements node.CoreOut.
func (p *process) Due(t shardgroup.Ticket, o shardgroup.Outcome) {
	life := p.life
	p.w.after(0, func() {
		if f := p.waiting[t.ID]; f != nil && p.life == life {
			delete(p.waiting, t.ID)
			p.when(life, func() { f(o) })
		}
	})
}

// Wake implements node.CoreOut: simulated clients come again by themselves.
func (p *process) Wake(shardmap.GroupID) {}

// RaftEvent implements node.CoreOut.
func (p *process) RaftEvent(e multiraft.Event) {
	p.w.mix(uint64(e.Kind)<<32 | uint64(e.Group)<<8 | uint64(p.id))
	if e.Kind != multiraft.EventGateOpen && e.Kind != multiraft.EventFencing {
		p.w.note("node %d: raft event %d group %d ballot %v node %d %s", p.id, e.Kind, e.Group, e.Ballot, e.Node, e.Detail)
	}
}

// DataEvent implements node.CoreOut: an Open tells the checkers what it cut.
func (p *process) DataEvent(e shardgroup.Event) {
	p.w.note("node %d: data event %d group %d epoch %d %s", p.id, e.Kind, e.Group, e.Epoch, e.Detail)
	if e.Kind == shardgroup.EventNotWhole { // nothing damages memory here: a copy was wrong
		p.w.broke("P10: at %v the copy of shard %d at node %d gives up its claim to be exact: %s", p.w.now, e.Shard, p.id, e.Detail)
	}
	if e.Kind != shardgroup.EventOpened {
		return
	}
	p.w.acted["opened"]++
	g := e.Group
	life := p.life
	p.w.after(0, func() {
		if p.life != life {
			return
		}
		if r := p.core.Data().Replica(g); r != nil {
			p.w.cuts(p, r, e.Report)
		}
	})
}

// cuts hands what an Open decided to the history.
func (w *World) cuts(p *process, r *shardgroup.Replica, report []shardgroup.LossReport) {
	first, epoch, base, clean := r.LastCut()
	for i, b := range base {
		c := chaos.Cut{Shard: first + shardmap.ShardID(i), Epoch: epoch, Node: p.id, Base: b, Clean: clean[i], Bounded: true, At: w.now}
		for _, l := range report {
			if l.Shard == c.Shard {
				c.Bounded = l.Bounded
			}
		}
		w.history.Cut(c)
	}
}

// RolledBack implements node.CoreOut.
func (p *process) RolledBack(r shardgroup.Rollback) {
	p.w.acted["rolled back"]++
	for i := range r.Lost {
		p.w.history.RolledBack(r.Shard, r.Lost[i].Version, p.id, p.w.now)
	}
}

// Answered implements node.CoreOut.
func (p *process) Answered(uint64, node.Answer) {}
