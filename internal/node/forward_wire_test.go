package node

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/transport/redis"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// lone calls, queued on a wire that has sent them.
func loneCalls(t testing.TB, w *wire, skips []int) (calls []*redis.Call, wait []func() error) {
	t.Helper()
	for _, skip := range skips {
		k, done := redis.NewLone([]byte("*1\r\n$4\r\nPING\r\n"), skip, 64<<20)
		calls, wait = append(calls, k), append(wait, done)
	}
	if left := w.queue(calls); len(left) > 0 {
		t.Fatalf("%d calls were not taken", len(left))
	}
	w.written = w.queued
	return calls, wait
}

// TestWireGivesRepliesInOrder also when the stream is cut at any byte: a call whose
// reply is not there whole is lost, and none is given another's.
func TestWireGivesRepliesInOrder(t *testing.T) {
	const (
		first  = "$5\r\na\r\nbc\r\n"
		queued = "+OK\r\n+QUEUED\r\n"
		second = "*2\r\n:1\r\n%1\r\n+a\r\n_\r\n"
		third  = "-MOVED 1 h:2\r\n"
	)
	stream := first + queued + ">2\r\n+invalidate\r\n_\r\n" + second + third
	for cut := range len(stream) + 1 {
		w := newWire(lineKey{}, "")
		calls, wait := loneCalls(t, w, []int{0, 2, 0, 0})
		err := w.read(bufio.NewReader(strings.NewReader(stream[:cut])))
		if err == nil {
			t.Fatal("a stream ends without an error")
		}
		w.fail(err)
		for i, end := range []int{len(first), len(stream) - len(third), len(stream), len(stream) + 1} {
			want := []string{first, second, third, ""}[i]
			switch err := wait[i](); {
			case cut >= end && (err != nil || string(calls[i].Reply) != want):
				t.Errorf("cut at %d: call %d has %q, %v", cut, i, calls[i].Reply, err)
			case cut < end && !errors.Is(err, redis.ErrLost):
				t.Errorf("cut at %d: call %d: %v", cut, i, err)
			}
		}
	}
}

// TestWireSaysWhatWasNeverSent: what the kernel has not taken to its last byte is run by
// nobody, and may be sent elsewhere.
func TestWireSaysWhatWasNeverSent(t *testing.T) {
	w := newWire(lineKey{}, "")
	_, wait := loneCalls(t, w, []int{0, 0, 0})
	w.written = w.queued * 2 / 3
	w.written-- // the second lacks a byte
	w.fail(errClosed)
	for i, want := range []error{redis.ErrLost, redis.ErrUnsent, redis.ErrUnsent} {
		if err := wait[i](); !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", i, err, want)
		}
	}
	k, _ := redis.NewLone([]byte("*1\r\n$4\r\nPING\r\n"), 0, 1<<20)
	if left := w.queue([]*redis.Call{k}); len(left) != 1 {
		t.Error("a wire that failed takes calls")
	}
}

// TestWireHearsFarewell: what has no reply before it was run by nobody, a transaction that
// was not executed among it; what comes behind it is no reply.
func TestWireHearsFarewell(t *testing.T) {
	for in, want := range map[string][]error{
		redis.Farewell:                                {redis.ErrUnsent, redis.ErrUnsent},
		"+OK\r\n+QUEUED\r\n" + redis.Farewell:         {redis.ErrUnsent, redis.ErrUnsent},
		"+OK\r\n+QUEUED\r\n*0\r\n" + redis.Farewell:   {nil, redis.ErrUnsent},
		"+OK\r\n+QUEUED\r\n*0\r\n+PO":                 {nil, redis.ErrLost},
		redis.Farewell + "+OK\r\n+QUEUED\r\n*0\r\n:1": {redis.ErrUnsent, redis.ErrUnsent},
	} {
		w := newWire(lineKey{}, "")
		_, wait := loneCalls(t, w, []int{2, 0})
		w.fail(w.read(bufio.NewReader(strings.NewReader(in))))
		for i, want := range want {
			if err := wait[i](); !errors.Is(err, want) {
				t.Errorf("%q: call %d: %v, want %v", in, i, err, want)
			}
		}
	}
}

