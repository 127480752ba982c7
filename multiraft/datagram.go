package multiraft

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Lease packets (big endian). The transport adds cluster id, sender and
// authenticator; these bytes start with their own format version.
//
//	format u8 | kind u8 | sender incarnation: counter u64, nonce u64 | body
//	heartbeat:    seq u64 | promise ns u64 | ceiling ms i64 | wall clock ms i64 | bits u16 | led bitmap
//	ack:          requester counter u64, nonce u64 | seq u64 | bits u16 | granted bitmap
//	release:      group u16 | term u64 | sub u32 | heir node u32
//	node release: node u32 | counter u64 | nonce u64
const (
	datagramFormat = 1
	datagramHead   = 2 + 16
)

const (
	kindBeat = iota + 1
	kindBeatAck
	kindRelease
	kindNodeRelease
)

var errDatagram = errors.New("multiraft: a lease packet that cannot be read")

type datagram struct {
	kind    byte
	inc     Incarnation // of the sender
	req     Incarnation // ack: the requester's incarnation, echoed
	seq     uint64
	promise time.Duration
	ceiling int64
	wall    int64 // unix ms
	bits    []byte
	group   shardmap.GroupID
	ballot  Ballot
	heir    shardmap.NodeID // release: the node that leadership is handed to, 0 none
	dead    Member          // node release
}

func appendInc(b []byte, i Incarnation) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, i.Counter), i.Nonce)
}

func readInc(b []byte) Incarnation {
	return Incarnation{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (d *datagram) packet() []byte { return d.append(make([]byte, 0, 64+len(d.bits))) }

func (d *datagram) append(b []byte) []byte {
	b = appendInc(append(b, datagramFormat, d.kind), d.inc)
	switch d.kind {
	case kindBeat:
		b = binary.BigEndian.AppendUint64(b, d.seq)
		b = binary.BigEndian.AppendUint64(b, uint64(d.promise))
		b = binary.BigEndian.AppendUint64(b, uint64(d.ceiling))
		b = binary.BigEndian.AppendUint64(b, uint64(d.wall))
		b = binary.BigEndian.AppendUint16(b, uint16(len(d.bits)))
		b = append(b, d.bits...)
	case kindBeatAck:
		b = appendInc(b, d.req)
		b = binary.BigEndian.AppendUint64(b, d.seq)
		b = binary.BigEndian.AppendUint16(b, uint16(len(d.bits)))
		b = append(b, d.bits...)
	case kindRelease:
		b = binary.BigEndian.AppendUint16(b, uint16(d.group))
		b = binary.BigEndian.AppendUint64(b, d.ballot.Term)
		b = binary.BigEndian.AppendUint32(b, d.ballot.Sub)
		b = binary.BigEndian.AppendUint32(b, uint32(d.heir))
	case kindNodeRelease:
		b = appendInc(binary.BigEndian.AppendUint32(b, uint32(d.dead.Node)), d.dead.Inc)
	}
	return b
}

// NodeReleasePacket is what a node, or the parent that saw its worker die, says
// to the peers: every claim of this incarnation is over (D1-D6).
func NodeReleasePacket(dead Member) []byte {
	d := datagram{kind: kindNodeRelease, inc: dead.Inc, dead: dead}
	return d.packet()
}

func decodeDatagram(b []byte) (d datagram, err error) {
	if len(b) < datagramHead || b[0] != datagramFormat {
		return d, errDatagram
	}
	d.kind, d.inc = b[1], readInc(b[2:])
	b = b[datagramHead:]
	bitsAt := 0
	switch d.kind {
	case kindBeat:
		if len(b) < 34 {
			return d, errDatagram
		}
		d.seq = binary.BigEndian.Uint64(b)
		d.promise = time.Duration(binary.BigEndian.Uint64(b[8:]))
		d.ceiling = int64(binary.BigEndian.Uint64(b[16:]))
		d.wall = int64(binary.BigEndian.Uint64(b[24:]))
		bitsAt = 32
	case kindBeatAck:
		if len(b) < 26 {
			return d, errDatagram
		}
		d.req = readInc(b)
		d.seq = binary.BigEndian.Uint64(b[16:])
		bitsAt = 24
	case kindRelease:
		if len(b) != 18 {
			return d, errDatagram
		}
		d.group = shardmap.GroupID(binary.BigEndian.Uint16(b))
		d.ballot = readBallot(b[2:])
		d.heir = shardmap.NodeID(binary.BigEndian.Uint32(b[14:]))
		return d, nil
	case kindNodeRelease:
		if len(b) != 20 {
			return d, errDatagram
		}
		d.dead = Member{shardmap.NodeID(binary.BigEndian.Uint32(b)), readInc(b[4:])}
		return d, nil
	default:
		return d, errDatagram
	}
	n := int(binary.BigEndian.Uint16(b[bitsAt:]))
	if d.bits = b[bitsAt+2:]; len(d.bits) != n {
		return d, errDatagram
	}
	return d, nil
}

func bit(bits []byte, g shardmap.GroupID) bool {
	i := int(g) / 8
	return i < len(bits) && bits[i]&(1<<(g%8)) != 0
}

func setBit(bits []byte, g shardmap.GroupID) { bits[g/8] |= 1 << (g % 8) }
