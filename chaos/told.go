package chaos

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Outcome is what a client knows of its operation.
type Outcome uint8

// Outcomes.
const (
	OK      Outcome = iota
	Refused         // it was not done, for certain
	Unknown         // it may have been done, or may be done yet
)

func (o Outcome) String() string { return [...]string{"ok", "refused", "unknown"}[o] }

// Told is one operation as a client of real nodes has it: what was asked, and what it
// was told. Where and when it ran nobody has seen; Trial finds out.
type Told struct {
	Client   int              `json:"c"`
	Key      string           `json:"k"`
	Kind     Kind             `json:"o"` // Read, Set, Del or Incr
	Arg      []byte           `json:"a,omitempty"`
	Deadline int64            `json:"d,omitempty"` // of a Set: unix ms, 0 = none
	If       bool             `json:"i,omitempty"` // a Set only if the key had version IfIs, 0 = was absent
	IfIs     shardmap.Version `json:"is,omitempty"`
	Stale    bool             `json:"f,omitempty"` // a Read from a follower
	Start    time.Duration    `json:"s"`           // since the run began
	End      time.Duration    `json:"e"`
	Outcome  Outcome          `json:"u,omitempty"`
	Word     string           `json:"w,omitempty"` // of the error
	Found    bool             `json:"t,omitempty"` // a Read or Del found it
	Value    []byte           `json:"r,omitempty"` // read
	Int      int64            `json:"n,omitempty"` // after Incr
	Version  shardmap.Version `json:"v,omitempty"` // of the change, or of what was read
	Node     string           `json:"a2,omitempty"`
	Durable  bool             `json:"m,omitempty"` // a majority was waited for
}

// writes says whether it changes its key, if it is done.
func (t *Told) writes() bool {
	return t.Kind == Set || t.Kind == Incr || t.Kind == Del && (t.Found || t.Outcome != OK)
}
