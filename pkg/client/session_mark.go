package client

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// place names one state of the map of one node's process: while it stays the same, no
// shard that the node serves has changed hands. The epoch alone would do, but for the
// moments in which a new process learns its map.
type place struct {
	node  string
	life  uint64
	epoch uint64
}

// sessionMark is what a session knows of one shard. Everything here is a function of
// answers and verdicts.
type sessionMark struct {
	place place            // whose history holds high; the zero place when nobody's surely does
	high  shardmap.Version // highest version written or seen
	open  []shardmap.Version
	lost  []*LostWritesError // not told yet

	// clear is when followers may be asked again, on the client's clock: something was seen
	// before that has no version, and what a copy may lack is older by then.
	clear time.Duration
}

// follow says whether a follower may be asked, and which version it must have: one
// that it has in its history, with all before it, is all that the session saw. Versions
// of several epochs are not proved by one, as the older may have been cut.
func (m *sessionMark) follow(now time.Duration) (least shardmap.Version, ok bool) {
	all := m.versions()
	if now < m.clear || len(m.lost) > 0 || len(all) > 1 {
		return 0, false
	}
	if len(all) == 1 {
		least = all[0]
	}
	return least, true
}

// followed takes the version of a follower's answer. What the session had not seen yet is
// nothing that a leaseholder vouched for.
func (m *sessionMark) followed(v shardmap.Version) {
	if v <= m.high {
		return
	}
	m.doubt(m.high)
	m.place, m.high = place{}, 0
	m.doubt(v)
}

// blind keeps followers from being asked until a time: a miss, or an error, told the session
// something that has no version.
func (m *sessionMark) blind(until time.Duration) { m.clear = max(m.clear, until) }

// sees takes the version and place of an answer and gives the versions that the node must
// be asked for before the answer is believed.
func (m *sessionMark) sees(p place, v shardmap.Version) []shardmap.Version {
	if m.place != p {
		m.doubt(m.high)
		m.place, m.high = place{}, 0
	}
	switch {
	case len(m.open) == 0:
		m.place, m.high = p, max(m.high, v)
		return nil
	case m.place == p:
		m.high = max(m.high, v)
	default:
		m.doubt(v) // unless the verdict on the others comes from p
	}
	return slices.Clone(m.open)
}

// doubt wants a version proved. What survives of an epoch is a prefix, so its
// highest version speaks for the others.
func (m *sessionMark) doubt(v shardmap.Version) {
	if v == 0 {
		return
	}
	for i, o := range m.open {
		if o.Epoch() == v.Epoch() {
			m.open[i] = max(o, v)
			return
		}
	}
	m.open = append(m.open, v)
}

// judged takes the verdicts on versions that sees gave. by is the place of the answer
// when its own node said that all that is not lost is in its history, else the zero
// place. It says whether every version of them has a verdict.
func (m *sessionMark) judged(shard shardmap.ShardID, by place, verdicts []mark) (final bool) {
	final = true
	for _, v := range verdicts {
		switch v.word {
		case verdictLost:
			m.lose(shard, v.version)
		case verdictUnknown:
			final = false
		}
	}
	if !final {
		return false
	}
	for _, v := range verdicts {
		if i := slices.Index(m.open, v.version); i >= 0 {
			m.open = slices.Delete(m.open, i, i+1)
			m.high = max(m.high, v.version)
		}
	}
	if len(m.open) == 0 {
		m.place = by
	} else { // another call has seen more meanwhile
		m.doubt(m.high)
		m.place, m.high = place{}, 0
	}
	return true
}

func (m *sessionMark) lose(shard shardmap.ShardID, v shardmap.Version) {
	i := slices.Index(m.open, v)
	if i < 0 {
		return // told by another call
	}
	m.open = slices.Delete(m.open, i, i+1)
	m.lost = append(m.lost, &LostWritesError{Shard: shard, Last: v})
}

// tell gives the next loss that nobody was told of.
func (m *sessionMark) tell() *LostWritesError {
	if len(m.lost) == 0 {
		return nil
	}
	lost := m.lost[0]
	m.lost = m.lost[1:]
	return lost
}

// versions are all that a token must carry.
func (m *sessionMark) versions() []shardmap.Version {
	if m.high == 0 {
		return m.open
	}
	return append(slices.Clone(m.open), m.high)
}
