package client

import (
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// command is what one call sends: the words of its op, the key, and what the op needs
// behind it. It is encoded straight into the connection's buffer.
type command struct {
	op     opKind
	key    string
	value  []byte   // SET, APPEND
	args   []string // behind key and value
	words  []string // the whole command instead of the above, for control and for Do
	set    setWords // SET and GETEX
	asking bool     // ASKING goes before it
	near   bool     // on a tracking connection CLIENT CACHING YES goes before it
	into   bool     // a GET whose value is appended to dst
	dst    []byte
	hedge  bool   // it may travel twice: nobody relies on its place among other commands
	at     string // the address to ask first, "" = the slot's own
	lane   lane   // on which of the node's connections it travels

	begun, until time.Time // of the call; until is told to the node, zero = nobody waits

	stale time.Duration    // what a follower's answer may lack, 0 = the leaseholder answers
	least shardmap.Version // that the follower must have; 0 = any
}

// setWords are the options behind SET key value, and the expiry behind GETEX key.
type setWords struct {
	expiry  expiryWord
	at      int64 // what the word needs: milliseconds, or Unix milliseconds
	only    byte  // 'N' = NX, 'X' = XX, 'V' = IFVER version
	old     bool  // GET
	version shardmap.Version
}

type expiryWord uint8

const (
	expiryNone    expiryWord = iota // SET drops the time to live, GETEX leaves it
	expiryPX                        // at is milliseconds from now
	expiryPXAT                      // at is Unix milliseconds
	expiryKeep                      // KEEPTTL
	expiryPersist                   // PERSIST
)

func (s *setWords) count() int {
	n := 0
	switch s.expiry {
	case expiryPX, expiryPXAT:
		n += 2
	case expiryKeep, expiryPersist:
		n++
	}
	switch s.only {
	case 'N', 'X':
		n++
	case 'V':
		n += 2
	}
	if s.old {
		n++
	}
	return n
}

func (s *setWords) append(b []byte) []byte {
	switch s.expiry {
	case expiryPX:
		b = appendBulkInt(append(b, "$2\r\nPX\r\n"...), s.at)
	case expiryPXAT:
		b = appendBulkInt(append(b, "$4\r\nPXAT\r\n"...), s.at)
	case expiryKeep:
		b = append(b, "$7\r\nKEEPTTL\r\n"...)
	case expiryPersist:
		b = append(b, "$7\r\nPERSIST\r\n"...)
	}
	switch s.only {
	case 'N':
		b = append(b, "$2\r\nNX\r\n"...)
	case 'X':
		b = append(b, "$2\r\nXX\r\n"...)
	case 'V':
		b = appendBulkInt(append(b, "$5\r\nIFVER\r\n"...), int64(s.version))
	}
	if s.old {
		b = append(b, "$3\r\nGET\r\n"...)
	}
	return b
}

// setExpiry wants a time to live, of at least a millisecond.
func (s *setWords) setExpiry(ttl time.Duration) { s.expiry, s.at = expiryPX, milliseconds(ttl) }

// milliseconds rounds up, so that what lives at all does not live 0 ms.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func appendBulkInt(b []byte, n int64) []byte {
	var digits [20]byte
	return resp.AppendBulk(b, strconv.AppendInt(digits[:0], n, 10))
}

// append encodes the command, ASKING included.
func (c *command) append(b []byte) []byte {
	if c.asking {
		b = append(b, "*1\r\n$6\r\nASKING\r\n"...)
	}
	switch {
	case c.words != nil:
		return resp.AppendCommand(b, c.words...)
	case c.op == opGet:
		return resp.AppendBulk(append(b, "*2\r\n$3\r\nGET\r\n"...), c.key)
	}
	k := kinds[c.op]
	n := 2 + len(c.args) + c.set.count()
	if k.value {
		n++
	}
	b = resp.AppendBulk(resp.AppendArray(b, n), k.name)
	b = resp.AppendBulk(b, c.key)
	if k.value {
		b = resp.AppendBulk(b, c.value)
	}
	for _, a := range c.args {
		b = resp.AppendBulk(b, a)
	}
	return c.set.append(b)
}

// name is the first word, for errors and hooks.
func (c *command) name() string {
	if c.words != nil && c.op >= opRead {
		return c.words[0]
	}
	return kinds[c.op].name
}

// writes says whether the command changes data.
func (c *command) writes() bool { return !c.op.repeatable() && c.op != opControl }

// size is about how many bytes append adds.
func (c *command) size() int {
	n := len(c.key) + len(c.value) + 64
	for _, a := range c.args {
		n += len(a) + 16
	}
	for _, w := range c.words {
		n += len(w) + 16
	}
	return n
}
