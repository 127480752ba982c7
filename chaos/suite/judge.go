package suite

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// equalMax is for how long copies may differ at rest.
const equalMax = 20 * time.Second

// staleBound is how old readings of followers may be, as nodes are told by default, with
// what the age of a promise and a heartbeat add.
const staleBound = 1500 * time.Millisecond

// judge gathers what nodes have to say, writes the history and lets checkers judge it.
func (r *run) judge() {
	rec := &chaos.Recorded{Layout: r.layout, Wall: r.l.wall, Mono: r.l.base, Bound: staleBound, Skew: r.sc.Skew, Evicts: r.sc.Evicts, Names: map[shardmap.NodeID]string{}, Told: r.l.operations()}
	for i, n := range r.c.Nodes {
		rec.Names[cluster.Numbered(i)] = n.Addr()
	}
	places := r.places()
	rec.Digests = r.digests()
	rec.Verdicts = r.verdicts(rec.Told)
	r.peak.look(r.c)
	grown, most := r.peak.grown(r.c, r.memory())
	r.broken = append(r.broken, grown...)
	r.res.Probes = append(r.res.Probes,
		report.Probe{Name: "MiB of memory that a process took, at most", Count: most >> 20},
		report.Probe{Name: "MiB of files that a process had mapped besides, at most", Count: r.peak.mapped.Load() >> 20})
	r.evictions()
	remembered := r.remembered()
	ends := cluster.Now()
	for _, n := range r.c.Nodes { // their logs are whole then
		n.Resume()
		_, _ = n.ReadLog()
		_ = n.Leave()
	}
	story, err := r.c.Story(r.layout, ends)
	if err != nil {
		r.vague = append(r.vague, "a log cannot be read: "+err.Error())
	}
	rec.Servings = story.Servings
	rec.Cuts = cluster.Cuts(&story, remembered, places)
	for i := range rec.Cuts {
		if c := &rec.Cuts[i]; c.At != 0 {
			c.At = max(1, c.At-r.l.base)
		}
	}
	if err := rec.Write(r.path(HistoryFile)); err != nil {
		r.vague = append(r.vague, "the history cannot be written: "+err.Error())
	}
	r.res.Files = append(r.res.Files, HistoryFile)
	r.recovered(rec.Told)
	j := rec.Judge()
	r.broken = append(r.broken, j.Broken...)
	r.vague = append(r.vague, j.Undecided...)
	if j.Unjudged*unjudgedShare > r.keysOf(rec.Told) {
		r.vague = append(r.vague, fmt.Sprintf("%d keys could not be judged, because evictions and unknown outcomes explain too much", j.Unjudged))
	}
	r.losses(&j)
	r.fill(rec, &story, &j)
}

// losses judges what was lost by what the scenario leaves: a loss is declared, but not all
// that is declared may be lost.
func (r *run) losses(j *chaos.Judgement) {
	if !r.sc.Deadly && j.Durable > 0 {
		r.broken = append(r.broken, fmt.Sprintf("P8: %d writes are lost that a majority had acknowledged, and never were most copies out of reach at once", j.Durable))
	}
	if r.sc.Lossless && r.wal() != "off" && j.Lost > 0 {
		r.broken = append(r.broken, fmt.Sprintf("P15: %d acknowledged writes are lost, and the logs of mode %s had them", j.Lost, r.wal()))
	}
}

// unjudgedShare is how many keys there must be for each that evictions leave unjudged.
const unjudgedShare = 20

// keysOf is how many keys operations are of.
func (r *run) keysOf(told []chaos.Told) int {
	keys := map[string]bool{}
	for i := range told {
		keys[told[i].Key] = true
	}
	return len(keys)
}

// places are the nodes by the cluster's own ids.
func (r *run) places() map[shardmap.NodeID]int {
	m := map[shardmap.NodeID]int{}
	if s, err := r.c.Status(); err == nil {
		for _, n := range s.Nodes {
			for i, p := range r.c.Nodes {
				if p.Name == n.Name {
					m[n.Node] = i
				}
			}
		}
	}
	return m
}

// digests waits until all copies are equal, and gives those of the last look (P10).
func (r *run) digests() (last []chaos.Digest) {
	var why error
	err := cluster.Await(equalMax, "P10: equal copies at rest", func() bool {
		last, why = nil, nil
		for i, n := range r.c.Nodes {
			if !r.belongs(i) {
				continue
			}
			list, err := n.Digests()
			why = errors.Join(why, err)
			for _, d := range list {
				last = append(last, chaos.Digest{Shard: d.Shard, Node: i, Version: d.Version, Time: d.Time, Digest: d.Digest, Whole: d.Whole})
			}
		}
		differ, copies := chaos.Differences(last)
		return why == nil && len(differ) == 0 && copies >= r.layout.Shards*r.copies()
	})
	if err != nil && why != nil {
		r.broken = append(r.broken, fmt.Sprintf("%v: %v", err, why))
	} else if _, copies := chaos.Differences(last); copies < r.layout.Shards*r.copies() {
		r.broken = append(r.broken, fmt.Sprintf("P10: only %d whole copies of %d shards at rest", copies, r.layout.Shards))
	}
	return last
}

