package sim

import (
	"maps"
	"slices"
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
	links   []*link // to each node, in their order; nil while unused
	core    *node.Core
	disk    *multiraft.MemoryStorage
	data    dataLog
	life    int // rises at every start; what belongs to an older life is void
	born    time.Duration
	up      bool
	paused  time.Duration // until when it is stopped, 0 = runs
	held    []heldCall    // what came meanwhile
	clocks  clocks
	drive   drive
	asking  bool // to be taken in: it has no core
	leaving bool
	gone    bool // for good, with its disk
	hurt    bool // for good, in the one way or other
	reached bool // though hurt, by somebody, now and then
	waiting map[uint64]func(shardgroup.Outcome)
	nextID  uint64
	turns   map[uint64]struct{} // requests that were run and have no answer yet
	heir    multiraft.Heir
	founded node.Founding // the record on its disk
	knows   []bool        // by node: it has the address
	served  *served       // the caching client's connection, nil = none
}

var _ node.CoreOut = (*process)(nil)

func (p *process) clock() multiraft.Instant { return p.clocks.read(p.w.now) }

// start brings the process up from what its disk holds.
func (p *process) start() {
	r, err := p.disk.Load()
	if err != nil {
		panic(err)
	}
	p.life++
	p.asking = false
	if p.founded.Cluster == (meta.UUID{}) {
		p.ask(r)
		return
	}
	if p.w.banished(p) { // a node asks those it knows before it takes part
		p.w.note("node %d was removed, and hears it", p.id)
		p.gone = true
		return
	}
	if d := p.readingTime(); d > 0 {
		p.read(r, d)
		return
	}
	p.take(r)
}

// take takes part with what the disk holds.
func (p *process) take(r multiraft.Restored) {
	founder := len(r.Groups) == 0 && slices.ContainsFunc(p.founded.Nodes, func(n meta.Node) bool { return n.ID == p.id })
	if p.keep(&r, p.founded) {
		p.boot(r, node.CoreConfig{Founding: p.founded, Founder: founder})
	}
}

// boot makes the core.
func (p *process) boot(r multiraft.Restored, cfg node.CoreConfig) {
	p.up, p.paused, p.leaving, p.knows = true, 0, false, nil
	p.waiting, p.turns = map[uint64]func(shardgroup.Outcome){}, map[uint64]struct{}{}
	cfg.UnderWay = p.underWay
	cfg.Name, cfg.Addresses, cfg.DataBytes, cfg.RingBytes = p.w.row(p.id).Name, address(p.id), p.w.cfg.DataBytes, p.w.cfg.RingBytes
	cfg.BlockBytes, cfg.CompareBytes, cfg.FillRate = p.w.cfg.BlockBytes, p.w.cfg.CompareBytes, p.w.cfg.FillRate
	cfg.Heartbeat, cfg.Promise, cfg.LogWait = 100*time.Millisecond, promise, slowLogs
	if p.w.operated {
		cfg.ReplaceAfter = replaceAfter
	}
	core, err := node.NewCore(cfg, r, p, p.clock())
	if err != nil {
		panic(err)
	}
	p.core, p.born = core, p.w.now
	p.heir.Tell(multiraft.Member{Node: p.id, Inc: r.Identity.Inc})
	p.recover(&r)
	p.flush()
	for _, o := range p.w.nodes {
		if o != p && o.up {
			p.w.link(p.id, o.id).connect()
			p.w.link(o.id, p.id).connect()
		}
	}
	p.beat()
}

// crash ends the process; its memory and unfinished writes are gone.
func (p *process) crash() {
	p.up = false
	p.life++
	if s := p.served; s != nil {
		p.served = nil
		s.line.died()
	}
	p.drive.lose(p)
	p.loseLog()
	for _, o := range p.w.nodes {
		if o != p {
			p.w.link(p.id, o.id).cutNow()
			p.w.link(o.id, p.id).cutNow()
		}
	}
}

// depart ends a process that is no part of the cluster any more, for good.
func (p *process) depart() {
	p.w.note("node %d has left for good", p.id)
	p.w.acted["left"]++
	p.crash()
	p.gone = true
}

// turn begins a request, and the function ends it.
func (p *process) turn() (over func()) {
	p.nextID++
	turns, id := p.turns, p.nextID
	turns[id] = struct{}{}
	return func() { delete(turns, id) }
}

