package redis

import (
	"crypto/sha1" // the name that Redis gives a script
	"encoding/hex"
	"strings"
	"sync"
)

// lockScript is a program that clients send and that is known here: it runs as operations
// of one transaction, not as a program.
type lockScript struct {
	args int // how many it takes at least
	run  func(c *conn, keys, args [][]byte)
}

// scriptMax is the longest text, in bytes, that is looked at.
const scriptMax = 4 << 10

// scriptsKept is how many texts a node remembers by their SHA-1. Clients write a
// script in a handful of ways; beyond that all are forgotten, and sent again.
const scriptsKept = 1000

// scriptCache knows the scripts that this node has seen by their SHA-1, as Redis does:
// EVALSHA of another one is told NOSCRIPT, and clients then send the text.
type scriptCache struct {
	mu    sync.RWMutex
	bySum map[string]*lockScript
}

func (s *scriptCache) find(sum []byte) *lockScript {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bySum[strings.ToLower(string(sum))]
}

// load finds out what a text does and remembers it; nil when it is not known.
func (s *scriptCache) load(text []byte) (known *lockScript, sum string) {
	if len(text) <= scriptMax {
		known = lockScripts[canonical(string(text))]
	}
	if known == nil {
		return nil, ""
	}
	h := sha1.Sum(text)
	sum = hex.EncodeToString(h[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bySum == nil || len(s.bySum) >= scriptsKept {
		s.bySum = make(map[string]*lockScript)
	}
	s.bySum[sum] = known
	return known, sum
}

func (s *scriptCache) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bySum = nil
}

// luaWords keep their names in the canonical form; all others are variables.
var luaWords = func() map[string]bool {
	words := make(map[string]bool)
	for _, w := range strings.Fields("and do else elseif end false for if in local nil not or return then true redis KEYS ARGV ipairs") {
		words[w] = true
	}
	return words
}()

// canonical writes a program so that two that differ in spaces, comments, quotes, the
// case of their strings, semicolons, parentheses around a condition and the names of
// variables are the same: a SHA-1 knows one way to write a script, and every library
// has its own. A text that it cannot read is "".
func canonical(text string) string {
	var tokens []string
	names := make(map[string]string)
	for text = skipBlank(text); text != ""; text = skipBlank(text) {
		n := tokenLen(text)
		if n == 0 {
			return ""
		}
		token := text[:n]
		text = text[n:]
		switch first := token[0]; {
		case token == ";":
			continue
		case first == '\'' || first == '"':
			token = "'" + strings.ToLower(token[1:n-1]) + "'"
		case isLetter(first) && !luaWords[token] && (len(tokens) == 0 || tokens[len(tokens)-1] != "."):
			if names[token] == "" {
				names[token] = "$" + string(rune('a'+len(names)))
			}
			token = names[token]
		}
		tokens = append(tokens, token)
	}
	return strings.Join(bareConditions(tokens), " ")
}

// skipBlank leaves out spaces and comments.
func skipBlank(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		after, comment := strings.CutPrefix(text, "--")
		switch {
		case !comment:
			return text
		case strings.HasPrefix(after, "[["):
			_, text, _ = strings.Cut(after, "]]")
		default:
			_, text, _ = strings.Cut(after, "\n")
		}
	}
}

// tokenLen is the length of the token that a text begins with, 0 when it cannot be
// read: strings with escapes are not.
func tokenLen(text string) int {
	switch first := text[0]; {
	case first == '\'' || first == '"':
		end := strings.IndexByte(text[1:], first)
		if end < 0 || strings.ContainsAny(text[1:1+end], "\\\n") {
			return 0
		}
		return end + 2
	case isLetter(first) || isDigit(first):
		n := 1
		for n < len(text) && (isLetter(text[n]) || isDigit(text[n])) {
			n++
		}
		return n
	case len(text) > 1 && text[1] == '=' && strings.IndexByte("=~<>", first) >= 0:
		return 2
	}
	return 1
}

// bareConditions takes the parentheses off a condition that stands in them whole.
func bareConditions(tokens []string) (bare []string) {
	for i := 0; i < len(tokens); i++ {
		bare = append(bare, tokens[i])
		if tokens[i] != "if" && tokens[i] != "elseif" || i+1 == len(tokens) || tokens[i+1] != "(" {
			continue
		}
		depth, end := 0, i+1
		for ; end < len(tokens); end++ {
			if tokens[end] == "(" {
				depth++
			} else if tokens[end] == ")" {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if end+1 < len(tokens) && tokens[end+1] == "then" {
			bare = append(bare, tokens[i+2:end]...)
			i = end
		}
	}
	return bare
}

func isLetter(ch byte) bool { return ch|0x20 >= 'a' && ch|0x20 <= 'z' || ch == '_' }

func isDigit(ch byte) bool { return ch >= '0' && ch <= '9' }
