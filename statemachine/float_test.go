package statemachine

import (
	"strings"
	"testing"
)

// What redis-server 7.0.15 answers on amd64; internal/node compares many more with it.
func TestFloatsAreThoseOfRedis(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"0", "1.5", "1.5"},
		{"3", "1.1", "4.1"},
		{"1", "-1", "0"},
		{"-0", "-0", "0"},
		{"0", "-1e-30", "0"},
		{"17179869184", "1.5", "17179869185.5"},
		{"0.1", "0.2", "0.3"},
		{"10.5", "0.1", "10.6"},
		{"5.0e3", "2.0e2", "5200"},
		{"0", "0x10", "16"},
		{"0", "0x.8p1", "1"},
		{"0", "0X1.8P-1", "0.75"},
		{"9223372036854775807", "1", "9223372036854775808"},
		{"18446744073709551615", "1.5", "18446744073709551616"},
		{"1e19", "0.3", "10000000000000000000"},
		{"+.5", "5.", "5.5"},
		{"0e99999999999999999999", "0", "0"},
		{"1e-4950", "0", "0"},
	} {
		got, err := addFloat(nil, []byte(c.a), []byte(c.b))
		if err != nil || string(got) != c.want {
			t.Errorf("%s + %s = %s, %v, want %s", c.a, c.b, got, err, c.want)
		}
	}
	for _, bad := range []string{
		"", " 1", "1 ", "x", "nan", "1e", "1e+", "0x", "0xg", "0x1p", ".", "-", "1_0", "infinit", "1\x00", "1e4933", "-1e4933", "1e-4952",
		"1e99999999999999999999", "0x1p16384", "0x1p-16446", strings.Repeat("1", floatText),
	} {
		if got, err := addFloat(nil, zero, []byte(bad)); err != ErrNotFloat {
			t.Errorf("%.20q was read: %.40s, %v", bad, got, err)
		}
	}
	for _, c := range [][2]string{{"inf", "1"}, {"1", "-INFINITY"}, {"inf", "-inf"}, {"1e4932", "1e4932"}} {
		if got, err := addFloat(nil, []byte(c[0]), []byte(c[1])); err != ErrNotFinite {
			t.Errorf("%s + %s = %.40s, %v", c[0], c[1], got, err)
		}
	}
}
