package resp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func commands(src io.Reader, bulkMax int) (all [][]string, err error) {
	r := NewReader(src, bulkMax)
	for {
		args, ok, err := r.Next()
		if err != nil {
			return all, err
		}
		if ok {
			var c []string
			for _, a := range args {
				c = append(c, string(a))
			}
			all = append(all, c)
			continue
		}
		if err := r.Fill(); err != nil {
			return all, err
		}
	}
}

func TestCommands(t *testing.T) {
	for in, want := range map[string][][]string{
		"*2\r\n$3\r\nGET\r\n$1\r\na\r\n":            {{"GET", "a"}},
		"PING\r\n\r\nget  a \n":                     {{"PING"}, {"get", "a"}},
		"set a \"b\\x41\\n c\" 'd\\'e'\r\n":         {{"set", "a", "bA\n c", "d'e"}},
		"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n":         {{"PING"}},
		"*1\r\n$0\r\n\r\n*1\r\n$4\r\nPI\r\n\r\nx\n": {{""}, {"PI\r\n"}, {"x"}},
	} {
		got, err := commands(strings.NewReader(in), BulkMax)
		if err != io.EOF || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
		slow, err := commands(iotest.OneByteReader(strings.NewReader(in)), BulkMax)
		if err != io.EOF || !reflect.DeepEqual(slow, want) {
			t.Errorf("%q byte by byte: %q, %v", in, slow, err)
		}
	}
}

func TestBadInputIsRefusedWithoutMemory(t *testing.T) {
	for in, want := range map[string]string{
		"*1\r\n$4294967296\r\n":                "invalid bulk length",
		"*1\r\n$-1\r\n":                        "invalid bulk length",
		"*1048577\r\n":                         "invalid multibulk length",
		"*1\r\nGET\r\n":                        "expected '$', got 'G'",
		"*x\r\n":                               "invalid multibulk length",
		"get \"a\r\n":                          "unbalanced quotes",
		strings.Repeat("a", 100<<10):           "too big inline request",
		"*" + strings.Repeat("1", 100<<10):     "too big mbulk count string",
		"*1\r\n$1\r\nabc":                      "expected CRLF",
		"*1\r\n$" + strings.Repeat("1", 1<<17): "too big bulk count string",
	} {
		_, err := commands(strings.NewReader(in), BulkMax)
		var p ProtocolError
		if !errors.As(err, &p) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %s", in, err, want)
		}
	}
	r := NewReader(io.MultiReader(strings.NewReader("*1\r\n$536870912\r\n"), iotest.ErrReader(io.EOF)), BulkMax)
	for r.Fill() == nil {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if cap(r.buf) > 1<<20 {
		t.Fatalf("a claim of 512 MiB took %d bytes", cap(r.buf))
	}
}

