package resp

import (
	"io"
	"strings"
	"testing"
)

// pieces is a Patient source that has nothing before each of its pieces, and looks at
// the reader while it waits.
type pieces struct {
	left    []string
	waiting func()
}

func (p *pieces) Read([]byte) (int, error) { panic("a patient source is asked without a buffer") }

func (p *pieces) ReadInto(room func() []byte, idle func()) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	for i := range room() { // what a loan held before must not matter
		room()[i] = '#'
	}
	idle()
	p.waiting()
	n := copy(room(), p.left[0])
	if p.left[0] = p.left[0][n:]; p.left[0] == "" {
		p.left = p.left[1:]
	}
	return n, nil
}

func TestAReaderThatWaitsForACommandHoldsNoBuffer(t *testing.T) {
	const half = "*2\r\n$3\r\nGET\r\n$3\r\nk"
	src := &pieces{left: []string{"PING\r\n" + half, "ey\r\n", "PING\r\n"}}
	r := NewReader(src, BulkMax)
	var held []int
	src.waiting = func() { held = append(held, len(r.buf)) }
	var got []string
	for r.Fill() == nil {
		for {
			args, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			var words []string
			for _, a := range args {
				words = append(words, string(a))
			}
			got = append(got, strings.Join(words, " "))
		}
	}
	if want := "PING;GET key;PING"; strings.Join(got, ";") != want {
		t.Errorf("read %q, want %q", got, want)
	}
	if len(held) != 3 || held[0] != 0 || held[1] != lentMin || held[2] != 0 {
		t.Errorf("held while waiting: %v", held)
	}
}

// fillsOf reads batches and says how many Fills each took.
func fillsOf(t *testing.T, r *Reader, src *pieces, batch string, n int) (fills []int) {
	for range n {
		src.left = []string{batch}
		fills = append(fills, 0)
		for len(src.left) > 0 || r.Buffered() > 0 {
			if err := r.Fill(); err != nil {
				t.Fatal(err)
			}
			fills[len(fills)-1]++
			for ok := true; ok; {
				if _, ok, _ = r.Next(); !ok {
					break
				}
			}
		}
	}
	return fills
}

// A client that pipelines large values must not begin with a small buffer each time:
// that was six reads and as many allocations for every batch of 18 KB.
func TestALoanFollowsWhatTheClientSends(t *testing.T) {
	src := &pieces{waiting: func() {}}
	r := NewReader(src, BulkMax)
	set := "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1024\r\n" + strings.Repeat("v", 1024) + "\r\n"
	large := strings.Repeat(set, 16)
	fills := fillsOf(t, r, src, large, 10)
	if fills[9] != 1 {
		t.Errorf("reads of each batch: %v", fills)
	}
	one := []string{""}
	if n := testing.AllocsPerRun(100, func() {
		one[0], src.left = large, one
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; _, ok, _ = r.Next() {
		}
	}); n != 0 && !raceBuild {
		t.Errorf("%v allocations for a batch", n)
	}
	if r.size != 32<<10 {
		t.Errorf("batches of %d bytes are lent %d", len(large), r.size)
	}
	fillsOf(t, r, src, "PING\r\n", 5*smallReads)
	if r.size != lentMin {
		t.Errorf("after small commands %d bytes are lent", r.size)
	}
}
