package node

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestTheDivisionAddsUp: the parts are the limit, to the byte, and none is missing.
func TestTheDivisionAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(memoryMin, 1<<44).Draw(t, "limit")
		d := divide(limit)
		if d.process+d.stores+d.rings+d.buffers+d.transfers != limit {
			t.Fatalf("%+v", d)
		}
		if d.stores < limit*2/5 || d.rings < 1<<20 || d.buffers < 1<<20 || d.transfers < 1<<20 {
			t.Fatalf("a part is too small: %+v", d)
		}
		if (BesideBytes(limit) == 0) != (limit >= WholeProcess) {
			t.Fatalf("with a limit of %d the process takes %d beside it", limit, BesideBytes(limit))
		}
		heap, tight := HeapBytes(limit, 0), HeapBytes(limit, limit)
		if outside := d.limit - d.stores - d.process; tight < outside+garbageMin || heap < tight || heap > outside+d.stores/64+garbageMax {
			t.Fatalf("the Go heap may hold %d of %d, %d where there is no more memory", heap, limit, tight)
		}
	})
}

func TestTheDivisionIsSaid(t *testing.T) {
	for limit, want := range map[int64][]string{
		1 << 30:  {"memory 1 GiB: stores 744 MiB, rings 64 MiB, connections 86 MiB, transfers 28 MiB, the process 100 MiB\n", "a shard has 2.9 MiB with all 256 of them here, the largest value is 1 MiB"},
		64 << 20: {"memory 64 MiB: stores 40 MiB, rings 8 MiB, connections 8 MiB, transfers 8 MiB; the process may take up to 48 MiB beside it, and none from 192MiB on", "a shard has 160 KiB", "a value of more than 160 KiB is evicted as soon as it is written"},
		64 << 30: {"memory 64 GiB", "the largest value is 53 MiB"},
		1 << 40:  {"memory 1024 GiB", "the largest value is 64 MiB"},
	} {
		said := strings.Join(divide(limit).lines(256), "\n")
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("of %d bytes is said\n%s\nand not %q", limit, said, w)
			}
		}
	}
	err := divide(memoryMin).check(16384)
	if err == nil || !strings.Contains(err.Error(), "fewer --num-shards") || !strings.Contains(err.Error(), "1 KiB for each of 16384 shards") {
		t.Errorf("16384 shards in 32 MiB: %v", err)
	}
	if most := statemachine.ValueBytesMax(divide(1 << 40).shardBytes(256)); most != 64<<20 {
		t.Errorf("the largest value is %d", most)
	}
}
