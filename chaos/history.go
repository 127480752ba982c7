package chaos

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Op is one finished operation on one key, as its client saw it.
type Op struct {
	Client   int
	Key      string
	Write    bool
	Delete   bool
	Value    string // written, or read; "" = absent
	Version  shardmap.Version
	Ballot   multiraft.Ballot // of the lease it was answered under
	Node     shardmap.NodeID
	Start    time.Duration // global time
	End      time.Duration
	Majority bool // acknowledged by a majority
}

// Cut is what an Open decided for one shard: of the epochs before, only versions
// up to Base survive. Clean says that no majority write may be among the lost.
type Cut struct {
	Shard shardmap.ShardID
	Epoch uint32
	Base  shardmap.Version
	Clean bool
	At    time.Duration
}

// History judges operations as they finish. Its checks are linear in the number
// of operations and never give up.
type History struct {
	layout shardmap.Layout
	top    map[shardmap.GroupID]held
	keys   map[string]*keyHistory
	cuts   map[shardmap.ShardID][]Cut
	Ops    int
	Reads  int
	Broken []string
	Lost   int // acknowledged writes that a cut declared lost
}

type held struct {
	ballot multiraft.Ballot
	node   shardmap.NodeID
	at     time.Duration
}

// keyHistory is what reads of a key must respect.
type keyHistory struct {
	newest   Op               // acknowledged or read, with the highest version that is not lost
	majority Op               // the newest majority write
	deleted  shardmap.Version // the newest delete that was applied, answered or not
}

// NewHistory is an empty history.
func NewHistory(l shardmap.Layout) *History {
	return &History{layout: l, top: map[shardmap.GroupID]held{}, keys: map[string]*keyHistory{}, cuts: map[shardmap.ShardID][]Cut{}}
}

func (h *History) broken(property, format string, args ...any) {
	if len(h.Broken) < 20 {
		h.Broken = append(h.Broken, property+": "+fmt.Sprintf(format, args...))
	}
}

// Cut takes note of an Open that a group committed.
func (h *History) Cut(c Cut) {
	for _, o := range h.cuts[c.Shard] {
		if o.Epoch == c.Epoch {
			return
		}
	}
	h.cuts[c.Shard] = append(h.cuts[c.Shard], c)
}

// lost says whether a version was cut away, and whether by an Open that admits
// to have lost majority writes.
func (h *History) lost(s shardmap.ShardID, v shardmap.Version) (lost, admitted bool) {
	for _, c := range h.cuts[s] {
		if c.Epoch > v.Epoch() && v > c.Base {
			lost = true
			admitted = admitted || !c.Clean
		}
	}
	return lost, admitted
}

// Maybe takes note of a delete that was applied under a version and not answered
// (yet): later reads may find the key absent.
func (h *History) Maybe(key string, v shardmap.Version) {
	k := h.keys[key]
	if k == nil {
		k = &keyHistory{}
		h.keys[key] = k
	}
	k.deleted = max(k.deleted, v)
}

// Done judges one finished operation.
func (h *History) Done(o Op) {
	h.Ops++
	shard := h.layout.ShardOf(shardmap.SlotOfString(o.Key))
	h.oneServer(h.layout.GroupOf(shard), o)
	k := h.keys[o.Key]
	if k == nil {
		k = &keyHistory{}
		h.keys[o.Key] = k
	}
	if l, _ := h.lost(shard, k.newest.Version); l {
		h.Lost++
		k.newest = Op{}
	}
	if l, admitted := h.lost(shard, k.majority.Version); l {
		if !admitted {
			h.broken("P8", "%q: majority write %v of %v was cut by an Open that calls itself clean", o.Key, k.majority.Version, k.majority.End)
		}
		k.majority = Op{}
	}
	if !o.Write {
		h.Reads++
		h.judgeRead(shard, k, o)
	}
	if o.Version > k.newest.Version && (o.Write || o.Value != "") {
		k.newest = o
	}
	if o.Majority && o.Version > k.majority.Version {
		k.majority = o
	}
}

// oneServer is P1 as clients can see it: nobody answers under a lower ballot
// after somebody answered under a higher one.
func (h *History) oneServer(g shardmap.GroupID, o Op) {
	t := h.top[g]
	switch {
	case t.ballot == o.Ballot && t.node != o.Node && t.node != 0:
		h.broken("P1", "group %d: nodes %d and %d both answered under ballot %v", g, t.node, o.Node, o.Ballot)
	case o.Ballot.Less(t.ballot) && o.End > t.at:
		h.broken("P1", "group %d: node %d answered at %v under %v, after node %d under %v at %v", g, o.Node, o.End, o.Ballot, t.node, t.ballot, t.at)
	case t.ballot.Less(o.Ballot):
		h.top[g] = held{o.Ballot, o.Node, o.End}
	}
}

// judgeRead is P2 by versions: a read that starts after a surviving version was
// acknowledged or read must return that version or a newer one.
func (h *History) judgeRead(shard shardmap.ShardID, k *keyHistory, o Op) {
	n := k.newest
	if n.Version == 0 || o.Start < n.End {
		return
	}
	absent := o.Value == "" && o.Version == 0
	if o.Version < n.Version && !(absent && (n.Delete || k.deleted > n.Version)) {
		if absent {
			h.broken("P2", "%q: absent at %v, but version %v (%q) was acknowledged at %v and nothing says that it is lost", o.Key, o.End, n.Version, n.Value, n.End)
			return
		}
		h.broken("P2", "%q: version %v read at %v, after %v was acknowledged at %v", o.Key, o.Version, o.End, n.Version, n.End)
	}
	if o.Version == n.Version && o.Value != n.Value && n.Write {
		h.broken("P2", "%q: version %v reads %q, but %q was written under it", o.Key, o.Version, o.Value, n.Value)
	}
}
