package resp

import (
	"math/bits"
	"sync"
)

// Buffers are lent to Readers for as long as there are bytes in them: ten thousand
// connections that wait hold none, and one core that serves fifty of them reads into
// the same few, which its cache therefore knows.
const (
	lentMin = 2 << 10
	lentMax = 64 << 10 // longer ones are made and forgotten
)

// loan is a buffer of a power of two bytes, from lentMin to lentMax.
type loan struct{ buf []byte }

var shelves [6]sync.Pool // of *loan, by size

// shelf is where the least loans that hold size bytes lie.
func shelf(size int) int {
	return max(0, bits.Len(uint(size-1))-bits.Len(uint(lentMin-1)))
}

// borrow gives a buffer of size bytes at least.
func borrow(size int) *loan {
	if size > lentMax {
		return &loan{make([]byte, size)}
	}
	i := shelf(size)
	if l, ok := shelves[i].Get().(*loan); ok {
		return l
	}
	return &loan{make([]byte, lentMin<<i)}
}

// giveBack ends a loan; nobody may look at its bytes any more.
func giveBack(l *loan) {
	if len(l.buf) <= lentMax {
		shelves[shelf(len(l.buf))].Put(l)
	}
}
