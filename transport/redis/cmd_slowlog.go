package redis

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

// slowlog remembers pipelines that took long. A pipeline is timed whole, from its
// arrival until its replies may leave: the clock is read once before and once after it,
// where times of single commands would be a read for each of them.
type slowlog struct {
	threshold atomic.Int64 // microseconds; negative = off, 0 = everything
	max       atomic.Int64

	mu      sync.Mutex // guards the rest
	next    int64
	entries []slowEntry // the newest last
}

// slowEntry is one pipeline. An entry shows its first command.
type slowEntry struct {
	id       int64
	at       time.Time
	took     time.Duration
	words    []string
	addr     string
	name     string
	commands int64
}

// Defaults of Redis, and bounds.
const (
	slowerThan    = 10_000 // microseconds
	slowMax       = 128
	slowMaxMost   = 10_000
	slowWordsMax  = 32
	slowBytesMax  = 128
	slowThreshold = "slowlog-log-slower-than"
	slowLength    = "slowlog-max-len"
)

func newSlowlog() *slowlog {
	l := &slowlog{}
	l.threshold.Store(slowerThan)
	l.max.Store(slowMax)
	return l
}

// slow says whether a pipeline of that length is to be remembered.
func (l *slowlog) slow(took time.Duration) bool {
	t := l.threshold.Load()
	return t >= 0 && took.Microseconds() >= t
}

// timeSlow looks how long the commands took that are about to be answered. No command
// is under way: the reader may be asked for the first of them again. The clock is the one
// of the last group, too.
func (c *conn) timeSlow() {
	commands := c.sess.commands - c.timed
	c.timed = c.sess.commands
	l := c.srv.slow
	if commands == 0 {
		return
	}
	now := c.srv.since()
	c.closeGroup(now)
	took := now - c.began
	if c.began = now; !l.slow(took) {
		return
	}
	at := c.rd.Mark()
	c.rd.Rewind(c.mark)
	if first, ok, err := c.rd.Next(); ok && err == nil {
		l.note(c, took, first, int64(commands))
	}
	c.rd.Rewind(at)
}

// since is the time since the server's start.
func (s *Server) since() time.Duration { return time.Since(s.started) }

// note remembers the pipeline that a connection has just run.
func (l *slowlog) note(c *conn, took time.Duration, first [][]byte, commands int64) {
	e := slowEntry{at: time.Now(), took: took, words: slowWords(first), addr: c.sess.Addr.String(), name: c.sess.Name, commands: commands}
	if commands > 1 {
		e.words = append(e.words, "... ("+strconv.FormatInt(commands-1, 10)+" more commands in one pipeline)")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)
	l.trim()
}

func (l *slowlog) trim() {
	if over := len(l.entries) - int(l.max.Load()); over > 0 {
		l.entries = append([]slowEntry(nil), l.entries[over:]...)
	}
}

// slowWords keeps as much of a command as Redis does.
func slowWords(args [][]byte) (words []string) {
	for i, a := range args {
		if i == slowWordsMax-1 && len(args) > slowWordsMax {
			return append(words, "... ("+strconv.Itoa(len(args)-i)+" more arguments)")
		}
		if len(a) > slowBytesMax {
			words = append(words, string(a[:slowBytesMax])+"... ("+strconv.Itoa(len(a)-slowBytesMax)+" more bytes)")
			continue
		}
		words = append(words, string(a))
	}
	return words
}

func slowlogCommand() *command {
	sub := func(name string, arity int, run func(*conn, [][]byte)) *command {
		return &command{name: "slowlog|" + name, arity: arity, flags: "admin loading stale", rights: rightsAdmin, wide: true, run: run}
	}
	return &command{
		name: "slowlog", arity: -2, rights: rightsAdmin, summary: "A container for commands about pipelines that took long.",
		subs: map[string]*command{
			"GET":   sub("get", -2, cmdSlowlogGet),
			"LEN":   sub("len", 2, func(c *conn, _ [][]byte) { c.int(int64(len(c.srv.slow.newest(-1)))) }),
			"RESET": sub("reset", 2, func(c *conn, _ [][]byte) { c.srv.slow.reset(); c.ok() }),
			"HELP": sub("help", 2, func(c *conn, _ [][]byte) {
				c.help("SLOWLOG", "GET [count] -- the newest entries, 10 unless it is given, -1 = all: id, unix time, microseconds, command, address, name; a pipeline is timed whole and shown by its first command",
					"LEN -- how many there are", "RESET -- forget them")
			}),
		},
	}
}

// newest is up to n entries, the newest first; all when n is negative.
func (l *slowlog) newest(n int64) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim()
	if n < 0 || n > int64(len(l.entries)) {
		n = int64(len(l.entries))
	}
	out := make([]slowEntry, 0, n)
	for i := len(l.entries) - 1; int64(len(out)) < n; i-- {
		out = append(out, l.entries[i])
	}
	return out
}

func (l *slowlog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

func cmdSlowlogGet(c *conn, args [][]byte) {
	n := int64(10)
	if len(args) > 3 {
		c.fail("ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.")
		return
	}
	if len(args) == 3 {
		var ok bool
		if n, ok = parseInt(args[2]); !ok || n < -1 {
			c.fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	entries := c.srv.slow.newest(n)
	b := resp.AppendArray(c.out, len(entries))
	for _, e := range entries {
		b = resp.AppendArray(b, 6)
		b = resp.AppendInt(resp.AppendInt(resp.AppendInt(b, e.id), e.at.Unix()), e.took.Microseconds())
		b = resp.AppendArray(b, len(e.words))
		for _, w := range e.words {
			b = resp.AppendBulk(b, w)
		}
		b = resp.AppendBulk(resp.AppendBulk(b, e.addr), e.name)
	}
	c.out = b
}
