package sim

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// Script is one schedule of the protocol notes on a whole cluster, as a rule with one group
// of two shards: steps that follow each other, each at a time or at a condition.
// What random seeds meet once in thousands of runs is met here at once.
type Script struct {
	Name   string
	From   string // the note's schedule, or hole, that it plays
	Nodes  int    // 3 when 0
	Copies int    // of the data; 3 when 0
	Groups int    // of two shards, of which the steps name the first; 1 when 0
	Data   int64  // bytes of a node for its stores; as usual when 0
	Log    wal.Mode
	// Replaces says that nodes are replaced that have been missed for replaceAfter.
	Replaces bool
	Steps    []Step
}

// Step is one line of a script.
type Step struct {
	Text string
	do   func(*stage)
}

// role is a node as a script calls it: A holds the lease when Steady has passed.
type role int

const (
	nodeA role = iota
	nodeB
	nodeC
	nodeD
	nodeE
	holder // whoever serves the group now
)

func (r role) String() string { return [...]string{"A", "B", "C", "D", "E", "the holder"}[r] }

// theGroup is the one group of a script's cluster.
const theGroup shardmap.GroupID = 1

// stage is a script under way: the world, who plays whom, and what watches.
type stage struct {
	*World
	cast    []*process
	said    map[string]bool // properties broken so far, each told once
	marks   map[string]time.Duration
	pending map[string]*request
	keys    map[string]time.Duration // when each key written dies, 0 = never
	owners  map[uint32]owner         // of epochs
	last    outcome
	watch   func() string
	kept    []byte     // a data frame
	acked   []chaos.Op // writes that no Open has cut
	tokens  []chaos.Op // all writes that were acknowledged
	readers readers
	judged  uint32          // epochs up to here
	once    map[role]uint64 // replicas that nodes had
}

// aborted ends a script whose next step makes no sense any more.
type aborted struct{}

// RunScript plays a script. Result.Broken names the properties that did not hold;
// "script" in their place means that the cluster never came to where a step begins.
func RunScript(sc Script) Result {
	var key [32]byte
	copy(key[:], sc.Name)
	old := crand.Reader
	crand.Reader = seededReader{rand.NewChaCha8(key)}
	defer func() { crand.Reader = old }()
	cfg := DefaultConfig()
	cfg.Groups, cfg.Shards, cfg.Faults, cfg.Nodes = 1, 2, false, sc.Nodes
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if sc.Groups != 0 {
		cfg.Groups, cfg.Shards = sc.Groups, 2*sc.Groups
	}
	if sc.Copies != 0 {
		cfg.Factor = sc.Copies
	}
	if sc.Data != 0 {
		cfg.DataBytes = sc.Data
	}
	if sc.Log != wal.Off {
		cfg.Log = []wal.Mode{sc.Log}
	}
	w := &World{
		cfg: cfg, rng: rand.New(rand.NewChaCha8(key)), hash: 14695981039346656037,
		acted: map[string]int{},
	}
	w.operated = sc.Replaces
	s := &stage{
		World: w, said: map[string]bool{}, marks: map[string]time.Duration{}, pending: map[string]*request{},
		keys: map[string]time.Duration{}, owners: map[uint32]owner{},
	}
	w.history = chaos.NewHistory(w.layout())
	defer w.endPasses()
	w.found()
	for _, p := range w.nodes {
		p.clocks.rate = 1
	}
	w.reconnect()
	s.play(sc.Steps)
	return Result{
		Hash: w.hash, Events: w.events, Ops: w.history.Ops, Lost: w.history.Lost,
		Broken: w.history.Broken, Acted: w.acted, Log: w.lines(), Seconds: w.now.Seconds(),
	}
}

func (s *stage) play(steps []Step) {
	defer func() {
		if r := recover(); r != nil && r != (aborted{}) {
			panic(r)
		}
	}()
	for _, step := range steps {
		s.note("step: %s", step.Text)
		step.do(s)
	}
}

// broke notes that a property did not hold, once per property.
func (s *stage) broke(property, format string, args ...any) {
	if !s.said[property] {
		s.said[property] = true
		s.history.Break(property, "at %v: %s", s.now, fmt.Sprintf(format, args...))
	}
}

// must ends the script unless ok.
func (s *stage) must(ok bool, property, format string, args ...any) {
	if !ok {
		s.broke(property, format, args...)
		panic(aborted{})
	}
}

// proceed lets the world run until done or for d, and looks at all of it after
// each instant. It reports whether done came true.
func (s *stage) proceed(d time.Duration, done func() bool) bool {
	for end := s.now + d; ; {
		if done != nil && done() {
			return true
		}
		next := end
		if len(s.heap) > 0 {
			next = min(next, s.heap[0].at)
		}
		if next >= end && s.now >= end {
			return false
		}
		s.run(next)
		s.look()
	}
}

// node is the process that plays a role.
func (s *stage) node(r role) *process {
	if r != holder {
		return s.cast[r]
	}
	p := s.serving()
	s.must(p != nil, "script", "nobody serves")
	return p
}

// serves says whether a process would take a write of the group now.
func (s *stage) serves(p *process) bool {
	if !p.up {
		return false
	}
	r := p.core.Data().Replica(theGroup)
	if r == nil {
		return false
	}
	now := p.clock()
	l := r.Lease()
	return l != nil && l.Check(now.Mono, now.SuspendOffset) && r.Status(now).Phase != shardgroup.Parked
}

// serving is the node that serves the group, nil when none does.
func (s *stage) serving() *process {
	for _, p := range s.nodes {
		if s.serves(p) {
			return p
		}
	}
	return nil
}

// outcome is how a scripted operation ended.
type outcome string

const (
	answered outcome = "answered"
	refused  outcome = "refused"
	unknown  outcome = "unknown"
	failed   outcome = "failed" // for certain, as the node says
)

// request is one operation of a scripted client at one node, which may wait
// between its work and its reply.
type request struct {
	s     *stage
	p     *process
	life  int
	key   string
	op    chaos.Op
	adm   shardgroup.Admission
	upto  wal.LSN // the reply leaves when the log has this
	level shardgroup.Level
	state outcome // "" while it waits
	over  func()  // ends its turn at the process
}

func (s *stage) shardOf(key string) shardmap.ShardID {
	return s.layout().ShardOf(shardmap.SlotOfString(key))
}

// keyIn is a name for a key that lies in a shard of the group: "x@1" is x in shard 1.
func (s *stage) keyIn(name string) string {
	base, shard, ok := strings.Cut(name, "@")
	if !ok {
		shard = "0"
	}
	for i := 0; ; i++ {
		if k := fmt.Sprintf("%s{%d}", base, i); fmt.Sprint(s.shardOf(k)) == shard {
			return k
		}
	}
}

// Scripts are all scripts, by the note they come from.
func Scripts() []Script {
	return slices.Concat(leaseScripts, dataScripts, memberScripts, clockScripts, logScripts, recoverScripts, haltScripts)
}

// ScriptNamed finds a script.
func ScriptNamed(name string) (Script, bool) {
	for _, sc := range Scripts() {
		if sc.Name == name {
			return sc, true
		}
	}
	return Script{}, false
}
