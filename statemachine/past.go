package statemachine

import (
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Past is a walk of what a whole copy held at one position, in steps, while records go
// on. Chunk and Walk show each key as it is when they come to it, which is enough where
// records follow; a Past needs none.
type Past struct {
	frozen   *lru.Frozen
	position shardmap.Version
	time     int64
}

// Freeze begins a walk of the present contents; the one before, if any, ends. It may keep
// keepBytesMax of what changes between two steps, which is not part of HeldBytes.
func (m *Machine) Freeze(keepBytesMax int64) *Past {
	return &Past{m.store.Freeze(uint64(m.position), keepBytesMax), m.position, m.time}
}

// Position and Time are those of the moment.
func (p *Past) Position() shardmap.Version { return p.position }

// Time is the shard time of the moment, unix ms.
func (p *Past) Time() int64 { return p.time }

// pastStep is how many entries one Chunk looks at, about.
const pastStep = 256

// Chunk appends some of the entries that were alive then, in the form that ReplaceRange
// takes, each once and in no order: as many as fit into about sizeMax bytes, one hash at
// least. more is false when there are no others; an error says that what came so far is
// worth nothing.
func (p *Past) Chunk(sizeMax int, dst []byte) (b []byte, more bool, err error) {
	more, err = p.frozen.Step(pastStep, int64(sizeMax), func(e lru.Entry) {
		if !dead(e.Deadline, p.time) {
			dst = appendEntry(dst, e)
		}
	})
	return dst, more, err
}

// KeptBytes is what the walk keeps now.
func (p *Past) KeptBytes() int64 { return p.frozen.KeptBytes() }

// End gives the walk up.
func (p *Past) End() { p.frozen.End() }

// Ended says that the walk is over, or cannot go on.
func (p *Past) Ended() bool { return p.frozen.Ended() }
