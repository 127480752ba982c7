package redis

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// A command on keys of several slots is split by slot on the gateway port, all parts
// run at once, and their replies are made one. That is not atomic: others may see some
// parts done and others not, and a failure may come between them. Only commands whose
// parts mean what the whole means are split; the rest is refused with CROSSSLOT.
var fans = map[string]func(b []byte, g *gather, parts [][]byte) []byte{
	"mget": mergeLists, "mset": mergeOK,
	"del": mergeSums, "unlink": mergeSums, "exists": mergeSums, "touch": mergeSums,
}

// gather makes one reply of the replies of parts.
type gather struct {
	join  func(b []byte, g *gather, parts [][]byte) []byte
	write bool
	parts [][]byte // replies of parts that were run here, nil for those of tasks
	order []int    // the part of each key
}

// split is a command cut into commands on one slot each.
type split struct {
	slots []shardmap.Slot
	args  [][][]byte
	order []int // the part of each key
}

func splitBySlot(cmd *command, args [][]byte) (s split) {
	partOf := make(map[shardmap.Slot]int)
	first, last, step := cmd.keys(args)
	for i := first; i <= last; i += step {
		slot := shardmap.SlotOf(args[i])
		p, seen := partOf[slot]
		if !seen {
			p = len(s.slots)
			partOf[slot] = p
			s.slots, s.args = append(s.slots, slot), append(s.args, slices.Clone(args[:first]))
		}
		s.args[p] = append(s.args[p], args[i:i+step]...)
		s.order = append(s.order, p)
	}
	return s
}

// fanOut runs the parts of a command, those held here first: they are done when the
// others leave.
func (c *conn) fanOut(cmd *command, args [][]byte) {
	if cmd.step == 2 && !c.even(cmd, args) {
		return
	}
	s := splitBySlot(cmd, args)
	g := &gather{join: fans[cmd.name], write: !cmd.reads, parts: make([][]byte, len(s.slots)), order: s.order}
	var tasks []task
	for p, slot := range s.slots {
		here, hint := c.here(slot)
		if g.write {
			c.noteWrite(slot)
		}
		if here {
			cmd.run(c, s.args[p])
			if c.quit || c.rerun {
				return
			}
			if hint = c.takeMoved(); hint == 0 {
				g.parts[p] = bytes.Clone(c.out[c.replyAt:])
				c.out = c.out[:c.replyAt]
				continue
			}
		}
		tasks = append(tasks, task{command: encode(s.args[p]...), slot: slot, write: g.write, hint: hint})
	}
	if len(tasks) > 0 {
		c.forward(cmd, g, tasks...)
		return
	}
	var sure bool
	if c.out, sure = g.merge(c.out, nil); !sure {
		c.failWith(ErrUnknown)
	}
}

// even checks a command on keys and values before any part of it is run.
func (c *conn) even(cmd *command, args [][]byte) bool {
	if len(args)%2 == 0 {
		c.wrongArgs(cmd)
		return false
	}
	return c.fitting(args)
}

// merge appends the whole reply; false when some parts of a write were applied and
// others may be later, which no reply says.
func (g *gather) merge(b []byte, tasks []task) (_ []byte, sure bool) {
	var failed []byte
	applied := false
	for p := range g.parts {
		if g.parts[p] == nil {
			g.parts[p], tasks = tasks[0].reply(), tasks[1:]
		}
		switch code := errorCode(g.parts[p]); {
		case code == "":
			applied = true
		case failed == nil:
			failed = g.parts[p]
		}
	}
	switch {
	case failed == nil:
		return g.join(b, g, g.parts), true
	case g.write && applied && mayPass(errorCode(failed)):
		return b, false
	}
	return append(b, failed...), true
}

// mergeOK is for parts that all say OK.
func mergeOK(b []byte, _ *gather, parts [][]byte) []byte { return append(b, parts[0]...) }

// mergeSums adds integers up.
func mergeSums(b []byte, _ *gather, parts [][]byte) []byte {
	var sum int64
	for _, p := range parts {
		n, _ := strconv.ParseInt(string(bytes.TrimRight(p[1:], "\r\n")), 10, 64)
		sum += n
	}
	return resp.AppendInt(b, sum)
}

// mergeLists puts the items of the parts in the order of the keys.
func mergeLists(b []byte, g *gather, parts [][]byte) []byte {
	rest := make([][]byte, len(parts))
	for p := range parts {
		_, rest[p], _ = bytes.Cut(parts[p], []byte("\n")) // the length
	}
	b = resp.AppendArray(b, len(g.order))
	for _, p := range g.order {
		n := resp.ReplyLen(rest[p])
		b = append(b, rest[p][:n]...)
		rest[p] = rest[p][n:]
	}
	return b
}
