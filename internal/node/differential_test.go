package node

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/judge"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// sequencesOf is how many random sequences are compared; the nightly target asks for
// more by AEGIS_TEST_SEQUENCES.
func sequencesOf(t *testing.T) int {
	t.Helper()
	n := 5000
	if s := os.Getenv("AEGIS_TEST_SEQUENCES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal("AEGIS_TEST_SEQUENCES:", err)
		}
	}
	return n
}

// TestRandomSequencesAreAnsweredAsRedisDoes sends the same random commands to a whole
// node and to redis-server, and compares every reply and what is left of the keys.
// What may differ stands in `differences` with its reason. A sequence is known by its
// number: the same number gives the same commands.
func TestRandomSequencesAreAnsweredAsRedisDoes(t *testing.T) {
	if !judge.Installed(t) {
		return
	}
	n := startNodes(t, 1, 256<<20)[0]
	ready := dialRaw(t, n.cfg.ClientAddr)
	ready.pipeline(1, "+OK\r\n", "SET", "ready", "1")
	ready.until(t, "+OK\r\n")
	real := judge.Start(t)
	var us, redis [2]*talker
	for i := range us {
		us[i], redis[i] = talk(t, n.cfg.ClientAddr), talk(t, real)
		for _, p := range []*talker{us[i], redis[i]} {
			p.ask([][]string{{"HELLO", strconv.Itoa(2 + i)}})
		}
	}
	everyCommandIsDrawn(t, us[0])
	total, commands, different, begun := sequencesOf(t), 0, 0, time.Now()
	for number := range total {
		s := drawSequence(uint64(number))
		commands += len(s)
		i := number % 2
		if diff := s.compare(us[i].ask(s), redis[i].ask(s)); diff != "" {
			if different++; different > 10 {
				t.Fatal("and more")
			}
			t.Errorf("sequence %d, RESP%d: %s", number, 2+i, diff)
		}
	}
	t.Logf("%d sequences, %d commands, %v", total, commands, time.Since(begun))
}

// talker is a connection that sends commands and reads replies as they came.
type talker struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func talk(t *testing.T, addr string) *talker {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &talker{t, nc, bufio.NewReader(nc)}
}

// ask sends the commands as one pipeline and reads their replies.
func (p *talker) ask(commands [][]string) []string {
	p.t.Helper()
	replies, err := p.try(commands)
	if err != nil {
		p.t.Fatal(err)
	}
	return replies
}

// try is ask of a node that may end the connection.
func (p *talker) try(commands [][]string) ([]string, error) {
	var b []byte
	for _, words := range commands {
		b = resp.AppendCommand(b, words...)
	}
	_ = p.nc.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := p.nc.Write(b); err != nil {
		return nil, err
	}
	replies := make([]string, len(commands))
	for i := range replies {
		var err error
		if replies[i], err = judge.ReadRaw(p.r); err != nil {
			return nil, fmt.Errorf("%w after %q of %.60q", err, replies[i], commands[i])
		}
	}
	return replies, nil
}

// sequence is commands that are sent at once, on keys of their own.
type sequence [][]string

// drawSequence draws some commands on few keys, and then asks what is left of these.
func drawSequence(number uint64) sequence {
	d := &drawer{Rand: rand.New(rand.NewPCG(number, 3)), tag: strconv.FormatUint(number, 36)}
	var s sequence
	together := d.IntN(3) == 0
	if together {
		s = append(s, []string{"MULTI"})
	}
	for range 1 + d.IntN(20) {
		s = append(s, d.command())
	}
	if together {
		s = append(s, []string{"EXEC"})
	}
	for _, k := range d.keys() {
		s = append(s, []string{"GET", k}, []string{"PTTL", k}, []string{"DEL", k})
	}
	return append(s, s.junkKeys()...)
}

// junkKeys deletes the keys that a spoilt command may have made: they are not this
// sequence's own, and the next one shall not find them.
func (s sequence) junkKeys() (deletions sequence) {
	for _, word := range junk {
		if slices.ContainsFunc(s, func(words []string) bool { return slices.Contains(words[1:], word) }) {
			deletions = append(deletions, []string{"DEL", word})
		}
	}
	return deletions
}

// compare names the first reply that differs, with the commands before it.
func (s sequence) compare(got, want []string) string {
	for i, words := range s {
		if got[i] == want[i] || tolerated(words, got[i], want[i]) || words[0] == "EXEC" && s[:i].toleratedAll(got, want, i) {
			continue
		}
		var b strings.Builder
		for _, before := range s[:i] {
			fmt.Fprintf(&b, "\n    %q", before)
		}
		return fmt.Sprintf("%.300q: %.300q, redis says %.300q, after%s", words, got[i], want[i], b.String())
	}
	return ""
}

// toleratedAll compares the replies to the commands of a transaction one by one.
func (s sequence) toleratedAll(got, want []string, exec int) bool {
	ours, theirs := elements(got[exec]), elements(want[exec])
	if len(ours) != len(theirs) || len(ours) == 0 {
		return false
	}
	for i, words := range s {
		if got[i] != "+QUEUED\r\n" {
			continue
		}
		if ours[0] != theirs[0] && !tolerated(words, ours[0], theirs[0]) {
			return false
		}
		ours, theirs = ours[1:], theirs[1:]
	}
	return len(ours) == 0
}

// elements are the replies in an array; none when it is something else.
func elements(raw string) (all []string) {
	_, rest, _ := strings.Cut(raw, "\r\n")
	r := bufio.NewReader(strings.NewReader(rest))
	for raw[0] == '*' {
		e, err := judge.ReadRaw(r)
		if err != nil {
			break
		}
		all = append(all, e)
	}
	return all
}

// everyCommandIsDrawn holds the node's own command table against the grammar: what is
// in neither it nor `elsewhere` is a command that nobody compares.
func everyCommandIsDrawn(t *testing.T, p *talker) {
	t.Helper()
	_, _ = p.nc.Write(resp.AppendCommand(nil, "COMMAND"))
	table, err := resp.ReadReply(p.r)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Items {
		name := string(row.Items[0].Text)
		if _, drawn := grammar[name]; !drawn && elsewhere[name] == "" {
			t.Errorf("%s is in the command table and is not compared with redis-server", name)
		}
	}
	for name := range grammar {
		if elsewhere[name] != "" {
			t.Errorf("%s is drawn and said to be compared elsewhere", name)
		}
	}
}
