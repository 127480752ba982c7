package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
)

// A frame on a connection (big endian), after the handshake:
//
//	length u32 (of codec and body) | crc32c u32 (of the length) | crc32c u32 (of codec and body) | codec u8 | body
//
// The length has a checksum of its own: who believes a damaged one waits for bytes that
// never come, and takes all later frames of that connection for them.
const (
	frameHead = 4 + 4 + 4
	// FrameMax bounds a frame's body, compressed or not: one value of 64 MiB and
	// what surrounds it.
	FrameMax = 80 << 20
	// compressMin is the size below which compression does not pay.
	compressMin = 1 << 10
	readStep    = 1 << 20
)

const (
	codecNone = iota
	codecS2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFrame says that the peer sent bytes that are no frame; the connection ends.
var ErrFrame = errors.New("transport: bytes that are no frame")

// appendFrame writes a frame behind dst; scratch is reused for compression.
func appendFrame(dst, body, scratch []byte, compress bool) (out, newScratch []byte) {
	codec := byte(codecNone)
	if compress && len(body) >= compressMin {
		if n := s2.MaxEncodedLen(len(body)); cap(scratch) < n {
			scratch = make([]byte, n)
		}
		if small := s2.Encode(scratch[:cap(scratch)], body); len(small) < len(body)-len(body)/8 {
			body, codec = small, codecS2
		}
	}
	at := len(dst)
	dst = append(append(dst, make([]byte, frameHead)...), codec)
	dst = append(dst, body...)
	head := dst[at:]
	binary.BigEndian.PutUint32(head, uint32(len(body)+1))
	binary.BigEndian.PutUint32(head[4:], crc32.Checksum(head[:4], castagnoli))
	binary.BigEndian.PutUint32(head[8:], crc32.Checksum(head[frameHead:], castagnoli))
	return dst, scratch
}

// frameReader reads frames; a frame is valid until the next one is read.
type frameReader struct {
	src   *bufio.Reader
	raw   []byte
	plain []byte
}

func (r *frameReader) next() ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.src, head[:]); err != nil {
		return nil, err
	}
	if crc32.Checksum(head[:4], castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("%w: checksum of the length", ErrFrame)
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n < 1 || n > FrameMax+1 {
		return nil, fmt.Errorf("%w: length %d", ErrFrame, n)
	}
	r.raw = r.raw[:0]
	for len(r.raw) < n { // memory follows the bytes, not the claim
		at := len(r.raw)
		step := min(n-at, readStep)
		if cap(r.raw)-at < step {
			r.raw = append(make([]byte, 0, max(at+step, min(2*cap(r.raw), n))), r.raw...)
		}
		r.raw = r.raw[:at+step]
		if _, err := io.ReadFull(r.src, r.raw[at:]); err != nil {
			return nil, err
		}
	}
	if crc32.Checksum(r.raw, castagnoli) != binary.BigEndian.Uint32(head[8:]) {
		return nil, fmt.Errorf("%w: checksum", ErrFrame)
	}
	return r.decode(r.raw[0], r.raw[1:])
}

func (r *frameReader) decode(codec byte, body []byte) ([]byte, error) {
	switch codec {
	case codecNone:
		return body, nil
	case codecS2:
		n, err := s2.DecodedLen(body)
		if err != nil || n > FrameMax {
			return nil, fmt.Errorf("%w: compressed length %d", ErrFrame, n)
		}
		if cap(r.plain) < n {
			r.plain = make([]byte, n)
		}
		plain, err := s2.Decode(r.plain[:cap(r.plain)], body)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrFrame, err)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("%w: codec %d", ErrFrame, codec)
}

// trim lets go of buffers that one large frame blew up.
func (r *frameReader) trim() {
	if cap(r.raw) > 4<<20 {
		r.raw = nil
	}
	if cap(r.plain) > 4<<20 {
		r.plain = nil
	}
}
