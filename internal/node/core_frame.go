package node

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// frameKind is the first byte of every control frame between two nodes: which
// room it is for.
type frameKind byte

// Rooms that control frames are for.
const (
	frameRaft       frameKind = iota + 1 // multiraft
	frameData                            // shardgroup: pulls and bulk copies
	frameAsk                             // a question to this node, answered by frameAnswer
	frameAnswer                          // the answer
	frameRoutes                          // the sender announces itself: what it holds, whether it leaves
	frameRecovering                      // the sender reads its image and log, and takes part in nothing yet
)

var errFrame = errors.New("node: a control frame that cannot be read")

// AppendRecovering is what a node tells its peers while it reads: how many bytes of its
// image and log it has read. format u8 | done u64.
func AppendRecovering(dst []byte, done uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(frameRecovering), 1), done)
}

func decodeRecovering(b []byte) (done uint64, err error) {
	if len(b) != 9 || b[0] != 1 {
		return 0, errFrame
	}
	return binary.BigEndian.Uint64(b[1:]), nil
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
