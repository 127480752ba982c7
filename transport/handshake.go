package transport

import (
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Identity is who a node says it is to its peers.
type Identity struct {
	Cluster [16]byte
	Node    shardmap.NodeID
	Counter uint64 // incarnation: counter and nonce
	Nonce   uint64
}

// Versions of the peer protocol that this build speaks.
const (
	versionMin = 1
	versionMax = 1
	features   = 0 // bits of optional abilities; both sides use the common ones
)

// The handshake (big endian). The dialler speaks first:
//
//	hello:  "AEGI" | version min u8, max u8 | features u32 | cluster 16 | node u32 | counter u64 | nonce u64 |
//	        target node u32 | class u8 | connection u64 | challenge 16
//	answer: "AEGI" | version u8 | features u32 | node u32 | counter u64 | nonce u64 | challenge 16 | authenticator 16
//	     or "AEGX" | length u16 | reason
//	proof:  authenticator 16
//
// An authenticator is HMAC-SHA256 over everything said so far, keyed by the
// cluster secret and cut to 16 bytes. The challenges make a replayed handshake fail.
// Without a secret the key is empty: it authenticates nobody, and still shows a hello
// that was damaged on its way, whose connection number would outdate all later ones.
const (
	helloBytes  = 4 + 2 + 4 + 16 + 4 + 16 + 4 + 1 + 8 + 16
	answerBytes = 4 + 1 + 4 + 4 + 16 + 16
	macBytes    = 16
)

var (
	magic       = []byte("AEGI")
	magicRefuse = []byte("AEGX")
)

// noProof is the proof of a dialler that does not believe the answer. It is nobody's
// authenticator.
var noProof = [macBytes]byte([]byte(strings.Repeat("\xff", macBytes)))

// oneSecret is what to do when secrets differ.
const oneSecret = "give every node the same --cluster-secret-file"

// RefusedError is why a handshake failed, in one sentence.
type RefusedError struct{ Reason string }

// Error is the sentence.
func (e *RefusedError) Error() string { return e.Reason }

var errSilentPeer = errors.New("transport: the peer did not finish the handshake")

// hello is what the dialler says.
type hello struct {
	id     Identity
	min    byte
	max    byte
	target shardmap.NodeID
	class  Class
	conn   uint64
}

func mac(secret []byte, role byte, parts ...[]byte) (m [macBytes]byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte{role})
	for _, p := range parts {
		h.Write(p)
	}
	copy(m[:], h.Sum(nil))
	return m
}

func appendIdentity(b []byte, id Identity) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(id.Node))
	b = binary.BigEndian.AppendUint64(b, id.Counter)
	return binary.BigEndian.AppendUint64(b, id.Nonce)
}

func readIdentity(b []byte) Identity {
	return Identity{Node: shardmap.NodeID(binary.BigEndian.Uint32(b)), Counter: binary.BigEndian.Uint64(b[4:]), Nonce: binary.BigEndian.Uint64(b[12:])}
}

func (h hello) append(b []byte) []byte {
	b = append(append(b, magic...), h.min, h.max)
	b = binary.BigEndian.AppendUint32(b, features)
	b = append(b, h.id.Cluster[:]...)
	b = appendIdentity(b, h.id)
	b = binary.BigEndian.AppendUint32(b, uint32(h.target))
	b = append(b, byte(h.class))
	b = binary.BigEndian.AppendUint64(b, h.conn)
	var challenge [16]byte
	_, _ = crand.Read(challenge[:])
	return append(b, challenge[:]...)
}

func decodeHello(b []byte) (h hello, err error) {
	if len(b) != helloBytes || string(b[:4]) != string(magic) {
		return h, &RefusedError{"a connection that does not speak the peer protocol"}
	}
	h.min, h.max = b[4], b[5]
	h.id = readIdentity(b[26:])
	copy(h.id.Cluster[:], b[10:])
	h.target = shardmap.NodeID(binary.BigEndian.Uint32(b[46:]))
	h.class = Class(b[50])
	h.conn = binary.BigEndian.Uint64(b[51:])
	return h, nil
}

