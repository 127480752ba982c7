package sim

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
)

const (
	ms         = time.Millisecond
	usualDelay = 50 * time.Microsecond
)

// verbs are the steps a script is made of.
type verbs struct{}

var do verbs

// steady waits until the group is served and every copy is whole, and says who
// plays A (the holder), B, C and D.
func (verbs) steady() Step {
	return Step{"the cluster is at rest; A holds the lease", func(s *stage) {
		var a *process
		since := s.now
		s.must(s.proceed(20*time.Second, func() bool {
			if p := s.serving(); p == nil || p != a || s.equalAtRest() != "" {
				a, since = p, s.now
			}
			return a != nil && s.now-since > atRest
		}), "script", "no rest: %s", s.equalAtRest())
		s.cast = []*process{a}
		for _, p := range s.nodes {
			if p != a {
				s.cast = append(s.cast, p)
			}
		}
	}}
}

// atRest is longer than it takes to hand a lease back to the node that should have it.
const atRest = 1500 * ms

func (verbs) sleep(d time.Duration) Step {
	return Step{fmt.Sprintf("%v pass", d), func(s *stage) { s.proceed(d, nil) }}
}

// until waits for a condition; that it never comes breaks the property.
func (verbs) until(property string, d time.Duration, what string, cond func(*stage) bool) Step {
	return Step{"until " + what, func(s *stage) {
		s.must(s.proceed(d, func() bool { return cond(s) }), property, "not within %v: %s", d, what)
	}}
}

// servedBy waits until one of the roles serves the group.
func (verbs) servedBy(d time.Duration, roles ...role) Step {
	return do.until("P13", d, fmt.Sprint(roles, " serves"), func(s *stage) bool {
		for _, r := range roles {
			if s.serves(s.cast[r]) {
				return true
			}
		}
		return false
	})
}

// settled ends every fault and waits for one holder and equal, whole copies.
func (verbs) settled() Step {
	return Step{"everything heals", func(s *stage) {
		s.heal()
		s.eachLink(func(l *link) {
			l.delayMin, l.hushed, l.tap = usualDelay, false, nil
			l.wakeData()
		})
		for i := range 400 {
			if s.proceed(100*ms, nil); s.equalAtRest() == "" && i > 10 {
				break
			}
		}
		why := s.equalAtRest()
		s.must(why == "", "P13", "40s after the faults ended: %s", why)
		s.readAll()
	}}
}

// readAll reads every key that the script wrote at the holder: what a majority
// acknowledged must be there, and what was deleted must not.
func (s *stage) readAll() {
	for id := range s.keys { // order has no effect: one read each, checked alone
		s.request(s.node(holder), &statemachine.Command{}, id, "", shardgroup.Async).finish()
	}
}

func (verbs) crash(r role) Step {
	return Step{fmt.Sprint(r, " is killed"), func(s *stage) { s.cast[r].crash() }}
}

// dies kills a node's worker beside its parent, which says so.
func (verbs) dies(r role) Step {
	return Step{fmt.Sprint(r, "'s worker is killed, its parent says so"), func(s *stage) { s.cast[r].die() }}
}

// saidAgain has the parent repeat what it said of the worker before.
func (verbs) saidAgain(r role) Step {
	return Step{fmt.Sprint(r, "'s parent says again that the worker before is dead"), func(s *stage) { s.cast[r].lastWord() }}
}

func (verbs) start(r role) Step {
	return Step{fmt.Sprint(r, " starts"), func(s *stage) { s.cast[r].start() }}
}

func (verbs) pause(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("%v is stopped for %v", r, d), func(s *stage) { s.cast[r].paused = s.now + d }}
}

func (verbs) isolate(r role) Step {
	return Step{fmt.Sprint(r, " is cut off"), func(s *stage) { s.isolateNode(s.cast[r], true) }}
}

func (verbs) rejoin(r role) Step {
	return Step{fmt.Sprint(r, " is reached again"), func(s *stage) { s.isolateNode(s.cast[r], false) }}
}

// isolateNode cuts a node off at once, streams included.
func (s *stage) isolateNode(p *process, on bool) {
	for _, o := range s.nodes {
		if o == p {
			continue
		}
		for _, l := range []*link{s.link(p.id, o.id), s.link(o.id, p.id)} {
			l.cut = on
			if on {
				l.cutNow()
			}
		}
	}
	if !on {
		for _, o := range s.nodes {
			if o != p {
				s.link(p.id, o.id).connect()
				s.link(o.id, p.id).connect()
			}
		}
	}
}

