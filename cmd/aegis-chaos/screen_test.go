package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestALineIsNotWrapped: a terminal of any width can write the next one over it.
func TestALineIsNotWrapped(t *testing.T) {
	line := strings.Repeat("aé", 60)
	for _, columns := range []int{0, 1, 2, 40, 80, 120, 200} {
		room := columns
		if room == 0 {
			room = 80
		}
		got := fitting(line, columns)
		if n := utf8.RuneCountInString(got); n >= room && n > 1 || columns == 200 && got != line {
			t.Errorf("%d columns: %d of them are used", columns, n)
		}
	}
}