// belongs says whether a node is to be in the cluster: spare ones come and go.
func (r *run) belongs(node int) bool { return node < r.o.Nodes || r.c.Nodes[node].Runs() }

// evictions must be none, unless the scenario is about them: a miss would have an excuse
// that no checker knows of.
func (r *run) evictions() {
	for _, n := range r.c.Nodes {
		if k := evictedBy(n.Ask); k > 0 && !r.sc.Evicts {
			r.vague = append(r.vague, fmt.Sprintf("%s evicted %d keys", n.Name, k))
		}
	}
}

// evictedBy is how many keys a node says that it has evicted, 0 when it does not answer.
func evictedBy(ask func(words ...string) (resp.Reply, error)) (n int64) {
	a, err := ask("INFO", "stats")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(a.Text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), "evicted_keys:"); ok {
			n, _ = strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}

func (r *run) remembered() (all []shardgroup.Decided) {
	for _, n := range r.c.Nodes {
		if l, err := n.Lineage(); err == nil {
			all = append(all, l...)
		}
	}
	return all
}

// Least traffic of a scenario that says anything.
const (
	opsBefore = 200
	opsDuring = 100
	opsAfter  = 100
)

// conclude draws the verdict.
func (r *run) conclude() {
	o := &r.res.Operations
	for _, v := range []struct {
		when  string
		ok    int64
		least int64
	}{{"before", o.Before.OK, opsBefore}, {"during", o.During.OK, opsDuring}, {"after", o.After.OK, opsAfter}} {
		if v.ok < v.least {
			r.vague = append(r.vague, fmt.Sprintf("only %d operations succeeded %s the faults, less than %d say nothing", v.ok, v.when, v.least))
		}
	}
	missed := r.budgets()
	if len(r.res.Violations) == 0 { // nothing was judged: the run itself went wrong
		for _, b := range r.broken {
			r.res.Violations = append(r.res.Violations, violation(b))
		}
	}
	switch {
	case len(r.broken) > 0:
		r.res.Verdict, r.res.Reason = report.Violated, r.broken[0]
	case len(r.vague) > 0:
		r.res.Verdict, r.res.Reason = report.Inconclusive, r.vague[0]
	case len(missed) > 0 && r.o.Budgets:
		r.res.Verdict, r.res.Reason = report.BudgetMissed, missed[0]
	default:
		r.res.Verdict = report.Pass
	}
}

// gapsLeast is how many undisturbed gaps a quantile must come from.
const gapsLeast = 5

// budgets says which bars of time were missed.
func (r *run) budgets() (missed []string) {
	r.gaps.Told, r.gaps.Noisy = !r.o.Budgets, r.noisy
	r.res.Unavailability = []report.Unavailability{r.gaps}
	u := &r.gaps
	reading, writing, others := u.Read(), u.Write(), u.Others()
	worst := max(reading.P99, writing.P99)
	if u.Budget > 0 && reading.Count >= gapsLeast && worst > u.Budget {
		missed = append(missed, fmt.Sprintf("the groups that were hit were unavailable for %v (p99), over %v (%s)", worst.Round(time.Millisecond), u.Budget, u.Bar))
	}
	if u.Budget > 0 && others.Count >= gapsLeast && others.P99 > othersBar {
		missed = append(missed, fmt.Sprintf("groups that were not hit had gaps of %v (p99), over %v", others.P99.Round(time.Millisecond), othersBar))
	}
	return missed
}

// violation is a checker's sentence: the property, a colon and what it saw.
func violation(b string) report.Violation {
	property, what, ok := strings.Cut(b, ": ")
	if !ok || len(property) > 12 {
		property, what = "run", b
	}
	return report.Violation{Property: property, What: what}
}

func barText(bar time.Duration) string {
	switch bar {
	case 0:
		return ""
	case crashBar:
		return "L + 0.6 s"
	case outageBar:
		return "L + 1.5 s"
	case plannedBar:
		return "20 ms and three probes"
	}
	return bar.String()
}

// sortedByTime puts operations in the order in which they began.
func sortedByTime(told []chaos.Told) {
	slices.SortFunc(told, func(a, b chaos.Told) int { return cmp.Compare(a.Start, b.Start) })
}
