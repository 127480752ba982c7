package shardgroup

import (
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/image"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// shard is one copy of one shard. Everything is guarded by mu but for the fields
// that never change.
//
// Invariant: while whole, the contents are exactly what the records up to the
// machine's position mean, on the branch of history that position lies on.
type shard struct {
	r    *Replica // immutable, as are the next four
	n    *Node
	pool *pool
	id   shardmap.ShardID
	idx  int // in its group

	mu    sync.Mutex
	m     *statemachine.Machine // its position is the copy's
	ring  ring
	whole bool
	floor shardmap.Version // no prefix below this position is held (a hole, or a fill across one)

	// As follower.
	in       inSession
	xfer     uint64           // the only transfer that may write while not whole
	headSeen shardmap.Version // highest version heard of in the present epoch
	fill     uint32           // number of the last fill that began in this session, 0 none
	gap      bool             // the next ack has to say that a record did not follow
	matched  bool             // a digest agreed in this session, since the last fill began
	broken   bool             // the copy needs a fill
	askedCut shardmap.Version
	// fresh: the copy has all that the holder had at this moment, on this node's Mono and
	// SuspendOffset together; 0 = not known in this session.
	fresh time.Duration
	// heardAt: when the last message of the session came, on Mono.
	heardAt time.Duration
	asked   bool // an ackKeys is due

	differs     *differs // the last answer in a fill that compares, nil = none
	differsSaid bool

	// As what is in the log.
	marked   int64            // shard time that the log knows
	barrier  wal.LSN          // after the last frame by which the copy became another
	forcedTo shardmap.Version // somebody waits until this is on the disk
	hurry    bool             // somebody waits for the ack of what is being logged
	unlogged bool             // what happens comes from the log, or goes into it as a whole
	lost     bool             // no log knows this copy: what is restored counts when it begins anew
	other    bool             // restoring: what the log tells is of another copy than this node has

	// As what is in the image; see checkpoint.go.
	turn      uint32           // rises whenever anything but a record happens to the copy
	need      wal.LSN          // from here on the log, with the image, tells the copy
	partial   bool             // ranges are being replaced one by one, and the log does not know the others
	forgotten bool             // the log does not: it was let go of while the copy was not whole
	saved     *image.Row       // restoring: the image that was loaded is not one state yet
	holed     bool             // restoring: frames are missing, perhaps such as the image has
	recalled  shardmap.Version // restoring: of the last record in the ring, 0 = begin anew

	// As leaseholder.
	lease     Lease // nil unless this node serves the shard
	parked    bool
	epoch     uint32
	began     int64            // shard time at which the epoch began
	held      shardmap.Version // W seats hold it
	heldOff   uint64           // ring offset after held
	answered  shardmap.Version // highest version ever answered at majority, or the base
	sole      bool             // by the group's configuration no other node has a copy
	soloOn    bool             // Exposure(on) is applied and none off was proposed since
	delayed   bool             // somebody waits for the tail to shrink
	shrinking bool             // entries leave for a lower budget, and did when that was tried last
	q         *quorum
	followers []*follower
	tail      tailMarks
	tickets   []Ticket            // rising versions
	urgent    bool                // some ticket waits for acks
	forcing   bool                // some ticket waits for disks
	past      *statemachine.Past  // the last walk of what was, nil = none ever
	rec, part statemachine.Record // scratch of play
}

// inSession is the stream a follower's shard listens to.
type inSession struct {
	lane   *lane // nil = none
	conn   uint64
	sess   uint32
	ballot multiraft.Ballot
}

// quorum is what the shards need of a group's seats; immutable once shared.
type quorum struct {
	self  shardmap.NodeID
	seats []multiraft.Member
	joint []multiraft.Member // the seats being proposed (L8), nil when none are
	short bool               // fewer seats than a majority of the configured factor
}

// serving says whether this node is the shard's leaseholder, as far as it knows.
func (s *shard) serving() bool { return s.lease != nil }

// unheld says whether a ring block has a record that W seats do not hold yet.
func (s *shard) unheld(b *block) bool {
	return s.lease != nil && b.base+uint64(len(b.buf)) > s.heldOff
}

// state is what the replica says of this copy. The caller holds mu.
func (s *shard) state() copyState {
	pos := s.m.Position()
	low := s.ring.low
	if len(s.ring.blocks) == 0 {
		low = pos
	}
	c := copyState{pos: pos, logged: s.logged(), floor: s.floor, ringLow: low, head: max(s.headSeen, pos), time: s.m.Time(), whole: s.whole}
	if mutant.Is("seal-reply-unlogged") {
		c.logged = pos
	}
	return c
}

// wipe empties the copy at a position.
func (s *shard) wipe(at shardmap.Version) {
	s.m.Reset()
	s.partial = false
	s.rebase(at)
}

// rebase puts the copy at a position with an empty ring.
func (s *shard) rebase(at shardmap.Version) {
	s.turn++
	s.m.SetPosition(at)
	s.ring.reset(s, at)
}

// clock is the shard time of an operation (L1, L11): never back, never above what
// the lease quorum knows.
func (s *shard) clock(now multiraft.Instant) int64 {
	return max(s.m.Time(), min(now.Wall, s.r.ceiling.Load()))
}

// tailMarks says since when the records above held wait, to within a few
// milliseconds: marks are taken at most every markEvery.
type tailMarks struct {
	marks [64]tailMark
	first int
	n     int
}

type tailMark struct {
	off uint64
	at  time.Duration
}

const markEvery = 5 * time.Millisecond

// note remembers that the record at off was written at that time.
func (t *tailMarks) note(off uint64, at time.Duration) {
	if t.n > 0 {
		last := t.marks[(t.first+t.n-1)%len(t.marks)]
		if t.n == len(t.marks) || at < last.at+markEvery {
			return
		}
	}
	t.marks[(t.first+t.n)%len(t.marks)] = tailMark{off, at}
	t.n++
}

// trim forgets marks that no record at or after off needs.
func (t *tailMarks) trim(off, end uint64) {
	for t.n > 1 && t.marks[(t.first+1)%len(t.marks)].off <= off {
		t.first, t.n = (t.first+1)%len(t.marks), t.n-1
	}
	if off >= end {
		t.n = 0
	}
}

// age is how long the oldest record waits; 0 when none does.
func (t *tailMarks) age(now time.Duration) time.Duration {
	if t.n == 0 {
		return 0
	}
	return now - t.marks[t.first].at
}
