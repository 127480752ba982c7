package judge

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// ReadRaw reads one reply as the bytes it came in.
func ReadRaw(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return line, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	items := 0
	switch line[0] {
	case '$', '=', '!':
		if n < 0 {
			return line, nil
		}
		body := make([]byte, n+len("\r\n"))
		_, err := io.ReadFull(r, body)
		return line + string(body), err
	case '*', '~', '>':
		items = n
	case '%':
		items = 2 * n
	}
	for range items {
		item, err := ReadRaw(r)
		line += item
		if err != nil {
			return line, err
		}
	}
	return line, nil
}

// Within compares two integer replies.
func Within(a, b string, d int) bool {
	x, err1 := strconv.Atoi(strings.Trim(a, ":\r\n"))
	y, err2 := strconv.Atoi(strings.Trim(b, ":\r\n"))
	return err1 == nil && err2 == nil && x-y <= d && y-x <= d
}
