package wal

import "fmt"

// Mode says what has happened to a write before it is acknowledged.
type Mode uint8

// Modes, with the numbers that configuration files use.
const (
	Off   Mode = iota // memory only
	Write             // handed to the operating system
	Fsync             // on the disk
)

var modeWords = [...]string{Off: "off", Write: "write", Fsync: "fsync"}

// Words lists the words of ParseMode in the order of their numbers.
func Words() []string { return modeWords[:] }

// String is the word of the mode.
func (m Mode) String() string {
	if int(m) < len(modeWords) {
		return modeWords[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// ParseMode reads "off", "write", "fsync" or their numbers 0, 1, 2, and nothing
// else: a mode that is nearly right must not weaken durability in silence.
func ParseMode(s string) (Mode, error) {
	for m, word := range modeWords {
		if s == word || s == fmt.Sprint(m) {
			return Mode(m), nil
		}
	}
	return Off, fmt.Errorf("unknown WAL mode %q: it is off, write or fsync (0, 1, 2)", s)
}