// dialHandshake introduces this node on a connection it dialled.
func dialHandshake(rw io.ReadWriter, h hello, secret []byte) (peer Identity, err error) {
	said := h.append(nil)
	if _, err := rw.Write(said); err != nil {
		return peer, err
	}
	answer := make([]byte, answerBytes+macBytes)
	if _, err := io.ReadFull(rw, answer[:6]); err != nil {
		return peer, fmt.Errorf("%w: %w", errSilentPeer, err)
	}
	switch string(answer[:4]) {
	case string(magicRefuse):
		why := make([]byte, min(int(binary.BigEndian.Uint16(answer[4:])), 512))
		_, err := io.ReadFull(rw, why)
		return peer, errors.Join(&RefusedError{string(why)}, err)
	case string(magic):
	default:
		return peer, &RefusedError{"the other side does not speak the peer protocol"}
	}
	if _, err := io.ReadFull(rw, answer[6:]); err != nil {
		return peer, fmt.Errorf("%w: %w", errSilentPeer, err)
	}
	want := mac(secret, 's', said, answer[:answerBytes])
	if !hmac.Equal(want[:], answer[answerBytes:]) {
		_, _ = rw.Write(noProof[:]) // so that the other side can say it too
		return peer, &RefusedError{"the other node has another cluster secret, or none: " + oneSecret}
	}
	peer = readIdentity(answer[9:])
	peer.Cluster = h.id.Cluster
	if peer.Node != h.target {
		return peer, &RefusedError{fmt.Sprintf("node %d answers at the address of node %d", peer.Node, h.target)}
	}
	proof := mac(secret, 'c', said, answer)
	_, err = rw.Write(proof[:])
	return peer, err
}

// acceptHandshake checks who dialled this node.
func acceptHandshake(rw io.ReadWriter, self Identity, secret []byte) (h hello, err error) {
	said := make([]byte, helloBytes)
	if _, err := io.ReadFull(rw, said); err != nil {
		return h, fmt.Errorf("%w: %w", errSilentPeer, err)
	}
	if h, err = decodeHello(said); err == nil {
		err = h.refusal(self)
	}
	if err != nil {
		var r *RefusedError
		if errors.As(err, &r) {
			out := binary.BigEndian.AppendUint16(append([]byte(nil), magicRefuse...), uint16(len(r.Reason)))
			_, _ = rw.Write(append(out, r.Reason...))
		}
		return h, err
	}
	answer := append(append([]byte(nil), magic...), min(h.max, versionMax))
	answer = binary.BigEndian.AppendUint32(answer, features)
	answer = appendIdentity(answer, self)
	var challenge [16]byte
	_, _ = crand.Read(challenge[:])
	answer = append(answer, challenge[:]...)
	m := mac(secret, 's', said, answer)
	answer = append(answer, m[:]...)
	if _, err := rw.Write(answer); err != nil {
		return h, err
	}
	proof := make([]byte, macBytes)
	if _, err := io.ReadFull(rw, proof); err != nil {
		return h, fmt.Errorf("%w: %w", errSilentPeer, err)
	}
	if want := mac(secret, 'c', said, answer); !hmac.Equal(want[:], proof) {
		return h, &RefusedError{fmt.Sprintf("node %d has another cluster secret, or none: %s", h.id.Node, oneSecret)}
	}
	return h, nil
}

// refusal is why a hello is not welcome.
func (h hello) refusal(self Identity) error {
	switch {
	case h.min > versionMax || h.max < versionMin:
		return &RefusedError{fmt.Sprintf("the peer speaks versions %d to %d of the protocol, this node %d to %d: upgrade the older one", h.min, h.max, versionMin, versionMax)}
	case h.id.Cluster != self.Cluster:
		return &RefusedError{fmt.Sprintf("a node of cluster %x dialled a node of cluster %x: one of them has the other's address", h.id.Cluster[:4], self.Cluster[:4])}
	case h.target != self.Node:
		return &RefusedError{fmt.Sprintf("node %d was dialled at the address of node %d", h.target, self.Node)}
	case h.id.Node == self.Node:
		return &RefusedError{"a node dialled itself"}
	case h.class < Control || h.class > Lease:
		return &RefusedError{fmt.Sprintf("unknown class %d of connection", h.class)}
	}
	return nil
}
