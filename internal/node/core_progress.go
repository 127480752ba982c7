package node

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Group 0 wants; whether it has what it wants is in the groups' own logs. Each holder
// tells the holder of group 0 how far its groups are, so that moves can be made a few at
// a time and budgets grow only when what they count on has happened. It is kept in
// memory: a new holder of group 0 is told anew.

// groupProgress is how far one group is on its way to what group 0 wants.
type groupProgress struct {
	Group   shardmap.GroupID  `json:"group"`
	Version uint64            `json:"version"` // of the wish that the group has come to, 0 when it is on its way
	Copies  []shardmap.NodeID `json:"copies"`  // nodes with a copy or on the way to one
	Seats   []shardmap.NodeID `json:"seats"`   // nodes whose copy counts

	heard      time.Duration // Mono at which it was last told
	holderless bool          // nobody has told it for progressLost
}

// progressTold is what a report followed from, and to whom it went.
type progressTold struct {
	at      arrival
	arrived bool
	to      shardmap.NodeID
}

const (
	// progressEvery is how often everything is told again: reports may be lost.
	progressEvery = 5 * time.Second
	// progressPatience is how long a new holder of group 0 waits for reports before it
	// takes groups of which it hears nothing for settled: they have no holder.
	progressPatience = 10 * time.Second
	// progressLost is how long nothing may be heard of a group before it has no holder:
	// three reports.
	progressLost = 3*progressEvery + time.Second
)

// tellProgress reports the groups held here that have changed since they were reported.
func (c *Core) tellProgress(now multiraft.Instant) {
	to := c.MetaLeader()
	if to == 0 {
		return
	}
	if now.Mono-c.reportedAll >= progressEvery {
		c.reportedAll = now.Mono
		clear(c.reported)
	}
	var news []groupProgress
	for g := 1; g < len(c.meta.Groups); g++ {
		id := shardmap.GroupID(g)
		if !c.raft.Opened(id) {
			c.reported[g] = progressTold{}
			continue
		}
		at := arrival{c.meta.Groups[g].Version, c.raft.Applied(id)}
		key := progressTold{at, c.arrived[id] == at, to}
		if key == c.reported[g] {
			continue
		}
		if st, ok := c.raft.Group(id); ok && st.Leads {
			c.reported[g] = key
			news = append(news, progressOf(st.Config, id, c.seats(id), key))
		}
	}
	if len(news) == 0 {
		return
	}
	b, err := json.Marshal(news)
	if err != nil {
		return
	}
	c.Ask(to, "progress", b, now, func(a Answer) {
		if a.Err != "" {
			c.reportedAll = 0
		}
	})
}

func progressOf(conf multiraft.GroupConfig, id shardmap.GroupID, seats []shardmap.NodeID, key progressTold) groupProgress {
	p := groupProgress{Group: id, Seats: seats}
	for _, d := range slices.Concat(conf.Voters, conf.Learners, conf.Outgoing) {
		if !isWitness(d) && !slices.Contains(p.Copies, d.Node) {
			p.Copies = append(p.Copies, d.Node)
		}
	}
	if key.arrived {
		p.Version = key.at.wanted
	}
	return p
}

// heardProgress takes reports of holders, where group 0 is led.
func (c *Core) heardProgress(body []byte, now multiraft.Instant) Answer {
	var news []groupProgress
	if err := json.Unmarshal(body, &news); err != nil {
		return Answer{Err: "the report cannot be read: " + err.Error()}
	}
	if !c.leadsMeta(now) || c.meta == nil {
		return Answer{Err: errNotMeta.Error()}
	}
	for _, p := range news {
		if int(p.Group) >= len(c.progress) {
			continue
		}
		was := &c.progress[p.Group]
		if p.heard = now.Mono; !p.equal(*was) {
			c.inPlace = 0 // what is wanted may be another now; of what was known it is not
		}
		*was = p
	}
	return Answer{Body: []byte("{}")}
}

// missProgress takes note of groups of which nothing is heard any more: what is on its way
// there gets nowhere, and holds up nobody else.
func (c *Core) missProgress(now multiraft.Instant) {
	for g := range c.progress {
		if p := &c.progress[g]; p.Group != 0 && !p.holderless && now.Mono-p.heard > progressLost {
			p.holderless = true
			c.inPlace = 0
		}
	}
}

// knowsProgress reports whether group 0's holder may plan: it has heard of every group,
// or has waited for long enough.
func (c *Core) knowsProgress(now multiraft.Instant) bool {
	if now.Mono-c.metaSince >= progressPatience {
		return true
	}
	for g := 1; g < len(c.meta.Groups); g++ {
		if c.progress[g].Group == 0 {
			return false
		}
	}
	return true
}

func (p groupProgress) equal(o groupProgress) bool {
	return p.Group == o.Group && p.Version == o.Version && slices.Equal(p.Copies, o.Copies) && slices.Equal(p.Seats, o.Seats) && p.holderless == o.holderless
}

// moving reports whether a group is on its way, as far as is known.
func (p groupProgress) moving(want meta.Group) bool { return p.Group != 0 && p.Version != want.Version }
