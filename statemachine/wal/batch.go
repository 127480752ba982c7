package wal

// batch is what is appended between two Commits.
type batch struct {
	b       []byte // room for a mark, then frames
	end     LSN
	touched touched
}

// batchKept is the longest memory that a batch keeps for the next, in bytes.
const batchKept = 4 << 20

func newBatch(shards int) *batch {
	return &batch{b: make([]byte, markBytes, 64<<10), touched: *newTouched(shards)}
}

func (b *batch) reset() {
	b.touched.reset()
	if cap(b.b) > batchKept {
		b.b = make([]byte, markBytes, 64<<10)
	}
	b.b = b.b[:markBytes]
}

// touched is a set of shards with the position of each one's last frame, which only the
// user of the log understands.
type touched struct {
	places []place
	index  []int32 // of each shard in places, from 1
}

type place struct {
	shard    uint16
	position uint64
}

func newTouched(shards int) *touched { return &touched{index: make([]int32, shards)} }

func (t *touched) touch(shard uint16, position uint64) {
	i := t.index[shard]
	if i == 0 {
		t.places = append(t.places, place{shard: shard})
		i = int32(len(t.places))
		t.index[shard] = i
	}
	t.places[i-1].position = position
}

func (t *touched) reset() {
	for _, p := range t.places {
		t.index[p.shard] = 0
	}
	t.places = t.places[:0]
}
