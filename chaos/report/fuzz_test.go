package report

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzDecode: whatever is taken for a report is written and read again as it was.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":1,"seed":7,"scenarios":[{"name":"kill","verdict":"pass","violations":[{"key":"\\x00\\\"a"}]}]}`))
	f.Add([]byte(`{"schema":2}`))
	f.Add([]byte(`{"schema":1,"scenarios":[{"violations":[{"key":"\\q"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := r.Encode(&first); err != nil {
			t.Fatal(err)
		}
		written := first.Bytes()
		again, err := Decode(&first)
		if err != nil {
			t.Fatalf("%v in %s", err, written)
		}
		if err := again.Encode(&second); err != nil || !bytes.Equal(written, second.Bytes()) {
			t.Fatalf("%v: %s, then %s, of %+v", err, written, second.Bytes(), reflect.ValueOf(r))
		}
	})
}
