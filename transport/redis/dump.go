package redis

import (
	"encoding/binary"
	"hash/crc64"
	"math"
	"strconv"
)

// A value as DUMP gives it and RESTORE takes it, which is how Redis writes it into RDB
// files: a type byte (0, a string), the string, the version of the format (u16), and a
// CRC64 of all that; the last two little endian. The string is its length and bytes,
// or a small integer, or compressed (LZF).
const (
	dumpVersion    = 10 // redis-server 7.0 refuses later ones; the strings of 7.4 are the same
	dumpVersionMax = 80 // Valkey 9. No version has written strings otherwise
	dumpFooter     = 2 + 8
	dumpString     = 0

	// The first byte of a string: two bits of form, six of length or kind.
	length14  = 0x40
	length32  = 0x80
	length64  = 0x81
	special   = 0xc0
	asInt8    = special
	asInt16   = special | 1
	asInt32   = special | 2
	asLZF     = special | 3
	formMask  = 0xc0
	integerAt = 11 // bytes: longer ones are not tried as integers
)

// The polynomial of Redis, reversed as package crc64 wants it.
var dumpTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// dumpSum is the CRC64 of Redis, which begins with zero and inverts nothing.
func dumpSum(b []byte) uint64 { return ^crc64.Update(math.MaxUint64, dumpTable, b) }

const (
	errDumpFooter = ReplyError("ERR DUMP payload version or checksum are wrong")
	errDumpFormat = ReplyError("ERR Bad data format")
)

// appendDump writes a value as DUMP does. Long values are not compressed: a reader
// takes both forms, and the caller most likely sends them on at once.
func appendDump(dst, value []byte) []byte {
	start := len(dst)
	dst = appendDumpString(append(dst, dumpString), value)
	dst = binary.LittleEndian.AppendUint16(dst, dumpVersion)
	return binary.LittleEndian.AppendUint64(dst, dumpSum(dst[start:]))
}

func appendDumpString(dst, value []byte) []byte {
	if n, ok := parseInt(value); ok && len(value) <= integerAt {
		switch {
		case n == int64(int8(n)):
			return append(dst, asInt8, byte(n))
		case n == int64(int16(n)):
			return binary.LittleEndian.AppendUint16(append(dst, asInt16), uint16(n))
		case n == int64(int32(n)):
			return binary.LittleEndian.AppendUint32(append(dst, asInt32), uint32(n))
		}
	}
	switch n := len(value); {
	case n < 1<<6:
		dst = append(dst, byte(n))
	case n < 1<<14:
		dst = append(dst, length14|byte(n>>8), byte(n))
	default: // a value is shorter than 4 GiB
		dst = binary.BigEndian.AppendUint32(append(dst, length32), uint32(n))
	}
	return append(dst, value...)
}

// decodeDump reads the value out of a payload into dst. max is the longest value in
// bytes.
func decodeDump(dst, payload []byte, max int64) ([]byte, error) {
	body := len(payload) - dumpFooter
	if body < 0 || binary.LittleEndian.Uint16(payload[body:]) > dumpVersionMax ||
		binary.LittleEndian.Uint64(payload[body+2:]) != dumpSum(payload[:body+2]) {
		return dst, errDumpFooter
	}
	if body == 0 || payload[0] != dumpString {
		return dst, errDumpFormat
	}
	d := dumpReader{b: payload[1:body]}
	dst = d.string(dst, max)
	return dst, d.err
}

// dumpReader reads a string. What follows it is ignored, as Redis does.
type dumpReader struct {
	b   []byte
	err error
}

// take reads n bytes.
func (d *dumpReader) take(n uint64) []byte {
	if d.err == nil && n > uint64(len(d.b)) {
		d.err = errDumpFormat
	}
	if d.err != nil {
		return nil
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

// little reads a little-endian integer of n bytes, with its sign.
func (d *dumpReader) little(n uint64) int64 {
	var u uint64
	for i, ch := range d.take(n) {
		u |= uint64(ch) << (8 * i)
	}
	unused := 64 - 8*n
	return int64(u<<unused) >> unused
}

// big reads a big-endian length of n bytes.
func (d *dumpReader) big(n uint64) (u uint64) {
	for _, ch := range d.take(n) {
		u = u<<8 | uint64(ch)
	}
	return u
}

func (d *dumpReader) string(dst []byte, max int64) []byte {
	if len(d.b) == 0 {
		d.err = errDumpFormat
		return dst
	}
	switch d.b[0] {
	case asInt8, asInt16, asInt32:
		size := uint64(1) << (d.take(1)[0] &^ formMask)
		if n := d.little(size); d.err == nil {
			dst = strconv.AppendInt(dst, n, 10)
		}
		return dst
	case asLZF:
		d.take(1)
		packed, n := d.length(), d.length()
		return d.unpack(dst, d.take(packed), d.within(n, max))
	}
	return append(dst, d.take(d.within(d.length(), max))...)
}

// length reads the length of a string.
func (d *dumpReader) length() uint64 {
	head := d.take(1)
	switch {
	case d.err != nil:
		return 0
	case head[0] == length32:
		return d.big(4)
	case head[0] == length64:
		return d.big(8)
	case head[0]&formMask == 0:
		return uint64(head[0])
	case head[0]&formMask == length14:
		return uint64(head[0]&^formMask)<<8 | d.big(1)
	}
	d.err = errDumpFormat
	return 0
}

func (d *dumpReader) within(n uint64, max int64) uint64 {
	if d.err == nil && n > uint64(max) {
		d.err = ErrTooLarge
	}
	return n
}

// unpack appends what LZF packed, which must be n bytes: runs of literals, and copies
// of what was written up to 8 KiB before.
func (d *dumpReader) unpack(dst, packed []byte, n uint64) []byte {
	start := len(dst)
	p := dumpReader{b: packed, err: d.err}
	for len(p.b) > 0 && p.err == nil {
		head := uint64(p.take(1)[0])
		if head < 32 {
			dst = append(dst, p.take(head+1)...)
			continue
		}
		run := head >> 5
		if run == 7 {
			run += p.big(1)
		}
		back := int((head&31)<<8 | p.big(1) + 1)
		if p.err != nil || back > len(dst)-start || uint64(len(dst)-start)+run+2 > n {
			p.err = errDumpFormat
			break
		}
		for range run + 2 { // byte by byte: the copy may reach into itself
			dst = append(dst, dst[len(dst)-back])
		}
	}
	if d.err = p.err; d.err == nil && uint64(len(dst)-start) != n {
		d.err = errDumpFormat
	}
	return dst
}
