package multiraft

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A generation of a group begins when operators let it go on without the majority of its
// voters. It stands in the upper bits of raft's terms and of log indices, which nothing
// else ever reaches: so every ballot, vote and entry of the generation is above all that
// whoever was left behind can still do, without a field of its own in any message.
const generationShift = 40

// GenerationMax is the last generation: shardgroup's epochs have room for no more.
const GenerationMax = 127

// generationOf is the generation that a term belongs to.
func generationOf(term uint64) uint64 { return term >> generationShift }

// LogEnd says how far the log of a replica goes: of several survivors the one whose log
// raft would elect goes on.
type LogEnd struct {
	Generation uint64 `json:"generation"`
	Term       uint64 `json:"term"` // of the last entry
	Index      uint64 `json:"index"`
}

// Less orders logs as raft's votes do.
func (e LogEnd) Less(o LogEnd) bool {
	return e.Term < o.Term || e.Term == o.Term && e.Index < o.Index
}

// LogEnd is how far this node's log of a group goes, false when it has no replica that
// was ever filled.
func (c *Core) LogEnd(id shardmap.GroupID) (e LogEnd, ok bool) {
	g := c.group(id)
	if g == nil || g.log.applied == 0 {
		return LogEnd{}, false
	}
	last, err := g.log.LastIndex()
	if err != nil {
		return LogEnd{}, false
	}
	term, err := g.log.Term(last)
	return LogEnd{generationOf(g.rn.BasicStatus().GetTerm()), term, last}, err == nil
}

var errLogMoves = errors.New("its log is being written: try again")

// Regenerate begins a generation of a group with this replica as its only voter. It is
// for a group whose majority is gone for good, and loses whatever only that had: nobody
// but operators may ask for it, and the caller has made sure that no lease of the group
// can be good any more. learners are the other survivors' replicas, which follow.
//
// To raft it is a snapshot of a leader that never was: everything that this replica knows,
// its whole log taken as committed, because any of it may have been. rewrite makes the
// data plane's state of that: it gets the entries that were not applied yet.
func (c *Core) Regenerate(id shardmap.GroupID, generation uint64, learners []ReplicaDesc, rewrite func(tail [][]byte) ([]byte, error), now Instant) error {
	g := c.group(id)
	switch {
	case g == nil || g.log.applied == 0:
		return fmt.Errorf("group %d: this node has no replica of it", id)
	case c.stopped:
		return errors.New("this node stops")
	case generation > GenerationMax || generation <= generationOf(g.rn.BasicStatus().GetTerm()) && !seeded("recover-generation"):
		return fmt.Errorf("group %d: generation %d does not follow", id, generation)
	}
	tail, err := g.unapplied()
	if err != nil {
		return fmt.Errorf("group %d: %w", id, err)
	}
	data, err := rewrite(tail)
	if err != nil {
		return fmt.Errorf("group %d: %w", id, err)
	}
	at := generation << generationShift
	term, index := at, at
	if seeded("recover-generation") { // as an election would: the next term
		term, index = g.rn.BasicStatus().GetTerm()+1, g.lastEntry+1
	}
	c.close(g, "the group goes on without its majority", now)
	cs := &pb.ConfState{Voters: []uint64{g.self}}
	for _, l := range learners {
		cs.Learners = append(cs.Learners, l.ID)
	}
	err = g.raft().Step(&pb.Message{
		Type: pb.MsgSnap.Enum(), To: &g.self, From: proto.Uint64(raft.None), Term: &term,
		Snapshot: &pb.Snapshot{Data: data, Metadata: &pb.SnapshotMetadata{ConfState: cs, Index: &index, Term: &term}},
	})
	g.generation = generationOf(term)
	c.out.Event(Event{Kind: EventConfig, Group: id, Detail: fmt.Sprintf("generation %d: this node goes on alone, %d others follow", generation, len(learners))})
	c.touch(g)
	return err
}

// unapplied is the data of the entries that are in the log and not applied.
func (g *group) unapplied() (tail [][]byte, err error) {
	last, err := g.log.LastIndex()
	if err != nil {
		return nil, err
	}
	if last != g.lastEntry {
		return nil, errLogMoves
	}
	if last <= g.log.applied {
		return nil, nil
	}
	entries, err := g.log.Entries(g.log.applied+1, last+1, 1<<30)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			tail = append(tail, e.GetData())
		}
	}
	return tail, nil
}

// Refound begins a generation of a group of which no survivor has a replica: this node's
// new one is its only member, with the data plane's state as given.
func (c *Core) Refound(id shardmap.GroupID, self, generation uint64, state []byte, now Instant) error {
	if generation == 0 || generation > GenerationMax {
		return fmt.Errorf("group %d: generation %d does not follow", id, generation)
	}
	at := generation << generationShift
	snap := &pb.Snapshot{Data: state, Metadata: &pb.SnapshotMetadata{
		ConfState: &pb.ConfState{Voters: []uint64{self}}, Index: &at, Term: &at,
	}}
	return c.plant(RestoredGroup{Group: id, ReplicaID: self, Snapshot: snap, HardState: &pb.HardState{Term: &at, Commit: &at}}, now)
}

// older reports whether a term belongs to a generation that this replica has left behind.
// What comes of it is not answered: an answer would tell the sender the new terms, and it
// could go on with them.
func (g *group) older(term uint64) bool {
	return generationOf(term) < g.generation && !seeded("recover-older-heard")
}
