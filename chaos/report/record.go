package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Record is what is left of many runs: enough to say what was judged, how it ended and what
// was lost, and small enough to stand beside the sources.
type Record struct {
	Schema int       `json:"schema"`
	Runs   []Outline `json:"runs"`
}

// Outline is one run in a Record.
type Outline struct {
	Suite     string        `json:"suite"`
	Begun     time.Time     `json:"begun"`
	Took      time.Duration `json:"tookNs"`
	Seed      uint64        `json:"seed"`
	Commit    string        `json:"commit"`
	Verdict   Verdict       `json:"verdict"`
	Checks    []Check       `json:"checks"` // of all scenarios together
	Scenarios []Trait       `json:"scenarios"`
}

// Trait is one scenario of an Outline.
type Trait struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	Repro   string  `json:"repro,omitempty"` // of what did not pass
	Server  string  `json:"server"`
	Ack     string  `json:"ack"`
	Faults  int     `json:"faults"`
	Acted   int     `json:"acted"` // of them, those that were seen to act

	OK      int64 `json:"ok"`
	Refused int64 `json:"refused"`
	Unknown int64 `json:"unknown"`

	Acked         int64  `json:"acked"`
	AckedMajority int64  `json:"ackedMajority"`
	Lost          int64  `json:"lost"`
	LostMajority  int64  `json:"lostMajority"`
	Reported      int64  `json:"reported"`
	Windows       []Bite `json:"windows,omitempty"`

	Away []Away `json:"away"`
}

// Bite is what one takeover lost of a shard: in JSON [writes, nanoseconds], for there are
// many.
type Bite struct {
	Writes int64
	Span   time.Duration // from the first lost write to the last
}

// MarshalJSON makes the list.
func (b Bite) MarshalJSON() ([]byte, error) { return json.Marshal([2]int64{b.Writes, int64(b.Span)}) }

// UnmarshalJSON takes the list.
func (b *Bite) UnmarshalJSON(text []byte) error {
	var two [2]int64
	err := json.Unmarshal(text, &two)
	b.Writes, b.Span = two[0], time.Duration(two[1])
	return err
}

// Away is how long groups were unavailable around faults of one kind.
type Away struct {
	Fault  string        `json:"fault"`
	Cycles int           `json:"cycles"`
	Budget time.Duration `json:"budgetNs,omitempty"`
	Bar    string        `json:"bar,omitempty"`
	Read   Distribution  `json:"read"`
	Write  Distribution  `json:"write"`
	Others Distribution  `json:"others"`
}

// Outline leaves of a report what a Record keeps.
func (r *Report) Outline() Outline {
	o := Outline{Suite: r.Suite, Begun: r.Begun, Took: r.Took, Seed: r.Seed, Commit: r.Commit, Verdict: r.Verdict()}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		o.Scenarios = append(o.Scenarios, s.trait())
		o.Checks = AddChecks(o.Checks, s.Checks)
	}
	return o
}

// AddChecks adds up what checkers looked at.
func AddChecks(sum, more []Check) []Check {
	for _, c := range more {
		i := slices.IndexFunc(sum, func(o Check) bool { return o.Property == c.Property && o.Name == c.Name })
		if i < 0 {
			sum = append(sum, c)
			continue
		}
		sum[i].Judged += c.Judged
		sum[i].Broken += c.Broken
		sum[i].Undecided += c.Undecided
	}
	return sum
}

func (s *Scenario) trait() Trait {
	ops := s.Operations.Total()
	t := Trait{
		Name: s.Name, Verdict: s.Verdict, Reason: s.Reason, Server: s.Cluster.Server, Ack: s.Cluster.Ack, Faults: len(s.Faults),
		OK: ops.OK, Refused: ops.Refused, Unknown: ops.Unknown,
		Acked: s.Losses.Acked, AckedMajority: s.Losses.AckedMajority, Lost: s.Losses.Lost, LostMajority: s.Losses.LostMajority, Reported: s.Losses.Reported,
	}
	for _, w := range s.Losses.Windows {
		t.Windows = append(t.Windows, Bite{w.Writes, w.Span})
	}
	if s.Verdict != Pass {
		t.Repro = s.Repro
	}
	if s.Cluster.Note != "" {
		t.Server += " " + s.Cluster.Note
	}
	for _, f := range s.Faults {
		if f.Acted {
			t.Acted++
		}
	}
	for i := range s.Unavailability {
		u := &s.Unavailability[i]
		t.Away = append(t.Away, Away{Fault: u.Fault, Cycles: u.Cycles, Budget: u.Budget, Bar: u.Bar, Read: u.Read(), Write: u.Write(), Others: u.Others()})
	}
	return t
}

// Missed says whether the groups that were hit were away for longer than the budget allows.
func (a *Away) Missed() bool { return a.Budget > 0 && max(a.Read.P99, a.Write.P99) > a.Budget }

// ReadRecord reads a Record; a file that is not there is an empty one.
func ReadRecord(path string) (*Record, error) {
	rec := &Record{Schema: Schema}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, rec); err != nil || rec.Schema == 0 || rec.Schema > Schema {
		return nil, fmt.Errorf("%s is no record of runs that this program knows: %w", path, errors.Join(err, errors.New("its schema is another")))
	}
	return rec, nil
}

// Write writes the record, one line for each run: so versions of it can be compared.
func (rec *Record) Write(path string) error {
	text := fmt.Appendf(nil, "{\"schema\":%d,\"runs\":[", rec.Schema)
	for i := range rec.Runs {
		b, err := json.Marshal(&rec.Runs[i])
		if err != nil {
			return err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, '\n'), b...)
	}
	return os.WriteFile(path, append(text, "\n]}\n"...), 0o644)
}

// Add takes one more run; the same run again replaces it.
func (rec *Record) Add(o Outline) {
	for i := range rec.Runs {
		if rec.Runs[i].Begun.Equal(o.Begun) && rec.Runs[i].Suite == o.Suite {
			rec.Runs[i] = o
			return
		}
	}
	rec.Runs = append(rec.Runs, o)
}
