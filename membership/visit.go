package membership

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	visitsMax = 8                      // contacts that are asked in one round
	visitGap  = 250 * time.Millisecond // between rounds, however often somebody is doubted
)

// rounds visits the missing, more rarely while nobody new is met.
func (g *Gossip) rounds(ctx context.Context, l *life) {
	for pause := g.tempo.visitMin; ; {
		begun := time.Now()
		if g.visit(ctx, l) {
			pause = g.tempo.visitMin
		} else {
			pause = min(2*pause, g.tempo.visitMax)
		}
		select {
		case <-ctx.Done():
			return
		case <-g.nudged:
			pause = g.tempo.visitMin
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(visitGap, pause) - time.Since(begun)):
			}
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// missing lists the contacts to visit: registered nodes that are doubted or not
// alive, and the seeds while there is one, or while the registry is not known.
func (g *Gossip) missing() []Contact {
	g.mu.Lock()
	self, all, doubted := g.self.Node, slices.Clone(g.contacts), g.doubted
	g.doubted = make(map[shardmap.NodeID]struct{})
	g.mu.Unlock()
	var rows, seeds []Contact
	registered := 0
	for _, c := range all {
		switch {
		case c.Node == 0:
			seeds = append(seeds, c)
		case c.Node != self:
			registered++
			if _, doubt := doubted[c.Node]; doubt || !g.roster.here(c.Node) {
				rows = append(rows, c)
			}
		}
	}
	if len(rows) > 0 || registered == 0 {
		rows = append(rows, seeds...)
	}
	return rows
}

// visit asks some of the missing who they are and joins those of this cluster.
// It reports whether one was met, or none is missing.
func (g *Gossip) visit(ctx context.Context, l *life) (met bool) {
	missing := g.missing()
	if len(missing) == 0 {
		return true
	}
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	missing = missing[:min(len(missing), visitsMax)]
	results := make(chan bool)
	for _, c := range missing {
		go func() { results <- g.meet(ctx, l, c) }()
	}
	for range missing {
		met = <-results || met
	}
	return met
}

// meet visits one contact. Asking first keeps memberlist from talking to strangers,
// and tells both sides when another cluster answers there.
func (g *Gossip) meet(ctx context.Context, l *life, c Contact) bool {
	self := g.present()
	rep, err := Ask(ctx, c.Addr, Question{Word: AskWho, UUID: g.cfg.UUID, Cluster: self.Cluster, Name: g.cfg.Name, Seeds: []string{self.GossipAddr}, Held: c.Name}, g.cfg.Secret)
	if err != nil {
		return false
	}
	g.cfg.Visited(c, rep)
	if rep.Cluster != self.Cluster || rep.UUID == g.cfg.UUID || g.knows(rep.UUID) {
		return false
	}
	at, err := addressesOf(ctx, c.Addr)
	if err != nil {
		return false
	}
	for _, a := range at {
		if n, _ := l.list.Join([]string{a.String()}); n > 0 {
			return true
		}
	}
	return false
}

// knows reports whether the node with this data directory is alive: it is not
// missed, though it answers at the address of one that is.
func (g *Gossip) knows(uuid [16]byte) bool {
	g.mu.Lock()
	i := slices.IndexFunc(g.contacts, func(c Contact) bool { return c.Node != 0 && c.UUID == uuid })
	var node shardmap.NodeID
	if i >= 0 {
		node = g.contacts[i].Node
	}
	g.mu.Unlock()
	return i >= 0 && g.roster.here(node)
}