// cutLinks stops everything between two nodes.
func (verbs) cutLinks(x, y role, on bool) Step {
	word := map[bool]string{true: "is cut off from", false: "reaches"}[on]
	return Step{fmt.Sprint(x, " ", word, " ", y), func(s *stage) {
		for _, l := range []*link{s.link(s.cast[x].id, s.cast[y].id), s.link(s.cast[y].id, s.cast[x].id)} {
			if l.cut = on; on {
				l.cutNow()
			} else {
				l.connect()
			}
		}
	}}
}

// slow delays everything from one node to another by d.
func (verbs) slow(from, to role, d time.Duration) Step {
	return Step{fmt.Sprintf("what goes from %v to %v takes %v", from, to, d), func(s *stage) {
		s.link(s.cast[from].id, s.cast[to].id).delayMin = d
	}}
}

// hush keeps the data stream of one node to another back; all else goes on.
func (verbs) hush(from, to role, on bool) Step {
	word := map[bool]string{true: "rests", false: "goes on"}[on]
	return Step{fmt.Sprint("the data stream from ", from, " to ", to, " ", word), func(s *stage) {
		l := s.link(s.cast[from].id, s.cast[to].id)
		l.hushed = on
		l.wakeData()
	}}
}

// deafen lets nothing through from one node to another, unnoticed by its streams.
func (verbs) deafen(from, to role, on bool) Step {
	word := map[bool]string{true: "nothing from %v reaches %v", false: "%v reaches %v again"}[on]
	return Step{fmt.Sprintf(word, from, to), func(s *stage) {
		s.link(s.cast[from].id, s.cast[to].id).cut = on
	}}
}

// loseFrame takes the next data frame out of a stream that goes on.
func (verbs) loseFrame(from, to role) Step {
	return Step{fmt.Sprint("a data frame from ", from, " to ", to, " is lost"), func(s *stage) {
		l := s.link(s.cast[from].id, s.cast[to].id)
		l.tap = func([]byte) bool {
			l.tap = nil
			return false
		}
	}}
}

// hushAfter lets a data stream rest when so many more of its frames have passed.
func (verbs) hushAfter(from, to role, frames int) Step {
	return Step{fmt.Sprintf("the data stream from %v to %v rests after %d frames", from, to, frames), func(s *stage) {
		l := s.link(s.cast[from].id, s.cast[to].id)
		left := frames
		l.tap = func([]byte) bool {
			if left--; left == 0 {
				l.hushed, l.tap = true, nil
			}
			return true
		}
	}}
}

// filled wants so many copies to have been filled so far: one whose fill does not come
// out right is filled again.
func (verbs) filled(times int) Step {
	return Step{fmt.Sprintf("shard copies were filled %d times", times), func(s *stage) {
		if n := s.acted["overwritten"]; n != times {
			s.broke("P10", "shard copies were filled %d times, not %d", n, times)
		}
	}}
}

// holding ends the script here if a property was seen broken.
func (verbs) holding(property string) Step {
	return Step{property + " has held so far", func(s *stage) {
		if s.said[property] {
			panic(aborted{})
		}
	}}
}

// keepFrame remembers the next data frame that goes from one node to another;
// late says that it is not delivered yet.
func (verbs) keepFrame(from, to role, late bool) Step {
	word := map[bool]string{true: "the next data frame from %v to %v stays under way", false: "a copy of the next data frame from %v to %v is kept"}[late]
	return Step{fmt.Sprintf(word, from, to), func(s *stage) {
		l := s.link(s.cast[from].id, s.cast[to].id)
		l.tap = func(body []byte) bool {
			s.kept = append(s.kept[:0], body...)
			l.tap = nil
			return !late
		}
	}}
}

// replay delivers the kept frame once more, on the connection it came by.
func (verbs) replay(from, to role) Step {
	return Step{"the kept frame arrives", func(s *stage) {
		l := s.link(s.cast[from].id, s.cast[to].id)
		s.must(len(s.kept) > 0 && l.conn != 0, "script", "nothing was kept")
		if err := l.to.core.Data().OnData(l.from.id, l.conn, s.kept, l.to.clock()); err != nil {
			s.broke("script", "replayed frame: %v", err)
		}
		l.to.flush()
		s.look()
	}}
}

