package report

import (
	"encoding/json"
	"strconv"
	"time"
)

// Schema is the version of report.json that this package writes. It rises when a
// field changes its meaning or goes; a new field alone does not raise it.
const Schema = 1

// Report is one run of the suite. All times below it count from the beginning of
// the scenario they stand in, all durations are nanoseconds in JSON.
type Report struct {
	Schema    int           `json:"schema"`
	Suite     string        `json:"suite"` // what ran, like "run --scenario all"
	Begun     time.Time     `json:"begun"`
	Took      time.Duration `json:"tookNs"`
	Seed      uint64        `json:"seed"`
	Commit    string        `json:"commit"`
	Machine   Machine       `json:"machine"`
	Repro     string        `json:"repro"` // the command that repeats the whole run
	Scenarios []Scenario    `json:"scenarios"`
}

// Machine is where the run took place.
type Machine struct {
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	CPUs    int    `json:"cpus"`
	Go      string `json:"go"`
	Version string `json:"version"` // of the kernel, when it is known
}

// Verdict is what a scenario came to.
type Verdict string

// Verdicts, from the best to the worst. Inconclusive is no pass: a checker hit its
// limit, a fault was not seen to act, or there was too little traffic.
const (
	Pass         Verdict = "pass"
	BudgetMissed Verdict = "budget missed" // of availability or leaks; nothing unsafe was seen
	Inconclusive Verdict = "inconclusive"
	Violated     Verdict = "violation"
)

// rank orders verdicts; what is not known ranks as inconclusive.
func (v Verdict) rank() int {
	switch v {
	case Pass:
		return 0
	case BudgetMissed:
		return 1
	case Violated:
		return 3
	}
	return 2
}

// ExitCode is what a command answers with: 0 pass, 1 violation, 2 inconclusive, 3
// budget missed.
func (v Verdict) ExitCode() int { return [...]int{0, 3, 2, 1}[v.rank()] }

// Verdict is the worst of the scenarios; a report without any is inconclusive.
func (r *Report) Verdict() Verdict {
	if len(r.Scenarios) == 0 {
		return Inconclusive
	}
	worst := Pass
	for i := range r.Scenarios {
		if v := r.Scenarios[i].Verdict; v.rank() > worst.rank() {
			worst = v
		}
	}
	return worst
}

// Scenario is one schedule of faults under load, and what the checkers said.
type Scenario struct {
	Name    string        `json:"name"`
	About   string        `json:"about"` // what is done to whom, one sentence
	Verdict Verdict       `json:"verdict"`
	Reason  string        `json:"reason"` // why it is not a pass, one sentence; "" for a pass
	Repro   string        `json:"repro"`
	Seed    uint64        `json:"seed"`
	Took    time.Duration `json:"tookNs"`
	Quiet   time.Duration `json:"quietNs,omitempty"` // when clients had ended: what follows is judging; 0 = not known
	Cluster Cluster       `json:"cluster"`

	Faults     []Fault          `json:"faults"`
	Operations Phases           `json:"operations"`
	Errors     map[string]int64 `json:"errors"` // by the word of the reply, or "timeout", "closed"
	Latency    Samples          `json:"latency"`
	Throughput Throughput       `json:"throughput"`

	Nodes          []Lane           `json:"nodes"`
	Groups         Matrix           `json:"groups"`
	Unavailability []Unavailability `json:"unavailability"` // one for each kind of fault
	Witness        Witness          `json:"witness"`
	Losses         Losses           `json:"losses"`
	Violations     []Violation      `json:"violations"`
	Checks         []Check          `json:"checks"`
	Probes         []Probe          `json:"probes"` // rare places and faults, and how often they were come to
	Files          []string         `json:"files"`  // beside report.json: history, schedule, logs
}

// Cluster is what a scenario ran on.
type Cluster struct {
	Server string        `json:"server"` // "aegis", "redis 7.0.15": the name that a comparison shows
	Nodes  int           `json:"nodes"`
	Copies int           `json:"copies"` // of each key
	Groups int           `json:"groups"` // what fails over as one: groups, or ranges of slots
	Ack    string        `json:"ack"`    // async, majority or all; "mixed"
	WAL    string        `json:"wal"`    // off, write or fsync
	Lease  time.Duration `json:"leaseNs"`
	Note   string        `json:"note"` // what else differs from the defaults
}

// Fault is one fault in force from Start to End. A fault that lasts no time, like a
// kill, ends when what it hit is back.
type Fault struct {
	Kind     string        `json:"kind"`   // like "kill", "pause", "partition one-way"
	Target   string        `json:"target"` // like "node2", "node1 -> node3"
	Start    time.Duration `json:"startNs"`
	End      time.Duration `json:"endNs"`
	Acted    bool          `json:"acted"`    // it was seen to act
	Evidence string        `json:"evidence"` // how it was seen, or that it was not
}

