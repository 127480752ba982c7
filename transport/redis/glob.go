package redis

// globs says whether text is what a pattern of Redis describes: * any bytes, ? one
// byte, [abc], [^abc] and [a-c] one of a set, \ before a byte takes it as it is. What is
// left open at the end of a pattern means what it means in Redis. There is one place to
// go back to, the last star, so that a hostile pattern costs its length times the
// text's and no more.
func globs(pattern, text []byte) bool {
	if len(text) == 0 {
		return len(pattern) == 0 || len(pattern) == 1 && pattern[0] == '*'
	}
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, mark = p, t
			continue
		}
		if p < len(pattern) {
			if n, ok := globByte(pattern[p:], text[t]); ok {
				p, t = p+n, t+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, t = star, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globByte matches one byte with the head of a pattern and says how long the head is.
func globByte(p []byte, ch byte) (n int, ok bool) {
	switch {
	case p[0] == '?':
		return 1, true
	case p[0] == '[':
		return globSet(p, ch)
	case p[0] == '\\' && len(p) > 1:
		return 2, p[1] == ch
	}
	return 1, p[0] == ch
}

// globSet matches one byte with the set that begins p. Bytes of a range are compared as
// signed numbers, as C does on most machines.
func globSet(p []byte, ch byte) (n int, ok bool) {
	n = 1
	not := n < len(p) && p[n] == '^'
	if not {
		n++
	}
	for n < len(p) && p[n] != ']' {
		switch rest := p[n:]; {
		case rest[0] == '\\' && len(rest) > 1:
			ok = ok || rest[1] == ch
			n += 2
		case len(rest) > 2 && rest[1] == '-':
			lo, hi := int8(rest[0]), int8(rest[2])
			ok = ok || min(lo, hi) <= int8(ch) && int8(ch) <= max(lo, hi)
			n += 3
		default:
			ok = ok || rest[0] == ch
			n++
		}
	}
	return min(n+1, len(p)), ok != not
}