// handOver moves the lease as a planned move does at its end.
func (verbs) handOver(from, to role) Step {
	return Step{fmt.Sprint(from, " hands the lease to ", to), func(s *stage) {
		p, q := s.node(from), s.node(to)
		s.must(p.core.Raft().Handover(theGroup, q.id, p.clock()), "script", "no handover")
		p.flush()
	}}
}

// release closes the lease of a node that goes on leading.
func (verbs) release(r role) Step {
	return Step{fmt.Sprint(r, " releases its lease"), func(s *stage) {
		p := s.node(r)
		p.core.Raft().Release(theGroup, "script", p.clock())
		p.flush()
	}}
}

// drain lets a node hand over all it holds, as before a stop.
func (verbs) drain(r role) Step {
	return Step{fmt.Sprint(r, " drains"), func(s *stage) {
		p := s.node(r)
		p.core.Drain(p.clock())
		p.flush()
	}}
}

// elected waits until another node leads the group's raft and calls it r.
func (verbs) elected(d time.Duration, r role) Step {
	return Step{fmt.Sprint("until another node is elected; it is ", r), func(s *stage) {
		found := -1
		s.must(s.proceed(d, func() bool {
			for i, p := range s.cast[1:] {
				if st, ok := p.core.Raft().Group(theGroup); p.up && ok && st.Leads {
					found = i + 1
					return true
				}
			}
			return false
		}), "P13", "not within %v: an election", d)
		s.cast[found], s.cast[r] = s.cast[r], s.cast[found]
	}}
}

// led waits until a node leads the group's raft; another one that is elected in
// A's place hands leadership on at once.
func (verbs) led(d time.Duration, r role) Step {
	return Step{fmt.Sprint("until ", r, " is elected"), func(s *stage) {
		s.must(s.proceed(d, func() bool {
			for i, p := range s.cast[1:] {
				st, ok := p.core.Raft().Group(theGroup)
				switch {
				case !p.up || !ok || !st.Leads:
				case role(i+1) == r:
					return true
				default:
					p.core.Raft().Handover(theGroup, s.cast[r].id, p.clock())
					p.flush()
				}
			}
			return false
		}), "P13", "not within %v: %v is elected", d, r)
	}}
}

// wall moves a node's wall clock.
func (verbs) wall(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("the wall clock of %v jumps by %v", r, d), func(s *stage) { s.cast[r].clocks.offset += d }}
}

// noUDP drops the packets from one node to another, streams go on.
func (verbs) noUDP(from, to role) Step {
	return Step{fmt.Sprint("no packet from ", from, " reaches ", to), func(s *stage) {
		s.link(s.cast[from].id, s.cast[to].id).noUDP = true
	}}
}

// promises changes at run time how long a node asks its voters to promise.
func (verbs) promises(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("%v asks for promises of %v", r, d), func(s *stage) {
		s.cast[r].core.Raft().SetProfile(100*ms, d)
	}}
}

// watching wants a condition at every instant from here on; "" ends it.
func (verbs) watching(what string, cond func(*stage) bool) Step {
	if cond == nil {
		return Step{"no longer watched", func(s *stage) { s.watch = nil }}
	}
	return Step{"watch: " + what, func(s *stage) {
		s.watch = func() string {
			if cond(s) {
				return ""
			}
			return "not so: " + what
		}
	}}
}

// request does the work of one operation at a node; its reply is still due.
func (s *stage) request(p *process, c *statemachine.Command, key, value string, level shardgroup.Level) *request {
	r := &request{s: s, p: p, life: p.life, level: level, key: key}
	r.op = chaos.Op{Key: s.history.Key(key), Node: p.id, Start: s.now, Ran: s.now, Arg: []byte(value), TTL: c.TTL, Durable: level != shardgroup.Async}
	shard := s.shardOf(key)
	if !p.runs() {
		r.state = refused
		return r
	}
	rep := p.core.Data().ReplicaOf(shard)
	c.Key = []byte(key)
	r.op.Low, r.op.High = s.skew.span(s.World, p)
	if err := r.work(rep, shard, c); err != nil {
		r.state = refused
		return r
	}
	r.op.At, r.over = r.adm.Version, p.turn()
	s.history.Ran(&r.op)
	if c.Kind != 0 {
		if _, ok := s.keys[key]; !ok {
			s.keys[key] = 0
		}
		if p.data.log != nil {
			r.upto = p.data.log.End()
		}
		p.flush()
		r.await(rep, shard)
	}
	return r
}

