package resp

import (
	"math"
	"strconv"
)

// The Append functions write one value behind b. Where RESP2 and RESP3 differ
// they take the protocol version, 2 or 3.

// AppendSimple writes "+s"; s must not hold a line break.
func AppendSimple(b []byte, s string) []byte { return append(append(append(b, '+'), s...), '\r', '\n') }

// AppendError writes "-s"; line breaks in s become spaces.
func AppendError(b []byte, s string) []byte {
	b = append(b, '-')
	for i := range len(s) {
		if c := s[i]; c == '\r' || c == '\n' {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return append(b, '\r', '\n')
}

// AppendInt writes an integer.
func AppendInt(b []byte, n int64) []byte { return head(b, ':', n) }

func head(b []byte, kind byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, kind), n, 10), '\r', '\n')
}

// AppendBulk writes a bulk string.
func AppendBulk[S []byte | string](b []byte, s S) []byte {
	return append(append(head(b, '$', int64(len(s))), s...), '\r', '\n')
}

// AppendNull writes the absent value.
func AppendNull(b []byte, proto int) []byte {
	if proto >= 3 {
		return append(b, "_\r\n"...)
	}
	return append(b, "$-1\r\n"...)
}

// AppendArray starts an array of n values.
func AppendArray(b []byte, n int) []byte { return head(b, '*', int64(n)) }

// AppendMap starts a map of n pairs, which RESP2 knows as an array.
func AppendMap(b []byte, proto, n int) []byte {
	if proto >= 3 {
		return head(b, '%', int64(n))
	}
	return head(b, '*', int64(2*n))
}

// AppendSet starts a set of n values, which RESP2 knows as an array.
func AppendSet(b []byte, proto, n int) []byte {
	if proto >= 3 {
		return head(b, '~', int64(n))
	}
	return head(b, '*', int64(n))
}

// AppendPush starts an out-of-band message of n values (RESP3 only).
func AppendPush(b []byte, n int) []byte { return head(b, '>', int64(n)) }

// AppendAttribute starts n pairs that describe the reply that follows (RESP3 only).
func AppendAttribute(b []byte, n int) []byte { return head(b, '|', int64(n)) }

// AppendBool writes a truth value: 1 or 0 in RESP2.
func AppendBool(b []byte, proto int, v bool) []byte {
	switch {
	case proto >= 3 && v:
		return append(b, "#t\r\n"...)
	case proto >= 3:
		return append(b, "#f\r\n"...)
	case v:
		return AppendInt(b, 1)
	}
	return AppendInt(b, 0)
}

// AppendDouble writes a floating-point number: a bulk string in RESP2.
func AppendDouble(b []byte, proto int, f float64) []byte {
	s := strconv.FormatFloat(f, 'g', 17, 64)
	switch {
	case math.IsInf(f, 1):
		s = "inf"
	case math.IsInf(f, -1):
		s = "-inf"
	case math.IsNaN(f):
		s = "nan"
	}
	if proto >= 3 {
		return append(append(append(b, ','), s...), '\r', '\n')
	}
	return AppendBulk(b, s)
}

// AppendVerbatim writes text: a plain bulk string in RESP2.
func AppendVerbatim(b []byte, proto int, s string) []byte {
	if proto < 3 {
		return AppendBulk(b, s)
	}
	b = head(b, '=', int64(len(s)+4))
	return append(append(append(b, "txt:"...), s...), '\r', '\n')
}

// AppendBigNumber writes the decimal digits of a number of any size: a bulk
// string in RESP2.
func AppendBigNumber(b []byte, proto int, digits string) []byte {
	if proto >= 3 {
		return append(append(append(b, '('), digits...), '\r', '\n')
	}
	return AppendBulk(b, digits)
}

// AppendCommand writes a command as clients send it.
func AppendCommand(b []byte, args ...string) []byte {
	b = AppendArray(b, len(args))
	for _, a := range args {
		b = AppendBulk(b, a)
	}
	return b
}
