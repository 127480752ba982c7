package suite

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// What is shown around a violation.
const (
	aroundTime  = 2 * time.Second
	aroundOps   = 40
	aroundLines = 40
)

// Where a checker's sentence names its key, its shard or group, and its moment.
var (
	saidKey   = regexp.MustCompile(`^"((?:[^"\\]|\\.)*)"`)
	saidShard = regexp.MustCompile(`^shard (\d+)`)
	saidGroup = regexp.MustCompile(`^group (\d+)`)
	saidTime  = regexp.MustCompile(` (?:at|from) ([0-9.]+(?:ns|µs|ms|s|m[0-9.]+s))\b`)
)

// pin puts each violation at its moment, with the operations, leases and log lines around.
func (r *run) pin(rec *chaos.Recorded, story *cluster.Story) {
	for _, b := range r.broken {
		v := violation(b)
		if m := saidTime.FindStringSubmatch(v.What); m != nil {
			v.At, _ = time.ParseDuration(m[1])
		}
		group := shardmap.GroupID(0)
		switch {
		case saidKey.MatchString(v.What):
			key, _ := strconv.Unquote(saidKey.FindString(v.What))
			v.Key = report.Bytes(key)
			shard := r.layout.ShardOf(shardmap.SlotOfString(key))
			v.Shard, group = fmt.Sprint(shard), r.layout.GroupOf(shard)
			v.Operations = r.around(rec.Told, key, v.At)
		case saidShard.MatchString(v.What):
			n, _ := strconv.Atoi(saidShard.FindStringSubmatch(v.What)[1])
			v.Shard, group = fmt.Sprint(n), r.layout.GroupOf(shardmap.ShardID(n))
		case saidGroup.MatchString(v.What):
			n, _ := strconv.Atoi(saidGroup.FindStringSubmatch(v.What)[1])
			group = shardmap.GroupID(n)
		}
		v.Leases, v.Log = r.leasesAround(story, group, v.At), r.linesAround(story, group, v.At)
		r.res.Violations = append(r.res.Violations, v)
	}
}

func near(a, b time.Duration) bool { return b == 0 || a > b-aroundTime && a < b+aroundTime }

func (r *run) around(told []chaos.Told, key string, at time.Duration) (list []report.Operation) {
	for i := range told {
		o := &told[i]
		if o.Key != key || !near(o.End, at) && !near(o.Start, at) {
			continue
		}
		p := report.Operation{
			Client: o.Client, Kind: o.Kind.String(), Key: report.Bytes(key), Arg: o.Arg, Value: o.Value, Start: o.Start, End: o.End,
			Outcome: report.Outcome(o.Outcome), Word: o.Word, Wrong: at != 0 && o.End == at,
		}
		if o.Version != 0 {
			p.Version = o.Version.String()
		}
		list = append(list, p)
	}
	if n := len(list); n > aroundOps { // the ones that lead up to it
		list = list[n-aroundOps:]
	}
	return list
}

func (r *run) leasesAround(story *cluster.Story, group shardmap.GroupID, at time.Duration) (list []report.Interval) {
	for _, s := range story.Servings {
		if from, until := s.From-r.l.base, s.Until-r.l.base; s.Group == group && (at == 0 || from < at+aroundTime && until > at-aroundTime) {
			list = append(list, report.Interval{Node: r.c.Nodes[s.Node].Name, Group: fmt.Sprint(group), Epoch: s.Ballot.Term, Start: from, End: until})
		}
	}
	return list
}

func (r *run) linesAround(story *cluster.Story, group shardmap.GroupID, at time.Duration) (list []report.LogLine) {
	for _, l := range story.Lines {
		since := time.Duration(l.At.UnixMilli()-r.l.wall) * time.Millisecond
		if near(since, at) && (group == 0 || l.Group == 0 || l.Group == group) && len(list) < aroundLines {
			list = append(list, report.LogLine{At: since, Node: r.c.Nodes[l.Node].Name, Text: l.Text})
		}
	}
	return list
}
