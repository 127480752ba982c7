package report

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// hostile is what a key or a log line may contain.
const hostile = `</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;'` + "\x00\xff\u2028"

// synthetic is the report of a run that never was: made from a seed, with every
// kind of fact that a page shows. It is what the golden files hold.
func synthetic() *Report {
	r := &Report{
		Schema: Schema, Suite: "run --scenario all", Begun: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: 130 * sec, Seed: 7, Commit: "0123abc",
		Machine: Machine{OS: "linux", Arch: "amd64", CPUs: 2, Go: "go1.26", Version: "6.18"}, Repro: "aegis-chaos run --scenario all --seed 7",
	}
	r.Scenarios = []Scenario{syntheticKills(), syntheticViolation(), {
		Name: "skewed clocks", About: "One node's clock runs ahead.", Verdict: Inconclusive, Reason: "the fault was not seen to act", Took: 10 * sec,
		Repro: "aegis-chaos run --scenario skew --seed 7", Cluster: syntheticCluster, Seed: 7, Faults: []Fault{{Kind: "clock jump", Target: "node2", Start: 3 * sec, End: 6 * sec, Evidence: "its wall clock did not move"}},
		Checks: []Check{{Property: "P7", Name: "a key lives as long as it was told to", Of: "readings"}},
	}}
	return r
}

var syntheticCluster = Cluster{Server: "aegis", Nodes: 3, Copies: 3, Groups: 16, Ack: "mixed", WAL: "off", Lease: 600 * ms}

// load gives a scenario a second's worth of operations again and again: what falls
// into a gap is slow or fails.
func load(s *Scenario, random *rand.Rand, bad func(time.Duration) bool) {
	sampler := NewSampler(1)
	for at := time.Duration(0); at < s.Took; at += 10 * ms {
		for i := range 3 {
			p := Point{At: at, Took: time.Duration(200+random.ExpFloat64()*200) * time.Microsecond, Kind: []string{"get", "set"}[random.IntN(2)]}
			if i == 0 && bad(at) {
				p.Took, p.Outcome = time.Duration(50+random.IntN(600))*ms, []Outcome{OK, Refused, Unknown}[random.IntN(3)]
			}
			sampler.Add(p)
			s.Throughput.Add(at+p.Took, p.Outcome)
		}
	}
	s.Latency = sampler.Samples()
}

// syntheticKills is three kills of a holder, each with 600 ms until its groups are
// served again.
func syntheticKills() Scenario {
	s := Scenario{
		Name: "kill a holder", About: "A node that holds leases is killed (SIGKILL) and started again five seconds later.", Verdict: Pass, Seed: 7,
		Repro: "aegis-chaos run --scenario kill --seed 7", Took: 40 * sec, Quiet: 39 * sec, Cluster: syntheticCluster,
		Errors: map[string]int64{"MOVED": 12, "closed": 31, "LEASELOST": 4}, Witness: Witness{P50: 80 * time.Microsecond, P99: 3 * ms, Max: 21 * ms, Late: []Stall{{33 * sec, 21 * ms}}},
		Operations: Phases{Before: Counts{OK: 10_000}, During: Counts{OK: 61_234, Refused: 40, Unknown: 7}, After: Counts{OK: 12_000}},
		Losses:     Losses{Acked: 31_000, AckedMajority: 9_000, Lost: 5, Reported: 5, Windows: []LossWindow{{"shard 3", 8*sec + 600*ms, 2, 4 * ms}, {"shard 9", 18*sec + 600*ms, 3, 11 * ms}}},
		Checks: []Check{
			{Property: "P1", Name: "one server at a time", Judged: 96, Of: "leases"},
			{Property: "P2", Name: "a reading shows the newest write that is not lost", Judged: 52_000, Of: "readings"},
			{Property: "P8", Name: "what a majority held is there", Judged: 9_000, Of: "majority writes"},
		},
		Probes: []Probe{{"takeover: tail copied", 12}, {"lease waited out", 48}}, Files: []string{"history.jsonl.gz", "nodes/node1/log"},
	}
	random := rand.New(rand.NewPCG(7, 7))
	u := Unavailability{Fault: "kill", Cycles: 3, Budget: 1200 * ms, Bar: "L + 0.6 s", Noisy: 5}
	gone := func(group int, at time.Duration) (cycle int, ok bool) {
		cycle = int((at - 8*sec) / (10 * sec))
		return cycle, at >= 8*sec && cycle < 3 && at < time.Duration(8+10*cycle)*sec+time.Duration(580+group)*ms && (group+cycle)%3 == 0
	}
	lanes := []Lane{{Name: "node1", Leases: []Level{{0, 6}}}, {Name: "node2", Leases: []Level{{0, 5}}}, {Name: "node3", Leases: []Level{{0, 5}}}}
	for i := range 3 {
		at := time.Duration(8+10*i) * sec
		s.Faults = append(s.Faults, Fault{Kind: "kill", Target: lanes[i].Name, Start: at, End: at + 5*sec, Acted: true, Evidence: "5 groups got a new epoch"})
		lanes[i].Spans = []Span{{Up, 0, at}, {Down, at, at + 5*sec}, {Up, at + 5*sec, s.Took}}
		lanes[i].Leases = append(lanes[i].Leases, Level{at, 0}, Level{at + 8*sec, 5})
		for k := 1; k < 3; k++ {
			l := &lanes[(i+k)%3]
			l.Leases = append(l.Leases, Level{at + 600*ms, 8}, Level{at + 8*sec, 5})
		}
		for g := range 16 {
			gap := Gap{Cycle: i, Group: fmt.Sprintf("group %d", g), At: at, Read: 12 * ms, Write: 14 * ms}
			if _, hit := gone(g, at); hit {
				gap.Affected, gap.Read, gap.Write = true, time.Duration(580+g)*ms, time.Duration(581+2*g)*ms
				gap.WaitOut, gap.Open, gap.Reroute = 540*ms, 20*ms, 20*ms
				gap.From, gap.To = lanes[i].Name, lanes[(i+1)%3].Name
			}
			u.Gaps = append(u.Gaps, gap)
		}
	}
	s.Nodes, s.Unavailability = lanes, []Unavailability{u}
	s.Groups.Step = 100 * ms
	for g := range 16 {
		var cells strings.Builder
		for at := time.Duration(0); at < s.Took; at += s.Groups.Step {
			letter := byte(CellOK)
			if _, hit := gone(g, at); hit {
				letter = CellNoHolder
			} else if _, hit := gone(g, at-100*ms); hit {
				letter = CellError
			}
			cells.WriteByte(letter)
		}
		s.Groups.Rows = append(s.Groups.Rows, Row{Name: fmt.Sprintf("group %d", g), Shards: fmt.Sprintf("%d to %d", 4*g, 4*g+3), Cells: cells.String()})
	}
	load(&s, random, func(at time.Duration) bool { _, hit := gone(0, at); _, too := gone(1, at); return hit || too })
	return s
}

