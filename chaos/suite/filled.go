package suite

import (
	"fmt"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/report"
)

// step is how wide the columns of plots are.
const step = 200 * time.Millisecond

// fill puts what was seen into the report.
func (r *run) fill(rec *chaos.Recorded, story *cluster.Story, j *chaos.Judgement) {
	s := &r.res
	s.Cluster = report.Cluster{
		Server: "aegis", Nodes: r.o.Nodes, Copies: min(3, r.o.Nodes), Groups: r.layout.Groups, Ack: "mixed", WAL: r.wal(), Lease: lease,
		Note: fmt.Sprintf("%d shards in %d groups; %s", r.layout.Shards, r.layout.Groups, clientsAtWork()),
	}
	if r.o.Ack == "majority" {
		s.Cluster.Ack = "majority"
	}
	sortedByTime(rec.Told)
	r.operations(rec.Told)
	s.Losses.Lost, s.Losses.LostMajority = int64(j.Lost-j.Durable), int64(j.Durable)
	s.Losses.Deadly = r.sc.Deadly
	s.Losses.Reported = int64(j.Lost) // what no Open declared is a violation
	for _, l := range j.Losses {
		s.Losses.Windows = append(s.Losses.Windows, report.LossWindow{Shard: fmt.Sprint(l.Shard), At: l.At, Writes: int64(l.Writes), Span: l.Span})
	}
	s.Checks = append(s.Checks, []report.Check{
		{Property: "P2-P9, P11, P14, P17, P19, once", Name: "every answer is explained by the newest write that is not declared lost", Judged: int64(j.Ops), Of: "operations", Broken: int64(len(j.Broken)), Undecided: int64(len(j.Undecided))},
		{Property: "P1", Name: "no two nodes held a lease of one group at once", Judged: int64(j.Leases), Of: "leases", Broken: r.brokenOf("P1")},
		{Property: "P2", Name: "a search finds an order that explains the answers by values and times alone", Judged: int64(j.Opinion.Fine), Of: "keys", Broken: int64(j.Opinion.Wrong), Undecided: int64(j.Opinion.Undecided)},
		{Property: "P10", Name: "copies at rest are equal", Judged: int64(j.Copies), Of: "copies", Broken: r.brokenOf("P10")},
		{Property: "token", Name: "at rest each node says durable of what is there, and lost of what is not", Judged: int64(j.Verdicts), Of: "verdicts", Broken: r.brokenOf("token")},
		{Property: "P18", Name: "no process takes more memory than its limit and what README adds to it", Judged: int64(len(r.c.Nodes)), Of: "nodes", Broken: r.brokenOf("P18")},
	}...)
	if !r.sc.Deadly {
		s.Checks = append(s.Checks, report.Check{Property: "P8", Name: "of what a majority was waited for nothing is lost", Judged: s.Losses.AckedMajority, Of: "acknowledged writes", Broken: int64(j.Durable)})
	}
	s.Checks = append(s.Checks, report.Check{Property: "P13", Name: "every group is read and written again after each fault", Judged: int64(r.gaps.Cycles * r.layout.Groups), Of: "groups", Broken: r.brokenOf("P13")})
	if r.sc.Lossless && r.wal() != "off" {
		s.Checks = append(s.Checks, report.Check{Property: "P15", Name: "what was acknowledged is in the logs after all nodes have fallen", Judged: s.Losses.Acked + s.Losses.AckedMajority, Of: "acknowledged writes", Broken: int64(j.Lost)})
	}
	s.Probes = append(s.Probes, report.Probe{Name: "Opens that nobody told of", Count: int64(j.Missing)})
	if r.sc.Evicts {
		s.Probes = append(s.Probes,
			report.Probe{Name: "keys that a reading showed to be evicted", Count: int64(j.Evicted)},
			report.Probe{Name: "keys that could not be judged", Count: int64(j.Unjudged)})
	}
	r.lanes(story)
	r.pin(rec, story)
	r.matrix(story)
	r.explain(story)
	for _, n := range r.c.Nodes {
		s.Files = append(s.Files, n.Name+".log")
	}
}

// brokenOf is how often a property was broken.
func (r *run) brokenOf(property string) (n int64) {
	for _, b := range r.broken {
		if strings.HasPrefix(b, property+": ") {
			n++
		}
	}
	return n
}

// operations sums up what clients were told.
func (r *run) operations(told []chaos.Told) {
	s := &r.res
	s.Errors = map[string]int64{}
	s.Throughput.Step = step
	sample := report.NewSampler(r.seed)
	for i := range told {
		o := &told[i]
		at := int(o.End / step)
		for len(s.Throughput.OK) <= at {
			s.Throughput.OK = append(s.Throughput.OK, 0)
			s.Throughput.Refused = append(s.Throughput.Refused, 0)
			s.Throughput.Unknown = append(s.Throughput.Unknown, 0)
		}
		sample.Add(report.Point{At: o.Start, Took: o.End - o.Start, Outcome: report.Outcome(o.Outcome), Kind: o.Kind.String()})
		switch o.Outcome {
		case chaos.OK:
			s.Throughput.OK[at]++
			if o.Kind != chaos.Read && o.Durable {
				s.Losses.AckedMajority++
			} else if o.Kind != chaos.Read {
				s.Losses.Acked++
			}
		case chaos.Refused:
			s.Throughput.Refused[at]++
			s.Errors[o.Word]++
		case chaos.Unknown:
			s.Throughput.Unknown[at]++
			s.Errors[o.Word]++
		}
	}
	s.Latency = sample.Samples()
}

// lanes are the nodes' states and leases.
func (r *run) lanes(story *cluster.Story) {
	deeds := r.c.Deeds()
	for i, n := range r.c.Nodes {
		lane := report.Lane{Name: n.Name}
		state, since := report.Up, time.Duration(0)
		for _, d := range deeds {
			next, ok := map[string]report.State{"start": report.Up, "kill": report.Down, "left": report.Down, "pause": report.Paused, "resume": report.Up}[d.What]
			if at := max(0, d.At-r.l.base); d.Node == i && ok && next != state {
				if at > since {
					lane.Spans = append(lane.Spans, report.Span{State: state, Start: since, End: at})
				}
				state, since = next, at
			}
		}
		lane.Spans = append(lane.Spans, report.Span{State: state, Start: since, End: max(since, r.l.now())})
		lane.Leases = leases(story.Servings, i, r.l.base)
		r.res.Nodes = append(r.res.Nodes, lane)
	}
}
