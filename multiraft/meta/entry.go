package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// format is the first byte of every entry and snapshot of group 0. JSON follows:
// the state is a few kilobytes and changes a few times a day, so readability
// was worth more than bytes.
const format = 1

// entryBytesMax bounds what Decode accepts.
const entryBytesMax = 8 << 20

// Register adds a node or updates the row of its data directory.
type Register struct {
	Node Node `json:"node"` // ID is ignored for a new data directory
}

// Wanted is one replica of a placement, before its id is minted.
type Wanted struct {
	Node shardmap.NodeID `json:"node"`
	Role Role            `json:"role"`
}

// Placement asks for the replicas and budget of one group. It applies only to
// the version of the group that it was computed from (0 at founding).
type Placement struct {
	Group       shardmap.GroupID `json:"group"`
	From        uint64           `json:"from"`
	Replicas    []Wanted         `json:"replicas"`
	BudgetBytes int64            `json:"budgetBytes"`
}

// Intend sets what operators want of a node. It applies only to the version of the
// intent that it was decided on.
type Intend struct {
	Node   shardmap.NodeID `json:"node"`
	From   uint64          `json:"from"`
	Intent Intent          `json:"intent"`
	Absent bool            `json:"absent,omitempty"` // it is leaving because it was missed
}

// Entry is one change of group 0; exactly one field is set.
type Entry struct {
	Register *Register   `json:"register,omitempty"`
	Place    []Placement `json:"place,omitempty"`
	Intend   *Intend     `json:"intend,omitempty"`
	// Forget takes the row of a node out that is gone.
	Forget shardmap.NodeID `json:"forget,omitempty"`
	// Recover takes nodes out that are gone for good, with the majority they were part of.
	Recover *Recovery `json:"recover,omitempty"`
	// Halt lets rebalancing rest, or go on.
	Halt *Halt `json:"halt,omitempty"`
}

// Encode gives the bytes of an entry.
func (e Entry) Encode() []byte { return encode(e) }

// DecodeEntry reads what Encode wrote.
func DecodeEntry(b []byte) (Entry, error) {
	var e Entry
	return e, decode(b, &e)
}

// Snapshot gives the bytes of the whole state.
func (s *State) Snapshot() []byte { return encode(s) }

// Restore reads a snapshot.
func Restore(b []byte) (*State, error) {
	s := &State{}
	if err := decode(b, s); err != nil {
		return nil, err
	}
	if err := s.Settings.Layout().Validate(); err != nil {
		return nil, fmt.Errorf("meta snapshot: %w", err)
	}
	if len(s.Groups) != s.Settings.Groups+1 {
		return nil, fmt.Errorf("meta snapshot: %d groups for settings that say %d", len(s.Groups)-1, s.Settings.Groups)
	}
	return s, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("meta: a value of our own cannot be encoded: " + err.Error())
	}
	return append([]byte{format}, b...)
}

var errFormat = errors.New("meta: bytes of another format version")

func decode(b []byte, into any) error {
	switch {
	case len(b) == 0 || b[0] != format:
		return errFormat
	case len(b) > entryBytesMax:
		return fmt.Errorf("meta: %d bytes are more than any entry has", len(b))
	}
	if err := json.Unmarshal(b[1:], into); err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	return nil
}

// Apply changes the state by one committed entry and reports whether it did:
// an entry that was computed from something older, or says nothing new, is a no-op.
func (s *State) Apply(e Entry) bool {
	changed := false
	if e.Register != nil {
		changed = s.register(e.Register.Node)
	}
	for _, p := range e.Place {
		changed = s.place(p) || changed
	}
	if e.Intend != nil {
		changed = s.intend(*e.Intend) || changed
	}
	if e.Forget != 0 {
		changed = s.forget(e.Forget) || changed
	}
	if e.Recover != nil {
		changed = s.recover(*e.Recover) || changed
	}
	if e.Halt != nil {
		changed = s.halt(*e.Halt) || changed
	}
	if changed {
		s.Version++
	}
	return changed
}