// work does what the command says and notes what came out.
func (r *request) work(rep *shardgroup.Replica, shard shardmap.ShardID, c *statemachine.Command) (err error) {
	if c.Kind == 0 {
		var v statemachine.Value
		v, r.op.Found, r.adm, err = rep.Get(shard, c.Key, nil, false, r.p.clock())
		if r.op.Found {
			r.op.Value, r.op.Version, r.op.Deadline = v.Data, v.Version, v.Deadline
		}
		return err
	}
	var res statemachine.Result
	c.Value, r.op.Kind = r.op.Arg, chaos.Set
	if c.Kind == statemachine.Del {
		r.op.Kind = chaos.Del
	}
	r.adm, err = rep.Do(shard, c, r.level, &res, r.p.clock())
	r.op.Changed, r.op.Found = res.Changed, res.Existed
	if res.Changed {
		r.op.Version, r.op.Deadline = r.adm.Version, res.Record.Deadline
	}
	return err
}

// await asks for the acks of a write that wants them.
func (r *request) await(rep *shardgroup.Replica, shard shardmap.ShardID) {
	if r.level == shardgroup.Async {
		return
	}
	p := r.p
	p.nextID++
	t := shardgroup.Ticket{ID: p.nextID, Shard: shard, Version: r.adm.Version, Level: r.level, Deadline: p.clock().Mono + ackWait}
	done := func(o shardgroup.Outcome) {
		if o != shardgroup.Acked {
			r.over()
		}
		switch {
		case o == shardgroup.Acked:
			p.logged(func() { r.finish() })
		case o.Refused():
			r.state = failed
			r.s.history.Refused(&r.op)
		default:
			r.state = unknown
		}
	}
	p.waiting[t.ID] = done
	if o := rep.Await(r.adm.Lease, t, p.clock()); o != shardgroup.Waiting {
		delete(p.waiting, t.ID)
		done(o)
	}
}

// finish sends the reply, if the lease is still good.
func (r *request) finish() outcome {
	if r.state != "" {
		return r.state
	}
	p, s := r.p, r.s
	r.over()
	r.state = unknown
	if p.life != r.life || !p.runs() || !r.adm.Fresh(p.clock()) || !r.inLog() {
		return r.state
	}
	r.state = answered
	r.op.Ballot, r.op.End = r.adm.Lease.Ballot(), s.now
	if r.op.Kind == chaos.Read && r.op.Found && s.dead(r.key) {
		s.broke("P7", "%q was read although it died at %v", r.key, s.keys[r.key])
	}
	if r.op.Changed {
		s.acked, s.tokens = append(s.acked, r.op), append(s.tokens, r.op)
	}
	s.history.Done(&r.op)
	return r.state
}

// inLog says whether the node's log has what the request wrote.
func (r *request) inLog() bool {
	return r.upto == 0 || r.p.data.log != nil && r.p.data.log.Acked() >= r.upto
}

// ended lets a request come to its end.
func (s *stage) ended(r *request) outcome {
	if r.level == shardgroup.Async {
		s.proceed(ackWait, r.inLog)
		return r.finish()
	}
	s.proceed(2*ackWait, func() bool { return r.state != "" })
	if r.state == "" {
		r.state = unknown
	}
	return r.state
}

func levelWord(l shardgroup.Level) string {
	return [...]string{"", ", majority", ", all", ""}[l]
}

// set writes at a node and wants OK.
func (verbs) set(at role, key, value string, level shardgroup.Level) Step {
	return Step{fmt.Sprintf("SET %s %s at %v%s", key, value, at, levelWord(level)), func(s *stage) {
		o := s.ended(s.request(s.node(at), &statemachine.Command{Kind: statemachine.Set}, s.keyIn(key), value, level))
		s.must(o == answered, "script", "SET %s at %v: %s", key, at, o)
	}}
}

// try writes at a node, whatever comes of it.
func (verbs) try(at role, key, value string, level shardgroup.Level) Step {
	return Step{fmt.Sprintf("try SET %s %s at %v%s", key, value, at, levelWord(level)), func(s *stage) {
		s.last = s.ended(s.request(s.node(at), &statemachine.Command{Kind: statemachine.Set}, s.keyIn(key), value, level))
		s.note("... %s", s.last)
	}}
}

