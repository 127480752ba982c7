package node

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	chatEvery  = time.Second            // how often the node looks at itself
	chatSoon   = 50 * time.Millisecond  // until it knows the registry
	goodbyeMax = 300 * time.Millisecond // how long a node that leaves waits for its goodbye

	// noticesMax bounds the sentences that are kept, and saidMax the nodes whose last state
	// in gossip is: without a cluster secret anybody can invent clusters and nodes.
	noticesMax = 64
	saidMax    = 4096
	wordsMax   = 256 // characters of what a stranger calls itself
)

// chat is the node's part in gossip, and what it learns beside it: it says what the
// node is, passes hints to the core, keeps the sentences that operators should read,
// and judges claims of other clusters. Nothing in the node waits for it.
type chat struct {
	n      *Node
	gossip *membership.Gossip
	cancel context.CancelFunc
	done   chan struct{}

	marked bool // that a write was taken is on disk; only the goroutine of run

	draining atomic.Bool
	states   map[shardmap.NodeID]membership.State // last logged; only gossip's goroutine

	mu      sync.Mutex // guards the rest
	notices map[string]string
	lonely  lonely // only the goroutine of run
	twin    string // where gossip says that a later start of this node is, "" nowhere
}

// startChat begins to gossip; the core must stand.
func (n *Node) startChat() *chat {
	c := &chat{n: n, done: make(chan struct{}), states: make(map[shardmap.NodeID]membership.State), notices: make(map[string]string)}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	c.gossip = membership.StartGossip(membership.GossipConfig{
		Port: n.port, Secret: n.secret, UUID: n.uuid, Name: n.cfg.ID, Self: c.self(),
		Told: c.told, Visited: c.visited, Say: c.say,
	})
	n.chat.Store(c)
	go c.run(ctx)
	return c
}

// close ends gossip without a goodbye.
func (c *chat) close() {
	c.cancel()
	c.gossip.Close()
	<-c.done
}

// drain tells everybody that this node hands its leases over.
func (c *chat) drain() {
	c.draining.Store(true)
	c.gossip.Update(c.self())
}

// goodbye tells everybody that this node has left, beside what else is to be done.
func (c *chat) goodbye() <-chan struct{} {
	said := make(chan struct{})
	go func() {
		defer close(said)
		c.gossip.Leave(goodbyeMax)
	}()
	return said
}

// run looks at the node once a second, and at claims and discoveries when they come.
func (c *chat) run(ctx context.Context) {
	defer close(c.done)
	for {
		pause := chatEvery
		if !c.look(ctx) {
			pause = chatSoon
		}
		select {
		case <-ctx.Done():
			return
		case claim := <-c.n.claims:
			c.judge(ctx, claim)
		case at := <-c.n.reached:
			c.readdress(ctx, at)
		case <-time.After(pause):
		}
	}
}

// look tells gossip what this node is and where the others should be, and the core
// what operators should know. It reports whether the registry is known.
func (c *chat) look(ctx context.Context) bool {
	c.gossip.Update(c.self())
	c.confront(ctx)
	var contacts []membership.Contact
	written := false
	notices := c.sentences()
	err := c.n.host.Do(ctx, func(multiraft.Instant) {
		contacts, written = c.n.core.GossipContacts(), c.n.core.Written()
		c.n.core.Notices(notices)
		if c.n.core.Dismissed() {
			c.n.dismiss()
		}
	})
	if err != nil {
		return false
	}
	known := len(contacts) > 0
	for _, s := range c.n.cfg.Seeds {
		contacts = append(contacts, membership.Contact{Addr: s})
	}
	c.gossip.Contacts(contacts)
	c.outcast(ctx, contacts)
	c.warnOfLoopback(contacts)
	if written && !c.marked {
		c.marked = c.n.dir.mark()
	}
	return known
}

// self is what this node says of itself.
func (c *chat) self() membership.Meta {
	n := c.n
	a := n.addresses()
	m := membership.Meta{
		Cluster: n.cluster, Node: n.self, Incarnation: n.start.Identity.Inc.Counter, Version: Version,
		ClientAddr: a.Client, ClusterAddr: a.Cluster, GossipAddr: a.Gossip,
		Draining: c.draining.Load(), MemoryMax: divide(n.cfg.MaxMemoryBytes).stores,
	}
	m.MemoryUsed = n.holds().stores.Held
	leases := 0
	for g := 1; g <= n.routes.Load().Layout().Groups; g++ {
		if r := n.core.Data().Replica(shardmap.GroupID(g)); r != nil {
			if r.Lease() != nil {
				leases++
			}
		}
	}
	m.Leases = uint16(min(leases, math.MaxUint16))
	return m
}

// told passes a hint to the core and logs what changed.
func (c *chat) told(m membership.Member) bool {
	if !c.n.host.Post(func(now multiraft.Instant) { c.n.core.Gossiped(m, now) }) {
		return false
	}
	if m.Node != c.n.self && c.states[m.Node] != m.State {
		if len(c.states) >= saidMax {
			clear(c.states)
		}
		c.states[m.Node] = m.State
		c.n.log.Named("gossip").Info("member", zap.Uint32("node", uint32(m.Node)), zap.Uint64("incarnation", m.Incarnation), zap.Stringer("state", m.State))
	}
	if m.Node == c.n.self && m.State == membership.Alive && m.Incarnation > c.n.start.Identity.Inc.Counter {
		c.mu.Lock()
		c.twin = m.GossipAddr
		c.mu.Unlock()
		return true
	}
	if m.State == membership.Alive {
		c.settle(m.GossipAddr)
	}
	return true
}

