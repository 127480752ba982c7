package membership

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Gossip meta (big endian), what memberlist carries for a member:
//
//	format u8 | flags u8 (1 = draining) | cluster 16 | node u32 | incarnation u64 | leases u16 |
//	memory used i64 | memory max i64 | { length u8 | text }: version, cluster, gossip, client address
//
// A text that no longer fits is left out. Flags and bytes behind the last text are
// ignored: a later version may add some, and this one goes on reading the rest.
const (
	metaFormat = 1
	metaMax    = 512 // bytes, memberlist's limit
	metaFixed  = 48  // bytes before the texts
	metaTexts  = 4

	flagDraining = 1
)

// ErrMeta says that the bytes are no gossip meta that this version reads.
var ErrMeta = errors.New("membership: gossip meta that cannot be read")

// AppendMeta appends the bytes of m, 512 at most.
func AppendMeta(dst []byte, m Meta) []byte {
	flags := byte(0)
	if m.Draining {
		flags = flagDraining
	}
	start := len(dst)
	dst = append(dst, metaFormat, flags)
	dst = append(dst, m.Cluster[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Node))
	dst = binary.BigEndian.AppendUint64(dst, m.Incarnation)
	dst = binary.BigEndian.AppendUint16(dst, m.Leases)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.MemoryUsed))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.MemoryMax))
	room := metaMax - (len(dst) - start) - metaTexts
	for _, text := range [metaTexts]string{m.Version, m.ClusterAddr, m.GossipAddr, m.ClientAddr} {
		if len(text) > min(room, 255) {
			text = ""
		}
		room -= len(text)
		dst = append(append(dst, byte(len(text))), text...)
	}
	return dst
}

// DecodeMeta reads what AppendMeta wrote.
func DecodeMeta(b []byte) (m Meta, err error) {
	switch {
	case len(b) == 0 || len(b) > metaMax:
		return m, fmt.Errorf("%w: %d bytes", ErrMeta, len(b))
	case b[0] != metaFormat:
		return m, fmt.Errorf("%w: format %d, this version reads %d", ErrMeta, b[0], metaFormat)
	case len(b) < metaFixed:
		return m, fmt.Errorf("%w: %d bytes", ErrMeta, len(b))
	}
	m.Draining = b[1]&flagDraining != 0
	copy(m.Cluster[:], b[2:])
	m.Node = shardmap.NodeID(binary.BigEndian.Uint32(b[18:]))
	m.Incarnation = binary.BigEndian.Uint64(b[22:])
	m.Leases = binary.BigEndian.Uint16(b[30:])
	m.MemoryUsed = int64(binary.BigEndian.Uint64(b[32:]))
	m.MemoryMax = int64(binary.BigEndian.Uint64(b[40:]))
	b = b[metaFixed:]
	for _, text := range [metaTexts]*string{&m.Version, &m.ClusterAddr, &m.GossipAddr, &m.ClientAddr} {
		if len(b) == 0 || len(b) <= int(b[0]) {
			return Meta{}, fmt.Errorf("%w: it ends within a text", ErrMeta)
		}
		n := 1 + int(b[0])
		*text, b = string(b[1:n]), b[n:]
	}
	return m, nil
}

// memberName is how memberlist calls this start of this node. With the
// incarnation in it a restart is a new member and the old one dies by itself: under
// the node's number alone, a node that comes back at another address is a conflict
// until memberlist has declared its old self dead.
func memberName(m Meta) string { return fmt.Sprintf("%d.%d", m.Node, m.Incarnation) }

// worthTelling reports whether what a node says of itself has changed so much
// since it said it last that the others should hear: anything but its memory, or
// a sixteenth of that.
func worthTelling(said, now Meta) bool {
	moved := max(now.MemoryUsed-said.MemoryUsed, said.MemoryUsed-now.MemoryUsed)
	if moved*16 >= max(now.MemoryMax, 1) {
		return true
	}
	now.MemoryUsed = said.MemoryUsed
	return now != said
}
