package chaos

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// ednEvent is a line of a history as Jepsen has it: an invocation or what became of it.
type ednEvent struct {
	at      time.Duration
	op      *Told
	done    bool
	process int
}

// WriteEDN writes what clients were told as a history for Jepsen's checkers: one map in
// each line, by time, values as [key value] tuples of jepsen.independent. There a
// process whose outcome is unknown (:info) is never heard of again, so its client goes
// on under another number.
func (r *Recorded) WriteEDN(w io.Writer) error {
	events := ednEvents(r.Told)
	out := bufio.NewWriter(w)
	for i, e := range events {
		kind := ":invoke"
		if e.done {
			kind = [...]string{":ok", ":fail", ":info"}[e.op.Outcome]
		}
		fmt.Fprintf(out, "{:index %d, :type %s, :f %s, :value [%s %s], :process %d, :time %d", i, kind, e.op.ednName(), ednString(e.op.Key), e.value(), e.process, e.at.Nanoseconds())
		if e.done && e.op.Word != "" {
			fmt.Fprintf(out, ", :error %s", ednString(e.op.Word))
		}
		if _, err := out.WriteString("}\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

// ednEvents orders invocations and completions by time; of the same moment what ends
// comes first, so that a client never has two operations open.
func ednEvents(told []Told) []ednEvent {
	clients := 1
	for i := range told {
		clients = max(clients, told[i].Client+1)
	}
	events := make([]ednEvent, 0, 2*len(told))
	for i := range told {
		t := &told[i]
		events = append(events, ednEvent{at: t.Start, op: t}, ednEvent{at: t.End, op: t, done: true})
	}
	slices.SortStableFunc(events, func(a, b ednEvent) int {
		if c := cmp.Compare(a.at, b.at); c != 0 || a.op == b.op {
			return c
		}
		return cmp.Compare(ended(b), ended(a))
	})
	lives := map[int]int{}
	for i := range events {
		e := &events[i]
		e.process = e.op.Client + clients*lives[e.op.Client]
		if e.done && e.op.Outcome == Unknown {
			lives[e.op.Client]++
		}
	}
	return events
}

func ended(e ednEvent) int {
	if e.done {
		return 1
	}
	return 0
}

func (t *Told) ednName() string {
	switch {
	case t.Kind == Read && t.Stale:
		return ":read-follower"
	case t.Kind == Set && t.If:
		return ":write-if"
	case t.Kind == Set:
		return ":write"
	}
	return ":" + t.Kind.String()
}

// value is what is written or was read; nil where nothing is known.
func (e ednEvent) value() string {
	t := e.op
	switch {
	case t.Kind == Set:
		return ednString(string(t.Arg))
	case !e.done || t.Outcome != OK:
	case t.Kind == Read && t.Found:
		return ednString(string(t.Value))
	case t.Kind == Incr:
		return fmt.Sprint(t.Int)
	case t.Kind == Del:
		return fmt.Sprint(t.Found)
	}
	return "nil"
}

// ednString quotes any bytes; what is no printable ASCII stands there byte by byte.
func ednString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