// Phases counts operations before the first fault, during faults, and after the
// last.
type Phases struct {
	Before Counts `json:"before"`
	During Counts `json:"during"`
	After  Counts `json:"after"`
}

// Total is all operations.
func (p Phases) Total() Counts {
	return Counts{
		OK:      p.Before.OK + p.During.OK + p.After.OK,
		Refused: p.Before.Refused + p.During.Refused + p.After.Refused,
		Unknown: p.Before.Unknown + p.During.Unknown + p.After.Unknown,
	}
}

// Counts are operations by how they ended.
type Counts struct {
	OK      int64 `json:"ok"`
	Refused int64 `json:"refused"` // not done for certain
	Unknown int64 `json:"unknown"` // may have been done
}

// Outcome is how one operation ended.
type Outcome uint8

// Outcomes.
const (
	OK Outcome = iota
	Refused
	Unknown
)

func (o Outcome) String() string { return [...]string{"ok", "refused", "unknown"}[min(o, Unknown)] }

// Samples are latencies of some operations: chosen by chance among the quick ones,
// and as many of the slow and failed ones as there is room for (all, as a rule).
type Samples struct {
	Slow     time.Duration `json:"slowNs"` // from here on an operation counts as slow
	Of       int64         `json:"of"`     // operations in all
	Outliers int64         `json:"outliers"`
	Points   []Point       `json:"points"` // by time
}

// Point is the latency of one operation. In JSON it is [at, took, outcome, kind], for
// there are many.
type Point struct {
	At      time.Duration // its beginning
	Took    time.Duration
	Outcome Outcome
	Kind    string // "get", "set"
}

// MarshalJSON makes the list.
func (p Point) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{p.At, p.Took, p.Outcome, p.Kind})
}

// UnmarshalJSON takes the list.
func (p *Point) UnmarshalJSON(b []byte) error {
	*p = Point{}
	return json.Unmarshal(b, &[]any{&p.At, &p.Took, &p.Outcome, &p.Kind})
}

// Throughput counts operations in equal steps of time, by when they ended.
type Throughput struct {
	Step    time.Duration `json:"stepNs"`
	OK      []int64       `json:"ok"`
	Refused []int64       `json:"refused"`
	Unknown []int64       `json:"unknown"`
}

// Lane is one node over time.
type Lane struct {
	Name   string  `json:"name"`
	Spans  []Span  `json:"spans"`
	Leases []Level `json:"leases"` // how many it held, from each moment on
}

// State is what a node was like.
type State string

// States of a node.
const (
	Up     State = "up"
	Paused State = "paused"
	Down   State = "down"
	Cut    State = "cut off"
)

// Span is a state that lasted for some time.
type Span struct {
	State State         `json:"state"`
	Start time.Duration `json:"startNs"`
	End   time.Duration `json:"endNs"`
}

// Level is a number that holds from a moment on.
type Level struct {
	At time.Duration `json:"atNs"`
	N  int           `json:"n"`
}

// Matrix is every group over time, as its probe saw it.
type Matrix struct {
	Step time.Duration `json:"stepNs"`
	Rows []Row         `json:"rows"`
}

// Row is one group: a letter for each step, the worst that its probe met.
type Row struct {
	Name   string `json:"name"`             // like "group 12"
	Shards string `json:"shards,omitempty"` // that it serves, like "44 to 47"
	Cells  string `json:"cells"`
}

// Letters of a row's cells.
const (
	CellOK       = '.'
	CellError    = 'e'
	CellNoHolder = 'n' // nobody holds the lease
	CellUnseen   = ' ' // no probe ended in this step
)

// Unavailability is how long groups did not serve around faults of one kind: for
// each group and cycle the longest time between two successes of its probe that
// touches the fault or the recovery from it.
type Unavailability struct {
	Fault  string        `json:"fault"`
	Cycles int           `json:"cycles"`
	Budget time.Duration `json:"budgetNs"`           // of the affected groups' p99; 0 = none is set
	Bar    string        `json:"bar"`                // the budget in words, like "L + 0.6 s"
	Told   bool          `json:"toldOnly,omitempty"` // a missed budget is told and is no verdict
	Noisy  int           `json:"noisy,omitempty"`    // gaps left out because the machine itself stood still
	Gaps   []Gap         `json:"gaps"`               // raw rows
}

