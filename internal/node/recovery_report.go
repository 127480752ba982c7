package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// RecoveryReport is what a recovery did, or would do.
type RecoveryReport struct {
	Done       bool              `json:"done"` // false: this is what would happen
	Generation uint64            `json:"generation"`
	Gone       []string          `json:"gone"`
	Survivors  []string          `json:"survivors"`
	Meta       string            `json:"meta"`   // who goes on with group 0, "" when it has its majority
	Kept       int               `json:"kept"`   // groups that have their majority, and lose nothing
	Groups     []RecoveredReport `json:"groups"` // that lost it
	Empty      []RecoveredReport `json:"empty"`  // of which nothing is left
}

// RecoveredReport is one group that goes on without its majority.
type RecoveredReport struct {
	Group   shardmap.GroupID `json:"group"`
	Node    string           `json:"node"`    // that goes on with it
	Whole   bool             `json:"whole"`   // its copy is: it has everything up to some moment
	Keys    int              `json:"keys"`    // that it has
	Missing uint64           `json:"missing"` // writes that it knows it lacks, at least
}

// recoveryReport is the plan as operators read it.
func (c *Core) recoveryReport(r *recovery) RecoveryReport {
	rep := RecoveryReport{
		Generation: r.plan.Generation, Gone: c.eachName(r.order.Gone), Kept: r.plan.Kept,
		Survivors: []string{}, Groups: []RecoveredReport{}, Empty: []RecoveredReport{},
	}
	for _, row := range r.ask {
		rep.Survivors = append(rep.Survivors, row.Name)
	}
	perGroup := c.meta.Settings.Layout().ShardsPerGroup()
	for _, g := range r.plan.Groups {
		if g.Group == shardmap.MetaGroup {
			rep.Meta = c.nameOf(g.node())
			continue
		}
		rep.Groups = append(rep.Groups, RecoveredReport{g.Group, c.nameOf(g.node()), g.copy.Whole == perGroup, g.copy.Keys, g.copy.Missing})
	}
	for _, e := range r.plan.Empty {
		rep.Empty = append(rep.Empty, RecoveredReport{Group: e.Group, Node: c.nameOf(e.Node)})
	}
	return rep
}

// recoveryNotices say what was decided when a majority was lost last.
func (c *Core) recoveryNotices() (sentences []string) {
	if c.meta == nil || len(c.meta.Recoveries) == 0 {
		return nil
	}
	for _, r := range c.meta.Recoveries[len(c.meta.Recoveries)-1:] {
		var names []string
		for _, f := range r.Nodes {
			names = append(names, f.Name)
		}
		lost := 0
		for _, g := range r.Groups {
			if g.Group != shardmap.MetaGroup {
				lost++
			}
		}
		s := fmt.Sprintf("generation %d: %s went on without %s, which were declared gone for good", r.Generation, plural(lost, "group"), strings.Join(names, ", "))
		if r.At != 0 {
			s = fmt.Sprintf("%s, at %s", s, time.UnixMilli(r.At).UTC().Format(time.RFC3339))
		}
		s += "; writes that only these had are lost, acknowledged ones too (AEGIS.CHECK says it of a token)"
		if len(r.Empty) > 0 {
			s += fmt.Sprintf("; %s began anew, empty", plural(len(r.Empty), "group"))
		}
		sentences = append(sentences, s)
	}
	return sentences
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
