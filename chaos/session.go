package chaos

import (
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Done judges an operation whose client was answered: what it was told, in the
// light of what it and others had been told before it began.
func (h *History) Done(o *Op) {
	h.Ops++
	h.Sample.done(o)
	if o.wrong != "" {
		h.broken(o.prop, "%s", o.wrong)
	}
	k := &h.keys[o.Key]
	h.oneServer(h.layout.GroupOf(k.shard), o)
	if o.Kind == Flush {
		h.doneFlush(k.shard, o)
		return
	}
	s := h.session(o.Client, o.Key)
	if !o.writes() {
		h.Reads++
		h.recent(k, o)
		h.ownSession(k, s, o)
		if o.Kind == Read && o.Found {
			s.read = max(s.read, o.Version)
			k.know(o.Version, o)
		}
		return
	}
	h.wrote(k, s, o)
	if o.Durable {
		h.durable(k.shard, o.Version)
	}
}

// wrote notes that a client was told of its write of a key.
func (h *History) wrote(k *keyHistory, s *session, o *Op) {
	if o.Version <= s.wrote {
		h.broken("P5", "%q: client %d wrote version %v and then %v", k.name, o.Client, s.wrote, o.Version)
	}
	s.wrote = o.Version
	if h.lost(k.shard, o.Version) {
		h.broken("P2", "%q: version %v of %v was acknowledged at %v, after an Open had cut it", k.name, o.Version, called(o.Node), o.End)
	}
	if e := k.at(o.Version); e != nil {
		e.acked, e.durable = true, o.Durable
	} else {
		h.broken("P9", "%q: version %v is acknowledged at %v, after it was cut", k.name, o.Version, o.End)
	}
	k.know(o.Version, o)
}

// doneFlush is Done for every key of a shard.
func (h *History) doneFlush(id shardmap.ShardID, o *Op) {
	for i := range h.keys {
		if k := &h.keys[i]; k.shard == id {
			h.wrote(k, h.session(o.Client, Key(i)), o)
		}
	}
	if o.Durable {
		h.durable(id, o.Version)
	}
}

// Refused ends a write with a definite error: nothing of it may ever be seen.
func (h *History) Refused(o *Op) {
	if o.entry != 0 {
		h.broken("P14", "%q: %v refused at %v, but it ran under version %v", h.keys[o.Key].name, o.Kind, o.End, o.Version)
	}
	if len(o.Arg) > 0 {
		h.refused = append(h.refused, string(o.Arg))
	}
}

// foreign is P14 when the value shows a write that failed definitely, else the
// property that is broken anyway.
func (h *History) foreign(property string, o *Op) string {
	for _, r := range h.refused {
		if strings.Contains(string(o.Value), r) {
			return "P14"
		}
	}
	return property
}

// know notes that a client knows of a version.
func (k *keyHistory) know(v shardmap.Version, o *Op) {
	for i := len(k.log) - 1; i >= 0 && k.log[i].version >= v; i-- {
		if e := &k.log[i]; e.version == v {
			if e.seen == 0 {
				e.seen = o.End
			}
			k.known = max(k.known, i+1)
			return
		}
	}
}

// recent is P2 as clients can see it: a reading that begins after a surviving
// version was acknowledged or read shows that version or a newer one.
func (h *History) recent(k *keyHistory, o *Op) {
	if k.known == 0 {
		return
	}
	e := &k.log[k.known-1]
	if o.Start < e.seen || h.shows(k, o, e.version) {
		return
	}
	h.broken("P2", "%q: client %d %s at %v, after somebody knew of %s since %v", k.name, o.Client, o.shown(), o.End, e, e.seen)
}

// ownSession is P3 and P4: a client sees what it wrote and what it has read, or
// something newer, unless a cut said that it is lost.
func (h *History) ownSession(k *keyHistory, s *session, o *Op) {
	if s.wrote != 0 && !h.shows(k, o, s.wrote) && !h.lost(k.shard, s.wrote) {
		h.broken("P3", "%q: client %d %s at %v, after writing version %v", k.name, o.Client, o.shown(), o.End, s.wrote)
	}
	if s.read != 0 && !h.shows(k, o, s.read) && !h.lost(k.shard, s.read) {
		h.broken("P4", "%q: client %d %s at %v, after reading version %v", k.name, o.Client, o.shown(), o.End, s.read)
	}
}

// shows says whether what a reading (or a write that changed nothing) found can be
// the key at a version or later.
func (h *History) shows(k *keyHistory, o *Op, v shardmap.Version) bool {
	if o.Found {
		return o.Kind != Read || o.Version >= v
	}
	for i := len(k.log) - 1; i >= 0 && k.log[i].version >= v; i-- {
		if k.log[i].maybeAbsent(o.High) {
			return true
		}
	}
	return false
}

func (o *Op) shown() string {
	if !o.Found {
		return "found it absent"
	}
	return "read version " + o.Version.String()
}

func (h *History) session(client int, k Key) *session {
	for client >= len(h.seen) {
		h.seen = append(h.seen, nil)
	}
	if int(k) >= len(h.seen[client]) {
		h.seen[client] = append(h.seen[client], make([]session, len(h.keys)-len(h.seen[client]))...)
	}
	return &h.seen[client][k]
}

// oneServer is P1 as clients can see it: nobody answers under a lower ballot
// after somebody answered under a higher one.
func (h *History) oneServer(g shardmap.GroupID, o *Op) {
	t := &h.top[g]
	switch {
	case o.Ballot.IsZero(): // nobody told
	case t.ballot == o.Ballot && t.node != o.Node && t.node != 0:
		h.broken("P1", "group %d: nodes %d and %d both answered under ballot %v", g, t.node, o.Node, o.Ballot)
	case o.Ballot.Less(t.ballot) && o.End > t.at:
		h.broken("P1", "group %d: %v answered at %v under %v, after %v under %v at %v", g, called(o.Node), o.End, o.Ballot, called(t.node), t.ballot, t.at)
	case t.ballot.Less(o.Ballot):
		*t = held{o.Ballot, o.Node, o.End}
	}
}