// Gap is one group in one cycle. The parts are known only as far as the nodes told.
type Gap struct {
	Cycle    int           `json:"cycle"`
	Group    string        `json:"group"`
	Affected bool          `json:"affected"` // the fault hit its holder
	At       time.Duration `json:"atNs"`     // the last success before
	Read     time.Duration `json:"readNs"`
	Write    time.Duration `json:"writeNs"`
	From     string        `json:"from,omitempty"`      // who served the group before
	To       string        `json:"to,omitempty"`        // and who served it when it was found again
	WaitOut  time.Duration `json:"waitOutNs,omitempty"` // until the next holder's ballot was fenced and the old lease over
	Open     time.Duration `json:"openNs,omitempty"`    // from there until it serves
	Reroute  time.Duration `json:"rerouteNs,omitempty"` // from there until the probe succeeds
}

// Distribution sums up durations.
type Distribution struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50Ns"`
	P99   time.Duration `json:"p99Ns"`
	Max   time.Duration `json:"maxNs"`
}

// Witness is how late a process that only sleeps woke up beside the run: the
// machine's share of what was measured.
type Witness struct {
	P50  time.Duration `json:"p50Ns"`
	P99  time.Duration `json:"p99Ns"`
	Max  time.Duration `json:"maxNs"`
	Late []Stall       `json:"late,omitempty"` // the long ones, by time
}

// Stall is a time in which the machine let the witness wait.
type Stall struct {
	At time.Duration `json:"atNs"`
	By time.Duration `json:"byNs"`
}

// Losses is what became of acknowledged writes.
type Losses struct {
	Acked         int64        `json:"acked"` // asynchronous ones
	AckedMajority int64        `json:"ackedMajority"`
	Lost          int64        `json:"lost"` // of the asynchronous ones
	LostMajority  int64        `json:"lostMajority"`
	Deadly        bool         `json:"deadly,omitempty"` // most copies went at once, so majority writes may be lost, and must be reported
	Reported      int64        `json:"reported"`         // lost ones that the server told of
	Windows       []LossWindow `json:"windows"`
}

// LossWindow is what one takeover lost of one shard.
type LossWindow struct {
	Shard  string        `json:"shard"`
	At     time.Duration `json:"atNs"`
	Writes int64         `json:"writes"`
	Span   time.Duration `json:"spanNs"` // from the first lost write to the takeover's fault, or the last lost one
}

// Violation is a property that was seen broken.
type Violation struct {
	Property   string        `json:"property"` // like "P2"
	At         time.Duration `json:"atNs"`     // 0: of the run as a whole
	What       string        `json:"what"`     // one sentence, with the facts
	Key        Bytes         `json:"key"`
	Shard      string        `json:"shard"`
	Operations []Operation   `json:"operations"` // around it, on the same key
	Leases     []Interval    `json:"leases"`     // of the shard's group
	Log        []LogLine     `json:"log"`
}

// Operation is one operation of a client.
type Operation struct {
	Client  int           `json:"client"`
	Kind    string        `json:"kind"`
	Key     Bytes         `json:"key"`
	Arg     Bytes         `json:"arg,omitempty"`   // written
	Value   Bytes         `json:"value,omitempty"` // read
	Start   time.Duration `json:"startNs"`
	End     time.Duration `json:"endNs"`
	Outcome Outcome       `json:"outcome,omitempty"`
	Word    string        `json:"word,omitempty"` // of the error
	Version string        `json:"version,omitempty"`
	Wrong   bool          `json:"wrong,omitempty"` // it is what the violation is about
}

// Interval is a time in which a node served a group.
type Interval struct {
	Node  string        `json:"node"`
	Group string        `json:"group"`
	Epoch uint64        `json:"epoch"`
	Start time.Duration `json:"startNs"`
	End   time.Duration `json:"endNs"`
}

// LogLine is a line that a node wrote.
type LogLine struct {
	At   time.Duration `json:"atNs"`
	Node string        `json:"node"`
	Text string        `json:"text"`
}

// Check is one checker and how much it looked at. A checker that judged nothing, or
// could not decide, is no pass.
type Check struct {
	Property  string `json:"property"`
	Name      string `json:"name"`   // what it looks for, in words
	Judged    int64  `json:"judged"` // operations, intervals, copies: Of
	Of        string `json:"of"`
	Broken    int64  `json:"broken"`
	Undecided int64  `json:"undecided"` // a search that hit its limit
}

// Probe is a rare place and how often it was come to.
type Probe struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Bytes are keys and values, which are anything. In JSON they are readable text, with
// escapes as in Go where a byte is not printable, and come back as they were.
type Bytes []byte

func (b Bytes) String() string {
	q := strconv.Quote(string(b))
	return q[1 : len(q)-1]
}

// MarshalText makes the text of b.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText takes what MarshalText made.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, err := strconv.Unquote(`"` + string(text) + `"`)
	*b = Bytes(s)
	return err
}
