package node

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	askEvery  = 200 * time.Millisecond
	tellEvery = 5 * time.Second // how often a waiting node says what it waits for
)

// answer tells another node who this one is, takes it in, or takes its founding
// record. at is where the question reached this node.
func (n *Node) answer(q membership.Question, at net.Addr) membership.Reply {
	n.reachedAt(at)
	n.mu.Lock()
	id, f := n.identity, n.founded
	n.mu.Unlock()
	if none := [16]byte{}; q.Held != "" && q.Cluster != none && id.Cluster != none && q.Cluster != id.Cluster {
		n.claimed(q)
	}
	rep := membership.Reply{UUID: id.UUID, Cluster: id.Cluster, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect(), Incarnation: id.Inc.Counter, Nonce: id.Inc.Nonce}
	switch q.Word {
	case membership.AskWho:
		if q.Cluster == id.Cluster {
			known := n.remembers()
			rep.Removed, rep.Recovered = known.WasRemoved(q.UUID), known.Marks()
		}
		if id.Cluster == [16]byte{} {
			rep.Row = n.row()
		} else if slices.ContainsFunc(f.Nodes, func(m meta.Node) bool { return m.UUID == q.UUID }) {
			rep.Row, _ = json.Marshal(f)
			rep.Founding = true
		}
	case membership.AskFound:
		rep.Err = n.takeFounding(q.Row)
	case membership.AskJoin:
		rep.Row, rep.Err = n.takeIn(q.Row)
	default:
		rep.Err = "unknown question " + q.Word
	}
	return rep
}

// row is this node's line for the registry.
func (n *Node) row() json.RawMessage {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, _ := json.Marshal(meta.Node{
		UUID: n.uuid, Name: n.cfg.ID, Addresses: n.addrs, Zone: n.cfg.Zone, DataBytes: divide(n.cfg.MaxMemoryBytes).stores, Generation: n.identity.Inc.Counter,
	})
	return b
}

