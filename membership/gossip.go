package membership

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Contact is an address where a member should be.
type Contact struct {
	Addr string
	Node shardmap.NodeID // whose registered address it is, 0 for a seed
	Name string          // of that node
	UUID [16]byte        // of that node
}

// GossipConfig fixes what a Gossip is.
type GossipConfig struct {
	Port   *Port
	Secret []byte // nil: the key is no secret, and shows damage only
	UUID   [16]byte
	Name   string // of this node, for questions
	Self   Meta   // as it starts; Update changes it

	// Told takes a hint; false when there is no room now, then it comes again. It is
	// called from one goroutine.
	Told func(Member) bool
	// Visited takes what a contact answered that this node asked because it is missed.
	Visited func(Contact, Reply)
	// Say takes lines for the log.
	Say func(Severity, string)
}

// tempo is how often things happen; tests are faster.
type tempo struct {
	probe, probeTimeout time.Duration
	spread              time.Duration // memberlist's gossip interval
	bury                time.Duration // after which the dead are forgotten
	visitMin, visitMax  time.Duration // between rounds of visits
	tellEvery           time.Duration
}

var daily = tempo{
	probe: time.Second, probeTimeout: 500 * time.Millisecond, spread: 200 * time.Millisecond, bury: 30 * time.Second,
	visitMin: time.Second, visitMax: 10 * time.Second, tellEvery: time.Second,
}

const (
	streamTimeout = 3 * time.Second
	beginAgain    = 5 * time.Second // when the own address cannot be looked up
	goodbyesMax   = 64              // members that are told at once that this node drains
)

// Gossip keeps this node in memberlist's circle and says what it hears there. It
// never gives up: as long as fewer members are alive than are registered, it goes
// round the addresses of the missing. All its goroutines end with Close.
type Gossip struct {
	cfg    GossipConfig
	tempo  tempo
	roster *roster
	voice  *voice
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	nudged  chan struct{} // capacity 1: go round now
	updated chan struct{} // capacity 1: self has changed

	mu       sync.Mutex // guards the rest
	self     Meta
	contacts []Contact
	doubted  map[shardmap.NodeID]struct{} // registered nodes to visit though they may be alive
	life     *life                        // nil before memberlist runs, and between two of them
}

// life is one run of memberlist. It has another one when the address changes.
type life struct {
	mu   sync.Mutex // held while list is used for what must not follow its end
	over bool
	list *memberlist.Memberlist
	wire *wire
	said Meta // what the others were told last; only the goroutine of run
	at   time.Time
}

// StartGossip begins to gossip; it does not wait for anything.
func StartGossip(cfg GossipConfig) *Gossip { return startGossip(cfg, daily) }

