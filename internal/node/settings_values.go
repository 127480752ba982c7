package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// The makers of rows whose value is one field.

func text(key, unit, def, help string, check func(string) error, field func(*Loaded) *string) Setting {
	return Setting{
		Key: key, Unit: unit, Default: def, Help: help, Change: Restart,
		read: func(c *Loaded, s string) error {
			*field(c) = s
			if check == nil {
				return nil
			}
			return check(s)
		},
		write: func(c *Loaded) string { return *field(c) },
	}
}

func address(key, def, help string, field func(*Loaded) *string) Setting {
	return text(key, "HOST:PORT", def, help, checkAddress, field)
}

func word(key, def string, words []string, help string, field func(*Loaded) *string) Setting {
	return text(key, strings.Join(words, "|"), def, help, func(s string) error { return checkWord(s, words) }, field)
}

func number(key, def string, least, most int, change Change, help string, field func(*Loaded) *int) Setting {
	return Setting{
		Key: key, Unit: "N", Default: def, Help: help, Change: change,
		read: func(c *Loaded, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil || n < least || n > most {
				return fmt.Errorf("%q is not a number from %d to %d", s, least, most)
			}
			*field(c) = n
			return nil
		},
		write: func(c *Loaded) string {
			return numberWord(*field(c))
		},
	}
}

// idShape keeps node names usable as directory names everywhere.
var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// portName is how the directory of a node without a name is called.
var portName = regexp.MustCompile(`^port-[0-9]+$`)

// checkID refuses names that would share a directory with something else.
func checkID(s string) error {
	lower := strings.ToLower(s)
	switch {
	case lower == "wal":
		return errors.New(`"wal" is the directory of the log and cannot name a node`)
	case portName.MatchString(lower):
		return fmt.Errorf("%q is the directory of the nameless node on that port and cannot name a node", s)
	case !idShape.MatchString(s):
		return fmt.Errorf("%q cannot name a node: use 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit", s)
	}
	return nil
}

// checkAddress takes [host]:port with a numeric port.
func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address like :7000, 10.0.0.1:7000 or [::1]:7000", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q has no port from 1 to 65535", s)
	}
	if host != "" && checkHost(host) != nil {
		return fmt.Errorf("%q names no host", s)
	}
	return nil
}

// checkHost takes a name or an address without a port or brackets.
func checkHost(s string) error {
	if s == "" || strings.ContainsAny(s, " /[]\"',") || len(s) > 253 || (strings.Contains(s, ":") && net.ParseIP(strings.SplitN(s, "%", 2)[0]) == nil) {
		return fmt.Errorf("%q is not a host name or address (without a port)", s)
	}
	return nil
}

// checkZone takes a name as nodes have them.
func checkZone(s string) error {
	if !idShape.MatchString(s) {
		return fmt.Errorf("%q cannot name a zone: use 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit", s)
	}
	return nil
}

func checkDir(s string) error {
	if s == "" {
		return errors.New("the name is empty")
	}
	return nil
}

// readAddresses takes a comma list or a JSON array, and drops repetitions.
func readAddresses(s string) ([]string, error) {
	var all []string
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "[") && (s == "[]" || strings.Contains(s, `"`)) {
		if err := json.Unmarshal([]byte(s), &all); err != nil {
			return nil, fmt.Errorf(`%q is not a JSON array like ["host1:7002","host2:7002"]`, s)
		}
	} else if s != "" {
		all = strings.Split(s, ",")
	}
	var distinct []string
	for _, a := range all {
		a = strings.TrimSpace(a)
		if err := checkAddress(a); err != nil {
			return nil, err
		}
		if strings.HasPrefix(a, ":") {
			return nil, fmt.Errorf("%q names no host; a seed on this machine is localhost%s", a, a)
		}
		if !slices.Contains(distinct, a) {
			distinct = append(distinct, a)
		}
	}
	return distinct, nil
}

func readWAL(c *Loaded, s string) error {
	mode, err := wal.ParseMode(s)
	if err != nil {
		return fmt.Errorf("%w; the nearest is %q", err, Nearest(s, wal.Words()))
	}
	c.WAL = mode
	return nil
}

