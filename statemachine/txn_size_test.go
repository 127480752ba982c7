package statemachine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestALargeTransactionCostsInProportion: what it just wrote is passed over once, not
// once for each entry that it evicts (8,000 SETs took 10 s under the shard's mutex, and
// 300 times as long as 2,000), and its record does not name every entry of the shard.
func TestALargeTransactionCostsInProportion(t *testing.T) {
	took := map[int]time.Duration{}
	for _, n := range []int{2000, 8000} {
		m := New(Config{HashKey: 1, BudgetBytes: 3328 << 10})
		var res Result
		seq, value := uint64(0), make([]byte, 60)
		set := func(key string) {
			if err := m.Execute(&Command{Kind: Set, Key: []byte(key), Value: value}, shardmap.MakeVersion(1, seq), 1, &res); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 120_000 {
			key := fmt.Sprintf("key:%06d", i%32_000)
			for range 2 {
				if _, ok := m.Lookup([]byte(key), false, 1); !ok {
					seq++
					set(key)
				}
			}
		}
		seq++
		m.Begin(shardmap.MakeVersion(1, seq))
		for i := range n {
			set(fmt.Sprintf("new:%06d", i))
		}
		var rec Record
		began := time.Now()
		m.End(&rec)
		took[n] = time.Since(began)
		if len(rec.Evicted) < n || len(rec.Protected) > 2*protectedMax {
			t.Errorf("%d SETs: %d evicted, %d protected", n, len(rec.Evicted), len(rec.Protected))
		}
	}
	if took[8000] > 30*took[2000]+100*time.Millisecond {
		t.Errorf("8,000 SETs take %v, 2,000 %v", took[8000], took[2000])
	}
}

// TestATransactionsRecordIsBounded: a record must fit into a message between nodes.
func TestATransactionsRecordIsBounded(t *testing.T) {
	m := New(Config{HashKey: 1, BudgetBytes: 1 << 30})
	var res Result
	m.Begin(shardmap.MakeVersion(1, 1))
	taken := 0
	for i := range 100 {
		err := m.Execute(&Command{Kind: Set, Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 1<<20)}, shardmap.MakeVersion(1, 1), 1, &res)
		if err == nil {
			taken++
		} else if !errors.Is(err, ErrTxnTooLarge) {
			t.Fatal(err)
		}
	}
	var rec Record
	if !m.End(&rec) || len(rec.Value) > txnBytesMax || taken != 63 {
		t.Errorf("%d values of 1 MiB taken, a record of %d bytes", taken, len(rec.Value))
	}
	m.Begin(shardmap.MakeVersion(1, 2))
	long := make([]byte, 60<<20)
	if err := m.Execute(&Command{Kind: Set, Key: []byte("long"), Value: long}, shardmap.MakeVersion(1, 2), 1, &res); err != nil {
		t.Errorf("one long value alone: %v", err)
	}
	if err := m.Execute(&Command{Kind: Append, Key: []byte("long"), Value: []byte("x")}, shardmap.MakeVersion(1, 2), 1, &res); !errors.Is(err, ErrTxnTooLarge) {
		t.Errorf("and again as a whole: %v", err)
	}
	m.End(&rec)
}