func startGossip(cfg GossipConfig, t tempo) *Gossip {
	g := &Gossip{
		cfg: cfg, tempo: t, roster: newRoster(), voice: newVoice(cfg.Say), self: cfg.Self,
		nudged: make(chan struct{}, 1), updated: make(chan struct{}, 1), doubted: make(map[shardmap.NodeID]struct{}),
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.wg.Add(2)
	go g.run()
	go g.deliver()
	return g
}

// Update changes what this node says of itself; the others hear it within about a
// second, at once when it begins to drain. It does not wait.
func (g *Gossip) Update(m Meta) {
	g.mu.Lock()
	m.Cluster, m.Node, m.Incarnation = g.self.Cluster, g.self.Node, g.self.Incarnation
	g.self = m
	g.mu.Unlock()
	signal(g.updated)
}

// Contacts says where members should be: the registry's rows and the seeds. When
// they are others than before, every hint is told again: one about a node that the
// registry did not know yet was told in vain.
func (g *Gossip) Contacts(cs []Contact) {
	g.mu.Lock()
	same := slices.Equal(g.contacts, cs)
	g.contacts = slices.Clone(cs)
	g.mu.Unlock()
	if !same {
		g.roster.repeat()
		signal(g.nudged)
	}
}

// Doubt says that somebody else seems to live at the address of a node: it is
// visited soon, alive or not.
func (g *Gossip) Doubt(node shardmap.NodeID) {
	g.mu.Lock()
	known := slices.ContainsFunc(g.contacts, func(c Contact) bool { return c.Node == node })
	if known {
		g.doubted[node] = struct{}{}
	}
	g.mu.Unlock()
	if known {
		signal(g.nudged)
	}
}

// Leave says goodbye, and waits until that is on its way, or for the limit.
func (g *Gossip) Leave(limit time.Duration) {
	if l := g.current(); l != nil {
		l.leave(limit, g.present(), g.roster.living())
	}
}

// Close ends without a goodbye.
func (g *Gossip) Close() {
	g.cancel()
	g.wg.Wait()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (g *Gossip) current() *life {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.life
}

func (g *Gossip) present() Meta {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.self
}

// deliver passes hints on.
func (g *Gossip) deliver() {
	defer g.wg.Done()
	for {
		var again <-chan time.Time
		if !g.roster.tell(g.cfg.Told) {
			again = time.After(retryPause)
		}
		select {
		case <-g.roster.wake:
		case <-again:
		case <-g.ctx.Done():
			return
		}
	}
}

// run lives one life of memberlist after another.
func (g *Gossip) run() {
	defer g.wg.Done()
	for g.ctx.Err() == nil {
		self := g.present()
		l, err := g.begin(self)
		if err != nil {
			g.voice.warnOnce("no gossip yet: " + err.Error())
			select {
			case <-g.ctx.Done():
			case <-time.After(beginAgain):
			}
			continue
		}
		g.keep(l, self)
		g.end(l)
	}
}

// begin starts a memberlist.
func (g *Gossip) begin(self Meta) (*life, error) {
	at, err := addressOf(g.ctx, self.GossipAddr)
	if err != nil {
		return nil, fmt.Errorf("this node announces %s: %w", self.GossipAddr, err)
	}
	label := hex.EncodeToString(self.Cluster[:])
	w := newWire(g.cfg.Port, label, at, func(other string) {
		g.voice.warnOnce(fmt.Sprintf("gossip of another cluster (%.8s) comes to this address and is ignored", other))
	})
	list, err := memberlist.Create(g.configure(self, label, w))
	if err != nil {
		return nil, errors.Join(err, w.Shutdown())
	}
	l := &life{list: list, wire: w, said: self, at: time.Now()}
	g.mu.Lock()
	g.life = l
	g.mu.Unlock()
	return l, nil
}

// end stops a memberlist; whoever it knew is a suspect until the next one meets them.
func (g *Gossip) end(l *life) {
	g.mu.Lock()
	g.life = nil
	g.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	_ = l.list.Shutdown()
	g.roster.forget()
}

func (g *Gossip) configure(self Meta, label string, w *wire) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label, c.SkipInboundLabelCheck, c.Transport = memberName(self), label, true, w
	c.Logger = log.New(g.voice, "", 0)
	c.SecretKey = gossipKey(g.cfg.Secret, self.Cluster)
	c.TCPTimeout = streamTimeout
	c.ProbeInterval, c.ProbeTimeout = g.tempo.probe, g.tempo.probeTimeout
	c.GossipInterval, c.GossipToTheDeadTime = g.tempo.spread, g.tempo.bury
	// A name moves only when this node announces another address within one start.
	c.DeadNodeReclaimTime = time.Second
	d := &delegate{g: g, self: c.Name}
	c.Delegate, c.Events, c.Alive, c.Conflict = d, d, d, d
	return c
}

// gossipKey is the key that all nodes of a cluster derive from their secret. Without one
// it keeps nobody out, and is there because memberlist has no checksum for its streams:
// a node believed what a damaged one said of the others.
func gossipKey(secret []byte, cluster [16]byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("gossip keyring 1"))
	h.Write(cluster[:])
	return h.Sum(nil)
}

// keep goes round the missing and tells news of this node, until the end or until
// it announces another address.
func (g *Gossip) keep(l *life, self Meta) {
	ctx, cancel := context.WithCancel(g.ctx)
	var rounds sync.WaitGroup
	rounds.Add(1)
	go func() { defer rounds.Done(); g.rounds(ctx, l) }()
	defer rounds.Wait()
	defer func() { cancel(); _ = l.wire.Shutdown() }() // a round may wait for a stream
	for {
		var due <-chan time.Time
		now := g.present()
		if now.GossipAddr != self.GossipAddr {
			l.leave(2*g.tempo.spread, now, g.roster.living())
			return
		}
		if worthTelling(l.said, now) {
			due = time.After(g.pauseBefore(l, now))
		}
		select {
		case <-g.ctx.Done():
			return
		case <-g.updated:
		case <-due:
			g.announce(l, now)
		}
	}
}

// pauseBefore spaces announcements; a drain is told at once.
func (g *Gossip) pauseBefore(l *life, now Meta) time.Duration {
	if now.Draining && !l.said.Draining {
		return 0
	}
	return g.tempo.tellEvery - time.Since(l.at)
}

// announce lets memberlist spread what this node says of itself. A drain is told to
// everybody directly as well: what follows it replaces it in memberlist's queue.
func (g *Gossip) announce(l *life, now Meta) {
	draining := now.Draining && !l.said.Draining
	l.said, l.at = now, time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.list.UpdateNode(time.Millisecond) // the error says that it did not wait
	if draining {
		l.tellLocked(now, g.roster.living())
	}
}

// tellLocked says directly to the members what this node is.
func (l *life) tellLocked(m Meta, members []memberlist.Address) {
	b := AppendMeta(nil, m)
	for _, at := range members[:min(len(members), goodbyesMax)] {
		_ = l.list.SendToAddress(at, b)
	}
}

// leave says goodbye. Who leaves for good has said that it drains, perhaps a moment
// ago only: it says so once more, or it would be taken for dead.
func (l *life) leave(limit time.Duration, m Meta, members []memberlist.Address) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	if m.Draining {
		l.tellLocked(m, members)
	}
	_ = l.list.Leave(limit) // the error says that the limit came first
}