func readOnOff(on *bool, s string) error {
	*on = s == "on"
	return checkWord(s, []string{"off", "on"})
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// wordOff says of a port or a duration that there is to be none.
const wordOff = "off"

// readOptional takes an address, or the word off.
func readOptional(addr *string, s string) error {
	if *addr = s; s == wordOff {
		*addr = ""
		return nil
	}
	return checkAddress(s)
}

func orOff(addr string) string {
	if addr == "" {
		return wordOff
	}
	return addr
}

// replaceAfterMin is the least that can be asked for: less than what a lease, a restart
// or a busy machine may take would give copies up for nothing.
const replaceAfterMin = 5 * time.Second

func readReplaceAfter(c *Loaded, s string) (err error) {
	if s == wordOff {
		c.ReplaceAfter = 0
		return nil
	}
	if c.ReplaceAfter, err = time.ParseDuration(s); err != nil || c.ReplaceAfter < replaceAfterMin {
		return fmt.Errorf("%q is not off or a duration of at least %v, like 5m", s, replaceAfterMin)
	}
	return nil
}

// durationWord writes a duration as it is given, 5m and not 5m0s; "" for 0.
func durationWord(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// fillRateMin is one piece of a copy a second.
const fillRateMin = 64 << 10

func readFillRate(c *Loaded, s string) (err error) {
	if s == wordOff {
		c.FillRate = 0
		return nil
	}
	if c.FillRate, err = ParseSize(s); err != nil || c.FillRate < fillRateMin {
		return fmt.Errorf("%q is not off or a size of at least %s, like 100MiB", s, formatSize(fillRateMin))
	}
	return nil
}

// fillPercentMax is more cores than any node has.
const fillPercentMax = 100_000

func readFillPercent(c *Loaded, s string) (err error) {
	if s == wordOff {
		c.FillPercent = 0
		return nil
	}
	if c.FillPercent, err = strconv.Atoi(s); err != nil || c.FillPercent < 1 || c.FillPercent > fillPercentMax {
		return fmt.Errorf("%q is not off or hundredths of a core from 1 to %d, like 25", s, fillPercentMax)
	}
	return nil
}

// numberWord is a number, "" for 0.
func numberWord(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// sizeWord is formatSize, "" for 0.
func sizeWord(n int64) string {
	if n == 0 {
		return ""
	}
	return formatSize(n)
}

func readAck(c *Loaded, s string) error {
	if err := checkWord(strings.TrimSuffix(s, plusFsync), []string{"async", "majority", "all"}); err != nil {
		return err
	}
	c.AckLevel = s // whether there is a log for +fsync is known when all is read
	return nil
}

// memoryMin is what replication and a small store need.
const memoryMin = 32 << 20

func readMemory(c *Loaded, s string) (err error) {
	if c.MaxMemoryBytes, err = ParseSize(s); err != nil {
		return err
	}
	if c.MaxMemoryBytes < memoryMin {
		return fmt.Errorf("%q is too little: a node needs at least %s", s, formatSize(memoryMin))
	}
	return nil
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
	{"", 1},
}

// ParseSize reads bytes, or a whole number with a unit.
func ParseSize(s string) (int64, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err == nil {
		for _, u := range sizeUnits {
			if strings.TrimSpace(s[digits:]) == u.suffix && n <= (1<<62)/u.bytes {
				return n * u.bytes, nil
			}
		}
	}
	return 0, fmt.Errorf("%q is not a size like 1073741824, 512MiB or 4GiB", s)
}

// formatSize writes a size in the largest unit that keeps it exact.
func formatSize(n int64) string {
	for i := 3; i >= 0; i-- {
		if u := sizeUnits[i]; n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

func checkWord(s string, words []string) error {
	if slices.Contains(words, s) {
		return nil
	}
	return fmt.Errorf("unknown word %q; the nearest is %q (one of %s)", s, Nearest(s, words), strings.Join(words, ", "))
}

// Nearest is the candidate with the smallest edit distance, the first of equals.
func Nearest(s string, candidates []string) string {
	best, least := "", int(^uint(0)>>1)
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// editDistance is Levenshtein's; s is cut, so that a hostile word costs little.
func editDistance(s, t string) int {
	s, t = s[:min(len(s), 64)], t[:min(len(t), 64)]
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(s) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(t) {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(t)]
}
