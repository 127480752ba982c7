package wal

import "testing"

func TestParseModeTakesWordsAndNumbersOnly(t *testing.T) {
	for s, want := range map[string]Mode{"off": Off, "0": Off, "write": Write, "1": Write, "fsync": Fsync, "2": Fsync} {
		if got, err := ParseMode(s); err != nil || got != want {
			t.Errorf("ParseMode(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "3", "-1", "00", "OFF", "sync", "on", "fsync ", "true"} {
		if got, err := ParseMode(s); err == nil || got != Off {
			t.Errorf("ParseMode(%q) = %v, %v; want an error", s, got, err)
		}
	}
}

func TestModeSaysItsWord(t *testing.T) {
	for _, m := range []Mode{Off, Write, Fsync} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v does not survive its own word: %v, %v", m, got, err)
		}
	}
	if Mode(9).String() != "mode 9" {
		t.Errorf("an unknown mode says %q", Mode(9).String())
	}
}