func TestReadingACommandAllocatesNothing(t *testing.T) {
	in := bytes.Repeat([]byte("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"), 1)
	src := bytes.NewReader(in)
	r := NewReader(src, BulkMax)
	if n := testing.AllocsPerRun(1000, func() {
		src.Reset(in)
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := r.Next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestPeekSeesTheKeysOfWhatIsNext: all of them that have arrived, in order, and nothing
// behind what it does not understand.
func TestPeekSeesTheKeysOfWhatIsNext(t *testing.T) {
	for in, want := range map[string]string{
		"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$2\r\nxy\r\n*2\r\n$3\r\nGET\r\n$1\r\nc\r\n": "a b c",
		"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$2\r\nx":                                    "a b",
		"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$5\r\nb\r\n":                                           "a",
		"*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET b\r\n*2\r\n$3\r\nGET\r\n$1\r\nc\r\n":                                  "a",
		"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n":                                                     "",
		"*2\r\n$3\r\nGET\r\n$99999999\r\na\r\n":                                                                  "",
		"*2\r\n$3\r\nGET\r\n$-1\r\n":                                                                             "",
		"*":                                                                                                      "",
		"":                                                                                                       "",
	} {
		r := NewReader(strings.NewReader(in), BulkMax)
		_ = r.Fill()
		if got := string(bytes.Join(r.Peek(make([][]byte, 0, 16)), []byte(" "))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// peeked reads the commands of one buffer and checks each one that was peeked at.
func peeked(t *testing.T, in []byte) {
	r := NewReader(bytes.NewReader(in), 1<<20)
	if r.Fill() != nil {
		return
	}
	for {
		words := r.Peek(make([][]byte, 0, 1))
		args, ok, err := r.Next()
		if len(words) > 0 && err == nil && (!ok || len(args) < 2 || !bytes.Equal(args[1], words[0])) {
			t.Fatalf("%q: peeked at %q, read %q", in, words, args)
		}
		if !ok || err != nil {
			return
		}
	}
}

func FuzzAnySplitGivesTheSameCommands(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n"), 5)
	f.Add([]byte("set a \"b\\x41\" 'c'\r\n*1\r\n$70000\r\n"), 20)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		peeked(t, in)
		whole, err1 := commands(bytes.NewReader(in), 1<<20)
		if at < 0 || at > len(in) {
			at = len(in) / 2
		}
		split, err2 := commands(io.MultiReader(bytes.NewReader(in[:at]), bytes.NewReader(in[at:])), 1<<20)
		if !reflect.DeepEqual(whole, split) || err1.Error() != err2.Error() {
			t.Fatalf("whole %q %v, split at %d %q %v", whole, err1, at, split, err2)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n%1\r\n+k\r\n:1\r\n"))
	f.Add([]byte("|1\r\n+e\r\n:4\r\n=7\r\ntxt:abc\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		values := bufio.NewReader(bytes.NewReader(in))
		buf := make([]byte, 0, 4)
		for {
			want, err := ReadReply(r)
			got, err2 := ReadValue(values, buf)
			for err2 == nil && got.Kind == '|' {
				got, err2 = ReadValue(values, buf)
			}
			if !reflect.DeepEqual(got, want) || (err == nil) != (err2 == nil) {
				t.Fatalf("%v %v, into a buffer %v %v", want, err, got, err2)
			}
			if err != nil {
				return
			}
		}
	})
}

func TestValuesAreReadIntoTheBufferThatFits(t *testing.T) {
	buf := make([]byte, 3)
	for in, fits := range map[string]bool{"$3\r\nabc\r\n": true, "$0\r\n\r\n": true, "$4\r\nabcd\r\n": false} {
		v, err := ReadValue(bufio.NewReader(strings.NewReader(in)), buf)
		if err != nil || v.Text == nil {
			t.Fatal(v, err)
		}
		if inside := cap(v.Text) == cap(buf); inside != fits {
			t.Errorf("%q: in the buffer: %v", in, inside)
		}
	}
	if v, err := ReadValue(bufio.NewReader(strings.NewReader("$0\r\n\r\n")), nil); v.Text == nil || err != nil {
		t.Error("an empty string without a buffer is not an absent one:", v, err)
	}
	r := bufio.NewReader(strings.NewReader("|2\r\n+e\r\n:7\r\n+v\r\n:9\r\n$-1\r\n|x\r\n"))
	if kind, n, err := ReadHead(r); kind != '|' || n != 2 || err != nil {
		t.Fatal(kind, n, err)
	}
	for _, want := range []string{"e", "7", "v", "9", ""} {
		if v, err := ReadValue(r, nil); err != nil || string(v.Text) != want && strconv.FormatInt(v.Int, 10) != want {
			t.Errorf("%v %v, want %q", v, err, want)
		}
	}
	if _, _, err := ReadHead(r); !errors.Is(err, ErrReply) {
		t.Error("a head without a number:", err)
	}
}

func TestALongCommandInSmallPiecesIsParsedOnce(t *testing.T) {
	const n = 200000
	in := "*" + strconv.Itoa(n) + "\r\n" + strings.Repeat("$1\r\na\r\n", n)
	r := NewReader(iotest.OneByteReader(strings.NewReader(in)), BulkMax)
	for begin := time.Now(); ; {
		args, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if len(args) != n || string(args[n-1]) != "a" {
				t.Fatal(len(args))
			}
			break
		}
		if time.Since(begin) > 30*time.Second { // parsed anew for each byte it would take hours
			t.Fatal("too slow")
		}
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	mark := r.Mark()
	if r.Rewind(mark); r.Fill() != io.EOF || r.Size() > 4<<10 {
		t.Fatalf("an idle reader keeps %d bytes", r.Size())
	}
}

func TestRewindGivesTheSameCommandsAgain(t *testing.T) {
	r := NewReader(strings.NewReader("*2\r\n$3\r\nGET\r\n$1\r\na\r\nset \"b\" c\r\n*1\r\n$9\r\nunfin"), BulkMax)
	if err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	mark := r.Mark()
	for range 3 {
		var got []string
		for {
			args, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			got = append(got, string(bytes.Join(args, []byte(" "))))
		}
		if strings.Join(got, ";") != "GET a;set b c" {
			t.Fatal(got)
		}
		r.Rewind(mark)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, proto := range []int{2, 3} {
		b := AppendArray(nil, 10)
		b = AppendSimple(b, "s")
		b = AppendError(b, "ERR a\r\nb")
		b = AppendInt(b, -7)
		b = AppendBulk(b, "x\r\n")
		b = AppendNull(b, proto)
		b = AppendBool(b, proto, true)
		b = AppendDouble(b, proto, 0.5)
		b = AppendBigNumber(b, proto, "123456789012345678901234567890")
		b = AppendVerbatim(b, proto, "text")
		b = AppendBulk(AppendBulk(AppendMap(b, proto, 1), "k"), "v")
		if proto == 3 { // an attribute is read past wherever it stands
			b = append(AppendInt(AppendBulk(AppendAttribute(nil, 1), "v"), 9), b...)
		}
		v, err := ReadReply(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || len(v.Items) != 10 {
			t.Fatal(v, err)
		}
		var texts []string
		for _, i := range v.Items {
			texts = append(texts, string(i.Text))
		}
		if got := strings.Join(texts, "|"); got != "s|ERR a  b||x\r\n|||0.5|123456789012345678901234567890|text|" {
			t.Errorf("RESP%d: %q", proto, got)
		}
		if v.Items[2].Int != -7 || !v.Items[4].IsNull() || v.Items[5].Int != 1 || !v.Items[1].IsError() || string(v.Items[9].Items[1].Text) != "v" {
			t.Errorf("RESP%d: %v", proto, v)
		}
	}
	inside := AppendPush(nil, 1)
	inside = AppendInt(AppendInt(AppendInt(AppendAttribute(inside, 1), 1), 2), 3)
	if v, err := ReadReply(bufio.NewReader(bytes.NewReader(inside))); err != nil || len(v.Items) != 1 || v.Items[0].Int != 3 {
		t.Error("an attribute inside a push:", v, err)
	}
}