// TestWireTakesNoMoreThanItsRoom, but always one command, however long.
func TestWireTakesNoMoreThanItsRoom(t *testing.T) {
	w := newWire(lineKey{}, "")
	var calls []*redis.Call
	for range 3 {
		k, _ := redis.NewLone(make([]byte, wirePending), 0, 1<<20)
		calls = append(calls, k)
	}
	if left := w.queue(calls); len(left) != 2 || left[0] != calls[1] {
		t.Errorf("%d of 3 calls are left", len(left))
	}
}

// sink is a connection that takes everything.
type sink struct {
	net.Conn
	n int
}

func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }

// TestWireGreetsOneNodeOnly: another node, or a refusal, at the address is not taken.
func TestWireGreetsOneNodeOnly(t *testing.T) {
	for in, ok := range map[string]bool{
		"%0\r\n+OK\r\n$5\r\nasync\r\n+OK\r\n+OK\r\n$2\r\nn1\r\n":            true,
		"%0\r\n+OK\r\n$5\r\nasync\r\n+OK\r\n+OK\r\n$2\r\nn2\r\n":            false,
		"-NOAUTH no\r\n+OK\r\n$5\r\nasync\r\n+OK\r\n+OK\r\n$2\r\nn1\r\n":    false,
		"%0\r\n+OK\r\n-ERR unknown ack level\r\n+OK\r\n+OK\r\n$2\r\nn1\r\n": false,
		"%0\r\n+OK\r\n$5\r\nasync\r\n+OK\r\n+OK\r\n$2\r\nn":                 false,
		"%0\r\n+OK\r\n$5\r\nasync\r\n+OK\r\n+OK\r\n$536870912\r\nn1\r\n":    false,
		"HTTP/1.1 400 Bad Request\r\n\r\n":                                  false,
		"":                                                                  false,
	} {
		w := newWire(lineKey{proto: 3, level: "async"}, "n1")
		if err := w.greet(&sink{}, bufio.NewReader(strings.NewReader(in))); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzWire reads what no node would send: cut, too long, mutated. Every call is done, a
// reply is a whole value, and memory follows the bytes that came.
func FuzzWire(f *testing.F) {
	f.Add([]byte("+OK\r\n:1\r\n$1\r\nx\r\n"), uint8(3), uint8(0))
	f.Add([]byte("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"), uint8(1), uint8(2))
	f.Add([]byte("$536870911\r\nx"), uint8(1), uint8(0))
	f.Add([]byte("*67108864\r\n*67108864\r\n"), uint8(2), uint8(0))
	f.Add([]byte(">1\r\n+p\r\n|1\r\n+a\r\n:1\r\n%1\r\n+k\r\n~0\r\n"), uint8(2), uint8(1))
	f.Add([]byte("%0\r\n+OK\r\n$5\r\nasync\r\n+OK\r\n+OK\r\n$2\r\nn1\r\n"), uint8(4), uint8(0))
	f.Fuzz(func(t *testing.T, stream []byte, n, skip uint8) {
		_ = newWire(lineKey{}, "n1").greet(&sink{}, bufio.NewReader(bytes.NewReader(stream)))
		w := newWire(lineKey{}, "n1")
		skips := make([]int, 1+n%16)
		for i := range skips {
			skips[i] = int(skip % 4)
		}
		calls, wait := loneCalls(t, w, skips)
		err := w.read(bufio.NewReader(bytes.NewReader(stream)))
		if err == nil {
			t.Fatal("a stream ends without an error")
		}
		w.fail(err)
		for i, k := range calls {
			switch err := wait[i](); {
			case err == nil && resp.ReplyLen(k.Reply) != len(k.Reply):
				t.Fatalf("call %d was given %.100q", i, k.Reply)
			case err == nil && !bytes.Contains(stream, k.Reply):
				t.Fatalf("call %d was given %.100q, which did not come", i, k.Reply)
			case err != nil && !errors.Is(err, redis.ErrLost) && !bytes.Contains(stream, []byte(redis.Farewell[:1])):
				t.Fatalf("call %d: %v", i, err)
			}
			if c := cap(k.Reply); c > 4*len(stream)+2<<20 {
				t.Fatalf("%d bytes of memory for a stream of %d", c, len(stream))
			}
		}
	})
}