// syntheticViolation is a stale reading after a pause, with hostile words in it.
func syntheticViolation() Scenario {
	s := Scenario{
		Name: "pause a holder", About: "A holder is stopped (SIGSTOP) for three seconds.", Verdict: Violated, Reason: "P2: a reading shows what was overwritten", Seed: 9,
		Repro: "aegis-chaos run --scenario pause --seed 9", Took: 12 * sec, Cluster: syntheticCluster,
		Faults: []Fault{
			{Kind: "pause", Target: "node1", Start: 4 * sec, End: 7 * sec, Acted: true, Evidence: "no answer for 3.0 s"},
			{Kind: "partition one-way", Target: "node2 -> node3", Start: 5 * sec, End: 9 * sec, Acted: true, Evidence: "14,112 bytes held back"},
		},
		Nodes:  []Lane{{Name: "node1", Spans: []Span{{Up, 0, 4 * sec}, {Paused, 4 * sec, 7 * sec}, {Up, 7 * sec, 12 * sec}}}, {Name: "node2", Spans: []Span{{Up, 0, 5 * sec}, {Cut, 5 * sec, 9 * sec}, {Up, 9 * sec, 12 * sec}}}},
		Losses: Losses{Acked: 900, AckedMajority: 700, LostMajority: 1},
		Checks: []Check{{Property: "P2", Name: "a reading shows the newest write that is not lost", Judged: 4_000, Of: "readings", Broken: 1}, {Property: "porcupine", Name: "any order explains the answers", Judged: 12, Of: "keys", Undecided: 1}},
	}
	key := Bytes("user:" + hostile)
	s.Violations = []Violation{{
		Property: "P2", At: 7*sec + 12*ms, Key: key, Shard: "40", What: "client 3 read the value of epoch 4 after epoch 5 had acknowledged another: " + hostile,
		Operations: []Operation{
			{Client: 1, Kind: "set", Key: key, Arg: Bytes("v1"), Start: 3900 * ms, End: 3901 * ms, Version: "4/17"},
			{Client: 2, Kind: "set", Key: key, Arg: Bytes("v2" + hostile), Start: 5*sec + 100*ms, End: 5*sec + 130*ms, Version: "5/1"},
			{Client: 4, Kind: "set", Key: key, Arg: Bytes("v3"), Start: 6 * sec, End: 6*sec + 500*ms, Outcome: Unknown, Word: "timeout"},
			{Client: 3, Kind: "get", Key: key, Value: Bytes("v1"), Start: 7*sec + 10*ms, End: 7*sec + 12*ms, Version: "4/17", Wrong: true},
		},
		Leases: []Interval{{"node1", "group 10", 4, sec, 4600 * ms}, {"node3", "group 10", 5, 4700 * ms, 12 * sec}},
		Log:    []LogLine{{7*sec + 1*ms, "node1", "continued after 3.0 s " + hostile}},
	}}
	load(&s, rand.New(rand.NewPCG(9, 9)), func(at time.Duration) bool { return at > 4*sec && at < 4700*ms })
	return s
}
