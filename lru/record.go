package lru

import "encoding/binary"

// A record, a multiple of 8 bytes:
//
//	version 64
//	value length 27 | key length 17 | slack 7 | expires 1 | extent 1 | dead 1 | timer 10
//	[deadline 64]
//	key
//	value, or the number of the extent that holds it (64)
//	0..7 bytes, and 8*slack more that a longer value left
//
// The two words are written and read as the machine has them: records never leave
// the process. The deadline is not cut to 48 bits: with keys and values of any
// length two bytes less are rarely 8 bytes less.
type record []byte

// meta is the second word of a record.
type meta uint64

const (
	headBytes    = 16
	valueLenBits = 27
	keyLenBits   = 17
	slackBits    = 7

	valueLenMax = 1<<valueLenBits - 1
	keyLenMax   = 64 << 10
	slackUnit   = 8
	slackMax    = (1<<slackBits - 1) * slackUnit // bytes

	keyLenAt          = valueLenBits
	slackAt           = keyLenAt + keyLenBits
	expiresFlag  meta = 1 << (slackAt + slackBits)
	extentFlag   meta = 2 * expiresFlag
	deadFlag     meta = 4 * expiresFlag
	timerAt           = slackAt + slackBits + 3
	timerMask    meta = (1<<(64-timerAt) - 1) << timerAt
	inlineMin         = 2 << 10  // values up to here have no extent, half of whose page would be empty
	inlineMax         = 16 << 10 // longer ones always have one
	extentNumber      = 8        // bytes
)

func (m meta) valueLen() int  { return int(m & valueLenMax) }
func (m meta) keyLen() int    { return int(m >> keyLenAt & (1<<keyLenBits - 1)) }
func (m meta) slack() int     { return int(m>>slackAt&(1<<slackBits-1)) * slackUnit }
func (m meta) expires() bool  { return m&expiresFlag != 0 }
func (m meta) extended() bool { return m&extentFlag != 0 }
func (m meta) dead() bool     { return m&deadFlag != 0 }
func (m meta) timer() int     { return int(m >> timerAt) }

// keyAt is where the key begins.
func (m meta) keyAt() int {
	if m.expires() {
		return headBytes + 8
	}
	return headBytes
}

// stored is the bytes in the place of the value.
func (m meta) stored() int {
	if m.extended() {
		return extentNumber
	}
	return m.valueLen()
}

// used is the bytes of the record without padding and slack.
func (m meta) used() int { return m.keyAt() + m.keyLen() + m.stored() }

// size is the bytes from this record to the next one.
func (m meta) size() int { return align(m.used()) + m.slack() }

// weight is the bytes of the record and its extent.
func (m meta) weight() int64 {
	if m.extended() {
		return int64(m.size() + extentBytes(m.valueLen()))
	}
	return int64(m.size())
}

func align(n int) int { return (n + 7) &^ 7 }

// withSlack sets the slack in bytes, a multiple of slackUnit.
func (m meta) withSlack(n int) meta {
	return m&^((1<<slackBits-1)<<slackAt) | meta(n/slackUnit)<<slackAt
}

func (m meta) withTimer(t int) meta { return m&^timerMask | meta(t)<<timerAt }

// inlineFor is the length up to which values lie in their records: records are small
// beside a store, so that neither what moves them nor the scratch that one is copied
// together in takes much of its budget.
func inlineFor(budget int64) int { return int(min(max(inlineMin, budget/128), inlineMax)) }

// metaOf is the second word of a fresh record of an entry, whose value has an extent
// if it is longer than inline.
func metaOf(e *Entry, inline int) meta {
	m := meta(len(e.Value)) | meta(len(e.Key))<<keyLenAt
	if e.Deadline != 0 {
		m |= expiresFlag
	}
	if len(e.Value) > inline {
		m |= extentFlag
	}
	return m
}

func (r record) version() uint64 { return binary.NativeEndian.Uint64(r) }
func (r record) meta() meta      { return meta(binary.NativeEndian.Uint64(r[8:])) }

func (r record) deadline() int64 {
	if !r.meta().expires() {
		return 0
	}
	return int64(binary.NativeEndian.Uint64(r[headBytes:]))
}

func (r record) key() []byte {
	m := r.meta()
	at := m.keyAt()
	return r[at : at+m.keyLen() : at+m.keyLen()]
}

// place is the value, or the number of its extent.
func (r record) place() []byte {
	m := r.meta()
	at := m.keyAt() + m.keyLen()
	return r[at : at+m.stored() : at+m.stored()]
}

func (r record) extent() uint64 { return binary.NativeEndian.Uint64(r.place()) }
