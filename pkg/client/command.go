package client

import (
	"strconv"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// command is what one call sends. Keyed commands are encoded straight into the
// connection's buffer; control commands give their words.
type command struct {
	op     opKind
	key    string
	value  []byte
	ttl    int64    // milliseconds; 0 = none
	words  []string // a control command instead of the above
	asking bool     // ASKING goes before it
	into   bool     // a GET whose value is appended to dst
	dst    []byte
}

// append encodes the command, ASKING included.
func (c *command) append(b []byte) []byte {
	if c.words != nil {
		return resp.AppendCommand(b, c.words...)
	}
	if c.asking {
		b = append(b, "*1\r\n$6\r\nASKING\r\n"...)
	}
	switch {
	case c.op == opGet:
		return resp.AppendBulk(append(b, "*2\r\n$3\r\nGET\r\n"...), c.key)
	case c.op == opDel:
		return resp.AppendBulk(append(b, "*2\r\n$3\r\nDEL\r\n"...), c.key)
	case c.ttl == 0:
		b = resp.AppendBulk(append(b, "*3\r\n$3\r\nSET\r\n"...), c.key)
		return resp.AppendBulk(b, c.value)
	}
	b = resp.AppendBulk(append(b, "*5\r\n$3\r\nSET\r\n"...), c.key)
	b = append(resp.AppendBulk(b, c.value), "$2\r\nPX\r\n"...)
	var digits [20]byte
	return resp.AppendBulk(b, strconv.AppendInt(digits[:0], c.ttl, 10))
}

// writes says whether the command changes data.
func (c *command) writes() bool { return c.words == nil && c.op != opGet }

// size is about how many bytes append adds.
func (c *command) size() int { return len(c.key) + len(c.value) + 64 }
