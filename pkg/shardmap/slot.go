package shardmap

// SlotOf is the Redis Cluster slot of a key: CRC16 (XMODEM) of the key, or of
// the part between the first '{' and the next '}' when that part is not empty.
func SlotOf(key []byte) Slot { return slotOf(key) }

// SlotOfString is SlotOf for a string key.
func SlotOfString(key string) Slot { return slotOf(key) }

func slotOf[K []byte | string](key K) Slot {
	lo, hi := hashTag(key)
	var crc uint16
	for i := lo; i < hi; i++ {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^key[i]]
	}
	return Slot(crc % Slots)
}

// hashTag is the part of the key that is hashed.
func hashTag[K []byte | string](key K) (lo, hi int) {
	for i := 0; i < len(key); i++ {
		if key[i] != '{' {
			continue
		}
		for j := i + 1; j < len(key); j++ {
			if key[j] == '}' {
				if j == i+1 {
					return 0, len(key)
				}
				return i + 1, j
			}
		}
		return 0, len(key)
	}
	return 0, len(key)
}

// crcTable is CRC-16/XMODEM: polynomial 0x1021, no reflection, start 0.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()