// takeFounding makes a founding record this node's own, durably, unless it has one.
func (n *Node) takeFounding(b json.RawMessage) string {
	var f Founding
	if err := json.Unmarshal(b, &f); err != nil {
		return "the founding record cannot be read: " + err.Error()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.identity.Cluster {
	case [16]byte{}:
	case f.Cluster:
		return "" // said again because the answer was lost: it runs with the record by now
	default:
		return "this node has a cluster already"
	}
	if err := n.adoptLocked(f); err != nil {
		return err.Error()
	}
	return ""
}

// adoptLocked writes the founding record with an fsync and takes its settings.
func (n *Node) adoptLocked(f Founding) error {
	i := slices.IndexFunc(f.Nodes, func(m meta.Node) bool { return m.UUID == n.uuid })
	if i < 0 {
		return errors.New("the founding record does not name this node")
	}
	if err := n.accept(f.Settings); err != nil {
		return err
	}
	return n.keepLocked(f, f.Nodes[i].ID)
}

func (n *Node) keepLocked(f Founding, id shardmap.NodeID) error {
	b, err := EncodeFounding(f)
	if err != nil {
		return err
	}
	next := n.identity
	next.Cluster, next.Node, next.Name, next.Founding = f.Cluster, id, n.cfg.ID, b
	if err := n.storage.SaveIdentity(next); err != nil {
		return fmt.Errorf("keep the cluster's identity: %w", err)
	}
	n.identity, n.founded = next, f
	return nil
}

// accept compares the cluster's hard settings with what the operator stated.
func (n *Node) accept(s meta.Settings) error {
	for name, pair := range map[string][2]int{
		"numShards": {n.cfg.NumShards, s.Shards}, "numGroups": {n.cfg.NumGroups, s.Groups},
		"virtualNodes": {n.cfg.VirtualNodes, s.VirtualNodes}, "replicationFactor": {n.cfg.ReplicationFactor, s.ReplicationFactor},
	} {
		if n.cfg.Stated[name] && pair[0] != pair[1] {
			return fmt.Errorf("%s is %d here and %d in the cluster, which fixed it when it was founded: leave it out, or say %d", name, pair[0], pair[1], pair[1])
		}
	}
	return nil
}

// takeIn forwards a newcomer's row to group 0 and brings back its grant.
func (n *Node) takeIn(row json.RawMessage) (json.RawMessage, string) {
	core := n.standing()
	if core == nil {
		return nil, "this node is not in a cluster yet: try again"
	}
	ctx, cancel := context.WithTimeout(context.Background(), registerWait+time.Second)
	defer cancel()
	a := n.ask(ctx, func() shardmap.NodeID { return core.MetaLeader() }, "register", row)
	return a.Body, a.Err
}

// ask puts a question to a node from outside the core's thread.
func (n *Node) ask(ctx context.Context, to func() shardmap.NodeID, word string, body []byte) Answer {
	got := make(chan Answer, 1)
	err := n.host.Do(ctx, func(now multiraft.Instant) {
		target := to()
		if target == 0 {
			got <- Answer{Err: "group 0 has no leader: try again"}
			return
		}
		n.core.Ask(target, word, body, now, func(a Answer) { got <- a })
	})
	if err != nil {
		return Answer{Err: err.Error()}
	}
	select {
	case a := <-got:
		return a
	case <-ctx.Done():
		return Answer{Err: errLate}
	}
}

// errLate is what ask gives when nobody answered.
const errLate = "no answer in time"

// seedSet is the sorted list of seeds, this node's own gossip address included.
func (n *Node) seedSet() []string {
	set := []string{canonical(n.addresses().Gossip)}
	for _, s := range n.cfg.Seeds {
		set = append(set, canonical(s))
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// canonical writes loopback names as one.
func canonical(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && isLoopback(host) {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

func (n *Node) expect() int {
	if n.cfg.Expect > 0 {
		return n.cfg.Expect
	}
	return len(n.seedSet())
}

// bootstrap gives the node its cluster: the one it had, one it founds, or one it joins.
func (n *Node) bootstrap(ctx context.Context) error {
	n.mu.Lock()
	known := n.identity.Cluster != [16]byte{}
	if known {
		f, err := DecodeFounding(n.identity.Founding)
		if err != nil {
			n.mu.Unlock()
			return err
		}
		if err := n.accept(f.Settings); err != nil {
			n.mu.Unlock()
			return err
		}
		n.founded = f
	}
	n.mu.Unlock()
	if known {
		if err := n.checkSeeds(ctx); err != nil {
			return err
		}
		if err := n.checkRemoved(ctx); err != nil {
			return err
		}
	} else if err := n.findCluster(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.self, n.cluster = n.identity.Node, n.identity.Cluster
	return nil
}

// findCluster asks the seeds until the decision is made.
func (n *Node) findCluster(ctx context.Context) error {
	q := membership.Question{Word: membership.AskWho, UUID: n.uuid, Name: n.cfg.ID, Seeds: n.seedSet(), Expect: n.expect()}
	var told time.Time
	for {
		d := membership.Decide(q, n.askSeeds(ctx, q))
		done, err := n.follow(ctx, d, q)
		if done || err != nil {
			return err
		}
		if n.adopted() {
			return nil
		}
		if d.Reason != "" && time.Since(told) > tellEvery {
			told = time.Now()
			n.log.Info("waiting for a cluster", zap.String("reason", d.Reason))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(askEvery):
		}
	}
}

// adopted reports whether another node's founding record was taken meanwhile.
func (n *Node) adopted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity.Cluster != [16]byte{}
}

// askSeeds asks every address behind every seed name and waits for all of them.
func (n *Node) askSeeds(ctx context.Context, q membership.Question) []membership.Heard {
	answers, count := n.hearSeeds(ctx, q)
	heard := make([]membership.Heard, 0, count)
	for range count {
		heard = append(heard, <-answers)
	}
	return heard
}

// hearSeeds asks every address behind every seed name: count answers or errors
// come as they are there. Who reads fewer leaves nothing behind once ctx ends.
func (n *Node) hearSeeds(ctx context.Context, q membership.Question) (answers <-chan membership.Heard, count int) {
	var addrs []string
	for _, s := range n.cfg.Seeds {
		addrs = append(addrs, resolve(ctx, s)...)
	}
	heard := make(chan membership.Heard, len(addrs))
	for _, a := range addrs {
		go func() {
			r, err := membership.Ask(ctx, a, q, n.secret)
			heard <- membership.Heard{Addr: a, Reply: r, Err: seedAdvice(err)}
		}()
	}
	return heard, len(addrs)
}

// seedAdvice says of an error what to do when it is that a name cannot be looked up.
func seedAdvice(err error) error {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return err
	}
	return fmt.Errorf("its host name cannot be looked up (%w): check its spelling in --seeds, or the name service of this machine", err)
}

// resolve finds the addresses of a seed: a headless service has several.
func resolve(ctx context.Context, seed string) []string {
	host, port, err := net.SplitHostPort(seed)
	if err != nil || isLoopback(host) || net.ParseIP(host) != nil {
		return []string{seed}
	}
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(ips) < 2 {
		return []string{seed}
	}
	addrs := make([]string, len(ips))
	for i, ip := range ips {
		addrs[i] = net.JoinHostPort(ip, port)
	}
	return addrs
}

// follow carries a decision out; done says that the node has a cluster now.
func (n *Node) follow(ctx context.Context, d membership.Decision, q membership.Question) (done bool, err error) {
	switch d.Choice {
	case membership.FoundAlone:
		return true, n.found(nil)
	case membership.Lead:
		return n.proposeFounding(ctx, d.Peers, q)
	case membership.Adopt:
		rep, err := membership.Ask(ctx, d.Via, q, n.secret)
		if err != nil || !rep.Founding {
			return false, nil
		}
		if why := n.takeFounding(rep.Row); why != "" {
			return false, errors.New(why)
		}
		return true, nil
	case membership.JoinVia:
		return n.join(ctx, d.Via, q)
	}
	return false, nil
}

// found makes this node and the named rows a cluster.
func (n *Node) found(others []meta.Node) error {
	f := Founding{Settings: meta.Settings{
		Shards: n.cfg.NumShards, Groups: n.cfg.NumGroups, VirtualNodes: n.cfg.VirtualNodes, ReplicationFactor: n.cfg.ReplicationFactor,
	}}
	var random [24]byte
	if _, err := crand.Read(random[:]); err != nil {
		return err
	}
	copy(f.Cluster[:], random[:16])
	f.Settings.HashKey = binary.BigEndian.Uint64(random[16:])
	var own meta.Node
	if err := json.Unmarshal(n.row(), &own); err != nil {
		return err
	}
	f.Nodes = append([]meta.Node{own}, others...)
	for i := range f.Nodes {
		f.Nodes[i].ID = shardmap.NodeID(i + 1)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.adoptLocked(f)
}

// proposeFounding gets every other founder to keep the record before this node
// does: from then on each of them can only be part of this cluster.
func (n *Node) proposeFounding(ctx context.Context, peers []membership.Heard, q membership.Question) (bool, error) {
	rows := make([]meta.Node, len(peers))
	for i, p := range peers {
		if err := json.Unmarshal(p.Reply.Row, &rows[i]); err != nil {
			return false, nil
		}
	}
	if err := n.found(rows); err != nil {
		return false, err
	}
	n.mu.Lock()
	record, err := json.Marshal(n.founded)
	n.mu.Unlock()
	if err != nil {
		return false, err
	}
	// Whoever misses the record now finds it by asking: it names them.
	q.Word, q.Row = membership.AskFound, record
	for _, p := range peers {
		if rep, err := membership.Ask(ctx, p.Addr, q, n.secret); err != nil || rep.Err != "" {
			n.log.Warn("a founder did not take the record yet", zap.String("addr", p.Addr), zap.String("reason", rep.Err), zap.Error(err))
		}
	}
	return true, nil
}

// join asks a member to be taken in. A setting that differs is final; all else
// is tried again.
func (n *Node) join(ctx context.Context, via string, q membership.Question) (bool, error) {
	q.Word, q.Row = membership.AskJoin, n.row()
	rep, err := membership.Ask(ctx, via, q, n.secret)
	if err != nil || rep.Err != "" {
		return false, nil
	}
	var g Grant
	if err := json.Unmarshal(rep.Row, &g); err != nil {
		return false, nil
	}
	if err := n.accept(g.Founding.Settings); err != nil {
		return false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.keepLocked(g.Founding, g.Node.ID); err != nil {
		return false, err
	}
	return true, nil
}

// founder reports whether this start founds: the record names the node, and its
// disk holds no group yet.
func (n *Node) founder() bool {
	return len(n.start.Groups) == 0 && slices.ContainsFunc(n.founded.Nodes, func(m meta.Node) bool { return m.UUID == n.uuid })
}
