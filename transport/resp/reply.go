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

func readReply(r *bufio.Reader, depth int) (Reply, error) {
	line, err := readLine(r)
	if err != nil {
		return Reply{}, err
	}
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
	for _, want := range "\r\n" { // byte by byte: an array would escape to the heap
		c, err := r.ReadByte()
		if err != nil {
			return Reply{}, err
		}
		if rune(c) != want {
			return Reply{}, fmt.Errorf("%w: a bulk longer than it says", ErrReply)
		}
	}
	if kind == '=' && len(text) >= 4 {
		text = text[4:]
	}
	return Reply{Kind: kind, Text: text}, nil
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
