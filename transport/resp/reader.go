package resp

import (
	"errors"
	"fmt"
	"io"
)

// Limits of what one command may be.
const (
	InlineMax = 64 << 10  // bytes of an inline command or of any length line
	ArgsMax   = 1 << 20   // arguments of one command
	BulkMax   = 512 << 20 // bytes of one argument, unless the Reader says less
)

// ProtocolError is a violation after which the connection must be closed. Its
// text is what Redis says, without "ERR ".
type ProtocolError string

// Error is the text for the client.
func (e ProtocolError) Error() string { return "Protocol error: " + string(e) }

// Reader cuts a stream into commands. The arguments alias its buffer and stay
// valid until the next Fill.
type Reader struct {
	src     io.Reader
	patient Patient // src, if it is one
	room    func() []byte
	idle    func()
	loan    *loan  // nil while nothing is buffered and the source has nothing
	buf     []byte // its bytes
	pos     int    // start of what was not returned yet
	end     int
	size    int // of the next loan
	small   int // reads in a row that would have fitted one of half the size
	need    int // bytes of the command at pos that are known to be needed
	args    [][]byte
	spans   []span // arguments of the unfinished command at pos
	left    int64  // arguments that it still lacks
	at      int    // how much of it was parsed, 0 = nothing
	bulkMax int
}

// Patient is a source that can wait without a buffer.
type Patient interface {
	// ReadInto reads what there is into room(). When there is nothing it calls idle,
	// after which the former room is no longer there, waits, and asks for room again.
	ReadInto(room func() []byte, idle func()) (int, error)
}

// span is an argument's place behind the start of its command, because the
// buffer moves while a command arrives.
type span struct{ from, to int }

// smallReads is after how many reads that needed no more a smaller buffer is lent.
const smallReads = 16

// NewReader reads from src, which may be Patient; no argument may be longer than
// bulkMax bytes.
func NewReader(src io.Reader, bulkMax int) *Reader {
	r := &Reader{src: src, size: lentMin, bulkMax: bulkMax}
	r.patient, _ = src.(Patient)
	r.room, r.idle = r.hold, r.release
	return r
}

// Mark is a position to which Rewind can go back until the next Fill.
func (r *Reader) Mark() int { return r.pos }

// Rewind makes Next give the commands since a Mark again.
func (r *Reader) Rewind(mark int) { r.pos, r.at, r.need = mark, 0, 0 }

// Raw is what came since a Mark, as it came; valid like the arguments.
func (r *Reader) Raw(mark int) []byte { return r.buf[mark:r.pos:r.pos] }

// Size is the memory of the buffers.
func (r *Reader) Size() int { return len(r.buf) + cap(r.args)*sliceBytes + cap(r.spans)*sliceBytes }

// Ahead is the memory that the reader keeps until the next Fill returns: it gives an
// empty buffer back, and grows one that the command under way does not fit. Who must
// not have so much is to be stopped before.
func (r *Reader) Ahead() int {
	switch {
	case r.pos == r.end:
		return r.Size() - len(r.buf)
	case r.pos == 0 && r.end == len(r.buf):
		return r.Size() - len(r.buf) + max(r.grown(), r.size)
	}
	return r.Size() - len(r.buf) + max(len(r.buf), r.size)
}

// grown is the next size of a full buffer. It doubles even when more is known to be
// needed: the claim costs nothing until the bytes are here.
func (r *Reader) grown() int {
	size := 2 * len(r.buf)
	if r.need > r.end && r.need < size {
		size = max(r.need, len(r.buf)+lentMin)
	}
	return size
}

// hold gives room for more bytes behind those that are buffered.
func (r *Reader) hold() []byte {
	size := 0
	switch {
	case r.loan == nil:
		size = r.size
	case r.end == len(r.buf):
		size = max(r.grown(), r.size)
	case len(r.buf) < r.size:
		size = r.size
	default:
		return r.buf[r.end:]
	}
	l := borrow(size)
	copy(l.buf, r.buf[:r.end])
	r.drop()
	r.loan, r.buf = l, l.buf
	return r.buf[r.end:]
}

// release gives the buffer back if nothing is in it.
func (r *Reader) release() {
	if r.end == 0 {
		r.drop()
	}
}

