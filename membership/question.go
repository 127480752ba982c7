package membership

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The bootstrap question, on the gossip TCP port (big endian):
//
//	0xA5 | format u8 | length u32 | authenticator 16 | JSON
//
// The first byte tells it from every other stream. The authenticator is
// HMAC-SHA256 of the JSON under the cluster secret, cut to 16 bytes. Without a secret
// the key is empty: nobody is authenticated, and an answer that was damaged on its way is
// still not believed. A digit of a nonce turned over would make a node its own twin.
const (
	questionByte   = 0xA5
	questionFormat = 1
	questionMax    = 512 << 10 // bytes; a founding record of a thousand nodes. Anybody may send so much
	replyMax       = 8 << 20   // bytes; only who asked reads so much
	questionTime   = 4 * time.Second
)

// Words of a Question.
const (
	AskWho   = "who"   // who are you
	AskJoin  = "join"  // take me in: Row is the registry row
	AskFound = "found" // make this founding record yours and fsync it: Row is the record
)

// Question is what a node that starts asks the nodes it knows of.
type Question struct {
	Word    string   `json:"word"`
	UUID    [16]byte `json:"uuid"`
	Cluster [16]byte `json:"cluster"`
	Name    string   `json:"name"`
	Seeds   []string `json:"seeds"` // sorted, this node's own gossip address included
	// Held is the name of the node that the asker's cluster has registered at the
	// address it asks, "" when it is no registered one.
	Held   string          `json:"held,omitempty"`
	Expect int             `json:"expect"`
	Row    json.RawMessage `json:"row,omitempty"`
}

// Reply is the answer to a Question.
type Reply struct {
	UUID    [16]byte `json:"uuid"`
	Cluster [16]byte `json:"cluster"` // zero: blank
	Name    string   `json:"name"`
	Seeds   []string `json:"seeds"`
	Expect  int      `json:"expect"`
	// Incarnation and Nonce say which start of the node speaks; 0 from version 0.1.0.
	Incarnation uint64 `json:"incarnation,omitempty"`
	Nonce       uint64 `json:"nonce,omitempty"`
	// Row is the replier's own registry row (who, blank), the founding record that
	// names the asker (who), or the grant (join).
	Row      json.RawMessage `json:"row,omitempty"`
	Founding bool            `json:"founding,omitempty"` // Row is a founding record
	// Removed says that the asker's data directory was taken out of this cluster for good.
	Removed bool `json:"removed,omitempty"`
	// Recovered are the marks of what operators declared gone, to an asker of this cluster.
	Recovered []string `json:"recovered,omitempty"`
	Err       string   `json:"err,omitempty"`
}

// ErrQuestion says that the bytes are no question or answer of this cluster.
var ErrQuestion = errors.New("membership: bytes that are no bootstrap question")

// ErrSecret says that the other side has another cluster secret, or only one of the
// two has any, or that what it said was damaged on its way.
var ErrSecret = errors.New("the other node has another cluster secret, or none: give every node the same --cluster-secret-file")

func questionMAC(secret, body []byte) (m [16]byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("bootstrap"))
	h.Write(body)
	copy(m[:], h.Sum(nil))
	return m
}

func writeMessage(w io.Writer, v any, secret []byte) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32([]byte{questionByte, questionFormat}, uint32(len(body)))
	m := questionMAC(secret, body)
	_, err = w.Write(append(append(b, m[:]...), body...))
	return err
}

func readMessage(r io.Reader, most int, v any, secret []byte) error {
	var head [22]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[2:])
	if head[0] != questionByte || int64(n) > int64(most) {
		return ErrQuestion
	}
	if head[1] != questionFormat {
		return fmt.Errorf("%w: format %d, this version speaks %d", ErrQuestion, head[1], questionFormat)
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return err
	}
	if len(body) != int(n) {
		return io.ErrUnexpectedEOF
	}
	if m := questionMAC(secret, body); !hmac.Equal(m[:], head[6:]) {
		return ErrSecret
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	return nil
}

// Ask puts one question to an address.
func Ask(ctx context.Context, addr string, q Question, secret []byte) (Reply, error) {
	var rep Reply
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return rep, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := writeMessage(c, q, secret); err != nil {
		return rep, err
	}
	return rep, readMessage(c, replyMax, &rep, secret)
}
