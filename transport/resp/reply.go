package resp

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// Reply is one decoded value. Kind is its RESP3 type byte; a RESP2 nil has Kind '_'.
type Reply struct {
	Kind  byte
	Text  []byte // simple and bulk strings, errors, doubles, big numbers, verbatim text
	Int   int64
	Items []Reply // arrays, sets, pushes; maps and attributes as key, value, key, value
}

// IsNull reports the absent value.
func (r Reply) IsNull() bool { return r.Kind == '_' }

// IsError reports an error reply.
func (r Reply) IsError() bool { return r.Kind == '-' || r.Kind == '!' }

const (
	replyBulkMax  = 512 << 20
	replyItemsMax = 64 << 20
	replyDepthMax = 32
)

// ReadReply reads one value. Attributes before it are read and dropped.
func ReadReply(r *bufio.Reader) (Reply, error) {
	for {
		v, err := readReply(r, replyDepthMax)
		if err != nil || v.Kind != '|' {
			return v, err
		}
	}
}

// ReadValue reads one value; attributes are a value of their own, of Kind '|'. The
// text of a bulk string is written into buf's memory where it fits, and "+OK" is one
// constant: both spare the reader of many small replies an allocation each.
func ReadValue(r *bufio.Reader, buf []byte) (Reply, error) {
	line, err := readLine(r)
	switch {
	case err != nil:
		return Reply{}, err
	case string(line) == "+OK":
		return Reply{Kind: '+', Text: okText}, nil
	case len(line) > 1 && line[0] == '$':
		if n, ok := integer(line[1:]); ok && buf != nil && 0 <= n && n <= int64(cap(buf)) {
			if err := readWhole(r, buf[:n]); err != nil {
				return Reply{}, err
			}
			return Reply{Kind: '$', Text: buf[:n]}, nil
		}
	}
	return readRest(r, line, replyDepthMax)
}

// ReadHead reads the first line of an aggregate: its kind and how many values, or pairs
// of a map or of attributes, follow.
func ReadHead(r *bufio.Reader) (kind byte, n int64, err error) {
	line, err := readLine(r)
	if err != nil {
		return 0, 0, err
	}
	if len(line) > 1 {
		if n, ok := integer(line[1:]); ok && n >= 0 && n <= replyItemsMax {
			return line[0], n, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: %q", ErrReply, line)
}

// okText is the text of every "+OK"; nobody may write into it, nor append to it in place.
var okText = []byte("OK")[:2:2]

func readReply(r *bufio.Reader, depth int) (Reply, error) {
	line, err := readLine(r)
	if err != nil {
		return Reply{}, err
	}
	return readRest(r, line, depth)
}

// readRest reads the value that begins with line.
func readRest(r *bufio.Reader, line []byte, depth int) (Reply, error) {
	if len(line) == 0 || depth == 0 {
		return Reply{}, ErrReply
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', '-', ',', '(':
		return Reply{Kind: kind, Text: append([]byte(nil), rest...)}, nil
	case '_':
		return Reply{Kind: '_'}, nil
	case '#':
		v := Reply{Kind: kind}
		if string(rest) == "t" {
			v.Int = 1
		}
		return v, nil
	case ':':
		n, err := strconv.ParseInt(string(rest), 10, 64)
		if err != nil {
			return Reply{}, fmt.Errorf("%w: integer %q", ErrReply, rest)
		}
		return Reply{Kind: kind, Int: n}, nil
	}
	n, ok := integer(rest)
	if !ok {
		return Reply{}, fmt.Errorf("%w: %q", ErrReply, line)
	}
	switch kind {
	case '$', '=', '!':
		return readBulk(r, kind, n)
	case '*', '~', '>':
		return readItems(r, kind, n, 1, depth)
	case '%', '|':
		return readItems(r, kind, n, 2, depth)
	}
	return Reply{}, fmt.Errorf("%w: type %q", ErrReply, kind)
}

// readLine gives a line without its end; it is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, fmt.Errorf("%w: a line without end", ErrReply)
	}
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

func readBulk(r *bufio.Reader, kind byte, n int64) (Reply, error) {
	if n == -1 {
		return Reply{Kind: '_'}, nil
	}
	if n < 0 || n > replyBulkMax {
		return Reply{}, fmt.Errorf("%w: bulk of %d bytes", ErrReply, n)
	}
	const step = 1 << 20 // memory follows the bytes, not the claim
	text := make([]byte, 0, min(n, step))
	for int64(len(text)) < n {
		at := len(text)
		text = append(text, make([]byte, min(step, n-int64(at)))...)
		if _, err := io.ReadFull(r, text[at:]); err != nil {
			return Reply{}, err
		}
	}
	if err := readEnd(r); err != nil {
		return Reply{}, err
	}
	if kind == '=' && len(text) >= 4 {
		text = text[4:]
	}
	return Reply{Kind: kind, Text: text}, nil
}

// readWhole fills text and passes over the end of a bulk string.
func readWhole(r *bufio.Reader, text []byte) error {
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	return readEnd(r)
}

func readEnd(r *bufio.Reader) error {
	for _, want := range "\r\n" { // byte by byte: an array would escape to the heap
		c, err := r.ReadByte()
		if err != nil {
			return err
		}
		if rune(c) != want {
			return fmt.Errorf("%w: a bulk longer than it says", ErrReply)
		}
	}
	return nil
}

func readItems(r *bufio.Reader, kind byte, n int64, per, depth int) (Reply, error) {
	if n == -1 {
		return Reply{Kind: '_'}, nil
	}
	if n < 0 || n > replyItemsMax {
		return Reply{}, fmt.Errorf("%w: %d items", ErrReply, n)
	}
	v := Reply{Kind: kind, Items: make([]Reply, 0, min(n*int64(per), 1024))}
	for int64(len(v.Items)) < n*int64(per) {
		item, err := readReply(r, depth-1)
		if err != nil {
			return Reply{}, err
		}
		if item.Kind != '|' { // describes the item behind it
			v.Items = append(v.Items, item)
		}
	}
	return v, nil
}