// underWay notes the requests without an answer; the function tells whether all have one.
func (p *process) underWay() (over func() bool) {
	turns, noted := p.turns, maps.Clone(p.turns)
	return func() bool {
		for id := range noted {
			if _, open := turns[id]; open {
				return false
			}
		}
		return true
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

// beat begins to call the core's clock as a host does, when it says so. The function
// of each call is made once in a life.
func (p *process) beat() {
	life := p.life
	var tick, run func()
	tick = func() {
		p.core.Tick(p.clock())
		p.flush()
		if p.core.Dismissed() {
			p.depart()
			return
		}
		p.w.after(p.untilTick(), run)
	}
	run = func() { p.when(life, tick) }
	p.w.after(p.untilTick(), run)
}

// untilTick is how long the host sleeps: a sleep goes by the node's own clock. By
// true time a slow clock would wake it a little too early, for nothing, each time.
func (p *process) untilTick() time.Duration {
	now := p.clock()
	sleep := max(500*time.Microsecond, p.core.NextDeadline(now)-now.Wait)
	return time.Duration(float64(sleep)/p.clocks.rate) + 1
}

func (p *process) flush() {
	p.core.Flush(p.clock())
	p.writeLog()
}

// Control implements node.CoreOut.
func (p *process) Control(to shardmap.NodeID, frame []byte) { p.w.link(p.id, to).message(frame) }

// Bulk implements node.CoreOut.
func (p *process) Bulk(to shardmap.NodeID, frame []byte) { p.w.link(p.id, to).message(frame) }

// Datagram implements node.CoreOut.
func (p *process) Datagram(to shardmap.NodeID, packet []byte, overTCP bool) {
	p.w.link(p.id, to).datagram(packet, overTCP)
}

// WakeData implements node.CoreOut.
func (p *process) WakeData(peer shardmap.NodeID) { p.w.link(p.id, peer).wakeData() }

// WakeAck implements node.CoreOut: acks travel on the connection that the peer's
// data came by.
func (p *process) WakeAck(peer shardmap.NodeID, _ bool) { p.w.link(peer, p.id).wakeAck() }

// PeersChanged implements node.CoreOut: to nobody else anything is sent.
func (p *process) PeersChanged(addrs map[shardmap.NodeID]string) {
	p.knows = make([]bool, len(p.w.nodes))
	for id := range addrs { // order has no effect
		p.knows[p.w.place(id)] = true
	}
}

// reaches reports whether a process knows where another one is.
func (p *process) reaches(o *process) bool {
	at := p.w.place(o.id)
	return at < len(p.knows) && p.knows[at]
}

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
	switch e.Kind {
	case multiraft.EventFatal:
		p.stop()
	case multiraft.EventConfig:
		p.oddVoters(e.Group)
	case multiraft.EventLeaseOpen:
		p.w.alone(p, e.Group)
	}
	if e.Kind != multiraft.EventGateOpen && e.Kind != multiraft.EventFencing {
		p.w.note("node %d: raft event %d group %d ballot %v node %d %s", p.id, e.Kind, e.Group, e.Ballot, e.Node, e.Detail)
	}
}

// DataEvent implements node.CoreOut: an Open tells the checkers what it cut.
func (p *process) DataEvent(e shardgroup.Event) {
	p.w.note("node %d: data event %d group %d epoch %d %s", p.id, e.Kind, e.Group, e.Epoch, e.Detail)
	if e.Kind == shardgroup.EventNotWhole { // nothing damages memory here: a copy was wrong
		p.w.broke("P10", "at %v the copy of shard %d at node %d gives up its claim to be exact: %s", p.w.now, e.Shard, p.id, e.Detail)
	}
	if e.Kind == shardgroup.EventOverwritten {
		p.w.acted["overwritten"]++
	}
	if e.Kind == shardgroup.EventShrunk {
		p.w.acted["shrunk"]++
		p.w.history.Shrank(e.Shard, p.id, p.w.now, e.Version, p.w.evicted(e.Version, e.Evicted))
	}
	if p.served != nil && node.TakesBack(e) {
		p.served.lost(e.Group)
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
	since := w.now
	for _, o := range w.nodes {
		if o.holds(r.Group()) != nil {
			since = min(since, o.born)
		}
	}
	for i, b := range base {
		c := chaos.Cut{Shard: first + shardmap.ShardID(i), Epoch: epoch, Node: p.id, Life: p.life, Base: b, Clean: clean[i], Bounded: true, At: w.now, Since: since}
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