func (r *Reader) drop() {
	if r.loan != nil {
		giveBack(r.loan)
		r.loan, r.buf = nil, nil
	}
}

// learn chooses the size of the next loan: one that was filled was too small, as more
// may have been there; one that was mostly empty for a while was too large.
func (r *Reader) learn() {
	switch {
	case r.end == len(r.buf):
		r.size, r.small = min(max(r.size, 2*len(r.buf)), lentMax), 0
	case r.end > r.size/4:
		r.small = 0
	default:
		if r.small++; r.small >= smallReads {
			r.size, r.small = max(r.size/2, lentMin), 0
		}
	}
}

// sliceBytes is the size of one argument's header.
const sliceBytes = 24

// argsIdle is how many arguments a reader keeps room for.
const argsIdle = 256

// Buffered is how many bytes have arrived and were not returned by Next.
func (r *Reader) Buffered() int { return r.end - r.pos }

// Next gives the next command if all of it has arrived; ok is false when more
// bytes are needed. An empty line gives no command and is skipped.
func (r *Reader) Next() (args [][]byte, ok bool, err error) {
	for {
		b := r.buf[r.pos:r.end]
		if len(b) == 0 {
			return nil, false, nil
		}
		var n int
		if b[0] == '*' {
			n, err = r.multiBulk(b)
		} else {
			n, err = r.inline(b)
		}
		if err != nil || n == 0 {
			return nil, false, err
		}
		r.pos += n
		r.need = 0
		if len(r.args) > 0 {
			return r.args, true, nil
		}
	}
}

// Peek appends the second words of the next commands to words, as long as they and
// their commands have arrived and there is room: what a pipeline is about to ask for. It
// is a guess for those who prepare for it. Nothing is judged here, and the words alias
// the buffer as arguments do.
func (r *Reader) Peek(words [][]byte) [][]byte {
	b := r.buf[r.pos:r.end]
	for len(words) < cap(words) {
		count, n := header(b, '*')
		if n == 0 || count < 2 {
			return words
		}
		b = b[n:]
		for i := range count {
			size, n := header(b, '$')
			if n == 0 || size < 0 || size > len(b)-n-2 {
				return words
			}
			if i == 1 {
				words = append(words, b[n:n+size:n+size])
			}
			b = b[n+size+2:]
		}
	}
	return words
}

// header reads a line of a kind and a short number; its length is 0 when it is none.
func header(b []byte, kind byte) (value, n int) {
	if len(b) == 0 || b[0] != kind {
		return 0, 0
	}
	for i, c := range b[1:min(len(b), 10)] {
		if c == '\r' && len(b) >= i+3 && b[i+2] == '\n' {
			return value, i + 3
		}
		if c < '0' || c > '9' {
			break
		}
		value = 10*value + int(c-'0')
	}
	return 0, 0
}

