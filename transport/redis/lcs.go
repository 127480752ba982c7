package redis

import "math/bits"

// matching is a run of equal bytes that a longest common subsequence goes through: first
// and last place of it in the one value and in the other.
type matching struct{ aFirst, aLast, bFirst, bLast int }

func (m matching) len() int { return m.aLast - m.aFirst + 1 }

// lcsTable knows, for each pair of beginnings of two values, which of them to shorten on
// the way to a longest common subsequence. That is a bit for each pair, where the usual
// table of lengths is four bytes; lengths are kept for one row. The shorter value is the
// row, so that no row is longer than the root of the number of pairs.
type lcsTable struct {
	a, b  []byte
	turns bool // b is the longer one: rows are beginnings of it
	width int  // of a row
	ups   []uint64
	size  int
}

// newLCS fills the table. Its time is the product of the lengths.
func newLCS(a, b []byte) *lcsTable {
	t := &lcsTable{a: a, b: b, turns: len(b) > len(a)}
	long, short := a, b
	if t.turns {
		long, short = b, a
	}
	if t.width = len(short); t.width == 0 {
		return t
	}
	t.ups = make([]uint64, (len(long)*t.width+63)/64)
	row := make([]uint32, len(short)+1)
	for i, ch := range long {
		t.fillRow(row, short, ch, i*t.width)
	}
	t.size = int(row[len(short)])
	return t
}

// fillRow turns the lengths for one beginning of the longer value into those for the next
// one, which ends in ch; the bits of the new row begin at a place. A bit is set where a is
// to be shortened: where that loses less than shortening b. As in Redis b is shortened
// where both lose the same, so that one and the same of the longest subsequences is found.
func (t *lcsTable) fillRow(row []uint32, short []byte, ch byte, at int) {
	sign := int32(1)
	if t.turns {
		sign = -1
	}
	bit := uint(at)
	word := t.ups[bit/64]
	diagonal, left := uint32(0), uint32(0) // left is what the pair before has in the new row
	next := row[1:]
	for k, s := range short {
		above := next[k]
		lost := sign * int32(left-above) // below 0: to be set. No branch: it could not be foretold
		word |= uint64(uint32(lost)>>31) << (bit % 64)
		if bit%64 == 63 || k == len(short)-1 {
			t.ups[bit/64] = word
			word = 0
		}
		bit++
		left = max(above, left)
		if with := diagonal + 1; s == ch {
			left = with
		}
		diagonal, next[k] = above, left
	}
}

// up says whether a is to be shortened where beginnings of so many bytes end differently.
func (t *lcsTable) up(i, j int) bool {
	at := (i-1)*t.width + j - 1
	if t.turns {
		at = (j-1)*t.width + i - 1
	}
	return t.ups[at/64]&(1<<(at%64)) != 0
}

// walk goes through the subsequence from its end and shows its runs.
func (t *lcsTable) walk(visit func(matching)) {
	i, j := len(t.a), len(t.b)
	for i > 0 && j > 0 {
		if t.a[i-1] != t.b[j-1] {
			if t.up(i, j) {
				i--
			} else {
				j--
			}
			continue
		}
		n := 1
		for i > n && j > n && t.a[i-n-1] == t.b[j-n-1] {
			n++
		}
		visit(matching{i - n, i - 1, j - n, j - 1})
		i, j = i-n, j-n
	}
}

// text is the subsequence.
func (t *lcsTable) text() []byte {
	text := make([]byte, t.size)
	at := len(text)
	t.walk(func(m matching) {
		at -= m.len()
		copy(text[at:], t.a[m.aFirst:m.aLast+1])
	})
	return text
}

// lcsPairs is the work of newLCS; more than any limit where it overflows.
func lcsPairs(a, b []byte) uint64 {
	if over, pairs := bits.Mul64(uint64(len(a)), uint64(len(b))); over == 0 {
		return pairs
	}
	return 1 << 63
}
