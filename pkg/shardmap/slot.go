package shardmap

import (
	"bytes"
	"unsafe"
)

// SlotOf is the Redis Cluster slot of a key: CRC16 (XMODEM) of the key, or of
// the part between the first '{' and the next '}' when that part is not empty.
func SlotOf(key []byte) Slot { return Slot(crc16(hashTag(key)) % Slots) }

// SlotOfString is SlotOf for a string key.
func SlotOfString(key string) Slot {
	return SlotOf(unsafe.Slice(unsafe.StringData(key), len(key))) // which only reads it
}

// hashTag is the part of the key that is hashed.
func hashTag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	tag := key[open+1:]
	if end := bytes.IndexByte(tag, '}'); end > 0 {
		return tag[:end]
	}
	return key
}

// crc16 is CRC-16/XMODEM: polynomial 0x1021, no reflection, start 0. Eight bytes at a
// time are looked up independently of each other (the slicing of Kounavis and Berry,
// 2005), a key of thirty in a third of the time that byte after byte takes.
func crc16(b []byte) (crc uint16) {
	for ; len(b) >= 8; b = b[8:] {
		crc = crcTables[7][b[0]^byte(crc>>8)] ^ crcTables[6][b[1]^byte(crc)] ^
			crcTables[5][b[2]] ^ crcTables[4][b[3]] ^ crcTables[3][b[4]] ^
			crcTables[2][b[5]] ^ crcTables[1][b[6]] ^ crcTables[0][b[7]]
	}
	for _, c := range b {
		crc = crc<<8 ^ crcTables[0][byte(crc>>8)^c]
	}
	return crc
}

// crcTables say what a byte does to the checksum when as many bytes as the table's
// number follow it.
var crcTables = func() (t [8][256]uint16) {
	for i := range t[0] {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[0][i] = c
	}
	for n := 1; n < len(t); n++ {
		for i, c := range t[n-1] {
			t[n][i] = c<<8 ^ t[0][c>>8]
		}
	}
	return t
}()
