package node

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func FuzzDecodeControlFrames(f *testing.F) {
	f.Add(appendQuestion(nil, question{ID: 7, Word: "register", Body: []byte("{}")}))
	f.Add(appendAnswer(nil, answer{ID: 7, Err: "no", Body: []byte("{}")}))
	f.Add(AppendRecovering(nil, 1<<40))
	f.Add([]byte{byte(frameRoutes), 1, 1, 0, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		body := b[1:]
		if q, err := decodeQuestion(body); err == nil {
			if again := appendQuestion(nil, q); !bytes.Equal(again[1:], body) {
				t.Fatalf("question %x became %x", body, again[1:])
			}
		}
		if a, err := decodeAnswer(body); err == nil && len(a.Err) <= 1<<15 {
			if again := appendAnswer(nil, a); !bytes.Equal(again[1:], body) {
				t.Fatalf("answer %x became %x", body, again[1:])
			}
		}
		if r, err := decodeRoutes(body); err == nil {
			if again := appendRoutes(nil, r); !bytes.Equal(again[1:], body) {
				t.Fatalf("routes %x became %x", body, again[1:])
			}
		}
		if done, err := decodeRecovering(body); err == nil {
			if again := AppendRecovering(nil, done); !bytes.Equal(again[1:], body) {
				t.Fatalf("recovering %x became %x", body, again[1:])
			}
		}
	})
}

func TestRoutesRoundTrip(t *testing.T) {
	want := announcement{leaving: true, addr: "10.0.0.1:7001", routes: []shardmap.Route{{Group: 1, Epoch: 3, Leader: 2}, {Group: 64, Epoch: 1 << 20, Leader: 1}}}
	b := appendRoutes(nil, want)
	if b[0] != byte(frameRoutes) {
		t.Fatalf("kind %d", b[0])
	}
	got, err := decodeRoutes(b[1:])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
}
