package statemachine

import (
	"bytes"
	"math/big"
)

// INCRBYFLOAT counts as Redis does on the machines it mostly runs on, with the
// 80-bit floats of x86: 64 bits of mantissa, rounded to the nearest even, written
// with 17 digits behind the point and without trailing zeros. A float64 was refused:
// 3.0 + 1.1 would then be answered as 4.0999999999999996.
const (
	floatBits   = 64
	floatExpMax = 16384  // a number of 2^16384 or more is infinite
	floatExpMin = -16445 // half of the smallest one is zero
	floatDigits = 17
	floatText   = 5 << 10 // bytes: Redis reads no longer ones
)

var zero = []byte("0")

// addFloat appends a + b to dst, which must not overlap them.
func addFloat(dst, a, b []byte) ([]byte, error) {
	x, ok := parseFloat(a)
	y, valid := parseFloat(b)
	if !ok || !valid {
		return dst, ErrNotFloat
	}
	if x.IsInf() || y.IsInf() {
		return dst, ErrNotFinite
	}
	if x.Add(x, y); x.MantExp(nil) > floatExpMax {
		return dst, ErrNotFinite
	}
	start := len(dst)
	dst = bytes.TrimRight(x.Append(dst, 'f', floatDigits), "0")
	dst = bytes.TrimSuffix(dst, []byte("."))
	if string(dst[start:]) == "-0" {
		dst = append(dst[:start], '0')
	}
	return dst, nil
}

// parseFloat takes what C's strtold takes of a whole text: a decimal or hexadecimal
// number or an infinity. Not a number, a number too large, and one so small that it
// would become zero are refused.
func parseFloat(b []byte) (*big.Float, bool) {
	if len(b) >= floatText {
		return nil, false
	}
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	f := new(big.Float).SetPrec(floatBits)
	switch {
	case bytes.EqualFold(b, []byte("inf")), bytes.EqualFold(b, []byte("infinity")):
		return f.SetInf(negative), true
	case len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x':
		if !parseHexadecimal(f, b[2:]) {
			return nil, false
		}
	case !parseDecimal(f, b):
		return nil, false
	}
	if negative {
		f.Neg(f)
	}
	return f, inRange(f)
}

func inRange(f *big.Float) bool {
	var mantissa big.Float
	exp := f.MantExp(&mantissa)
	switch {
	case f.Sign() == 0:
		return true
	case exp == floatExpMin:
		return mantissa.Abs(&mantissa).Cmp(big.NewFloat(0.5)) > 0
	}
	return exp > floatExpMin && exp <= floatExpMax
}

// parseDecimal reads digits[.digits][e[sign]digits], rounded once.
func parseDecimal(f *big.Float, b []byte) bool {
	digits, exp, ok := scanFloat(b, isDigit, 'e')
	if !ok {
		return false
	}
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) == 0 {
		return true
	}
	if magnitude := exp + len(digits); magnitude > 5000 || magnitude < -5000 {
		return false // far out of range, and much work
	}
	var n, scale big.Int
	n.SetString(string(digits), 10)
	scale.Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil)
	if exp >= 0 {
		f.SetInt(n.Mul(&n, &scale))
	} else {
		f.Quo(new(big.Float).SetInt(&n), new(big.Float).SetInt(&scale))
	}
	return true
}

// parseHexadecimal reads what follows 0x: the exponent is one of 2.
func parseHexadecimal(f *big.Float, b []byte) bool {
	digits, exp, ok := scanFloat(b, isHexDigit, 'p')
	if !ok {
		return false
	}
	points := len(b)
	if e := bytes.IndexAny(b, "pP"); e >= 0 {
		points = e
	}
	if p := bytes.IndexByte(b[:points], '.'); p >= 0 {
		exp -= 3 * (points - p - 1) // scanFloat took one per digit, a digit is four bits
	}
	var n big.Int
	n.SetString("0"+string(digits), 16)
	f.SetInt(&n)
	f.SetMantExp(f, exp)
	return true
}

// scanFloat splits a number without sign into its digits, without the point, and the
// exponent that belongs to them; letter announces the written one.
func scanFloat(b []byte, is func(byte) bool, letter byte) (digits []byte, exp int, ok bool) {
	i, point := 0, -1
	for ; i < len(b); i++ {
		if b[i] == '.' && point < 0 {
			point = i
		} else if !is(b[i]) {
			break
		}
	}
	digits = b[:i]
	if point >= 0 {
		exp = point + 1 - i
		digits = append(bytes.Clone(b[:point]), b[point+1:i]...)
	}
	if len(digits) == 0 || i == len(b) {
		return digits, exp, len(digits) > 0
	}
	written, ok := scanExponent(b[i:], letter)
	return digits, exp + written, ok
}

// scanExponent reads the letter, a sign, and digits. What no number can use is
// answered as a million.
func scanExponent(b []byte, letter byte) (exp int, ok bool) {
	if b[0]|0x20 != letter {
		return 0, false
	}
	b = b[1:]
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	for _, ch := range b {
		if !isDigit(ch) {
			return 0, false
		}
		exp = min(10*exp+int(ch-'0'), 1e6)
	}
	if negative {
		exp = -exp
	}
	return exp, len(b) > 0
}

func isDigit(ch byte) bool { return ch >= '0' && ch <= '9' }

func isHexDigit(ch byte) bool { return isDigit(ch) || ch|0x20 >= 'a' && ch|0x20 <= 'f' }