// setFor writes a key that lives for a time only.
func (verbs) setFor(at role, key, value string, ttl time.Duration, level shardgroup.Level) Step {
	return Step{fmt.Sprintf("SET %s %s PX %d at %v%s", key, value, ttl.Milliseconds(), at, levelWord(level)), func(s *stage) {
		p, k := s.node(at), s.keyIn(key)
		s.keys[k] = s.now + ttl
		c := &statemachine.Command{Kind: statemachine.Set, TTLMode: statemachine.TTLRelative, TTL: ttl.Milliseconds()}
		o := s.ended(s.request(p, c, k, value, level))
		s.must(o == answered, "script", "SET %s at %v: %s", key, at, o)
	}}
}

// del deletes at a node and wants OK.
func (verbs) del(at role, key string, level shardgroup.Level) Step {
	return Step{fmt.Sprintf("DEL %s at %v%s", key, at, levelWord(level)), func(s *stage) {
		o := s.ended(s.request(s.node(at), &statemachine.Command{Kind: statemachine.Del}, s.keyIn(key), "", level))
		s.must(o == answered, "script", "DEL %s at %v: %s", key, at, o)
	}}
}

// get reads at a node; a node that does not serve refuses, which is fine.
func (verbs) get(at role, key string) Step {
	return Step{fmt.Sprintf("GET %s at %v", key, at), func(s *stage) {
		r := s.request(s.node(at), &statemachine.Command{}, s.keyIn(key), "", shardgroup.Async)
		s.last = r.finish()
		s.note("... %s %q", s.last, r.op.Value)
	}}
}

// judge asks a node what became of every write that was acknowledged.
func (verbs) judge(at role) Step {
	return Step{fmt.Sprint("AEGIS.CHECK of all tokens at ", at), func(s *stage) {
		p := s.node(at)
		for _, o := range s.tokens {
			id := s.history.Shard(o.Key)
			now := p.clock()
			v, adm, err := p.core.Data().ReplicaOf(id).Verdict(id, o.Version, now)
			if err != nil {
				v = shardgroup.VerdictUnknown
			}
			if adm.Lease == nil || adm.Fresh(now) {
				s.history.Judged(id, o.Version, chaos.Verdict(v), adm.Lease != nil, p.id, s.now)
			}
			s.note("... %v is %v", o.Version, v)
		}
		s.history.Finish()
	}}
}

// begin does the work of a SET and keeps its reply back; reply lets it go.
func (verbs) begin(name string, at role, key, value string, level shardgroup.Level) Step {
	return Step{fmt.Sprintf("SET %s %s at %v%s, the reply waits (%s)", key, value, at, levelWord(level), name), func(s *stage) {
		r := s.request(s.node(at), &statemachine.Command{Kind: statemachine.Set}, s.keyIn(key), value, level)
		s.must(r.state == "", "script", "SET %s at %v: %s", key, at, r.state)
		r.op.Client = 1 + len(s.pending) // its own connection: replies come in any order
		s.pending[name] = r
	}}
}

func (verbs) reply(name string) Step {
	return Step{"the reply of " + name + " leaves, if it may", func(s *stage) {
		s.last = s.pending[name].finish()
		s.note("... %s", s.last)
	}}
}

// answer is a reply that must be able to leave.
func (verbs) answer(name string) Step {
	return Step{"the reply of " + name + " leaves", func(s *stage) {
		o := s.pending[name].finish()
		s.must(o == answered, "script", "%s: %s", name, o)
	}}
}

// cache lets a client read a key at a node, keep it, and answer from its cache from
// then on as long as it may, 80 times a second.
func (verbs) cache(at role, key string) Step {
	return Step{fmt.Sprintf("a client caches %s of %v", key, at), func(s *stage) {
		name := s.keyIn(key)
		s.World.keys = []simKey{{s.history.Key(name), []byte(name), theGroup, registers, false}}
		c := newCacher(s.World, 1)
		s.cacher = c
		c.holds[theGroup] = s.node(at).id
		c.loop()
		s.must(s.proceed(sec, func() bool { return s.history.Hits > 20 }), "script", "nothing is answered from the cache")
	}}
}
