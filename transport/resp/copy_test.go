package resp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCopyReply(t *testing.T) {
	anyRoom := func(int) bool { return true }
	for _, raw := range []string{
		"+OK\r\n", "-ERR x\r\n", ":12\r\n", "$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "$0\r\n\r\n", "$5\r\nhe\r\no\r\n", "*0\r\n",
		"*2\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n", "%1\r\n+a\r\n~1\r\n:3\r\n", "=7\r\ntxt:abc\r\n", "|1\r\n+v\r\n:9\r\n$1\r\nx\r\n",
		"*2\r\n|1\r\n+v\r\n:9\r\n+a\r\n+b\r\n", "$100000\r\n" + strings.Repeat("x", 100000) + "\r\n", strings.Repeat("*1\r\n", 10000) + ":1\r\n",
	} {
		if n := ReplyLen([]byte(raw + "+next")); n != len(raw) {
			t.Errorf("%.40q is %d bytes long, want %d", raw, n, len(raw))
		}
		if n := ReplyLen([]byte(raw[:len(raw)-1])); n != 0 {
			t.Errorf("%.40q without its end is %d bytes long", raw, n)
		}
		src := bufio.NewReader(iotest.HalfReader(strings.NewReader(">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n" + raw + "+next\r\n")))
		got, ok, err := CopyReply(src, []byte("before"), anyRoom)
		if string(got) != "before"+raw || !ok || err != nil {
			t.Errorf("%.40q: got %.60q %v %v", raw, got, ok, err)
		}
		if rest, _ := io.ReadAll(src); string(rest) != "+next\r\n" {
			t.Errorf("%.40q: %q is left", raw, rest)
		}
	}
}

// TestCopyReplyWithoutRoom: what is not kept is read all the same, and memory follows
// the bytes that arrived.
func TestCopyReplyWithoutRoom(t *testing.T) {
	src := bufio.NewReader(strings.NewReader("*2\r\n$3000\r\n" + strings.Repeat("x", 3000) + "\r\n:1\r\n+next\r\n"))
	asked := 0
	got, ok, err := CopyReply(src, nil, func(n int) bool { asked += n; return asked < 1000 })
	if ok || err != nil || len(got) > 1000 {
		t.Errorf("got %d bytes, %v, %v", len(got), ok, err)
	}
	if rest, _ := io.ReadAll(src); string(rest) != "+next\r\n" {
		t.Errorf("%q is left", rest)
	}
	most := 0
	claim := bufio.NewReader(strings.NewReader("$500000000\r\nshort"))
	if _, _, err := CopyReply(claim, nil, func(n int) bool { most += n; return true }); !errors.Is(err, io.EOF) || most > 2*copyStep {
		t.Errorf("a claim of 500 MB without bytes: %v, room for %d bytes", err, most)
	}
}

// FuzzCopyReply: what is copied is what the decoder reads, byte for byte.
func FuzzCopyReply(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n%1\r\n+a\r\n_\r\n:1\r\n"))
	f.Add([]byte(">1\r\n+x\r\n+OK\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		copied := bufio.NewReader(src)
		got, ok, err := CopyReply(copied, nil, func(int) bool { return true })
		if err != nil {
			return
		}
		if !ok || ReplyLen(got) != len(got) || !bytes.Contains(b, got) {
			t.Fatalf("%q: copied %q, which is %d bytes long", b, got, ReplyLen(got))
		}
	})
}