// Fill reads more bytes, waiting for at least one.
func (r *Reader) Fill() error {
	if r.pos > 0 {
		r.end = copy(r.buf, r.buf[r.pos:r.end])
		r.pos = 0
	}
	if r.end == 0 && cap(r.args) > argsIdle {
		r.args, r.spans = nil, nil
	}
	n, err := r.read()
	if n > 0 {
		r.end += n
		r.learn()
		return nil
	}
	r.release()
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (r *Reader) read() (int, error) {
	if r.patient != nil {
		return r.patient.ReadInto(r.room, r.idle)
	}
	return r.src.Read(r.hold())
}

// line finds the end of the line that starts b: content length and length with
// the line break, 0 when it is not all there.
func line(b []byte) (content, whole int, err error) {
	for i, c := range b {
		if c == '\n' {
			content = i
			if i > 0 && b[i-1] == '\r' {
				content--
			}
			return content, i + 1, nil
		}
		if i >= InlineMax {
			break
		}
	}
	if len(b) > InlineMax {
		return 0, 0, ProtocolError("too big inline request")
	}
	return 0, 0, nil
}

// multiBulk parses "*n\r\n$len\r\n..." and says how long it is, 0 when it is not
// all there. It goes on where it stopped, so that a long command that arrives in
// small pieces is not parsed again for each of them.
func (r *Reader) multiBulk(b []byte) (int, error) {
	if r.at == 0 {
		content, whole, err := line(b)
		if err != nil {
			return 0, ProtocolError("too big mbulk count string")
		}
		if whole == 0 {
			return 0, nil
		}
		count, ok := integer(b[1:content])
		if !ok || count > ArgsMax {
			return 0, ProtocolError("invalid multibulk length")
		}
		r.at, r.left, r.spans = whole, count, r.spans[:0]
	}
	for ; r.left > 0; r.left-- {
		if ok, err := r.bulk(b); !ok {
			return 0, err
		}
	}
	r.args = r.args[:0]
	for _, s := range r.spans {
		r.args = append(r.args, b[s.from:s.to:s.to])
	}
	n := r.at
	r.at = 0
	return n, nil
}

// bulk parses one argument of the command b at r.at.
func (r *Reader) bulk(b []byte) (ok bool, err error) {
	if r.at == len(b) {
		return false, nil
	}
	if b[r.at] != '$' {
		return false, ProtocolError(fmt.Sprintf("expected '$', got '%c'", b[r.at]))
	}
	content, whole, err := line(b[r.at:])
	if err != nil {
		return false, ProtocolError("too big bulk count string")
	}
	if whole == 0 {
		return false, nil
	}
	size, ok := integer(b[r.at+1 : r.at+content])
	if !ok || size < 0 || size > int64(r.bulkMax) {
		return false, ProtocolError("invalid bulk length")
	}
	from := r.at + whole
	to := from + int(size)
	if len(b) < to+2 {
		r.need = to + 2
		return false, nil
	}
	if b[to] != '\r' || b[to+1] != '\n' {
		return false, ProtocolError("expected CRLF after bulk")
	}
	r.spans = append(r.spans, span{from, to})
	r.at = to + 2
	return true, nil
}

var errQuotes = ProtocolError("unbalanced quotes in request")

// inline parses a line of words as telnet users type them.
func (r *Reader) inline(b []byte) (int, error) {
	content, whole, err := line(b)
	if err != nil || whole == 0 {
		return 0, err
	}
	r.args = r.args[:0]
	rest := b[:content]
	for {
		for len(rest) > 0 && isSpace(rest[0]) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return whole, nil
		}
		word, n, ok := inlineWord(rest)
		if !ok {
			return 0, errQuotes
		}
		r.args = append(r.args, word)
		rest = rest[n:]
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == 0
}

// inlineWord takes one word, with Redis's quoting. Quoted words are copied: the
// buffer must stay as it came for a Rewind.
func inlineWord(b []byte) (word []byte, n int, ok bool) {
	if b[0] != '"' && b[0] != '\'' {
		for n < len(b) && !isSpace(b[n]) {
			if b[n] == '"' || b[n] == '\'' {
				return quotedTail(b)
			}
			n++
		}
		return b[:n:n], n, true
	}
	return quotedTail(b)
}

func quotedTail(b []byte) (word []byte, n int, ok bool) {
	word = []byte{}
	quote := byte(0)
	for ; n < len(b); n++ {
		c := b[n]
		switch {
		case quote == 0 && isSpace(c):
			return word, n, true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			if n+1 < len(b) && !isSpace(b[n+1]) {
				return nil, 0, false
			}
			quote = 0
		case quote == '"' && c == '\\' && n+1 < len(b):
			var skip int
			c, skip = escaped(b[n+1:])
			word = append(word, c)
			n += skip
		case quote == '\'' && c == '\\' && n+1 < len(b) && b[n+1] == '\'':
			word = append(word, '\'')
			n++
		default:
			word = append(word, c)
		}
	}
	return word, n, quote == 0
}

func escaped(b []byte) (c byte, used int) {
	if b[0] == 'x' && len(b) >= 3 {
		hi, ok1 := hex(b[1])
		lo, ok2 := hex(b[2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	switch b[0] {
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'b':
		return '\b', 1
	case 'a':
		return '\a', 1
	}
	return b[0], 1
}

func hex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// integer reads a decimal number of at most 18 digits.
func integer(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

// ErrReply is returned for bytes that are no RESP reply.
var ErrReply = errors.New("resp: bytes that are no reply")
