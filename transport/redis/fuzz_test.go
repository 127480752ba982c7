package redis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// script is a connection that receives its bytes in two pieces and then ends.
type script struct {
	loop
	pieces [][]byte
	got    bytes.Buffer
}

func (s *script) Read(b []byte) (int, error) {
	for len(s.pieces) > 0 {
		if len(s.pieces[0]) > 0 {
			n := copy(b, s.pieces[0])
			s.pieces[0] = s.pieces[0][n:]
			return n, nil
		}
		s.pieces = s.pieces[1:]
	}
	return 0, io.EOF
}

func (s *script) Write(b []byte) (int, error) { return s.got.Write(b) }
func (s *script) Close() error                { return nil }

func play(in []byte, at int) []byte {
	m := newMemory()
	m.now = func() int64 { return 1_800_000_000_000 }
	s := NewServer(Config{ClientsMax: 1, BulkMax: 1 << 20, BuffersMax: 64 << 20}, m)
	nc := &script{pieces: [][]byte{in[:at], in[at:]}}
	newConn(s, nc).serve()
	return nc.got.Bytes()
}

// FuzzAnyBytesGetReplies: whatever a client sends, in whatever pieces, it gets a
// row of whole RESP replies, and the pieces make no difference.
func FuzzAnyBytesGetReplies(f *testing.F) {
	f.Add([]byte("SET {a}1 x EX 10\r\nMGET {a}1 {a}2\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nHELLO 3\r\nGETEX a\r\n"), 20)
	f.Add([]byte("COMMAND INFO get config|get\r\nCLUSTER SLOTS\r\nAEGIS.CHECK 1:0:3.7\r\nEXPIRE a 1 XX GT\r\nQUIT\r\n"), 3)
	f.Add([]byte("INCRBY a 9\r\nAPPEND a x\r\nDEL a b\r\n*1\r\n$-1\r\n"), 9)
	f.Add([]byte("WATCH {a}1\r\nMULTI\r\nSET {a}1 x\r\nINCR {a}1\r\nHELLO 3\r\nEXEC\r\nMULTI\r\nGET a\r\nGET b\r\nEXEC\r\nMULTI\r\nNOPE\r\nEXEC\r\n"), 40)
	f.Add([]byte("MULTI\r\nDBSIZE\r\nFLUSHALL\r\nEXEC\r\nMULTI\r\nEXEC x\r\nDISCARD\r\nUNWATCH\r\nRESET\r\n"), 20)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		if at < 0 || at > len(in) {
			at = len(in) / 2
		}
		for _, word := range []string{"wait", "time", "info", "client", "memory"} { // of clocks, ports and waiting
			if bytes.Contains(bytes.ToLower(in), []byte(word)) {
				return
			}
		}
		whole := play(in, 0)
		if pieces := play(in, at); !bytes.Equal(whole, pieces) {
			t.Fatalf("whole: %q\nsplit at %d: %q", whole, at, pieces)
		}
		for r := bufio.NewReader(bytes.NewReader(whole)); ; {
			if _, err := resp.ReadReply(r); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("%v in %q", err, whole)
			}
		}
	})
}