// say writes a line of gossip's own.
func (c *chat) say(s membership.Severity, text string) {
	log := c.n.log.Named("gossip")
	switch s {
	case membership.Debug:
		log.Debug(text)
	case membership.Info:
		log.Info(text)
	default:
		log.Warn(text)
	}
}

// visited takes what answers where a member is missed.
func (c *chat) visited(at membership.Contact, rep membership.Reply) {
	switch {
	case rep.Cluster == c.n.cluster:
		c.settle(at.Addr)
	case rep.Cluster != [16]byte{} && at.Name != "":
		c.notice(place(at.Addr), fmt.Sprintf(
			"%s is registered as the address of %s, but node %q of another cluster (%.4x) answers there: either the disk of %s was lost and it founded a cluster of its own, or its address was given away",
			at.Addr, at.Name, rep.Name, rep.Cluster, at.Name))
	case rep.Cluster != [16]byte{} && !c.said(place(at.Addr)):
		c.notice("seed "+at.Addr, fmt.Sprintf("the seed %s belongs to another cluster (%.4x): take it out of --seeds", at.Addr, rep.Cluster))
	}
}

// notice keeps a sentence for status, and logs it when it is new.
func (c *chat) notice(key, sentence string) {
	c.mu.Lock()
	old, there := c.notices[key]
	fits := there || len(c.notices) < noticesMax
	if fits {
		c.notices[key] = sentence
	}
	c.mu.Unlock()
	if fits && old != sentence {
		c.n.log.Warn(sentence)
	}
}

// settle takes back what was said about an address.
func (c *chat) settle(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.notices, place(addr))
	delete(c.notices, "seed "+addr)
}

// place is the key of what is said about an address.
func place(addr string) string { return "at " + canonical(addr) }

// said reports whether there is a sentence under a key.
func (c *chat) said(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notices[key] != ""
}

func (c *chat) sentences() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq([]string{}, maps.Values(c.notices))
}

// claimed takes a question of another cluster that has this node's address
// registered as one of its own.
func (n *Node) claimed(q membership.Question) {
	select {
	case n.claims <- q:
	default: // it asks again
	}
}

// judge says what is wrong, and ends this node when its cluster is new and without a
// single write: a node whose disk was lost must not open a second, empty cluster
// under its old address (DESIGN 3a).
func (c *chat) judge(ctx context.Context, q membership.Question) {
	n := c.n
	from := fmt.Sprintf("%.*s", wordsMax, q.Name)
	if len(q.Seeds) > 0 {
		from += fmt.Sprintf(" at %.*s", wordsMax, q.Seeds[0])
	}
	fact := fmt.Sprintf("another cluster (%.4x) has this node's address %s registered as that of its node %.*q, and %s, which belongs to it, is alive",
		q.Cluster, n.addresses().Gossip, wordsMax, q.Held, from)
	if c.unwritten(ctx) {
		n.end(fmt.Errorf("%s: a second, empty cluster (%.4x) must not open under that address; empty %s and start again with --seeds, or choose other addresses",
			fact, n.cluster, n.dir.path))
		return
	}
	c.notice(fmt.Sprintf("claim %.*s", wordsMax, q.Held), fmt.Sprintf("%s: this cluster (%.4x) has taken writes and goes on", fact, n.cluster))
}

// unwritten reports whether nobody in this cluster has ever taken a write; then
// this node holds no lease any more. A node that does not answer may have taken one.
func (c *chat) unwritten(ctx context.Context) bool {
	r, err := c.n.Status(2 * time.Second)
	if err != nil || len(r.Silent) > 0 || slices.ContainsFunc(r.Nodes, func(n NodeReport) bool { return n.Written }) {
		return false
	}
	withdrawn := false
	err = c.n.host.Do(ctx, func(now multiraft.Instant) { withdrawn = c.n.core.Withdraw(now) })
	return err == nil && withdrawn
}

// reachedAt takes note of an address at which somebody reached this node. One that
// announces loopback because nothing else was said learns from it where it is.
func (n *Node) reachedAt(at net.Addr) {
	t, ok := at.(*net.TCPAddr)
	if !ok || t.IP.IsLoopback() || t.IP.IsUnspecified() || !n.announcesLoopback() {
		return
	}
	select {
	case n.reached <- t.IP.String():
	default:
	}
}

func (n *Node) announcesLoopback() bool {
	host, _, err := net.SplitHostPort(n.addresses().Gossip)
	return err == nil && isLoopback(host) && n.cfg.Advertise == "" && n.cfg.anyHost()
}

// readdress announces the host at which this node was reached instead of loopback.
func (c *chat) readdress(ctx context.Context, host string) {
	n := c.n
	if !n.announcesLoopback() {
		return
	}
	old, a := n.addresses(), n.cfg.at(host)
	n.mu.Lock()
	n.addrs = a
	n.mu.Unlock()
	n.log.Warn("this node announced a loopback address, but it is joined from elsewhere: from now on it announces the address at which it was reached; say which it is with --advertise",
		zap.String("announced", old.Cluster), zap.String("now", a.Cluster))
	_ = n.host.Do(ctx, func(multiraft.Instant) { n.core.Readdress(a) })
}

// warnOfLoopback says loudly that this node announces loopback while others of its
// cluster are elsewhere.
func (c *chat) warnOfLoopback(contacts []membership.Contact) {
	if !c.n.announcesLoopback() {
		return
	}
	for _, o := range contacts {
		host, _, err := net.SplitHostPort(o.Addr)
		if err == nil && o.Node != 0 && o.Node != c.n.self && !isLoopback(host) {
			c.notice("loopback", fmt.Sprintf("this node announces %s, where %s at %s cannot reach it: start it with --advertise", c.n.addresses().Cluster, o.Name, o.Addr))
			return
		}
	}
}

// addresses are what this node announces now.
func (n *Node) addresses() meta.Addresses {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs
}
