package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/baxromumarov/aegisKV/internal/load"
)

// link is one connection with at most one batch of requests under way.
type link struct {
	fd      int
	keys    [][]int // the numbers it may ask for, by value size
	out     []byte
	in      []byte // replies that came, from pos to end
	pos     int
	end     int
	left    int     // replies that the batch still lacks
	due     int64   // when the batch was meant to be sent
	waiting []int64 // when the batches behind it were
}

// work is what a batch consists of.
type work struct {
	cell   Cell
	prefix string // of keys
	rng    *rand.Rand
	values load.Values
	size   int // index of the value size
}

func newWork() *work {
	w := &work{rng: rand.New(rand.NewPCG(1, 2))}
	w.values = load.NewValues(w.rng, slices.Max(valueSizes))
	return w
}

// set makes the work that of a cell.
func (w *work) set(c Cell) {
	w.cell, w.prefix, w.size = c, keyPrefix(c.Value), slices.Index(valueSizes, c.Value)
}

func keyPrefix(valueBytes int) string { return fmt.Sprintf("bench:%d:", valueBytes) }

func appendHead(b []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), "\r\n"...)
}

// appendRequest writes one GET or SET of a key.
func (w *work) appendRequest(b []byte, key int) []byte {
	keyLen := len(w.prefix) + load.KeyDigits
	if w.cell.Op == "GET" {
		b = appendHead(append(b, "*2\r\n$3\r\nGET\r\n"...), '$', keyLen)
		return append(load.AppendKey(b, w.prefix, key), "\r\n"...)
	}
	b = appendHead(append(b, "*3\r\n$3\r\nSET\r\n"...), '$', keyLen)
	b = append(load.AppendKey(b, w.prefix, key), "\r\n"...)
	b = append(appendHead(b, '$', w.cell.Value), w.values.Cut(w.rng, w.cell.Value)...)
	return append(b, "\r\n"...)
}

// begin sends the next batch. The one before it has been answered, so that the
// server takes the bytes whatever the size of the socket's buffers.
func (l *link) begin(w *work, due int64) error {
	l.out = l.out[:0]
	for range w.cell.Depth {
		keys := l.keys[w.size]
		l.out = w.appendRequest(l.out, keys[w.rng.IntN(len(keys))])
	}
	l.due, l.left = due, w.cell.Depth
	for b := l.out; len(b) > 0; {
		n, err := unix.Write(l.fd, b)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("sending: %w", err)
		default:
			b = b[n:]
		}
	}
	return nil
}

// fill reads what has come.
func (l *link) fill() error {
	if l.pos > 0 {
		l.end = copy(l.in, l.in[l.pos:l.end])
		l.pos = 0
	}
	if l.end == len(l.in) {
		l.in = append(l.in, make([]byte, len(l.in))...)
	}
	n, err := unix.Read(l.fd, l.in[l.end:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("receiving: %w", err)
	case n == 0:
		return errors.New("the server closed a connection")
	}
	l.end += n
	return nil
}

// next takes one whole reply; nil when it is not all there. Errors are "-...",
// misses "$-1".
func (l *link) next() (reply []byte, err error) {
	b := l.in[l.pos:l.end]
	i := bytes.IndexByte(b, '\n')
	if i < 1 {
		return nil, nil
	}
	line, whole := b[:i-1], i+1
	if b[0] == '$' && b[1] != '-' {
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return nil, fmt.Errorf("a reply that is none: %.60q", line)
		}
		if whole += n + 2; len(b) < whole {
			return nil, nil
		}
	}
	l.pos += whole
	return line, nil
}
