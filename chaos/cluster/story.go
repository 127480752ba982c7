package cluster

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Story is what the nodes' logs say of leases.
type Story struct {
	Servings []chaos.Serving
	Opens    []chaos.Cut // what Opens decided; At is on the clock that leases run on
	Lines    []Line      // warnings and errors, and what is about leases
}

// Line is one line of a log.
type Line struct {
	Node  int
	At    time.Time
	Group shardmap.GroupID // 0: none in particular
	Text  string
}

// logged is what is read of a line.
type logged struct {
	TS      time.Time        `json:"ts"`
	Level   string           `json:"level"`
	Msg     string           `json:"msg"`
	Group   shardmap.GroupID `json:"group"`
	Shard   shardmap.ShardID `json:"shard"`
	Epoch   uint32           `json:"epoch"`
	Ballot  string           `json:"ballot"`
	Mono    time.Duration    `json:"mono"`
	Until   time.Duration    `json:"until"`
	Bases   []uint64         `json:"bases"`
	Clean   bool             `json:"clean"`
	Bounded bool             `json:"bounded"`
}

// Story reads the logs of all nodes. now is when the story ends for those that still run.
func (c *Cluster) Story(layout shardmap.Layout, now time.Duration) (s Story, err error) {
	var logs []string
	for i, n := range c.Nodes {
		if _, err := os.Stat(n.LogPath()); i < c.cfg.Nodes || err == nil { // spare ones need not have been there
			logs = append(logs, n.LogPath())
		}
	}
	return readStory(logs, c.right, c.Deeds(), layout, now)
}

// ReadStory reads logs in JSON of the level debug, one of each node.
func ReadStory(logs []string, deeds []Deed, layout shardmap.Layout, now time.Duration) (s Story, err error) {
	return readStory(logs, func(_ int, own time.Duration) time.Duration { return own }, deeds, layout, now)
}

// readStory is ReadStory where right is what the right clock shows at a reading of a node's.
func readStory(logs []string, right func(node int, own time.Duration) time.Duration, deeds []Deed, layout shardmap.Layout, now time.Duration) (s Story, err error) {
	for i, log := range logs {
		f, err := os.Open(log)
		if err != nil {
			return s, err
		}
		r := reader{node: i, right: func(own time.Duration) time.Duration { return right(i, own) }, layout: layout, s: &s, deeds: deeds, held: map[shardmap.GroupID]chaos.Serving{}, losses: map[shardmap.ShardID]logged{}}
		r.read(bufio.NewReaderSize(f, 1<<20), now)
		_ = f.Close()
	}
	slices.SortStableFunc(s.Servings, func(a, b chaos.Serving) int { return cmp.Compare(a.From, b.From) })
	slices.SortStableFunc(s.Opens, func(a, b chaos.Cut) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(s.Lines, func(a, b Line) int { return a.At.Compare(b.At) })
	return s, nil
}

// reader reads the log of one node.
type reader struct {
	node   int
	right  func(own time.Duration) time.Duration
	layout shardmap.Layout
	s      *Story
	deeds  []Deed
	held   map[shardmap.GroupID]chaos.Serving
	losses map[shardmap.ShardID]logged
}

func (r *reader) read(in *bufio.Reader, now time.Duration) {
	for {
		line, err := in.ReadBytes('\n')
		var l logged
		if json.Unmarshal(line, &l) == nil && l.Msg != "" {
			r.take(&l, string(line))
		}
		if err != nil {
			break
		}
	}
	for _, sv := range r.held {
		r.end(sv, now)
	}
}

func (r *reader) take(l *logged, text string) {
	l.Mono, l.Until = r.right(l.Mono), r.right(l.Until)
	switch l.Msg {
	case "lease open":
		if old, ok := r.held[l.Group]; ok {
			r.end(old, l.Mono) // it was killed before it could say so
		}
		r.held[l.Group] = chaos.Serving{Group: l.Group, Ballot: ballot(l.Ballot), Node: r.node, From: l.Mono}
	case "lease ended":
		if sv, ok := r.held[l.Group]; ok && sv.Ballot == ballot(l.Ballot) {
			delete(r.held, l.Group)
			r.end(sv, min(l.Mono, l.Until))
		}
	case "writes lost":
		r.losses[l.Shard] = *l
	case "group opened":
		r.opened(l)
	}
	if l.Level == "warn" || l.Level == "error" || strings.HasPrefix(l.Msg, "lease") {
		r.s.Lines = append(r.s.Lines, Line{r.node, l.TS, l.Group, strings.TrimSpace(text)})
	}
}

// end takes note of a lease. A node that was killed serves no more, and cannot say so.
func (r *reader) end(sv chaos.Serving, until time.Duration) {
	for _, d := range r.deeds {
		if d.Node == r.node && d.At > sv.From && d.At < until && (d.What == "kill" || d.What == "left") {
			until = d.At
		}
	}
	if sv.Until = until; sv.Until > sv.From {
		r.s.Servings = append(r.s.Servings, sv)
	}
}

func (r *reader) opened(l *logged) {
	first := r.layout.FirstShard(l.Group)
	for i, base := range l.Bases {
		c := chaos.Cut{
			Shard: first + shardmap.ShardID(i), Epoch: l.Epoch, Node: Numbered(r.node), Base: shardmap.Version(base),
			Clean: true, Bounded: true, At: l.Mono,
		}
		if lost, ok := r.losses[c.Shard]; ok && lost.Epoch == l.Epoch {
			c.Clean, c.Bounded = lost.Clean, lost.Bounded
		}
		r.s.Opens = append(r.s.Opens, c)
	}
}

// Numbered is how checkers name the node at a place, whatever id the cluster gave it.
func Numbered(place int) shardmap.NodeID { return shardmap.NodeID(place + 1) }

// ballot reads "term.sub".
func ballot(s string) (b multiraft.Ballot) {
	_, _ = fmt.Sscanf(s, "%d.%d", &b.Term, &b.Sub)
	return b
}

// Cuts joins what logs say of Opens with what nodes remember of them: a node that was
// killed may not have said what it had opened, and nodes forget what needs no verdict.
// places are those of the nodes by the cluster's own ids.
func Cuts(s *Story, remembered []shardgroup.Decided, places map[shardmap.NodeID]int) []chaos.Cut {
	type one struct {
		shard shardmap.ShardID
		epoch uint32
	}
	known := map[one]bool{}
	cuts := slices.Clone(s.Opens)
	for _, o := range cuts {
		known[one{o.Shard, o.Epoch}] = true
	}
	for _, d := range remembered {
		if k := (one{d.Shard, d.Epoch}); !known[k] {
			known[k] = true
			c := chaos.Cut{Shard: d.Shard, Epoch: d.Epoch, Base: d.Base, Clean: d.Clean, Bounded: d.Bounded}
			if place, ok := places[d.Node]; ok {
				c.Node = Numbered(place)
			}
			cuts = append(cuts, c)
		}
	}
	return cuts
}
