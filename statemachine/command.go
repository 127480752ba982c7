package statemachine

import (
	"errors"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Kind names what a Command does.
type Kind uint8

// Kinds of Command.
const (
	Set         Kind = iota + 1 // store Value
	Del                         // remove the key
	GetDel                      // answer the value and remove the key
	GetEx                       // answer the value and change its deadline as TTL says
	Append                      // append Value to the key's value
	IncrBy                      // add Delta to the decimal integer
	Expire                      // change the deadline as TTL says, under Cond
	Persist                     // remove the deadline
	Flush                       // remove every key of the shard
	SetRange                    // write Value over the key's value from byte Delta on
	IncrByFloat                 // add the decimal number in Value to the key's
)

// TTLMode says what a command does to the key's deadline.
type TTLMode uint8

// Modes of TTL.
const (
	TTLClear    TTLMode = iota // no deadline afterwards
	TTLKeep                    // leave it as it is
	TTLRelative                // shard time + TTL
	TTLAbsolute                // TTL is the deadline
)

// Cond is a condition on the key (NX, XX) or on its deadline (all four).
type Cond uint8

// Conditions. For Set, NX and XX ask whether the key exists; for Expire they ask
// whether it has a deadline.
const (
	Always Cond = iota
	NX
	XX
	GT  // only if the new deadline is later; no deadline counts as infinite
	LT  // only if it is earlier
	LTX // only if it is earlier and there is one already
)

// Command is one change that a client asked for. Key and Value are only read
// during Execute. Fields that a Kind does not name are ignored.
type Command struct {
	Kind    Kind
	Cond    Cond
	TTLMode TTLMode
	WithOld bool // SET ... GET: answer the previous value
	Quiet   bool // is no hit of the key
	Key     []byte
	Value   []byte
	TTL     int64  // ms
	Delta   int64  // IncrBy: what is added; SetRange: the first byte, not negative
	Origin  uint64 // who asks, for a Watcher; changes nothing
}

// Result is what Execute answers. Its memory is reused by the next Execute.
type Result struct {
	// Changed says that the state changed and Record holds the change.
	Changed bool
	// Existed says that the key was there, alive, before.
	Existed bool
	// Value is the old value for GetDel, GetEx and WithOld, the new one for IncrByFloat.
	Value []byte
	// Int is the new integer (IncrBy), the length (Append, SetRange), 1 or 0 otherwise.
	Int    int64
	Record Record
}

// Version is the version that the change got; 0 when nothing changed.
func (r *Result) Version() shardmap.Version {
	if !r.Changed {
		return 0
	}
	return r.Record.Version
}

// Errors of Execute, in Redis's words. Nothing changed when one is returned.
var (
	ErrNotInteger  = errors.New("value is not an integer or out of range")
	ErrOverflow    = errors.New("increment or decrement would overflow")
	ErrNotFloat    = errors.New("value is not a valid float")
	ErrNotFinite   = errors.New("increment would produce NaN or Infinity")
	ErrTooLarge    = errors.New("value larger than this node can hold")
	ErrTxnTooLarge = errors.New("transaction larger than this node can hold")
	ErrKeyTooLarge = errors.New("key larger than 64 KiB")
)

// ErrCorrupt is returned by Apply when a record contradicts a copy that claims
// to be whole: the copy must not call itself whole any more.
var ErrCorrupt = errors.New("statemachine: record does not fit the copy it is for")

// KeyBytesMax is the longest key.
const KeyBytesMax = 64 << 10
