package node

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// frameKind is the first byte of every control frame between two nodes: which
// room it is for.
type frameKind byte

// Rooms that control frames are for.
const (
	frameRaft   frameKind = iota + 1 // multiraft
	frameData                        // shardgroup: pulls and bulk copies
	frameAsk                         // a question to this node, answered by frameAnswer
	frameAnswer                      // the answer
	frameRoutes                      // who holds the sender's groups
)

// routesFormat is the version of a frameRoutes body.
const routesFormat = 1

var errFrame = errors.New("node: a control frame that cannot be read")

// appendRoutes writes the routes a holder tells its peers:
//
//	format u8 | count u16 | { group u16 | epoch u32 | node u32 }...
func appendRoutes(dst []byte, routes []shardmap.Route) []byte {
	dst = append(dst, byte(frameRoutes), routesFormat)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(routes)))
	for _, r := range routes {
		dst = binary.BigEndian.AppendUint16(dst, uint16(r.Group))
		dst = binary.BigEndian.AppendUint32(dst, r.Epoch)
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.Leader))
	}
	return dst
}

const routeBytes = 10

// decodeRoutes reads the body of a frameRoutes.
func decodeRoutes(b []byte) ([]shardmap.Route, error) {
	if len(b) < 3 || b[0] != routesFormat {
		return nil, errFrame
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if b = b[3:]; len(b) != n*routeBytes {
		return nil, errFrame
	}
	routes := make([]shardmap.Route, n)
	for i := range routes {
		f := b[i*routeBytes:]
		routes[i] = shardmap.Route{
			Group:  shardmap.GroupID(binary.BigEndian.Uint16(f)),
			Epoch:  binary.BigEndian.Uint32(f[2:]),
			Leader: shardmap.NodeID(binary.BigEndian.Uint32(f[6:])),
		}
	}
	return routes, nil
}

// question is what one node asks another: Word names it, Body is JSON.
type question struct {
	ID   uint64
	Word string
	Body []byte
}

// appendQuestion writes format u8 | id u64 | word length u8 | word | body.
func appendQuestion(dst []byte, q question) []byte {
	dst = append(dst, byte(frameAsk), 1)
	dst = binary.BigEndian.AppendUint64(dst, q.ID)
	dst = append(dst, byte(len(q.Word)))
	dst = append(dst, q.Word...)
	return append(dst, q.Body...)
}

func decodeQuestion(b []byte) (question, error) {
	if len(b) < 10 || b[0] != 1 || len(b) < 10+int(b[9]) {
		return question{}, errFrame
	}
	n := 10 + int(b[9])
	return question{ID: binary.BigEndian.Uint64(b[1:]), Word: string(b[10:n]), Body: b[n:]}, nil
}

// answer is the reply to a question; Err is a sentence when it could not be answered.
type answer struct {
	ID   uint64
	Err  string
	Body []byte
}

// appendAnswer writes format u8 | id u64 | error length u16 | error | body.
func appendAnswer(dst []byte, a answer) []byte {
	if len(a.Err) > 1<<15 {
		a.Err = a.Err[:1<<15]
	}
	dst = append(dst, byte(frameAnswer), 1)
	dst = binary.BigEndian.AppendUint64(dst, a.ID)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Err)))
	dst = append(dst, a.Err...)
	return append(dst, a.Body...)
}

func decodeAnswer(b []byte) (answer, error) {
	if len(b) < 11 || b[0] != 1 {
		return answer{}, errFrame
	}
	n := 11 + int(binary.BigEndian.Uint16(b[9:]))
	if len(b) < n {
		return answer{}, fmt.Errorf("%w: error text of %d bytes in a frame of %d", errFrame, n-11, len(b))
	}
	return answer{ID: binary.BigEndian.Uint64(b[1:]), Err: string(b[11:n]), Body: b[n:]}, nil
}
