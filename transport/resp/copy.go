package resp

import (
	"bufio"
	"fmt"
)

// CopyReply reads one value and appends its bytes to dst as they came, without
// decoding them: a gateway hands them on. Pushes before the value are dropped. room is asked before dst grows by n bytes; when it says no the rest is read
// and thrown away, so that the stream stays in step, and ok is false.
func CopyReply(r *bufio.Reader, dst []byte, room func(n int) bool) (reply []byte, ok bool, err error) {
	c := copier{r: r, room: room, ok: true}
	for {
		first, err := r.Peek(1)
		if err != nil {
			return dst, false, err
		}
		c.dst, c.drop = dst, first[0] == '>'
		if err := c.value(); err != nil {
			return dst, false, err
		}
		if !c.drop {
			return c.dst, c.ok, nil
		}
	}
}

// copier copies the parts of one value.
type copier struct {
	r    *bufio.Reader
	dst  []byte
	room func(n int) bool
	drop bool
	ok   bool
}

// value copies a value with all its items. They are counted, not descended into: a
// deep reply costs no stack.
func (c *copier) value() error {
	for left := int64(1); left > 0; left-- {
		line, err := c.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return fmt.Errorf("%w: a line without end", ErrReply)
		}
		if err != nil {
			return err
		}
		items, bytes, err := headOf(line)
		if err != nil {
			return err
		}
		if left += items; left > replyItemsMax {
			return fmt.Errorf("%w: %d items", ErrReply, left)
		}
		c.take(line, min(bytes, copyStep))
		if err := c.body(bytes); err != nil {
			return err
		}
	}
	return nil
}

// body copies the n bytes that follow a line.
func (c *copier) body(n int64) error {
	for n > 0 {
		piece, err := c.r.Peek(int(min(n, int64(c.r.Size()))))
		if err != nil {
			return err
		}
		c.take(piece, 0)
		if _, err := c.r.Discard(len(piece)); err != nil {
			return err
		}
		n -= int64(len(piece))
	}
	return nil
}

// copyStep is the most memory that is taken for bytes that have not arrived.
const copyStep = 1 << 20

// take appends b; more bytes are expected behind it.
func (c *copier) take(b []byte, more int64) {
	if c.drop || !c.ok {
		return
	}
	if need := len(c.dst) + len(b) + int(more); need > cap(c.dst) {
		size := max(2*cap(c.dst), need)
		if c.ok = c.room(size - cap(c.dst)); !c.ok {
			return
		}
		c.dst = append(make([]byte, 0, size), c.dst...)
	}
	c.dst = append(c.dst, b...)
}

// headOf says what follows the first line of a value: so many items, which are
// values, or so many bytes, the line break behind them included.
func headOf(line []byte) (items, bytes int64, err error) {
	end := len(line) - 1
	if end > 0 && line[end-1] == '\r' {
		end--
	}
	if end == 0 {
		return 0, 0, ErrReply
	}
	switch kind := line[0]; kind {
	case '+', '-', ':', ',', '(', '#', '_':
		return 0, 0, nil
	case '$', '=', '!', '*', '~', '>', '%', '|':
		n, ok := integer(line[1:end])
		switch {
		case !ok || n < -1 || n > replyBulkMax:
			return 0, 0, fmt.Errorf("%w: %q", ErrReply, line)
		case n == -1:
			return 0, 0, nil
		case kind == '%':
			return 2 * n, 0, nil
		case kind == '|':
			return 2*n + 1, 0, nil // describes the value behind it
		case kind == '$' || kind == '=' || kind == '!':
			return 0, n + 2, nil
		}
		return n, 0, nil
	}
	return 0, 0, fmt.Errorf("%w: type %q", ErrReply, line[0])
}

// ReplyLen is how many bytes the value at the start of b takes, 0 when it is not all
// there or no value.
func ReplyLen(b []byte) int {
	at := 0
	for left := int64(1); left > 0; left-- {
		end := at
		for end < len(b) && b[end] != '\n' {
			end++
		}
		if end == len(b) {
			return 0
		}
		items, bytes, err := headOf(b[at : end+1])
		if err != nil || bytes > int64(len(b)-end-1) {
			return 0
		}
		left += items
		at = end + 1 + int(bytes)
	}
	return at
}
