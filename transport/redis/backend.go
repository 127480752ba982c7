package redis

import (
	"errors"
	"net"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Kind names what an Op does. The numbers are those of statemachine.Kind.
type Kind uint8

// Kinds of Op.
const (
	OpSet Kind = iota + 1
	OpDel
	OpGetDel
	OpGetEx
	OpAppend
	OpIncrBy
	OpExpire
	OpPersist
	OpFlush
	OpSetRange
	OpIncrByFloat
)

// TTLMode says what an Op does to the deadline; numbers as in statemachine.
type TTLMode uint8

// Modes of TTL.
const (
	TTLClear TTLMode = iota
	TTLKeep
	TTLRelative
	TTLAbsolute
)

// Cond is a condition of an Op; numbers as in statemachine.
type Cond uint8

// Conditions.
const (
	Always Cond = iota
	NX
	XX
	GT
	LT
	LTX // LT, and only if there is a deadline
)

// Op is one change of one key. Key and Value alias the connection's buffer.
type Op struct {
	Kind    Kind
	Cond    Cond
	TTLMode TTLMode
	WithOld bool
	Slot    shardmap.Slot
	Key     []byte
	Value   []byte
	TTL     int64 // ms
	Delta   int64 // OpIncrBy: what is added; OpSetRange: the first byte
}

// Result is what an Op answers. Value is reused by the next Op of the session.
type Result struct {
	Changed bool
	Existed bool
	Int     int64
	Value   []byte
}

// Stat is what a read says of a key without its value.
type Stat struct {
	Found    bool
	Len      int
	Deadline int64 // unix ms, 0 = none
	Now      int64 // the holder's shard time
}

// Cursor is a place in the walk over a node's keys: a shard, and a place in it. Nothing
// else is remembered of a walk, and it is below 2^63 because some clients keep it in a
// signed number.
type Cursor uint64

// Places is how many places a shard has.
const Places = 1 << 48

// CursorAt makes a Cursor.
func CursorAt(shard shardmap.ShardID, place uint64) Cursor {
	return Cursor(uint64(shard)*Places + place)
}

// Shard is the shard of a place.
func (c Cursor) Shard() shardmap.ShardID { return shardmap.ShardID(min(c/Places, shardmap.Slots)) }

// Place is the place in its shard.
func (c Cursor) Place() uint64 { return uint64(c) % Places }

// Usage is how the store keeps a key.
type Usage struct {
	Bytes int64 // of the memory limit
	Hits  uint8 // that keep it from eviction
}

// Glance is what a key was at some moment. Two of one key are equal only when nothing
// touched it in between and the same lease was served under.
type Glance struct {
	Version shardmap.Version // 0 = absent
	Gone    uint32           // with 0: counts what was removed
	Epoch   uint32
}

// ErrSaving says that a save is under way, in the words of Redis.
const ErrSaving = ReplyError("ERR Background save already in progress")

// Errors of a Backend, each with one meaning; conn.go turns them into Redis's words.
var (
	// ErrAgain: the shard is in transition. The face sends what it has, calls
	// Park, and runs the command again.
	ErrAgain      = errors.New("in transition")
	ErrDown       = errors.New("no lease known")
	ErrNoReplicas = errors.New("not enough replicas")
	ErrTooLarge   = errors.New("value too large")
	ErrLoading    = errors.New("loading")
	// ErrStaleCopy: this node follows, its copy is older than Session.Staleness, and no
	// holder is known.
	ErrStaleCopy = errors.New("copy too old")
	ErrUnblocked = errors.New("lease lost while waiting")
	// ErrUnknown: a write was applied and its lease ended before the reply.
	ErrUnknown = errors.New("outcome unknown")
	// ErrStale: nothing was changed since the last Commit, only reads are in
	// doubt; they may be run again.
	ErrStale = errors.New("read under a lease that ended")
)

// MovedError says that another node holds the slot.
type MovedError struct {
	Slot shardmap.Slot
	Addr string // host:port, an IPv6 host without brackets as Redis writes it: redis-cli cuts at the last colon
}

// Error is the text of Redis.
func (e *MovedError) Error() string { return "moved to " + e.Addr }

// ReplyError is an error with the exact text for the client, prefix included.
type ReplyError string

// Error is the text.
func (e ReplyError) Error() string { return string(e) }

// Mark is a version of a shard.
type Mark struct {
	Shard   shardmap.ShardID
	Version shardmap.Version
	AtMost  bool // what was written has this version or one before it
}

// Verdict is what is known of a version.
type Verdict struct {
	Shard   shardmap.ShardID
	Version shardmap.Version
	Word    string // durable, pending, lost, unknown
	AtMost  bool   // of its mark: what is lost of it may not be what was written
}

// Warmer is a Backend that can bring keys near before they are asked for. Warm changes
// nothing that anybody could see; it may be called with words that are no keys.
type Warmer interface{ Warm(keys [][]byte) }

// Backend is what the commands are about. Methods with a Session are called
// from that session's connection only, one at a time, and must not block except
// where said.
type Backend interface {
	// Open gives a new session its State.
	Open(s *Session)
	// Closed ends it.
	Closed(s *Session)
	// Get appends the key's value to dst, which is a hit of the key unless s.Quiet.
	Get(s *Session, slot shardmap.Slot, key, dst []byte) (value []byte, found bool, err error)
	// Stat looks a key up without counting a hit.
	Stat(s *Session, slot shardmap.Slot, key []byte) (Stat, error)
	// Look says what a key is now, without counting a hit.
	Look(s *Session, slot shardmap.Slot, key []byte) (Glance, error)
	// Do runs a change.
	Do(s *Session, op *Op, res *Result) error
	// Begin opens a transaction on a slot: until End, Get, Stat, Look and Do of this
	// session are parts of it, which others see all at once, and none of them says ErrAgain.
	// write says that it may change something. After an error none is open. Nothing
	// may be waited for before End.
	Begin(s *Session, slot shardmap.Slot, write bool) error
	// Usage says how a key is kept that Get has just found in the open transaction.
	Usage(s *Session, key []byte) Usage
	// End closes the transaction.
	End(s *Session)
	// Watch(true) asks for calls of Server.Changed, Flushed and Untrack from here on,
	// until Watch(false). An error says why there can be none.
	Watch(on bool) error
	// Awake is called before commands of a connection that tracks are run: what it has
	// read and does not hold any more is to be taken back by then.
	Awake()
	// ValueBytesMax is the longest value that is taken.
	ValueBytesMax() int64
	// FlushAll empties every shard this node holds and says how many it has emptied,
	// also beside an error.
	FlushAll(s *Session) (flushed int, err error)
	// Flush empties one shard; a MovedError when another node holds it.
	Flush(s *Session, shard shardmap.ShardID) error
	// Size counts the keys of the shards this node holds.
	Size(s *Session) (int64, error)
	// Count counts the keys of one shard; a MovedError when another node holds it.
	Count(s *Session, shard shardmap.ShardID) (int64, error)
	// Walk visits about n keys of the shards this node holds, from a place on, and
	// answers the next place; 0 is the begin and the end. Every key that is there all
	// the while is visited. Keys are valid during visit only.
	Walk(s *Session, at Cursor, n int, visit func(key []byte)) (Cursor, error)
	// Step is Walk in the shard of the place alone; a MovedError when another node holds
	// it. Places are the same on every node: who holds a shard next goes on there.
	Step(s *Session, at Cursor, n int, visit func(key []byte)) (Cursor, error)
	// RandomKey is any key of these shards.
	RandomKey(s *Session) (key []byte, found bool, err error)
	// Commit is called before replies leave: it waits for the acks that writes
	// since the last Commit asked for, then checks their leases afresh.
	Commit(s *Session) error
	// Park waits until a retry after ErrAgain makes sense. When the command has waited
	// long enough it answers the error that the client gets instead. first is the time
	// of the first try.
	Park(s *Session, first time.Time) error
	// Wait waits for n followers to hold what the session wrote (WAIT). timeout is
	// never zero: the face asks in slices, to notice clients that left. An answer
	// below n that comes before half the timeout is final.
	Wait(s *Session, n int, timeout time.Duration) (int, error)
	// Held says how many followers hold a shard up to a version, 0 = all it has now, which
	// is answered: ErrUnblocked when the shard is not served under the lease of that epoch
	// any more, a MovedError when another node holds it.
	Held(s *Session, shard shardmap.ShardID, epoch uint32, v shardmap.Version) (upTo shardmap.Version, followers int, err error)
	// Followers is how many there are of a shard: what WAIT answers who wrote nothing.
	Followers() int
	// SetLevel changes the session's ack level ("" asks); it answers the level.
	SetLevel(s *Session, level string) (string, error)
	// Token names the newest write of the session in each shard it wrote, or one of marks
	// where that is newer.
	Token(s *Session, marks []Mark) string
	// Check judges a token.
	Check(s *Session, token string) ([]Verdict, error)
	// BackgroundSave begins to save this node's data to its disk; ErrSaving when that is under
	// way already.
	BackgroundSave() error
	// LastSave is when a save was last complete, zero = never.
	LastSave() time.Time
	// Admin runs an operator's words and answers JSON.
	Admin(s *Session, words []string) ([]byte, error)
	// Map is the current routing map; Self this node's id.
	Map() *shardmap.Map
	Self() shardmap.NodeID
	// Links lists the connections to other nodes.
	Links() []Link
	// Info lists the sections of INFO, in order.
	Info() []InfoSection
	// ResetStats begins to count anew what Info counts since the start.
	ResetStats()
	// Settings lists what CONFIG GET knows: name, value.
	Settings() [][2]string
	// TooLargeText completes "OOM value larger than this node can hold".
	TooLargeText() string
}

// Link is a connection between this node and another one.
type Link struct {
	Peer        shardmap.NodeID
	Inbound     bool // the other node has dialled it
	Since       time.Time
	QueuedBytes int64 // that wait to be sent
}

// InfoSection is one part of INFO.
type InfoSection struct {
	Name   string
	Fields [][2]string
}

// ReadMode is what READONLY says of the reads that follow it.
type ReadMode struct {
	ReadOnly bool
	// Staleness is how much a read may lack on a READONLY connection, 0 = nothing.
	Staleness time.Duration
	// Least is a version that a copy which follows must have in its history to be read,
	// 0 = any. A holder is not asked so: it judges versions in Check.
	Least shardmap.Version
}

// Session is one connection's state. Only its connection uses it.
type Session struct {
	ID      int64
	Name    string
	LibName string
	LibVer  string
	Proto   int // 2 or 3
	ReadMode
	// Quiet: what Get and Do are told is no hit of the key (CLIENT NO-TOUCH).
	Quiet    bool
	Loopback bool // the peer is on this machine
	Addr     net.Addr
	Local    net.Addr
	Created  time.Time
	State    any // the Backend's own
	// Version is what Get, Stat and Do say of the key: its version, 0 when it is not
	// there; after a Do that changed nothing 0, after one that deleted the deletion's.
	Version shardmap.Version
	// Seen, unless nil, is to be called for each key that Get or Stat looks up, in the
	// same hold of a lock as the look, so that it stands in order with Server.Changed.
	Seen     func(shard shardmap.ShardID, key []byte)
	commands uint64
	last     *command
}