func (s *State) register(n Node) bool {
	if s.WasRemoved(n.UUID) {
		return false
	}
	for i := range s.Nodes {
		if old := &s.Nodes[i]; old.UUID == n.UUID {
			if !n.Supersedes(*old) {
				return false
			}
			n.ID, n.Intent, n.IntentVersion, n.Absent = old.ID, old.Intent, old.IntentVersion, old.Absent
			*old = n
			return true
		}
	}
	if s.NextNode == 0 || s.NextNode == ^uint32(0) {
		return false
	}
	n.ID, n.Intent, n.IntentVersion, n.Absent = shardmap.NodeID(s.NextNode), Active, 0, false
	s.NextNode++
	s.Nodes = append(s.Nodes, n)
	return true
}

func (s *State) intend(i Intend) bool {
	at := s.index(i.Node)
	if at < 0 || i.Intent > Gone {
		return false
	}
	n := &s.Nodes[at]
	if n.IntentVersion != i.From || n.Intent == i.Intent && n.Absent == i.Absent || n.Intent == Gone {
		return false
	}
	// Who proposed it asked the state of that moment: another one may have been taken since.
	if i.Intent != Gone && s.Refuses(n.ID, i.Intent) != "" {
		return false
	}
	if i.Intent == Gone {
		if !s.spares(n.ID) {
			return false
		}
		s.Removed = append(s.Removed, n.UUID)
		s.takeOut(n.ID)
	}
	n.Intent, n.Absent = i.Intent, i.Absent
	n.IntentVersion++
	return true
}

// spares reports whether every group can lose its replica on a node: another one,
// of the same weight or more, is wanted elsewhere. The last node is never spared.
func (s *State) spares(n shardmap.NodeID) bool {
	for _, g := range s.Groups {
		if r, ok := g.On(n); ok && !slices.ContainsFunc(g.Replicas, func(o Replica) bool { return o.Node != n && (!r.HoldsData() || o.HoldsData()) }) {
			return false
		}
	}
	return true
}

// takeOut wants no replica on a node any more.
func (s *State) takeOut(n shardmap.NodeID) {
	for i := range s.Groups {
		g := &s.Groups[i]
		if _, ok := g.On(n); ok {
			g.Replicas = slices.DeleteFunc(slices.Clone(g.Replicas), func(r Replica) bool { return r.Node == n })
			g.Version++
		}
	}
}

// forget takes the row of a node out that is gone and has nothing left.
func (s *State) forget(n shardmap.NodeID) bool {
	at := s.index(n)
	if at < 0 || s.Nodes[at].Intent != Gone {
		return false
	}
	s.Nodes = slices.Delete(slices.Clone(s.Nodes), at, at+1)
	return true
}

func (s *State) place(p Placement) bool {
	if int(p.Group) >= len(s.Groups) || len(p.Replicas) == 0 {
		return false
	}
	g := &s.Groups[p.Group]
	if g.Version != p.From || !s.known(p.Replicas, *g) {
		return false
	}
	next := make([]Replica, 0, len(p.Replicas))
	for _, w := range p.Replicas {
		r := Replica{Node: w.Node, Role: w.Role}
		if old, ok := g.On(w.Node); ok && (old.Role == Witness) == (w.Role == Witness) {
			r.ID = old.ID
		} else {
			r.ID = g.NextReplica
			g.NextReplica++
		}
		next = append(next, r)
	}
	if slices.Equal(next, g.Replicas) && g.BudgetBytes == p.BudgetBytes {
		return false
	}
	g.Replicas, g.BudgetBytes = next, p.BudgetBytes
	g.Version++
	return true
}

// known reports whether the wanted replicas stand on distinct registered nodes that
// are not gone, or stay for now on one that was declared gone.
func (s *State) known(ws []Wanted, g Group) bool {
	seen := make([]shardmap.NodeID, 0, len(ws))
	for _, w := range ws {
		if n, ok := s.Node(w.Node); !ok && !s.stays(w, g) || n.Intent == Gone || slices.Contains(seen, w.Node) || w.Role < Voter || w.Role > Witness {
			return false
		}
		seen = append(seen, w.Node)
	}
	return true
}

// stays reports whether a group that kept its majority goes on wanting a replica of a node
// that was declared gone, until the placement has another one for it.
func (s *State) stays(w Wanted, g Group) bool {
	r, ok := g.On(w.Node)
	return ok && r.Role == w.Role && s.Forsook(w.Node)
}
